"""What each route does, by its name in shared/bodies/contract."""

from collections.abc import Mapping

from functions.api.calls import Action
from functions.api.routes import (
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

ACTIONS: Mapping[str, Action] = {
    **statistics.ACTIONS,
    **actions.ACTIONS,
    **batches.ACTIONS,
    **catalogue.ACTIONS,
    **jobs.ACTIONS,
    **shop.ACTIONS,
    **webhooks.ACTIONS,
    **admin.ACTIONS,
    **work.ACTIONS,
    **service.ACTIONS,
}
