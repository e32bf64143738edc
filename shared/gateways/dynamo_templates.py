"""The `TemplateStore` on DynamoDB: pk `SHOP#{shop}`, sk `TEMPLATE#{template id}`.

Shape: `template` is the JSON text of its fields, `version` what writes are on condition of. How
many a shop has is counted under sk `TEMPLATES`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from shared.domain.errors import VersionConflictError
from shared.domain.templates import MAX_TEMPLATES, Template
from shared.gateways.dynamo_errors import ConditionFailedError
from shared.gateways.dynamo_items import from_microseconds, microseconds, shop_pk, to_json
from shared.gateways.dynamo_quotas import Making, add_once, quota_row, write_counted
from shared.gateways.dynamo_table import (
    Item,
    Role,
    Row,
    Table,
    Terms,
    check_size,
    key,
    number,
    text,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from shared.gateways.dynamo_table import Value
    from shared.usecases.ports import Clock, Idempotency

_PREFIX, _COUNT = "TEMPLATE#", "TEMPLATES"
_FIELDS = ("name", "description", "presets")


class DynamoTemplateStore:
    """What shops preset."""

    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock) -> None:
        self._table = Table(client, table_name, clock)
        self._clock = clock

    def add_template(
        self, template: Template, *, idempotency: Idempotency | None = None
    ) -> Template:
        """Store a template; see `TemplateStore.add_template`."""
        rows = [
            quota_row(template.shop, _COUNT, MAX_TEMPLATES),
            Row(Role.TEMPLATE, "Put", {"Item": _item(template)}),
        ]
        making = Making(
            shop=template.shop,
            thing=template,
            thing_id=template.template_id,
            find=partial(self.get_template, template.shop),
            one="template",
            many="templates",
            most=MAX_TEMPLATES,
            idempotency=idempotency,
        )
        return add_once(self._table, self._clock, rows, making)

    def templates(self, shop: str) -> list[Template]:
        """Read the shop's templates, the oldest first (their ids are time-ordered)."""
        terms = Terms()
        partition = terms.equals("pk", text(shop_pk(shop)))
        starts = f"begins_with({terms.name('sk')}, {terms.value(text(_PREFIX))})"
        request = {
            "KeyConditionExpression": f"{partition} AND {starts}",
            "ConsistentRead": True,
        }
        return [_read(shop, item) for item in self._table.query(terms.attach(request))]

    def get_template(self, shop: str, template_id: str) -> Template | None:
        """Read a template consistently; None when the shop has no such."""
        item = self._table.get(_key(shop, template_id))
        return _read(shop, item) if item is not None else None

    def save_template(self, before: Template, after: Template) -> Template:
        """Write on condition of the version. Raises VersionConflictError."""
        saved = replace(after, version=before.version + 1)
        terms = Terms()
        condition = terms.equals("version", number(before.version))
        request = {"Item": _item(saved), "ConditionExpression": condition}
        try:
            self._table.put(terms.attach(request))
        except ConditionFailedError:
            raise VersionConflictError("The template was changed meanwhile.") from None
        return saved

    def remove_template(self, shop: str, template_id: str) -> bool:
        """Delete a template; False when the shop has no such."""
        terms = Terms()
        request = {"Key": _key(shop, template_id), "ConditionExpression": terms.present()}
        rows = [
            Row(Role.TEMPLATE, "Delete", terms.attach(request)),
            quota_row(shop, _COUNT, None),
        ]
        return write_counted(self._table, self._clock, rows)


def _key(shop: str, template_id: str) -> Item:
    return key(shop_pk(shop), _PREFIX + template_id)


def _item(template: Template) -> Item:
    values = {name: getattr(template, name) for name in _FIELDS} | {
        "created_at": microseconds(template.created_at),
        "updated_at": microseconds(template.updated_at),
    }
    item = _key(template.shop, template.template_id) | {
        "template": text(to_json(values)),
        "version": number(template.version),
    }
    check_size(item)
    return item


def _read(shop: str, item: Mapping[str, Value]) -> Template:
    values = json.loads(item["template"]["S"])
    return Template(
        shop=shop,
        template_id=item["sk"]["S"].removeprefix(_PREFIX),
        created_at=from_microseconds(values.pop("created_at")),
        updated_at=from_microseconds(values.pop("updated_at")),
        version=int(item["version"]["N"]),
        **values,
    )
