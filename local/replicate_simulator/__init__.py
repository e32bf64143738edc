"""A stand-in for Replicate: its official Python client, pointed at it, works.

`python -m local.replicate_simulator --port N` listens on loopback. What it shares with the other
providers' simulators is in `local.provider_simulator`; its own parts:

    provider_routes  predictions: create, read, list, cancel; the webhooks' secret
    dialect          the prediction as JSON, its webhooks (Standard Webhooks), refusals
    config           what can be set besides what all of them have

Models are named as `local.provider_simulator.models` says, owned by anybody. Not simulated:
streams, trainings, uploads of files, webhooks of `output` (an image model's only output comes with
its end).

Source: replicate.com/docs/topics/webhooks and .../predictions/lifecycle, replicate-python at
0110c2c (read 2026-11). Each module says which of its behaviour is an assumption.
"""
