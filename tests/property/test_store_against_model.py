"""The table against the store in memory: any sequence of writes, the same answers.

The model recounts its statistics from the jobs on every question, so counters that drift
by one anywhere are found here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from moto import mock_aws

from shared.domain import lifecycle
from shared.domain.errors import JobTrackerError
from shared.domain.filters import JobFilter
from shared.domain.job import Attempt, Job
from shared.domain.statistics import Tally, total
from shared.domain.status import JobEvent, JobStatus
from shared.gateways import dynamo_counters
from shared.gateways.dynamo_jobs import DynamoJobStore
from shared.usecases.ports import Idempotency, JobStore
from tests.builders import OTHER_SHOP, SHOP, a_job, an_event
from tests.contract.entries import an_entry
from tests.contract.test_parking import a_parked_event
from tests.fakes.clock import FakeClock
from tests.fakes.memory import InMemoryJobStore
from tests.fakes.randomness import FakeRandomness
from tests.fakes.table import dynamo_client, make_table
from tests.promises import scaled

pytestmark = pytest.mark.promise("drift", "the table against a store in memory")

SHOPS = st.sampled_from([SHOP, OTHER_SHOP])
NAMES = st.sampled_from(["a", "b", "c", "a#b"])
PROVIDER_IDS = st.sampled_from(["pk_1", "pk_2", "pk_3", None])
KEYS = st.sampled_from([Idempotency(key=k, body_sha256=b) for k in "kl" for b in "xy"])

type Answer = tuple[str, object]


class StoreMachine(RuleBasedStateMachine):
    """Does everything twice: to the model, and to the table on moto.

    jobs: every version of every job ever seen, so that stale ones are written too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.random = FakeRandomness()
        self.model = InMemoryJobStore(self.clock)
        self.jobs: list[Job] = []
        self._mock = mock_aws()

    @initialize()
    def start(self) -> None:
        self._mock.start()
        client = dynamo_client()
        make_table(client, "jobs")
        self.table = DynamoJobStore(client, "jobs", clock=self.clock, random=self.random)

    def teardown(self) -> None:
        self._mock.stop()

    def both(self, ask: Callable[[JobStore], object]) -> Answer:
        """Ask both stores, which must say the same; returns what they say."""
        expected, found = _answer(ask, self.model), _answer(ask, self.table)
        assert _comparable(found) == _comparable(expected)
        return found

    def write(self, ask: Callable[[JobStore], object]) -> None:
        """Write to both; the next writes may start from what is stored then."""
        _, answer = self.both(ask)
        if isinstance(answer, Job):
            self.jobs.append(answer)

    # --- rules -------------------------------------------------------------------------

    @rule(
        shop=SHOPS,
        provider_job_id=PROVIDER_IDS,
        tool=NAMES | st.none(),
        kind=NAMES | st.just("bulk.retry"),
        project=NAMES | st.none(),
        batch=NAMES | st.none(),
        exclusive=st.sampled_from([False, False, True]),
        noted=st.booleans(),
        key=KEYS | st.none(),
    )
    def create(self, noted: bool, key: Idempotency | None, **told: Any) -> None:
        at = self.clock.advance(1)
        attempt = Attempt(number=1, created_at=at, provider_job_id=told["provider_job_id"])
        job = a_job(
            shop=told["shop"],
            created_at=at,
            tool_id=told["tool"],
            type=told["kind"],
            project_id=told["project"],
            batch_id=told["batch"],
            exclusive=told["exclusive"],
            attempts=(attempt,),
        )
        entry = an_entry(at) if noted else None
        self.write(lambda store: store.create(job, entry=entry, idempotency=key))

    @precondition(lambda self: self.jobs)
    @rule(
        data=st.data(),
        event=st.sampled_from([JobEvent.STARTED, JobEvent.COMPLETED, JobEvent.FAILED]),
        provider_job_id=PROVIDER_IDS,
        credit=st.integers(1, 3) | st.none(),
        about_it=st.sampled_from([True, True, True, False]),
        noted=st.booleans(),
    )
    def hear(
        self,
        data: st.DataObject,
        event: JobEvent,
        provider_job_id: str | None,
        credit: int | None,
        about_it: bool,
        noted: bool,
    ) -> None:
        before = self.pick(data)
        said = an_event(
            event,
            attempt=data.draw(st.integers(1, len(before.attempts))),
            # Mostly about this job, sometimes about another.
            provider_job_id=before.provider_job_id or provider_job_id if about_it else "pk_3",
            credits=credit,
            processing_ms=credit,
        )
        self.save(before, lifecycle.apply_event(before, said, self.clock.now()).job, noted)

    @rule(
        event=st.sampled_from([JobEvent.COMPLETED, JobEvent.FAILED]),
        then=st.sampled_from([None, "retry", "delete"]),
        tool=NAMES,
        project=NAMES,
    )
    def end_one(self, event: JobEvent, then: str | None, tool: str, project: str) -> None:
        """Let a job end and, perhaps, reopen or go: the life that counters are about."""
        job = a_job(created_at=self.clock.advance(1), tool_id=tool, project_id=project)
        self.write(lambda store: store.create(job))
        said = an_event(event, provider_job_id=None, credits=2, processing_ms=5)
        self.save(job, lifecycle.apply_event(job, said, self.clock.now()).job, True)
        ended = self.jobs[-1]
        if then == "delete":
            self.both(lambda store: store.delete(ended))
        elif then == "retry" and event is JobEvent.FAILED:
            self.save(ended, lifecycle.retry(ended, self.clock.now()), True)

    @precondition(lambda self: self.jobs)
    @rule(
        data=st.data(),
        act=st.sampled_from([lifecycle.cancel, lifecycle.retry, lifecycle.request_push]),
        noted=st.booleans(),
    )
    def act(self, data: st.DataObject, act: Callable[[Job, Any], Job], noted: bool) -> None:
        before = self.pick(data)
        try:
            after = act(before, self.clock.now())
        except JobTrackerError:
            return
        self.save(before, after, noted)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), name=NAMES, due_in_s=st.integers(0, 100) | st.none())
    def edit(self, data: st.DataObject, name: str, due_in_s: int | None) -> None:
        before = self.pick(data)
        due_at = self.clock.advance(due_in_s) if due_in_s is not None else None
        self.save(before, replace(before, name=name, due_at=due_at), False)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def note(self, data: st.DataObject) -> None:
        ref = self.pick(data).ref
        entry = an_entry(self.clock.now())
        self.both(lambda store: store.note(ref, entry))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        job = self.pick(data)
        self.both(lambda store: store.delete(job))

    @rule(provider_job_id=PROVIDER_IDS.filter(bool), key=NAMES)
    def park(self, provider_job_id: str, key: str) -> None:
        event = a_parked_event(
            provider_job_id=provider_job_id, key=key, received_at=self.clock.now()
        )
        self.both(lambda store: store.park(event))
        self.both(lambda store: store.parked("pikcel", provider_job_id))

    @rule(days=st.integers(1, 4), chance=st.floats(0, 0.99))
    def let_time_pass(self, days: int, chance: float) -> None:
        self.clock.advance(days * 86_400)
        self.random.chance = chance

    def pick(self, data: st.DataObject) -> Job:
        """Choose a job as it is, or (one time in four) as it was."""
        current = list({job.ref: job for job in self.jobs}.values())
        among = self.jobs if data.draw(st.integers(0, 3)) == 3 else current
        return data.draw(st.sampled_from(among))

    def save(self, before: Job, after: Job, noted: bool) -> None:
        if after is not before:
            entry = an_entry(self.clock.now()) if noted else None
            self.write(lambda store: store.save(before, after, entry=entry))

    # --- what must hold after every step --------------------------------------------------

    @invariant()
    def every_job_is_the_same(self) -> None:
        for ref in {job.ref for job in self.jobs[-3:]}:
            self.both(lambda store, ref=ref: store.get(ref))  # type: ignore[misc]
            self.both(lambda store, ref=ref: store.log(ref, limit=50))  # type: ignore[misc]

    @invariant()
    def links_are_the_same(self) -> None:
        for provider_job_id in ("pk_1", "pk_2", "pk_3") if self.jobs else ():
            self.both(lambda store, i=provider_job_id: store.find_link("pikcel", i))  # type: ignore[misc]

    @invariant()
    def lists_are_the_same(self) -> None:
        filters: list[dict[str, Any]] = [
            {},
            {"tool_id": "a"},
            {"type": "bulk.retry"},
            {"status": JobStatus.PENDING},
        ]
        for told in filters if self.jobs else ():
            wanted = JobFilter(shop=SHOP, **told)
            self.both(lambda store, w=wanted: store.list_jobs(w, limit=100))  # type: ignore[misc]
        if self.jobs:
            self.both(lambda store: store.due(self.clock.now(), limit=100))
            self.both(lambda store: store.count_active(SHOP))

    @invariant()
    def statistics_are_exact(self) -> None:
        for shop in (SHOP, OTHER_SHOP) if self.jobs else ():
            for family in ("SHOP", "PROJECT", "BATCH"):
                self.both(lambda store, s=f"{family}#{shop}": store.tallies(s))  # type: ignore[misc]
            self.days_are_exact(shop)

    def days_are_exact(self, shop: str) -> None:
        """Compare the days; a table with room for two names counts some as `other`."""
        expected = self.model.days(shop, "2026-01-01", "2099-12-31")
        found = self.table.days(shop, "2026-01-01", "2099-12-31")
        assert [(d.date, d.tally) for d in found] == [(d.date, d.tally) for d in expected]
        for ours, true in zip(found, expected, strict=True):
            for names, all_names in ((ours.by_tool, true.by_tool), (ours.by_type, true.by_type)):
                assert total(names.values()) == total(all_names.values())
                for name, tally in names.items():
                    if name != "other":
                        _assert_within(tally, all_names[name])


def _answer(ask: Callable[[JobStore], object], store: JobStore) -> Answer:
    try:
        return "answer", ask(store)
    except JobTrackerError as error:
        return "error", (type(error).__mro__[-5:], error.code)


def _comparable(answer: Answer) -> Answer:
    """Drop what may differ: under which name a job is counted."""
    word, value = answer
    if isinstance(value, Job):
        return word, replace(value, counted_tool=None, counted_type=None)
    jobs = getattr(value, "jobs", None)
    if jobs is not None:
        return word, [replace(job, counted_tool=None, counted_type=None) for job in jobs]
    return word, value


def _assert_within(tally: Tally, whole: Tally) -> None:
    rest = whole - tally
    assert min(rest.completed, rest.failed, rest.cancelled, rest.credits) >= 0
    assert min(tally.completed, tally.failed, tally.cancelled, tally.credits) >= 0


@pytest.mark.slow
def test_the_table_answers_as_the_model_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamo_counters, "NAMES_PER_DAY", 2)
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=scaled(15),
            stateful_step_count=20,
            deadline=None,
            # Shrinking a run of this length against moto takes minutes: the steps printed do.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
