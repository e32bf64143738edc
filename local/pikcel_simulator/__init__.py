"""A stand-in for PikcelAI that behaves like the real service, faults included.

`python -m local.pikcel_simulator --port N` listens on loopback. The parts:

    app       routes: the provider's API, result files, and `/_simulator/*` for tests
    faults    what can be made to go wrong, as data
    jobs      jobs, credits and links: state without I/O
    pipeline  the life of a job: fetch, edit, finish, announce
    delivery  webhooks: bodies, signatures, attempts
    editing   the image work, bytes to bytes
    replies   the same job in the repository's four vocabularies
    clock     time, real or moved by hand

Source: the client side of nexobe/pikcel-ai-shopify-app at 5de1ff9 (read 2025-10); the server
is not public. Each module says which of its behaviour is an assumption.
"""
