"""Templates in memory, for tests."""

import json
from dataclasses import replace

from shared.domain.errors import VersionConflictError
from shared.domain.templates import MAX_TEMPLATES, Template
from shared.gateways.store_rules import too_many


class InMemoryTemplateStore:
    """A `TemplateStore` without a table."""

    def __init__(self) -> None:
        self._templates: dict[tuple[str, str], Template] = {}

    def add_template(self, template: Template) -> None:
        """Store a template. Raises ConflictError when the shop has 100 of them."""
        if len(self.templates(template.shop)) >= MAX_TEMPLATES:
            raise too_many("templates", MAX_TEMPLATES)
        self._put(template)

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
