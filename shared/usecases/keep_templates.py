"""Templates: make, change and use them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.domain.errors import InvalidRequestError, NotFoundError
from shared.domain.templates import PRESETS, Template, applied, is_template_id
from shared.usecases.conflicts import retry_on_conflict
from shared.usecases.create_job import faults_of_kind, refuse
from shared.usecases.identify_caller import Caller
from shared.usecases.ports import Idempotency, TemplateStore
from shared.usecases.tracker import Tracker

# Of a job, whoever named them.
MAX_PARAMETERS_BYTES = 64 * 1024


def create_template(
    tracker: Tracker,
    templates: TemplateStore,
    caller: Caller,
    given: Mapping[str, Any],
    *,
    idempotency: Idempotency | None = None,
) -> Template:
    """Make a template of a name, a description and presets.

    Parameters
        idempotency: the same key with the same body gives the template made then.

    Raises ConflictError when the shop has 100 of them, or when that one was deleted;
    InvalidRequestError for a provider or type that no job can have.
    """
    _check(tracker, given)
    now = tracker.now()
    made = _changed(
        Template(
            shop=caller.require_shop(),
            template_id=tracker.new_id(now),
            name="",
            created_at=now,
            updated_at=now,
        ),
        given,
    )
    return templates.add_template(made, idempotency=idempotency)


def read_template(templates: TemplateStore, shop: str, template_id: str) -> Template:
    """Return a template. Raises NotFoundError."""
    found = templates.get_template(shop, template_id.strip().lower())
    if found is None:
        raise NotFoundError("There is no such template.")
    return found


def change_template(
    tracker: Tracker,
    templates: TemplateStore,
    shop: str,
    template_id: str,
    given: Mapping[str, Any],
) -> Template:
    """Change what is given (None: no longer preset); jobs that were made stay as they are.

    Raises NotFoundError, StoreUnavailableError; InvalidRequestError for a provider or type that no
    job can have.
    """
    _check(tracker, given)

    def change() -> Template:
        before = read_template(templates, shop, template_id)
        after = _changed(before, given)
        if after == before:
            return before
        return templates.save_template(before, replace(after, updated_at=tracker.now()))

    return retry_on_conflict("template", change)


def delete_template(templates: TemplateStore, shop: str, template_id: str) -> None:
    """Delete a template. Raises NotFoundError."""
    if not templates.remove_template(shop, template_id.strip().lower()):
        raise NotFoundError("There is no such template.")


def with_template(templates: TemplateStore, shop: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked for of a job, with what the template that it names presets.

    What is not an id of ours is left as it is: a template of the provider's.

    Raises NotFoundError for a template that there is not (any more); InvalidRequestError when
    the merged parameters are too large.
    """
    name = given.get("template_id")
    if name is None or not is_template_id(name.lower()):
        return dict(given)
    template = templates.get_template(shop, name.lower())
    if template is None:
        raise NotFoundError(
            "There is no such template (any more).",
            details=[{"field": "templateId", "message": "names no template of this shop"}],
        )
    values = applied(template, given) | {"template_id": template.template_id}
    size = len(json.dumps(values.get("parameters"), ensure_ascii=False).encode())
    if size > MAX_PARAMETERS_BYTES:
        raise InvalidRequestError(
            f"With the template's, the parameters are larger than {MAX_PARAMETERS_BYTES} bytes.",
            details=[{"field": "parameters", "message": "are too large with the template's"}],
        )
    return values


def _check(tracker: Tracker, given: Mapping[str, Any]) -> None:
    refuse(faults_of_kind(tracker, given.get("provider"), given.get("type")))


def _changed(template: Template, given: Mapping[str, Any]) -> Template:
    presets = dict(template.presets) | {n: v for n, v in given.items() if n in PRESETS}
    presets = {name: value for name, value in presets.items() if value is not None}
    rest = {name: given[name] for name in ("name", "description") if name in given}
    return replace(template, presets=presets, **rest)
