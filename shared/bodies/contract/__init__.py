"""What the HTTP API promises: every route of it, in one table.

The resolver, the OpenAPI document and the test that compares the template with the code all
read it from here. What a route does is in functions/api/routes, under the route's name.
"""

from shared.bodies.contract import (
    actions,
    admin,
    batches,
    catalogue,
    jobs,
    service,
    shop,
    statistics,
    webhooks,
    work,
)
from shared.bodies.route import Route

# Literal paths before those with parameters: `stats` is not a job's id.
ROUTES: tuple[Route, ...] = (
    *statistics.ROUTES,
    *actions.ROUTES,
    *batches.ROUTES,
    *catalogue.ROUTES,
    *jobs.ROUTES,
    *shop.ROUTES,
    *webhooks.ROUTES,
    *admin.ROUTES,
    *work.ROUTES,
    *service.ROUTES,
)
