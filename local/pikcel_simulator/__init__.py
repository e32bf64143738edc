"""A stand-in for PikcelAI that behaves like the real service, faults included.

`python -m local.pikcel_simulator --port N` listens on loopback. What it shares with the other
providers' simulators is in `local.provider_simulator`; its own parts:

    provider_routes  the API
    dialect          ids, webhooks in two forms, signatures, refusals
    replies          the same job in the repository's four vocabularies
    catalogue        tools and prices
    config           what can be set besides what all of them have

Source: the client side of nexobe/pikcel-ai-shopify-app at 5de1ff9 (read 2025-10); the server
is not public. Each module says which of its behaviour is an assumption.
"""
