"""The self-audit on DynamoDB: what is corrupted behind everybody's back is told, and nothing else.

Each corruption is done to the items (or files) that a story of the whole product left behind,
and the hourly run of functions/bulk must tell of it. Two engines that were written by different
people hold the table.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from functions.bulk.app import handler
from shared import wiring
from shared.domain.audit import SETTLED_AFTER, Wrong
from shared.domain.errors import StoreUnavailableError
from shared.domain.ids import JobRef
from shared.domain.statistics import OTHER
from shared.gateways import dynamo_counters, store_rules
from shared.gateways import dynamo_items as items
from shared.gateways.dynamo_table import item_bytes
from shared.usecases import audit_shop
from shared.usecases.audit_sample import audit_shop as audit_one_shop
from tests.functional.test_dispatch import metrics_of
from tests.whole.world import BUCKET, INPUT, SHOP, TABLE, Engine, World, a_world

EVENT: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "events" / "audit.json").read_text()
)
pytestmark = [
    pytest.mark.slow,  # a whole shop's story before each
    pytest.mark.filterwarnings("ignore:No application metrics to publish"),
]


@dataclass
class Told:
    """What a run told: its metrics, and its lines about differences, by what is wrong."""

    metrics: Mapping[str, float]
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def wrong(self) -> set[str]:
        """What is wrong."""
        return {line["difference"] for line in self.lines}


@contextmanager
def a_shop(engine: Engine = "embedded") -> Iterator[World]:
    """A shop with a budget, in which everything went well: pushed, retried, a batch, a worker."""
    with a_world(engine) as world:
        limits = {"credits": 1000, "costMicros": None}
        world.ask("PUT", "/api/shop", {"monthlyBudget": limits})
        photo: dict[str, Any] = {
            "toolId": "image-enhancement",
            "inputImageUrl": INPUT,
            "productId": world.new_product(),
            "autoPush": True,
            "projectId": "spring",
        }
        world.ask("POST", "/api/jobs", photo)
        lost = {"simulate": {"fail": {}, "times": 1}}
        again = world.ask("POST", "/api/jobs", photo | {"parameters": lost}).job_id
        world.settle()
        world.ask("POST", "/api/jobs/retry", {"jobId": again})
        world.ask(
            "POST", "/api/batches", {"toolId": "upscale", "images": [{"inputImageUrl": INPUT}]}
        )
        later = world.our_clock.now() + timedelta(days=1)
        world.ask("POST", "/api/jobs", photo | {"scheduledAt": later.isoformat()})
        world.ask("POST", "/api/jobs", {"type": "report", "metadata": {"notes": ["y" * 100] * 20}})
        world.run_for(600)
        world.run_for(SETTLED_AFTER.total_seconds())
        yield world


def run(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Told:
    """Run the audit as its schedule does."""
    capsys.readouterr()
    caplog.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("POWERTOOLS_METRICS_DISABLED")
        handler(EVENT, None)
    lines = [vars(record) for record in caplog.records if record.message == "audit difference"]
    return Told(metrics_of(capsys), lines)


@pytest.fixture
def told(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Callable[[], Told]:
    return lambda: run(capsys, caplog)


# --- corruptions ---------------------------------------------------------------------------


def key_of(job_id: str) -> Any:
    return items.job_key(JobRef(SHOP, job_id))


def pushed(world: World) -> str:
    """The job that was pushed at its first attempt."""
    return next(job.job_id for job in world.jobs() if job.push.pushed_at and len(job.attempts) == 1)


def update(world: World, key: Any, expression: str, **values: Any) -> None:
    given = {f":{name}": value for name, value in values.items()}
    more: dict[str, Any] = {"ExpressionAttributeValues": given} if given else {}
    names = {f"#{word}": word for word in ("status", "version") if f"#{word}" in expression}
    more |= {"ExpressionAttributeNames": names} if names else {}
    world.dynamo.update_item(TableName=TABLE, Key=key, UpdateExpression=expression, **more)


def rewrite(world: World, job_id: str, attribute: str, change: Callable[[Any], Any]) -> None:
    """Change one of the JSON texts in a job's item."""
    item = world.dynamo.get_item(TableName=TABLE, Key=key_of(job_id))["Item"]
    value = change(json.loads(item[attribute]["S"]))
    update(world, key_of(job_id), f"SET {attribute} = :v", v={"S": json.dumps(value)})


def waiting(world: World) -> str:
    return next(job.job_id for job in world.jobs() if job.due_at is not None)


def forget_due(world: World) -> None:
    """The worst of all: a job that nobody would ever look at again."""
    update(world, key_of(waiting(world)), "REMOVE due_at, due_pk")


def hide_from_due_index(world: World) -> None:
    update(world, key_of(waiting(world)), "REMOVE due_pk")


def postpone_for_ever(world: World) -> None:
    update(world, key_of(waiting(world)), "SET due_at = :far", far={"N": "9999999999999"})


def leave_overdue(world: World) -> None:
    update(world, key_of(waiting(world)), "SET due_at = :long_ago", long_ago={"N": "1000"})


def hide_from_status_index(world: World) -> None:
    update(world, key_of(pushed(world)), "REMOVE status_pk")


def spoil(world: World) -> None:
    update(world, key_of(pushed(world)), "SET attempts = :v", v={"S": "[{"})


def undo_the_end(world: World) -> None:
    update(world, key_of(pushed(world)), "REMOVE completed_at")


def fail_silently(world: World) -> None:
    """A status that no entry tells of."""
    failed = {"S": "failed"}
    pk = {"S": f"SHOP#{SHOP}#STATUS#failed"}
    update(world, key_of(pushed(world)), "SET #status = :s, status_pk = :pk", s=failed, pk=pk)


def lose_the_timeline(world: World) -> None:
    partition = {"S": items.log_pk(JobRef(SHOP, pushed(world)))}
    for item in [item for item in world.items() if item["pk"] == partition]:
        key = {name: item[name] for name in ("pk", "sk")}
        world.dynamo.delete_item(TableName=TABLE, Key=key)


def lose_an_attempt(world: World) -> None:
    retried = next(job.job_id for job in world.jobs() if len(job.attempts) == 2)
    rewrite(world, retried, "attempts", lambda attempts: attempts[:1])


def forget_the_charge(world: World) -> None:
    def without(attempts: Any) -> Any:
        return [{k: v for k, v in attempt.items() if k != "cr"} for attempt in attempts]

    rewrite(world, pushed(world), "attempts", without)


def charge_double(world: World) -> None:
    def doubled(attempts: Any) -> Any:
        return [attempt | {"cr": attempt["cr"] * 2} for attempt in attempts]

    rewrite(world, pushed(world), "attempts", doubled)


def link_of(world: World) -> Any:
    name = world.job(pushed(world)).attempts[0].provider_job_id
    assert name is not None
    return {"pk": {"S": items.link_pk("pikcel", name)}, "sk": {"S": items.LINK_SK}}


def lose_the_link(world: World) -> None:
    world.dynamo.delete_item(TableName=TABLE, Key=link_of(world))


def bury_the_link(world: World) -> None:
    update(world, link_of(world), "SET is_tombstone = :yes", yes={"BOOL": True})


def turn_the_link(world: World) -> None:
    other = next(job.job_id for job in world.jobs() if job.job_id != pushed(world))
    update(world, link_of(world), "SET job_id = :other", other={"S": other})


def remove(key: str | None) -> None:
    assert key is not None
    wiring.clients().client("s3").delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key}]})


def remove_the_image(world: World) -> None:
    key = world.job(pushed(world)).outputs[0].key
    remove(key)


def remove_the_documents(world: World) -> None:
    key = next(job.documents_key for job in world.jobs() if job.documents_key is not None)
    remove(key)


def forget_the_media(world: World) -> None:
    def without(outputs: Any) -> Any:
        return [{k: v for k, v in output.items() if k != "media"} for output in outputs]

    rewrite(world, pushed(world), "outputs", without)


def abandon_the_push(world: World) -> None:
    rewrite(
        world, pushed(world), "outputs", lambda outputs: [o | {"push": "staging"} for o in outputs]
    )


def a_counter(world: World, family: str, bucket: str) -> Any:
    return next(
        {name: item[name] for name in ("pk", "sk")}
        for item in world.items()
        if item["pk"]["S"] == f"COUNT#{family}#{SHOP}" and item["sk"]["S"].startswith(bucket)
    )


def count_one_too_many(world: World) -> None:
    update(world, a_counter(world, "SHOP", "ALL#"), "ADD completed :one", one={"N": "1"})


def count_a_day_twice(world: World) -> None:
    update(world, a_counter(world, "SHOP", "DAY#"), "ADD credits :two", two={"N": "2"})


def count_a_tool_twice(world: World) -> None:
    key = a_counter(world, "SHOP", "DAY#")
    add(world, key, "tool#image-enhancement#c", 1)


def count_a_type_less(world: World) -> None:
    add(world, a_counter(world, "SHOP", "DAY#"), "type#image#cr", -1)


def add(world: World, key: Any, attribute: str, number: int) -> None:
    world.dynamo.update_item(
        TableName=TABLE,
        Key=key,
        UpdateExpression="ADD #one :number",
        ExpressionAttributeNames={"#one": attribute},
        ExpressionAttributeValues={":number": {"N": str(number)}},
    )


def lose_a_job(world: World) -> None:
    """Its links, its timeline and its files lead to nothing then."""
    world.dynamo.delete_item(TableName=TABLE, Key=key_of(pushed(world)))


def hide_from_push_index(world: World) -> None:
    update(world, key_of(pushed(world)), "REMOVE push_pk")


def lose_a_batch_counter(world: World) -> None:
    world.dynamo.delete_item(TableName=TABLE, Key=a_counter(world, "BATCH", ""))


def count_a_project_less(world: World) -> None:
    update(world, a_counter(world, "PROJECT", "spring#"), "ADD completed :less", less={"N": "-1"})


def forget_spending(world: World) -> None:
    month = f"{world.our_clock.now():%Y-%m}"
    update(world, items.budget_key(SHOP, month), "SET credits = :none", none={"N": "0"})


CORRUPTIONS: list[tuple[Wrong, Callable[[World], None]]] = [
    (Wrong.NEVER_DUE, forget_due),
    (Wrong.MISPLACED, hide_from_due_index),
    (Wrong.OVERDUE, postpone_for_ever),
    (Wrong.OVERDUE, leave_overdue),
    (Wrong.MISPLACED, hide_from_status_index),
    (Wrong.MISPLACED, hide_from_push_index),
    (Wrong.UNREADABLE, spoil),
    (Wrong.END, undo_the_end),
    (Wrong.TIMELINE, fail_silently),
    (Wrong.TIMELINE, lose_the_timeline),
    (Wrong.ATTEMPTS, lose_an_attempt),
    (Wrong.COST, forget_the_charge),
    (Wrong.COST, charge_double),
    (Wrong.LINK, lose_the_link),
    (Wrong.LINK, bury_the_link),
    (Wrong.LINK, turn_the_link),
    (Wrong.OUTPUT, remove_the_image),
    (Wrong.OUTPUT, remove_the_documents),
    (Wrong.PUSH, forget_the_media),
    (Wrong.PUSH, abandon_the_push),
    (Wrong.COUNTER, count_one_too_many),
    (Wrong.COUNTER, count_a_day_twice),
    (Wrong.COUNTER, count_a_tool_twice),
    (Wrong.COUNTER, count_a_type_less),
    (Wrong.COUNTER, lose_a_job),
    (Wrong.COUNTER, lose_a_batch_counter),
    (Wrong.COUNTER, count_a_project_less),
    (Wrong.BUDGET, forget_spending),
]


# --- what is told --------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["embedded", "table"])
def test_where_all_is_well_nothing_is_told(engine: Engine, told: Callable[[], Told]) -> None:
    with a_shop(engine) as world:
        stored = sum(map(item_bytes, world.items())) if engine == "embedded" else 0
        found = told()
        assert found.lines == []
        assert found.metrics["AuditDifferences"] == 0
        assert found.metrics["AuditedJobs"] >= len(world.jobs())
        if engine == "embedded":
            assert sum(map(item_bytes, world.items())) == stored  # it writes nothing


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
@pytest.mark.parametrize(
    ("wrong", "corrupt"), CORRUPTIONS, ids=lambda each: getattr(each, "__name__", str(each))
)
def test_what_is_corrupted_is_told(
    wrong: Wrong, corrupt: Callable[[World], None], told: Callable[[], Told]
) -> None:
    with a_shop() as world:
        corrupt(world)
        found = told()
        assert wrong.value in found.wrong
        assert found.metrics["AuditDifferences"] == len(found.lines)
        for line in found.lines:
            assert line["shop"] == SHOP
            assert (line["job_id"] is None) == (line["difference"] in ("counter", "budget"))


def test_every_kind_of_difference_is_shown_here() -> None:
    assert {wrong for wrong, _ in CORRUPTIONS} == set(Wrong)


def test_a_job_that_was_just_written_is_left_alone(told: Callable[[], Told]) -> None:
    with a_shop() as world:
        remove_the_image(world)
        now = items.microseconds(world.our_clock.now())
        update(world, key_of(pushed(world)), "SET updated_at = :now", now={"N": str(now)})
        assert told().lines == []


def test_a_job_that_moves_between_the_looks_is_left_alone(
    told: Callable[[], Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_shop() as world:
        remove_the_image(world)
        lane = wiring.bulk_app().audit
        keys = lane.files.keys

        def move(prefix: str) -> list[str]:
            update(world, key_of(pushed(world)), "ADD #version :one", one={"N": "1"})
            return keys(prefix)

        monkeypatch.setattr(lane.files, "keys", move)
        assert told().lines == []


def test_counters_that_move_while_jobs_are_read_are_left_alone(
    told: Callable[[], Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_shop() as world:
        count_one_too_many(world)
        look = audit_shop._walk

        def end_one(*given: Any) -> Any:
            count_one_too_many(world)
            return look(*given)

        monkeypatch.setattr(audit_shop, "_walk", end_one)
        assert told().lines == []


def test_of_a_large_shop_some_jobs_are_recounted_from_any_on(
    told: Callable[[], Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_shop() as world:
        jobs = sorted(world.jobs(), key=lambda job: job.job_id)
        monkeypatch.setattr(audit_shop, "AT_MOST", len(jobs) - 1)
        assert told().lines == []
        forget_spending(world)
        lane = wiring.bulk_app().audit
        for drawn in (None, *(job.ref for job in jobs)):
            found = audit_one_shop(lane, SHOP, drawn).findings
            assert [finding.difference.wrong for finding in found] == [Wrong.BUDGET]


@pytest.mark.parametrize(
    ("corrupt", "sums"),
    [
        (count_one_too_many, ["ALL and its days"]),
        (count_a_day_twice, ["ALL and its days", "The types of 2026-11-22"]),
        (count_a_type_less, ["The types of 2026-11-22"]),
    ],
)
def test_the_days_of_a_large_shop_are_summed(
    corrupt: Callable[[World], None],
    sums: list[str],
    told: Callable[[], Told],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_shop, "AT_MOST", 2)
    with a_shop() as world:
        corrupt(world)
        lines = told().lines
        assert {(line["difference"], line["job_id"]) for line in lines} == {("counter", None)}
        assert {line["what"].partition(":")[0] for line in lines} >= set(sums)


@pytest.mark.parametrize("at_most", [2, audit_shop.AT_MOST])
def test_a_day_that_has_no_room_for_every_name_is_sound(
    at_most: int, told: Callable[[], Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (dynamo_counters, store_rules):
        monkeypatch.setattr(module, "NAMES_PER_DAY", 1)
    monkeypatch.setattr(audit_shop, "AT_MOST", at_most)
    with a_shop() as world:
        store = wiring.bulk_app().audit.tracker.store
        (day, *_) = store.days(SHOP, audit_shop.FIRST_DAY, audit_shop.LAST_DAY)
        assert OTHER in day.by_tool
        assert told().lines == []
        count_a_type_less(world)
        assert told().wrong == {"counter"}


def test_of_a_large_shop_the_batch_of_a_drawn_job_is_recounted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_shop, "AT_MOST", 2)
    with a_shop() as world:
        drawn = next(job.ref for job in world.jobs() if job.batch_id is not None)
        lane = wiring.bulk_app().audit
        assert audit_one_shop(lane, SHOP, drawn).findings == []
        lose_a_batch_counter(world)
        (finding,) = audit_one_shop(lane, SHOP, drawn).findings
        assert finding.difference.what.startswith(f"BATCH#{SHOP} ")
        monkeypatch.setattr(audit_shop, "BATCH_AT_MOST", 0)
        assert audit_one_shop(lane, SHOP, drawn).findings == []  # too large to be read


def test_the_oldest_active_jobs_of_a_large_shop_are_looked_at(
    told: Callable[[], Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_shop, "AT_MOST", 0)
    monkeypatch.setattr("shared.usecases.audit_sample.JOBS", 4)
    with a_shop() as world:
        forget_due(world)
        assert told().wrong == {"never_due"}


def test_a_shop_that_is_being_erased_is_left_alone(told: Callable[[], Told]) -> None:
    with a_shop() as world:
        count_one_too_many(world)
        key = {"pk": {"S": f"SHOP#{SHOP}"}, "sk": {"S": items.SHOP_SK}}
        update(world, key, "SET erasing = :job", job={"S": "x"})
        assert told().lines == []


def test_a_table_that_is_out_breaks_it_off_without_a_word_of_health(
    told: Callable[[], Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_shop():

        def fail(*_: Any, **__: Any) -> None:
            raise StoreUnavailableError("The table is out.")

        monkeypatch.setattr(wiring.bulk_app().audit.samples, "look", fail)
        metrics = told().metrics
        assert metrics["AuditUnavailable"] == 1
        assert "AuditDifferences" not in metrics
