"""Templates, in memory and on the table alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from shared.domain.errors import (
    ConflictError,
    IdempotencyKeyReusedError,
    VersionConflictError,
)
from shared.domain.templates import MAX_TEMPLATES, Template
from shared.gateways.dynamo_templates import DynamoTemplateStore
from shared.usecases.ports import Idempotency, TemplateStore
from tests.builders import OTHER_SHOP, SHOP, a_job_id, later
from tests.contract.conftest import TABLE
from tests.fakes.clock import FakeClock
from tests.fakes.memory_templates import InMemoryTemplateStore
from tests.fakes.table import dynamo_client, make_table


@pytest.fixture(params=["memory", "moto", pytest.param("ministack", marks=pytest.mark.slow)])
def templates(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[TemplateStore]:
    if request.param == "memory":
        yield InMemoryTemplateStore(clock)
    elif request.param == "moto":
        with mock_aws():
            client = dynamo_client()
            make_table(client, TABLE)
            yield DynamoTemplateStore(client, TABLE, clock=clock)
    else:
        client = request.getfixturevalue("ministack_client")
        yield DynamoTemplateStore(client, TABLE, clock=clock)


def a_template(number: int = 1, **changes: Any) -> Template:
    values: dict[str, Any] = {
        "shop": SHOP,
        "template_id": a_job_id(later(number)),
        "name": "Weiß",
        "created_at": later(number),
        "updated_at": later(number),
        "presets": {"tool_id": "t", "auto_push": False, "parameters": {"n": [2**60, 0.5, None]}},
    }
    return Template(**(values | changes))


def test_templates_come_back_as_they_were_the_oldest_first(templates: TemplateStore) -> None:
    second, first = a_template(2), a_template(1, description="For the front", presets={})
    for made in (second, first, a_template(3, shop=OTHER_SHOP)):
        templates.add_template(made)
    assert templates.templates(SHOP) == [first, second]
    assert templates.get_template(SHOP, second.template_id) == second
    assert templates.get_template(OTHER_SHOP, second.template_id) is None


def test_a_template_is_changed_on_condition_of_its_version(templates: TemplateStore) -> None:
    made = a_template()
    templates.add_template(made)
    saved = templates.save_template(made, replace(made, name="New"))
    assert saved == replace(made, name="New", version=2)
    assert templates.get_template(SHOP, made.template_id) == saved
    with pytest.raises(VersionConflictError):
        templates.save_template(made, replace(made, name="Newer"))
    gone = a_template(5)
    with pytest.raises(VersionConflictError):
        templates.save_template(gone, replace(gone, name="Newer"))


def test_a_shop_has_so_many_and_a_deleted_one_makes_room(templates: TemplateStore) -> None:
    made = [a_template(number) for number in range(MAX_TEMPLATES)]
    for each in made:
        templates.add_template(each)
    with pytest.raises(ConflictError):
        templates.add_template(a_template(101))
    templates.add_template(a_template(101, shop=OTHER_SHOP))
    assert templates.remove_template(SHOP, made[0].template_id) is True
    assert templates.remove_template(SHOP, made[0].template_id) is False
    assert templates.remove_template(OTHER_SHOP, made[1].template_id) is False
    templates.add_template(a_template(102))
    assert len(templates.templates(SHOP)) == MAX_TEMPLATES


CALL = Idempotency(key="k", body_sha256="a")


def test_one_idempotency_key_makes_one_template_for_a_day(
    templates: TemplateStore, clock: FakeClock
) -> None:
    made = [a_template(number) for number in range(MAX_TEMPLATES)]
    assert templates.add_template(made[0], idempotency=CALL) == made[0]
    for each in made[1:]:
        templates.add_template(each)  # also when the shop has all it may have by then
    changed = templates.save_template(made[0], replace(made[0], name="New"))
    clock.advance(24 * 3600 - 1)
    assert templates.add_template(a_template(101), idempotency=CALL) == changed
    with pytest.raises(IdempotencyKeyReusedError):
        templates.add_template(a_template(101), idempotency=replace(CALL, body_sha256="b"))
    assert templates.templates(SHOP) == [changed, *made[1:]]
    templates.remove_template(SHOP, made[1].template_id)
    clock.advance(1)
    second = a_template(101)
    assert templates.add_template(second, idempotency=CALL) == second


def test_a_template_that_was_made_and_deleted_is_not_made_again(templates: TemplateStore) -> None:
    made = templates.add_template(a_template(), idempotency=CALL)
    templates.remove_template(SHOP, made.template_id)
    with pytest.raises(ConflictError, match="has been deleted"):
        templates.add_template(a_template(2), idempotency=CALL)
    assert templates.templates(SHOP) == []
