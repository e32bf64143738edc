"""How jobs lie in the table: names, keys and sizes."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from shared.domain import lifecycle
from shared.domain.errors import InvariantError
from shared.domain.ids import JobRef
from shared.domain.job import Attempt, Counts, Job, Output, Push
from shared.domain.plan import Patience, schedule
from shared.domain.status import JobEvent, PushStatus
from shared.gateways import dynamo_items as items
from shared.gateways import dynamo_records as records
from shared.gateways.dynamo_counters import SHORT_NAMES
from shared.gateways.dynamo_table import item_bytes
from tests.builders import OTHER_SHOP, SHOP, a_job, a_kept_output, an_event, later
from tests.fakes.clock import START
from tests.template.stack import properties

TYPICAL_URL = "https://cdn.pikcel.ai/results/2026/11/22/7f3c1c1e-9d0a-4b58-9c1e-2f6f0c6f4f11.png"


def a_typical_job() -> Job:
    """Return a job as the demo's shop makes them, with addresses of the usual length."""
    return a_job(
        shop="northern-lights-living.myshopify.com",
        product_id="gid://shopify/Product/8123456789012",
        product_title="Hand-thrown stoneware mug, ocean blue",
        image_id="gid://shopify/MediaImage/33123456789012",
        input_image_url="https://cdn.shopify.com/s/files/1/0712/3456/7890/files/mug-blue-01.jpg?v=1",
        parameters={"background": "white", "shadow": "soft", "format": "png"},
        auto_push=True,
    )


def through_its_life(job: Job) -> dict[str, Job]:
    """Return the job as it is written at each step of an ordinary life."""
    patience = Patience()
    intent = schedule(
        job.with_attempt(replace(job.attempt, intent_at=START, tries=1)), START, patience
    )
    linked = replace(intent.attempt, provider_job_id="665f1c2e9b1e8a0012ab34cd", linked_at=later(2))
    started = lifecycle.apply_event(
        intent.with_attempt(linked),
        an_event(JobEvent.STARTED, provider_job_id=linked.provider_job_id),
        later(2),
    ).job
    completed = lifecycle.apply_event(
        started,
        an_event(provider_job_id=linked.provider_job_id, output_urls=(TYPICAL_URL,)),
        later(30),
    ).job
    kept = replace(
        completed,
        outputs=(
            a_kept_output(url=TYPICAL_URL, key=f"shops/{job.shop}/jobs/{job.job_id}/1-0.png"),
        ),
    )
    queued = schedule(lifecycle.request_push(kept, later(32)), later(32), patience)
    media = replace(
        queued.outputs[0],
        push_status=PushStatus.PUSHED,
        media_id="gid://shopify/MediaImage/33123456789013",
    )
    pushed = lifecycle.settle_push(queued.with_output(media), later(40))
    return {
        "created": job,
        "processing": schedule(started, later(2), patience),
        "completed": schedule(completed, later(30), patience),
        "queued": queued,
        "pushed": replace(pushed, due_at=None),
    }


def test_a_typical_job_costs_little_at_every_step() -> None:
    sizes = {
        step: item_bytes(items.job_item(j)) for step, j in through_its_life(a_typical_job()).items()
    }
    assert sizes["created"] <= 1024, sizes
    assert sizes["processing"] <= 1024, sizes
    assert max(sizes.values()) <= 2 * 1024, sizes


@pytest.mark.parametrize(
    ("names", "cls"),
    [
        (records.ATTEMPT_NAMES, Attempt),
        (records.OUTPUT_NAMES, Output),
        (records.PUSH_NAMES, Push),
        (records.COUNTS_NAMES, Counts),
    ],
)
def test_short_names_are_unique_and_cover_every_field(names: dict[str, str], cls: type) -> None:
    assert set(names) == {field.name for field in fields(cls)}
    assert len(set(names.values())) == len(names)


def test_short_names_of_counters_are_unique() -> None:
    assert len(set(SHORT_NAMES.values())) == len(SHORT_NAMES)


def test_every_field_of_a_job_has_an_attribute() -> None:
    in_keys = {"shop", "job_id", "due_at"}
    assert {field.name for field in fields(Job)} == (
        items._JOB_KINDS.keys() | items._JOB_RECORDS.keys() | items._JOB_LISTS.keys() | in_keys
    )


def test_no_attribute_is_also_a_key_of_an_index() -> None:
    keys = {
        definition["AttributeName"] for definition in properties("Table")["AttributeDefinitions"]
    }
    assert not keys & items._JOB_KINDS.keys()


def test_the_keys_have_the_forms_that_the_design_names() -> None:
    job = a_job(
        push=Push(status=PushStatus.FAILED),
        batch_id="b",
        project_id="p",
        agent_id="a",
        due_at=later(0.0001),
    )
    item = items.job_item(job)
    assert item["pk"] == {"S": f"SHOP#{SHOP}"}
    assert item["sk"] == {"S": f"JOB#{job.job_id}"}
    assert item["push_pk"] == {"S": f"SHOP#{SHOP}#PUSH#failed"}
    assert item["due_pk"]["S"] in {f"DUE#{n}" for n in range(8)}
    assert item["due_at"] == {"N": "1795348800001"}
    assert item["day_pk"]["S"] in {f"DAY#2026-11-22#{n}" for n in range(16)}
    defined = {d["AttributeName"] for d in properties("Table")["AttributeDefinitions"]}
    assert defined <= item.keys()


def test_a_job_is_in_no_index_that_it_has_no_value_for() -> None:
    item = items.job_item(a_job(product_id=None, tool_id=None, due_at=None))
    present = {name for name in item if name.endswith("_pk")}
    assert present == {"status_pk", "type_pk", "day_pk"}


def test_a_push_on_its_way_moves_in_no_index() -> None:
    keys = {
        items.index_attributes(a_job(job_id="one", created_at=START, push=Push(status=status)))[
            "push_pk"
        ]["S"]
        for status in PushStatus
        if status.is_active
    }
    assert keys == {f"SHOP#{SHOP}#PUSH#active"}


def test_a_bulk_job_is_found_by_type_and_not_by_status() -> None:
    item = items.job_item(a_job(type="bulk.retry"))
    assert "status_pk" not in item
    assert item["type_pk"] == {"S": f"SHOP#{SHOP}#TYPE#bulk.retry"}


def test_the_day_of_a_job_is_its_utc_day() -> None:
    at = datetime(2026, 11, 22, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert items.job_item(a_job(created_at=at))["day_pk"]["S"].startswith("DAY#2026-11-23#")


def test_jobs_spread_evenly_over_the_shards() -> None:
    shards = [items.shard_of(a_job().job_id, items.DUE_SHARDS) for _ in range(800)]
    assert min(shards.count(shard) for shard in range(items.DUE_SHARDS)) > 50


def test_keys_of_the_longest_texts_fit() -> None:
    """Source: DynamoDB quotas: partition keys to 2,048 bytes, sort keys to 1,024."""
    long = "é" * 4000
    shop = "s" * 100 + ".myshopify.com"
    item = items.job_item(a_job(shop=shop, tool_id=long, product_id=long, batch_id=long))
    assert all(len(item[n]["S"].encode()) <= 2048 for n in item if n.endswith("_pk"))
    assert len(items.link_pk("p" * 50, long).encode()) <= 2048
    for made in (items.running_key(shop, long), items.idempotency_key(shop, long)):
        assert len(made["sk"]["S"].encode()) <= 1024


def test_two_shops_never_share_a_key() -> None:
    ours, theirs = a_job(), a_job(shop=OTHER_SHOP)
    shared = {
        value["S"]
        for name, value in items.job_item(ours).items()
        if name.endswith("_pk") and value == items.job_item(theirs).get(name)
    }
    assert all(value.startswith(("DAY#", "DUE#")) for value in shared)
    assert items.log_pk(ours.ref) != items.log_pk(JobRef(OTHER_SHOP, ours.job_id))


def test_an_expiry_is_never_before_its_instant() -> None:
    at = START + timedelta(microseconds=1)
    assert items.expiry(at) == {"N": str(int(START.timestamp()) + 1)}
    assert items.expiry(START) == {"N": str(int(START.timestamp()))}
    assert items.has_expired({"expires_at": items.expiry(START)}, START.astimezone(UTC))


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("status", {"S": "paused"}), ("attempts", {"S": "[{"}), ("created_at", {"S": "today"})],
)
def test_an_item_of_a_newer_version_is_named_and_is_our_bug(
    attribute: str, value: dict[str, str]
) -> None:
    job = a_job()
    with pytest.raises(InvariantError, match=job.job_id):
        items.read_job(items.job_item(job) | {attribute: value})
