"""Every route of the API, in one table.

The resolver, the OpenAPI document and the test that compares the template with the code all
read it from here.
"""

from functions.api.calls import Route
from functions.api.routes import actions, admin, batches, jobs, service, shop, statistics, work
from functions.api.routes.description import describe

# Literal paths before those with parameters: `stats` is not a job's id.
_ACTIONS: tuple[Route, ...] = (
    *statistics.ROUTES,
    *actions.ROUTES,
    *batches.ROUTES,
    *jobs.ROUTES,
    *shop.ROUTES,
    *admin.ROUTES,
    *work.ROUTES,
    *service.ROUTES,
)
ROUTES: tuple[Route, ...] = (*_ACTIONS, describe(_ACTIONS))
