"""What the simulators of AI providers share: everything but a provider's own words.

A provider's simulator is a configuration, a dialect (how it names, prices, signs and refuses) and
its routes. The parts:

    app       a provider's routes beside `/_simulator/*` for tests
    dialect   what differs from provider to provider
    config    what can be set, whatever the provider
    faults    what can be made to go wrong, as data
    jobs      jobs, charges and links: state without I/O
    pipeline  the life of a job: fetch, edit, finish, announce
    delivery  webhooks: attempts, copies, forgeries, a log
    editing   the image work, bytes to bytes
    serving   guards of routes, creating and polling with their faults, result files
    clock     time, real or moved by hand
    process   a simulator as a program on loopback
"""
