"""Erasure, in memory and on the table alike; and on the table, that nothing is forgotten."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from shared.domain.batch import Batch
from shared.domain.duties import Duty, new_duty
from shared.domain.endpoints import new_delivery
from shared.domain.erasure import ErasureReport
from shared.domain.errors import InvariantError, VersionConflictError
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.keys import Agent, ShopKey
from shared.domain.shop import Shop
from shared.domain.statistics import Tally
from shared.domain.status import JobStatus
from shared.domain.tools import FactKind
from shared.gateways.dynamo_endpoints import DynamoEndpointStore
from shared.gateways.dynamo_erasures import DynamoErasures
from shared.gateways.dynamo_facts import DynamoFactStore
from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.gateways.dynamo_keys import DynamoKeyStore
from shared.gateways.dynamo_limiter import DynamoLimiter
from shared.gateways.dynamo_paces import DynamoPaces
from shared.gateways.dynamo_receipts import DynamoReceipts
from shared.gateways.dynamo_shops import DynamoShopStore
from shared.gateways.dynamo_templates import DynamoTemplateStore
from shared.gateways.dynamo_works import DynamoWorkStore
from shared.usecases.duty_lane import DutyLane
from shared.usecases.ports import (
    Belongings,
    Erasures,
    Idempotency,
    JobStore,
    KeyStore,
    ShopStore,
    WorkStore,
)
from shared.usecases.run_duty import Did, run_duty
from shared.usecases.tracker import Tracker
from tests.builders import (
    OTHER_SHOP,
    SHOP,
    a_completed_job,
    a_dispatched_job,
    a_job,
    a_job_id,
    a_kept_job,
    a_kept_output,
    a_worker_job,
    later,
)
from tests.contract.entries import an_entry
from tests.contract.test_parking import a_parked_event
from tests.contract.test_templates import a_template
from tests.fakes.clock import START, FakeClock
from tests.fakes.files import FakeFiles
from tests.fakes.memory import InMemoryJobStore, InMemoryShopStore, InMemoryWorkStore
from tests.fakes.memory_erasures import InMemoryErasures
from tests.fakes.memory_keys import InMemoryKeyStore
from tests.fakes.notices import FakeLetters
from tests.fakes.outbox import FakeOutbox
from tests.fakes.randomness import FakeRandomness
from tests.fakes.table import ProbedClient, dynamo_client, make_table
from tests.unit.domain.test_endpoints import a_notice, an_endpoint

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

TABLE = "jobs"
GATEWAYS = Path(__file__).parents[2] / "shared" / "gateways"


# A raw delivery that does not fit into its entry's item.
LARGE = random.Random(1).randbytes(2_000)


@dataclass(frozen=True, slots=True)
class Places:
    """Everything that a shop has something in."""

    jobs: JobStore
    shops: ShopStore
    works: WorkStore
    keys: KeyStore
    erasures: Erasures
    clock: FakeClock


def on_table(client: DynamoDBClient, clock: FakeClock) -> Places:
    return Places(
        DynamoJobStore(client, TABLE, clock=clock, random=FakeRandomness()),
        DynamoShopStore(client, TABLE, clock=clock),
        DynamoWorkStore(client, TABLE, clock=clock),
        DynamoKeyStore(client, TABLE, clock=clock),
        DynamoErasures(client, TABLE, clock=clock),
        clock,
    )


@pytest.fixture(params=["memory", "moto", pytest.param("ministack", marks=pytest.mark.slow)])
def places(request: pytest.FixtureRequest, clock: FakeClock) -> Places:
    if request.param == "memory":
        jobs, shops = InMemoryJobStore(clock), InMemoryShopStore()
        works, keys = InMemoryWorkStore(), InMemoryKeyStore(clock)
        return Places(jobs, shops, works, keys, InMemoryErasures(jobs, shops, works, keys), clock)
    name = "client" if request.param == "moto" else "ministack_client"
    return on_table(request.getfixturevalue(name), clock)


# --- one job --------------------------------------------------------------------------------


def test_an_erased_job_leaves_no_timeline_no_link_nothing_parked_and_no_count(
    places: Places,
) -> None:
    store = places.jobs
    store.park(a_parked_event())
    job = store.create(a_completed_job(), entry=an_entry(body=b"raw", payload=b"{}"))
    store.note(job.ref, an_entry(body=b"more"))
    store.erase(job.ref)
    assert store.get_many([job.ref]) == []
    assert store.log(job.ref, limit=10).entries == ()
    assert store.find_link("pikcel", "pk_1") is None
    assert store.parked("pikcel", "pk_1") == []
    assert store.tally(f"SHOP#{SHOP}", "ALL") == Tally()
    store.erase(job.ref)


def test_an_active_job_is_erased_as_well(places: Places) -> None:
    job = places.jobs.create(a_dispatched_job())
    places.jobs.erase(job.ref)
    assert places.jobs.refs(SHOP, limit=5) == []
    with pytest.raises(VersionConflictError):
        places.jobs.save(job, replace(job, name="late"))
    places.jobs.note(job.ref, an_entry())
    assert places.jobs.log(job.ref, limit=5).entries == ()


def test_a_link_that_is_anothers_stays_theirs(places: Places) -> None:
    thief = places.jobs.create(a_dispatched_job(shop=OTHER_SHOP))
    owner = places.jobs.create(a_job())
    linked = a_dispatched_job(job_id=owner.job_id)
    places.jobs.save(owner, linked, take_links=True)
    places.jobs.erase(thief.ref)
    link = places.jobs.find_link("pikcel", "pk_1")
    assert link is not None
    assert link.ref == owner.ref


def test_a_job_with_a_hundred_attempts_goes_with_all_of_its_links(places: Places) -> None:
    job = a_dispatched_job()
    attempts = tuple(
        replace(job.attempt, number=n, provider_job_id=f"pk_{n}") for n in range(1, 121)
    )
    first = places.jobs.create(replace(job, attempts=attempts[:40]))
    second = places.jobs.save(first, replace(first, attempts=attempts[:80]))
    places.jobs.save(second, replace(second, attempts=attempts))
    places.jobs.erase(job.ref)
    assert [n for n in range(1, 121) if places.jobs.find_link("pikcel", f"pk_{n}")] == []


# --- naming jobs ------------------------------------------------------------------------------


def test_jobs_are_named_from_the_oldest_bulk_jobs_among_them(places: Places) -> None:
    made = [a_job(created_at=later(n)) for n in range(4)]
    made.append(a_worker_job(created_at=later(4), type="bulk.retry"))
    for job in reversed(made):
        places.jobs.create(job)
    places.jobs.create(a_job(shop=OTHER_SHOP))
    refs = [job.ref for job in made]
    assert places.jobs.refs(SHOP, limit=10) == refs
    assert places.jobs.refs(SHOP, limit=2) == refs[:2]
    assert places.jobs.refs(SHOP, limit=10, after=refs[1].job_id) == refs[2:]
    assert places.jobs.refs(SHOP, limit=10, until=later(2)) == refs[:2]
    assert places.jobs.refs(SHOP, limit=9, after=refs[0].job_id, until=later(3)) == refs[1:3]
    assert places.jobs.refs(SHOP, limit=9, after=refs[3].job_id, until=later(2)) == []


# --- everything else --------------------------------------------------------------------------


def a_key(shop: str = SHOP, key_id: str = "key-1") -> ShopKey:
    return ShopKey(
        shop=shop, key_id=key_id, digest="d", name="n", created_at=START, created_by="admin:1"
    )


def an_agent(shop: str = SHOP, key_id: str = "key-2") -> Agent:
    return Agent(
        shop=shop,
        agent_id=a_job_id(),
        key_id=key_id,
        digest="d",
        name="n",
        created_at=START,
        updated_at=START,
    )


def test_keys_open_nothing_any_more_also_those_of_agents(places: Places) -> None:
    for shop in (SHOP, OTHER_SHOP):
        places.keys.add_key(a_key(shop, f"{shop}-1"))
        places.keys.add_agent(an_agent(shop, f"{shop}-2"))
    names = places.erasures.find(SHOP, Belongings.KEYS, limit=10)
    assert len(names) == 2
    assert len(places.erasures.find(SHOP, Belongings.KEYS, limit=1)) == 1
    for _ in range(2):
        places.erasures.erase(SHOP, Belongings.KEYS, names)
    assert places.erasures.find(SHOP, Belongings.KEYS, limit=10) == []
    assert [places.keys.find_key(f"{SHOP}-{n}") for n in (1, 2)] == [None, None]
    assert places.keys.find_key(f"{OTHER_SHOP}-1") is not None
    assert places.keys.find_key(f"{OTHER_SHOP}-2") is not None


def test_tombstones_are_found_and_no_live_link_is(places: Places) -> None:
    for shop, number in ((SHOP, "gone"), (SHOP, "gone-2"), (OTHER_SHOP, "theirs")):
        attempt = {"provider_job_id": number}
        places.jobs.delete(places.jobs.create(a_completed_job(shop=shop, attempt=attempt)))
    places.jobs.create(a_dispatched_job(attempt={"provider_job_id": "live"}))
    names = places.erasures.find(SHOP, Belongings.TOMBSTONES, limit=10)
    assert len(names) == 2
    for _ in range(2):
        places.erasures.erase(SHOP, Belongings.TOMBSTONES, names)
    assert places.erasures.find(SHOP, Belongings.TOMBSTONES, limit=10) == []
    found = [places.jobs.find_link("pikcel", n) for n in ("gone", "gone-2", "live", "theirs")]
    assert [link is not None for link in found] == [False, False, True, True]


def test_a_tombstone_that_was_taken_over_meanwhile_is_not_erased(places: Places) -> None:
    places.jobs.delete(places.jobs.create(a_completed_job()))
    names = places.erasures.find(SHOP, Belongings.TOMBSTONES, limit=10)
    owner = places.jobs.create(a_job(shop=OTHER_SHOP))
    linked = a_dispatched_job(shop=OTHER_SHOP, job_id=owner.job_id)
    places.jobs.save(owner, linked, take_links=True)
    assert places.erasures.find(SHOP, Belongings.TOMBSTONES, limit=10) == []
    if not isinstance(places.erasures, InMemoryErasures):  # there it is one look
        places.erasures.erase(SHOP, Belongings.TOMBSTONES, names)
    link = places.jobs.find_link("pikcel", "pk_1")
    assert link is not None
    assert link.ref == owner.ref


def test_items_and_counters_are_found_but_for_jobs_keys_and_the_shop_itself(
    places: Places,
) -> None:
    places.shops.save_shop(None, Shop(shop=SHOP))
    places.keys.add_key(a_key(), idempotency=Idempotency(key="issueKey", body_sha256="d"))
    places.jobs.create(a_job(), idempotency=Idempotency(key="k", body_sha256="d"))
    batch_id = a_job_id()
    places.works.put_batch(
        Batch(shop=SHOP, batch_id=batch_id, created_at=START, tool_id="t", total=1)
    )
    places.works.put_work(JobRef(SHOP, batch_id), {"ids": []}, later(60))
    places.works.put_work(JobRef(OTHER_SHOP, batch_id), {"ids": []}, later(60))
    names = places.erasures.find(SHOP, Belongings.ITEMS, limit=10)
    assert {name.partition("#")[0] for name in names} - {"KEYS"} == {"BATCH", "BULK", "IDEM"}
    places.erasures.erase(SHOP, Belongings.ITEMS, names)
    assert places.erasures.find(SHOP, Belongings.ITEMS, limit=10) == []
    assert places.works.get_batch(SHOP, batch_id) is None
    assert places.works.get_work(JobRef(OTHER_SHOP, batch_id)) is not None
    assert places.shops.get_shop(SHOP) is not None
    assert len(places.jobs.refs(SHOP, limit=5)) == 1


# --- the end ----------------------------------------------------------------------------------


def a_report(erasure_id: str, **changes: Any) -> ErasureReport:
    values: dict[str, Any] = {
        "erasure_id": erasure_id,
        "requested_at": START,
        "started_at": later(1),
        "ended_at": later(400) + timedelta(microseconds=7),
        "deleted": {"jobs": 3},
        "looks": 2,
        "log_days": 30,
    }
    return ErasureReport(**(values | changes))


def erasing(places: Places) -> Job:
    job = places.jobs.create(new_duty(Duty.ERASE, SHOP, a_job_id(), START))
    places.shops.save_shop(None, Shop(shop=SHOP, erasing=job.job_id))
    return job


def test_the_last_two_items_and_the_report_change_hands_at_once(places: Places) -> None:
    job = erasing(places)
    running = a_report(job.job_id, ended_at=None, deleted={}, looks=0)
    places.erasures.put_report(SHOP, running)
    assert places.erasures.reports(SHOP) == [running]
    places.erasures.finish(job, a_report(job.job_id))
    assert places.shops.get_shop(SHOP) is None
    assert places.jobs.refs(SHOP, limit=5) == []
    assert places.erasures.reports(SHOP) == [a_report(job.job_id)]
    assert places.erasures.reports(OTHER_SHOP) == []


def test_nothing_ends_while_the_shop_or_the_job_is_another(places: Places) -> None:
    job = erasing(places)
    newer = places.jobs.save(job, replace(job, name="x"))
    with pytest.raises(VersionConflictError):
        places.erasures.finish(job, a_report(job.job_id))
    shop = places.shops.get_shop(SHOP)
    places.shops.save_shop(shop, Shop(shop=SHOP, erasing="another"))
    with pytest.raises(VersionConflictError):
        places.erasures.finish(newer, a_report(job.job_id))
    assert places.erasures.reports(SHOP) == []
    assert places.jobs.refs(SHOP, limit=5) == [job.ref]


def test_reports_come_newest_first(places: Places) -> None:
    reports = [a_report(a_job_id(later(n))) for n in range(3)]
    for report in reports:
        places.erasures.put_report(SHOP, report)
    assert places.erasures.reports(SHOP) == reports[::-1]


def test_a_signed_body_belongs_to_the_shop_that_it_came_for_first(places: Places) -> None:
    assert places.shops.bind_delivery("digest", SHOP, later(60))
    assert places.shops.bind_delivery("digest", SHOP, later(60))
    assert not places.shops.bind_delivery("digest", OTHER_SHOP, later(60))
    assert places.shops.bind_delivery("other", OTHER_SHOP, later(60))


# --- on the table: nothing is forgotten -------------------------------------------------------


@pytest.fixture
def whole(client: ProbedClient, clock: FakeClock) -> Places:
    return on_table(client, clock)  # type: ignore[arg-type]


def furnish(client: Any, places: Places, shop: str = SHOP) -> None:
    """Store something of a shop by every method that stores anything."""
    store, n = places.jobs, shop[0]
    places.shops.save_shop(None, Shop(shop=shop, token="sealed", retention_days=30))
    places.shops.bind_delivery(f"{n}-digest", shop, later(60))
    store.create(
        a_dispatched_job(
            shop=shop,
            project_id="spring",
            batch_id="b",
            attempt={"provider_job_id": f"{n}-1", "reserved_credits": 3},
        ),
        entry=an_entry(body=b"raw", payload=b"{}"),
        idempotency=Idempotency(key="k", body_sha256="d"),
    )
    exclusive = store.create(a_worker_job(shop=shop, type="pull", exclusive=True))
    ended = replace(exclusive, status=JobStatus.FAILED, completed_at=START, project_id="p\tq")
    store.note(store.save(exclusive, ended).ref, an_entry(body=LARGE))
    attempt = {"provider_job_id": f"{n}-2", "reserved_credits": 1}
    sent = store.create(a_dispatched_job(shop=shop, attempt=attempt))
    output = a_kept_output(key=f"shops/{shop}/jobs/x/1-0.png")
    dearer = attempt | {"credits": 2}
    kept = a_kept_job(shop=shop, job_id=sent.job_id, outputs=(output,), attempt=dearer)
    store.save(sent, kept)
    gone = store.create(a_completed_job(shop=shop, attempt={"provider_job_id": f"{n}-3"}))
    store.delete(gone)
    store.park(a_parked_event(provider_job_id=f"{n}-parked"))
    places.works.put_batch(
        Batch(shop=shop, batch_id=a_job_id(), created_at=START, tool_id="t", total=1)
    )
    places.works.put_work(JobRef(shop, a_job_id()), {"ids": []}, later(60))
    places.keys.add_key(a_key(shop, f"{n}-key"))
    places.keys.add_agent(an_agent(shop, f"{n}-agent"))
    endpoints = DynamoEndpointStore(client, TABLE, clock=places.clock)
    endpoint = an_endpoint(shop=shop, endpoint_id=a_job_id())
    endpoints.add_endpoint(endpoint)
    endpoints.add_delivery(new_delivery(endpoint, a_notice(), START))
    receipts = DynamoReceipts(client, TABLE, clock=places.clock)
    receipts.begin(shop, Idempotency(key="r", body_sha256="d"))
    receipts.finish(shop, Idempotency(key="r", body_sha256="d"), "answer")
    DynamoLimiter(client, TABLE, clock=places.clock).take("pikcel", n, START, ceiling=9)
    templates = DynamoTemplateStore(client, TABLE, clock=places.clock)
    templates.add_template(a_template(shop=shop, template_id=a_job_id()))
    DynamoFactStore(client, TABLE, clock=places.clock).fail_fact("pikcel", FactKind.TOOLS, START)
    DynamoPaces(client, TABLE, clock=places.clock).learn("pikcel", "upscale-4x", 9000, START)


def everything(client: Any) -> list[str]:
    items = client.scan(TableName=TABLE, ConsistentRead=True)
    assert "LastEvaluatedKey" not in items
    return [json.dumps(item, default=str) for item in items["Items"]]


def erase(places: Places, files: FakeFiles, shop: str = SHOP) -> ErasureReport:
    """Run an erasure to its end, as the bulk function and the sweep would."""
    tracker = Tracker(
        store=places.jobs,
        outbox=FakeOutbox(),
        clock=places.clock,
        random=FakeRandomness(),
        adapters={},
    )
    lane = DutyLane(
        tracker=tracker,
        shops=places.shops,
        works=places.works,
        files=files,
        erasures=places.erasures,
        letters=FakeLetters(),
        log_days=30,
    )
    facts = {"triggeredAt": START.isoformat(), "requestedAt": START.isoformat()}
    ref = places.jobs.create(new_duty(Duty.ERASE, shop, a_job_id(), START, facts=facts)).ref
    while run_duty(lane, places.jobs.get(ref), Duty.ERASE) is Did.GOES_ON:
        places.clock.advance(400)
    (report,) = places.erasures.reports(shop)
    return report


def test_after_an_erasure_no_item_of_the_table_names_the_shop(
    client: ProbedClient, whole: Places
) -> None:
    furnish(client, whole)
    furnish(client, whole, OTHER_SHOP)
    named = [line for line in everything(client) if SHOP in line]
    theirs = sorted(line for line in everything(client) if OTHER_SHOP in line)
    report = erase(whole, FakeFiles())
    assert [line for line in everything(client) if SHOP in line] == []
    assert sorted(line for line in everything(client) if OTHER_SHOP in line) == theirs
    assert report.deleted == {
        "keys": 2,
        "jobs": 3,
        "tombstones": 1,
        "batches": 1,
        "workLists": 1,
        "receipts": 2,
        "endpoints": 1,
        "deliveries": 1,
        "other": 5,  # an exclusive type's marker; how many keys, agents, templates, endpoints
        "prices": 1,
        "templates": 1,
        "counters": report.deleted["counters"],
    }
    counted = sum(report.deleted.values())
    # What goes with others: timelines, links, holders of keys; and the shop's own item.
    assert len(named) > counted


def test_no_other_shop_can_be_meant_by_a_shops_name(client: ProbedClient, whole: Places) -> None:
    """One name is the beginning, or the end, of another."""
    longer, shorter = f"x-{SHOP}", SHOP.removeprefix("a-")
    for shop in (SHOP, longer, shorter):
        whole.shops.save_shop(None, Shop(shop=shop))
        whole.jobs.create(a_completed_job(shop=shop, attempt={"provider_job_id": shop}))
    erase(whole, FakeFiles())
    for shop in (longer, shorter):
        assert whole.shops.get_shop(shop) is not None
        assert len(whole.jobs.refs(shop, limit=5)) == 1
        assert whole.jobs.tally(f"SHOP#{shop}", "ALL").completed == 1


# Every family of items that the gateways write: what its keys begin with → what becomes of it
# when a shop is erased. A new family must be thought about here, and erased if it names a shop.
FAMILIES = {
    "AGENT#": "keys",
    "BATCH#": "items; in statistics: counters",
    "BODY#": "with its job's timeline",
    "BOUND#": "names no shop; TTL",
    "BUDGET#": "counters",
    "BULK#": "items",
    "COUNT#": "counters",
    "COUNT#BATCH#": "counters",
    "COUNT#PROJECT#": "counters",
    "COUNT#SHOP#": "counters",
    "DAY#": "an index, and a bucket of counters",
    "DELIVERY#": "items",
    "DUE#": "an index",
    "ERASURE#": "the report: names no shop",
    "HOOK#": "items",
    "IDEM#": "items",
    "JOB#": "jobs",
    "KEY#": "keys",
    "LIMIT#": "names no shop",
    "LINK#": "with its job, or tombstones",
    "LOG#": "with its job",
    "MATCHES#": "names no shop; TTL",
    "PACE#": "names no shop; TTL",
    "PAYLOAD#": "with its job's timeline",
    "PARKED#": "with its job's link; else names no shop, TTL",
    "PRICE#": "items",
    "PROVIDER#": "names no shop",
    "QUARANTINE#": "left to its day and TTL, as the report says: an address names a shop",
    "RUNNING#": "items",
    "SHOP#": "items, and the shop itself at the end",
    "TEMPLATE#": "items",
}


def test_every_family_of_items_is_known_to_the_erasure() -> None:
    found = {
        family
        for path in GATEWAYS.glob("*.py")
        for family in re.findall(r'f?"((?:[A-Z]+#)+)', path.read_text())
    }
    assert found == set(FAMILIES)


def test_the_story_above_writes_every_family(client: ProbedClient, whole: Places) -> None:
    furnish(client, whole)
    erase(whole, FakeFiles(), OTHER_SHOP)
    keys = [(item["pk"]["S"], item["sk"]["S"]) for item in client.scan(TableName=TABLE)["Items"]]
    written = {part.partition("#")[0] + "#" for pair in keys for part in pair if "#" in part}
    wanted = {family for family in FAMILIES if family.count("#") == 1}
    # An index; and what webhooks leave that failed their check, or passed by one of two secrets.
    assert wanted - written == {"DUE#", "MATCHES#", "QUARANTINE#"}


def test_a_job_that_cannot_be_read_is_erased_all_the_same(
    client: ProbedClient, whole: Places, caplog: pytest.LogCaptureFixture
) -> None:
    job = whole.jobs.create(a_job())
    client.update_item(
        TableName=TABLE,
        Key={"pk": {"S": f"SHOP#{SHOP}"}, "sk": {"S": f"JOB#{job.job_id}"}},
        UpdateExpression="SET attempts = :x",
        ExpressionAttributeValues={":x": {"S": "{"}},
    )
    with pytest.raises(InvariantError):
        whole.jobs.get(job.ref)
    erase(whole, FakeFiles())
    assert [line for line in everything(client) if SHOP in line] == []
    assert "unreadable job erased" in caplog.text


def test_an_expired_binding_holds_nobody(clock: FakeClock) -> None:
    with mock_aws():
        client = dynamo_client()
        make_table(client, TABLE)
        shops = DynamoShopStore(client, TABLE, clock=clock)
        until: datetime = later(60)
        assert shops.bind_delivery("digest", SHOP, until)
        clock.set(later(61))
        assert shops.bind_delivery("digest", OTHER_SHOP, later(120))
