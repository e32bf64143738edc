"""A stand-in for fal's queue: its official Python client, pointed at it, works.

`python -m local.fal_simulator --port N` listens on loopback. What it shares with the other
providers' simulators is in `local.provider_simulator`; its own parts:

    provider_routes  the queue: submit, status, result, cancel; the public keys
    dialect          what a request gives, its one webhook (ed25519), refusals
    config           what can be set besides what all of them have

fal calls once, at the end: there is no webhook of a start. Models are named as
`local.provider_simulator.models` says. Not simulated: streams, uploads, real-time connections.

Source: docs.fal.ai/model-endpoints/webhooks and .../queue, the Python client 1.0.3 (read 2026-11).
Each module says which of its behaviour is an assumption.
"""
