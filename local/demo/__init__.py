"""The whole pipeline before one's eyes: photos go in, edited images arrive on their products.

`python -m local.demo` starts the stack from our own template.yaml, sends each photo the way a
front end would, lets chosen things go wrong, and checks afterwards what came of it. The parts:

    cases    what is made to go wrong, photo by photo
    providers through whom they go, and what of the story that provider cannot tell
    photos   the pictures: the twelve that are here, or a folder of one's own
    clients  our HTTP API as a shop's page calls it, and the simulators from inside
    story    set the scene, send, follow, retry
    evidence everything that the simulators and the API say afterwards
    proofs   what must have come of it, checked against the evidence
    screen   progress while it runs, tables when it is over
"""
