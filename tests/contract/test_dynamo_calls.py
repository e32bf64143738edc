"""DynamoJobStore: what each question costs in calls, and what happens when calls go wrong."""

from __future__ import annotations

import contextlib
import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from shared.domain import lifecycle
from shared.domain.errors import (
    InvalidRequestError,
    InvariantError,
    LinkTakenError,
    NotFoundError,
    StoreUnavailableError,
    VersionConflictError,
)
from shared.domain.events import Source
from shared.domain.filters import JobFilter
from shared.domain.ids import change_id
from shared.domain.job import Push
from shared.domain.statistics import Tally
from shared.domain.status import JobStatus, PushStatus
from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.usecases.ports import Idempotency
from tests.builders import (
    PRODUCT,
    SHOP,
    TOOL,
    a_completed_job,
    a_dispatched_job,
    a_job,
    a_worker_job,
    later,
)
from tests.contract.conftest import TABLE
from tests.contract.entries import an_entry
from tests.contract.test_parking import a_parked_event
from tests.fakes.clock import START, FakeClock
from tests.fakes.randomness import FakeRandomness
from tests.fakes.table import ProbedClient, cancelled, error_answer

ALL = f"SHOP#{SHOP}"


def raising(error: Exception) -> Callable[[str, dict[str, Any]], dict[str, Any] | None]:
    """Answer one call with an error, before the table sees it."""

    def answer(_operation: str, _request: dict[str, Any]) -> None:
        raise error

    return answer


# --- how many calls ----------------------------------------------------------------------


def test_a_plain_creation_is_one_put(dynamo: DynamoJobStore, client: ProbedClient) -> None:
    dynamo.create(a_job())
    assert client.operations == ["put_item"]


def test_a_change_of_the_job_alone_is_one_update_of_what_differs(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    job = dynamo.create(a_job())
    client.calls.clear()
    dynamo.save(job, replace(job, name="New"))
    ((operation, request),) = client.calls
    assert operation == "update_item"
    names = request["ExpressionAttributeNames"].values()
    assert sorted(names) == ["name", "version"]


def test_a_change_with_a_short_entry_is_one_plain_write(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    job = a_job()
    made = an_entry(entry_id=change_id(job.job_id, 1, START), message="Created for pikcel.")
    job = dynamo.create(job, entry=replace(made, source=Source.USER))
    kept = an_entry(entry_id=change_id(job.job_id, 2, START), message="1 result is kept.")
    dynamo.save(job, replace(job, name="New"), entry=replace(kept, source=Source.DISPATCH))
    assert client.operations == ["put_item", "update_item"]


def test_a_webhook_that_ends_a_job_is_one_transaction(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    job = dynamo.create(a_job())
    client.calls.clear()
    dynamo.save(job, a_completed_job(job_id=job.job_id), entry=an_entry(body=b"raw"))
    ((operation, request),) = client.calls
    assert operation == "transact_write_items"
    # The job, the link, two counters, and the entry with its raw delivery.
    assert len(request["TransactItems"]) == 5


@pytest.mark.parametrize(("size", "items"), [(600, 1), (900, 2), (16_000, 2)])
def test_a_raw_delivery_lies_in_its_entry_while_that_costs_no_more(
    dynamo: DynamoJobStore, client: ProbedClient, size: int, items: int
) -> None:
    job = dynamo.create(a_job())
    client.calls.clear()
    raw = random.Random(1).randbytes(size)
    entry = an_entry(body=raw, body_sha256="ab" * 32)
    dynamo.note(job.ref, entry)
    ((_, request),) = client.calls
    written = [row["Put"]["Item"] for row in request["TransactItems"] if "Put" in row]
    assert len(written) == items
    # What lies apart goes by itself after its time.
    assert ["expires_at" in item for item in written] == [False, True][:items]
    assert dynamo.body(job.ref, entry.entry_id) == raw
    (read,) = dynamo.log(job.ref, limit=1).entries
    assert read == replace(entry, body=None, has_body=True)


@pytest.mark.parametrize(
    "condition",
    [
        {"status": JobStatus.PENDING},
        {"push_status": PushStatus.FAILED},
        {"product_id": PRODUCT},
        {"tool_id": TOOL},
        {"type": "image"},
        {"batch_id": "b"},
        {"project_id": "p"},
        {"agent_id": "a"},
    ],
)
def test_a_page_of_twenty_by_any_one_index_is_two_calls(
    dynamo: DynamoJobStore, client: ProbedClient, condition: dict[str, Any]
) -> None:
    for n in range(25):
        push = Push(status=PushStatus.FAILED)
        dynamo.create(
            a_job(created_at=later(n), push=push, batch_id="b", project_id="p", agent_id="a")
        )
    client.calls.clear()
    page = dynamo.list_jobs(JobFilter(shop=SHOP, **condition), limit=20)
    assert len(page.jobs) == 20
    assert client.operations == ["query", "batch_get_item"]


def test_a_page_without_conditions_is_one_call(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    for n in range(25):
        dynamo.create(a_job(created_at=later(n)))
    client.calls.clear()
    assert len(dynamo.list_jobs(JobFilter(shop=SHOP), limit=20).jobs) == 20
    assert client.operations == ["query"]


def test_every_statistic_is_one_query(dynamo: DynamoJobStore, client: ProbedClient) -> None:
    dynamo.create(a_completed_job())
    questions: list[Callable[[], object]] = [
        lambda: dynamo.tally(ALL, "ALL"),
        lambda: dynamo.tallies(f"PROJECT#{SHOP}"),
        lambda: dynamo.days(SHOP, "2026-11-01", "2026-11-30"),
    ]
    for question in questions:
        client.calls.clear()
        question()
        assert client.operations == ["query"]


def test_asking_what_is_due_costs_a_query_a_shard_when_nothing_is(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    dynamo.create(a_job(due_at=later(3600)))
    client.calls.clear()
    assert dynamo.due(START, limit=100) == []
    assert client.operations == ["query"] * 8


def test_a_request_reads_at_most_a_thousand_jobs(
    dynamo: DynamoJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.gateways.dynamo_listing.MAX_JOBS_READ", 10)
    jobs = [dynamo.create(a_job(created_at=later(n))) for n in range(25)]
    wanted = JobFilter(shop=SHOP, text=jobs[3].job_id)
    first = dynamo.list_jobs(wanted, limit=5)
    assert (first.jobs, first.is_complete) == ((), False)
    second = dynamo.list_jobs(wanted, limit=5, position=first.position)
    third = dynamo.list_jobs(wanted, limit=5, position=second.position)
    assert second.jobs == ()
    assert third.jobs == (jobs[3],)
    assert third.position is None


def test_an_index_that_lags_behind_shows_no_wrong_job(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    job = dynamo.create(a_job())
    stale = [
        {"pk": {"S": f"SHOP#{SHOP}"}, "sk": {"S": f"JOB#{job_id}"}}
        for job_id in (job.job_id, "01a20320-a200-7000-8000-00000000ffff")
    ]
    client.answers = [lambda _operation, _request: {"Items": stale}]
    page = dynamo.list_jobs(JobFilter(shop=SHOP, status=JobStatus.FAILED), limit=5)
    assert page.jobs == ()


def test_nothing_is_ever_scanned(dynamo: DynamoJobStore, client: ProbedClient) -> None:
    job = dynamo.create(a_worker_job(exclusive=True), idempotency=_idempotency())
    job = dynamo.save(job, lifecycle.cancel(job, START), entry=an_entry())
    dynamo.park(a_parked_event())
    dynamo.parked("pikcel", "pk_1")
    dynamo.list_jobs(JobFilter(shop=SHOP, text="x"), limit=5)
    dynamo.delete(job)
    assert "scan" not in client.operations


# --- size --------------------------------------------------------------------------------


def test_a_job_over_400_kb_is_refused_as_bad_input_before_the_call(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    with pytest.raises(InvalidRequestError):
        dynamo.create(a_job(parameters={"text": "é" * 205_000}))
    assert client.calls == []
    job = dynamo.create(a_job(parameters={"text": "é" * 190_000}))
    with pytest.raises(InvalidRequestError):
        dynamo.save(job, replace(job, metadata={"text": "x" * 30_000}))
    assert dynamo.get(job.ref) == job


def test_a_parked_event_over_400_kb_is_refused_as_bad_input(dynamo: DynamoJobStore) -> None:
    with pytest.raises(InvalidRequestError):
        dynamo.park(a_parked_event(body=random.Random(1).randbytes(410 * 1024)))


def test_text_that_is_no_unicode_is_refused_as_bad_input(dynamo: DynamoJobStore) -> None:
    with pytest.raises(InvalidRequestError):
        dynamo.create(a_job(name="\ud800"))
    with pytest.raises(InvalidRequestError):
        dynamo.create(a_job(parameters={"a": "\ud800"}))


# --- others at work ----------------------------------------------------------------------


def test_a_contended_counter_is_booked_on_another_shard(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    job = dynamo.create(a_dispatched_job())
    client.calls.clear()
    conflict = ["None", "TransactionConflict", "None"]
    client.answers = [raising(cancelled(conflict)), raising(cancelled(conflict))]
    dynamo.save(job, lifecycle.cancel(job, START))
    shards = [_counter_shards(request) for _, request in client.calls]
    assert shards == [{"4"}, {"5"}, {"6"}]
    assert dynamo.tally(ALL, "ALL") == Tally(cancelled=1)


def test_counters_that_stay_contended_make_the_table_unavailable(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    job = dynamo.create(a_dispatched_job())
    client.answers = [raising(cancelled(["None", "TransactionConflict", "None"]))] * 6
    with pytest.raises(StoreUnavailableError):
        dynamo.save(job, lifecycle.cancel(job, START))
    client.answers = []
    assert dynamo.get(job.ref) == job


def test_a_contended_job_is_a_version_conflict(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    job = dynamo.create(a_dispatched_job())
    client.answers = [raising(cancelled(["TransactionConflict", "None", "None"]))]
    with pytest.raises(VersionConflictError):
        dynamo.save(job, lifecycle.cancel(job, START))
    client.answers = [raising(error_answer("TransactionConflictException"))]
    with pytest.raises(VersionConflictError):
        dynamo.save(job, replace(job, name="New"))


def test_a_job_that_changed_is_reported_before_anything_else_that_stood_in_the_way(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    job = dynamo.create(a_job())
    after = a_completed_job(job_id=job.job_id)
    client.answers = [raising(cancelled(["ConditionalCheckFailed"] * 4))]
    with pytest.raises(VersionConflictError):
        dynamo.save(job, after)
    client.answers = [raising(cancelled(["None", "ConditionalCheckFailed", "None", "None"]))]
    with pytest.raises(LinkTakenError):
        dynamo.save(job, after)


def test_a_day_that_refuses_without_saying_why_counts_as_other(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    job = dynamo.create(a_dispatched_job())
    client.answers = [raising(cancelled(["None", "None", "ConditionalCheckFailed"]))]
    saved = dynamo.save(job, lifecycle.cancel(job, START))
    assert (saved.counted_tool, saved.counted_type) == ("other", "other")
    assert dynamo.get(job.ref) == saved
    (day,) = dynamo.days(SHOP, "2026-11-22", "2026-11-22")
    assert day.by_tool == day.by_type == {"other": Tally(cancelled=1)}


@pytest.mark.parametrize("action", ["note", "park"])
def test_a_note_or_a_parked_event_waits_a_moment_for_who_is_faster(
    dynamo: DynamoJobStore, client: ProbedClient, clock: FakeClock, action: str
) -> None:
    job = dynamo.create(a_job())
    client.answers = [raising(cancelled(["TransactionConflict", "None"]))] * 2
    if action == "note":
        dynamo.note(job.ref, an_entry())
        assert len(dynamo.log(job.ref, limit=5).entries) == 1
    else:
        assert dynamo.park(a_parked_event())
        assert len(dynamo.parked("pikcel", "pk_1")) == 1
    assert len(clock.slept) == 2


@pytest.mark.parametrize("action", ["note", "park"])
def test_a_note_or_a_parked_event_gives_up_in_the_end(
    dynamo: DynamoJobStore, client: ProbedClient, action: str
) -> None:
    job = dynamo.create(a_job())
    client.answers = [raising(cancelled(["TransactionConflict", "None"]))] * 6
    actions: dict[str, Callable[[], object]] = {
        "note": lambda: dynamo.note(job.ref, an_entry()),
        "park": lambda: dynamo.park(a_parked_event()),
    }
    with pytest.raises(StoreUnavailableError):
        actions[action]()


def test_two_creations_with_one_key_at_once_make_one_job(
    dynamo: DynamoJobStore, client: ProbedClient, clock: FakeClock
) -> None:
    """The second one's transaction runs into the first, then finds the key taken."""
    first = a_job()

    def overtake(_operation: str, _request: dict[str, Any]) -> None:
        dynamo.create(first, idempotency=_idempotency())
        raise cancelled(["None", "TransactionConflict"])

    client.answers = [overtake]
    assert dynamo.create(a_job(), idempotency=_idempotency()) == first


# --- lost answers and crashes ------------------------------------------------------------


def test_a_creation_whose_answer_was_lost_is_found_to_be_done(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    """Botocore sends a request again when the answer is lost; the second one is refused."""
    job = a_job()

    def write_twice(operation: str, request: dict[str, Any]) -> None:
        real: Any = client._client
        getattr(real, operation)(**request)

    client.answers = [write_twice]
    assert dynamo.create(job) == job
    client.answers = [write_twice]
    other = a_job()
    assert dynamo.create(other, entry=an_entry()) == other


def test_every_transaction_carries_a_token_of_its_own(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    bodies: list[dict[str, Any]] = []
    real: Any = client._client
    real.meta.events.register(
        "before-send.dynamodb.TransactWriteItems",
        lambda request, **_: bodies.append(json.loads(request.body)),
    )
    job = dynamo.create(a_job(), entry=an_entry())
    dynamo.save(job, replace(job, name="New"), entry=an_entry())
    tokens = [body["ClientRequestToken"] for body in bodies]
    assert len(set(tokens)) == 2
    assert all(re.fullmatch(r"[0-9a-f-]{36}", token) for token in tokens)


def test_a_transaction_that_botocore_sends_again_keeps_its_token(
    dynamo: DynamoJobStore, client: ProbedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    bodies: list[dict[str, Any]] = []

    def lose_the_first(request: Any, **_: Any) -> None:
        bodies.append(json.loads(request.body))
        if len(bodies) == 1:
            raise ReadTimeoutError(endpoint_url="https://dynamodb")

    real: Any = client._client
    real.meta.events.register_first("before-send.dynamodb.TransactWriteItems", lose_the_first)
    dynamo.create(a_job(), entry=an_entry())
    assert len(bodies) == 2
    assert bodies[0]["ClientRequestToken"] == bodies[1]["ClientRequestToken"]


@pytest.mark.parametrize("step", range(6))
def test_a_deletion_that_died_anywhere_can_be_repeated(
    dynamo: DynamoJobStore, client: ProbedClient, step: int
) -> None:
    job = dynamo.create(a_completed_job(), entry=an_entry(body=b"raw"))
    for _ in range(30):
        dynamo.note(job.ref, an_entry())
    client.calls.clear()
    client.answers = [lambda _operation, _request: None] * step
    client.answers.append(raising(EndpointConnectionError(endpoint_url="https://dynamodb")))
    with contextlib.suppress(StoreUnavailableError):
        dynamo.delete(job)
    assert client.answers == [], "the deletion has fewer calls than this test thinks"
    # The job goes last: either it is there and can be deleted again, or all of it is gone.
    if _is_there(dynamo, job):
        dynamo.delete(job)
    assert not _is_there(dynamo, job)
    assert dynamo.log(job.ref, limit=10).entries == ()
    assert dynamo.tally(ALL, "ALL") == Tally()


def test_deleting_a_job_deletes_every_item_that_names_it_but_the_tombstone(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    job = dynamo.create(a_completed_job(), entry=an_entry(body=b"raw"))
    for _ in range(60):
        dynamo.note(job.ref, an_entry(body=b"raw"))
    dynamo.delete(job)
    real: Any = client._client
    left = [item for item in real.scan(TableName=TABLE)["Items"] if job.job_id in str(item)]
    assert [item["pk"]["S"] for item in left] == ["LINK#pikcel#pk_1"]


# --- batches that come back unfinished ---------------------------------------------------


def test_what_a_batch_read_leaves_over_is_read_again(
    dynamo: DynamoJobStore, client: ProbedClient, clock: FakeClock
) -> None:
    jobs = [dynamo.create(a_job()) for _ in range(3)]
    client.answers = [lambda _operation, request: _read_nothing(request)]
    assert dynamo.get_many([job.ref for job in jobs]) == jobs
    assert len(clock.slept) == 1


def test_a_batch_that_never_finishes_makes_the_table_unavailable(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    job = dynamo.create(a_job())
    client.answers = [lambda _operation, request: _read_nothing(request)] * 8
    with pytest.raises(StoreUnavailableError):
        dynamo.get_many([job.ref])


def test_what_a_batch_deletion_leaves_over_is_deleted_again(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    job = dynamo.create(a_job(), entry=an_entry())
    passed_on: Any = None
    client.answers = [
        lambda _operation, _request: passed_on,
        lambda _operation, _request: passed_on,
        lambda _operation, request: {"UnprocessedItems": request["RequestItems"]},
    ]
    dynamo.delete(job)
    assert client.operations.count("batch_write_item") == 2
    assert dynamo.log(job.ref, limit=5).entries == ()


def test_a_query_over_one_megabyte_is_read_to_its_end(
    dynamo: DynamoJobStore, client: ProbedClient
) -> None:
    dynamo.create(a_completed_job())
    client.calls.clear()
    client.answers = [lambda _operation, _request: {"Items": [], "LastEvaluatedKey": {"pk": {}}}]
    client.answers.append(
        lambda _operation, request: (
            {"Items": []} if request["ExclusiveStartKey"] == {"pk": {}} else None
        )
    )
    assert dynamo.tally(ALL, "ALL") == Tally()
    assert client.operations == ["query", "query"]


# --- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (EndpointConnectionError(endpoint_url="https://dynamodb"), StoreUnavailableError),
        (ReadTimeoutError(endpoint_url="https://dynamodb"), StoreUnavailableError),
        (error_answer("ProvisionedThroughputExceededException"), StoreUnavailableError),
        (error_answer("InternalServerError", status=500), StoreUnavailableError),
        (error_answer("ValidationException"), InvariantError),
    ],
)
def test_every_method_speaks_of_trouble_in_our_words(
    client: ProbedClient, clock: FakeClock, error: Exception, expected: type[Exception]
) -> None:
    store = DynamoJobStore(
        client,  # type: ignore[arg-type]
        TABLE,
        clock=clock,
        random=FakeRandomness(),
    )
    job = store.create(a_dispatched_job())
    methods: list[Callable[[], object]] = [
        lambda: store.get(job.ref),
        lambda: store.get_many([job.ref]),
        lambda: store.create(a_job()),
        lambda: store.create(a_job(), entry=an_entry()),
        lambda: store.save(job, replace(job, name="New")),
        lambda: store.save(job, lifecycle.cancel(job, START)),
        lambda: store.note(job.ref, an_entry()),
        lambda: store.delete(job),
        lambda: store.log(job.ref, limit=1),
        lambda: store.body(job.ref, "x"),
        lambda: store.find_link("pikcel", "pk_1"),
        lambda: store.park(a_parked_event()),
        lambda: store.parked("pikcel", "pk_1"),
        lambda: store.unpark(a_parked_event()),
        lambda: store.list_jobs(JobFilter(shop=SHOP), limit=1),
        lambda: store.due(START, limit=1),
        lambda: store.count_active(SHOP),
        lambda: store.tally(ALL, "ALL"),
        lambda: store.tallies(ALL),
        lambda: store.days(SHOP, "2026-11-22", "2026-11-22"),
        lambda: store.failed_pushes(SHOP, limit=1),
    ]
    for method in methods:
        client.answers = [raising(error)]
        with pytest.raises(expected):
            method()
    assert store.get(job.ref) == job


def _idempotency() -> Idempotency:
    return Idempotency(key="k", body_sha256="b")


def _counter_shards(request: dict[str, Any]) -> set[str]:
    keys = [next(iter(row.values()))["Key"] for row in request["TransactItems"]]
    return {key["sk"]["S"][-1] for key in keys if key["pk"]["S"].startswith("COUNT#")}


def _is_there(store: DynamoJobStore, job: Any) -> bool:
    try:
        store.get(job.ref)
    except NotFoundError:
        return False
    return True


def _read_nothing(request: dict[str, Any]) -> dict[str, Any]:
    return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}
