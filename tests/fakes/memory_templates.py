"""Templates in memory, for tests."""

import json
from dataclasses import replace
from functools import partial

from shared.domain.errors import VersionConflictError
from shared.domain.templates import MAX_TEMPLATES, Template
from shared.gateways.store_rules import too_many
from shared.usecases.ports import Clock, Idempotency
from tests.fakes.memory_once import Makings, made_before, remember


class InMemoryTemplateStore:
    """A `TemplateStore` without a table."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._templates: dict[tuple[str, str], Template] = {}
        self._made: Makings[str] = {}

    def add_template(
        self, template: Template, *, idempotency: Idempotency | None = None
    ) -> Template:
        """Store a template; see `TemplateStore.add_template`."""
        now = self._clock.now()
        find = partial(self.get_template, template.shop)
        earlier = made_before(
            self._made, template.shop, idempotency, now, find=find, one="template"
        )
        if earlier is not None:
            return earlier
        if len(self.templates(template.shop)) >= MAX_TEMPLATES:
            raise too_many("templates", MAX_TEMPLATES)
        self._put(template)
        remember(self._made, template.shop, idempotency, template.template_id, now)
        return template

    def templates(self, shop: str) -> list[Template]:
        """Read the shop's templates, the oldest first."""
        found = [each for each in self._templates.values() if each.shop == shop]
        return sorted(found, key=lambda each: each.template_id)

    def get_template(self, shop: str, template_id: str) -> Template | None:
        """Read a template; None when the shop has no such."""
        return self._templates.get((shop, template_id))

    def save_template(self, before: Template, after: Template) -> Template:
        """Write on condition of the version. Raises VersionConflictError."""
        stored = self._templates.get((before.shop, before.template_id))
        if stored is None or stored.version != before.version:
            raise VersionConflictError("The template was changed meanwhile.")
        saved = replace(after, version=before.version + 1)
        self._put(saved)
        return saved

    def remove_template(self, shop: str, template_id: str) -> bool:
        """Delete a template; False when the shop has no such."""
        return self._templates.pop((shop, template_id), None) is not None

    def _put(self, template: Template) -> None:
        presets = json.loads(json.dumps(dict(template.presets)))
        self._templates[template.shop, template.template_id] = replace(template, presets=presets)
