"""A simulator of the Shopify Admin API that executes GraphQL against the real 2026-10 schema.

In tests: ``Simulator(clock=…).transport()`` is an httpx transport without sockets. On a laptop:
``python -m local.shopify_simulator --port N``. What it does is marked with where it was
learnt: [L] in answers of dev stores that airhorns/shopify-draft-proxy recorded (2025-01, 2026-04),
[D] on shopify.dev, [V] in the schema, [?] nowhere; what is [?] is a switch (config.Switches).
"""

from .simulator import Simulator
from .tokens import mint_id_token

__all__ = ["Simulator", "mint_id_token"]
