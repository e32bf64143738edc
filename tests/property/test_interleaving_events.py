"""Webhooks, polls, sweeps, messages and people in any order, against a small model.

Two shops, their programs, an administrator, and somebody who forges.

The world is held: nothing is delivered by itself. Hypothesis chooses what comes next, and what
comes twice, late, or never until the end. After each step the status is where the model says,
or where the provider's own word puts it; nothing is paid, booked, or put on a product twice; and
the stored statistics are what a recount gives. In the end everything is let go, and every job
must have what its owner wished last.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from local.provider_simulator.jobs import JobRecord
from shared.domain.job import Job
from shared.domain.references import Reference, read_reference
from shared.domain.status import JobState, PushStatus
from tests.promises import is_proof, scaled
from tests.whole.day import PUT_ASIDE
from tests.whole.story import APP_SECRET
from tests.whole.world import INPUT, OTHER_SHOP, SHOP, Engine, World

pytestmark = [
    pytest.mark.promise("twice", "any order of events against a model"),
    pytest.mark.promise("drift", "any order of events against a model"),
    pytest.mark.filterwarnings("ignore:No application metrics to publish"),
    pytest.mark.timeout(600),
]

WINDOW = timedelta(seconds=300)
MAX_JOBS = 3
BOTH = (SHOP, OTHER_SHOP)
SHOPS = st.sampled_from(BOTH)
_OPEN = (JobState.PENDING, JobState.PROCESSING)
_UNDECIDED = (*_OPEN, JobState.PRESUMED)
_ENDS = {"job.completed": JobState.COMPLETED, "job.failed": JobState.FAILED}
_TOLD = {"": "job.started", "running": "job.started"} | {
    name.removeprefix("job."): name for name in _ENDS
}
_REPORTS = ({"processed": 5}, {"progress": 60}, {"progress": 30}, {"progress": 100})
_EVENT_OF = {"processing": "job.started", "completed": "job.completed", "failed": "job.failed"}


@dataclass(slots=True)
class Model:
    """What a job must be, as far as its status goes. wants: whether its image is to be on the
    product. booked: the credits of each attempt, once they are known; told: the attempts whose
    charge a believed webhook told. progress: of each attempt. by_hand: an administrator completed
    it. worker: a program of the shop's does it, whose reports are believed."""

    shop: str
    wants: bool = False
    product: str = ""
    worker: bool = False
    by_hand: bool = False
    state: JobState = JobState.PENDING
    attempt: int = 1
    booked: dict[int, int] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)
    progress: dict[int, int] = field(default_factory=dict)

    def heard(self, attempt: int, event: str) -> JobState:
        """Return the state after an event."""
        if attempt != self.attempt:
            return self.state
        if event == "job.started":
            return JobState.PROCESSING if self.state is JobState.PENDING else self.state
        return _ENDS[event] if self.state in _UNDECIDED else self.state


class Interleaving(RuleBasedStateMachine):
    """One world, and one model for each of its jobs."""

    engine: Engine = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.models: dict[str, Model] = {}

    @initialize(links=st.integers(1, 2))
    def begin(self, links: int) -> None:
        self.world = World(
            self.stack,
            self.engine,
            links=links,
            webhook_retry_delays_s=[],
            # Their clock may jump over what is left of a link's life.
            result_lifetime_s=7200,
        )
        self.links = links
        self.world.is_held = True

    # --- what may happen -----------------------------------------------------------------

    @precondition(lambda self: len(self.models) < MAX_JOBS)
    @rule(shop=SHOPS, fails=st.booleans(), auto_push=st.booleans())
    def create(self, shop: str, fails: bool, auto_push: bool) -> None:
        product = self.world.new_product(shop)
        body = {
            "toolId": "image-enhancement",
            "inputImageUrl": INPUT,
            "productId": product,
            "autoPush": auto_push,
            "parameters": {"simulate": {"fail": {}, "times": 1}} if fails else {},
        }
        job_id = self.world.ask("POST", "/api/jobs", body, shop=shop).job_id
        self.models[job_id] = Model(shop, wants=auto_push, product=product)

    @precondition(lambda self: len(self.models) < MAX_JOBS)
    @rule(shop=SHOPS)
    def create_work(self, shop: str) -> None:
        job_id = self.world.ask("POST", "/api/jobs", {"type": "pull"}, shop=shop).job_id
        self.models[job_id] = Model(shop, worker=True)

    @precondition(lambda self: any(model.worker for model in self.models.values()))
    @rule(data=st.data(), word=st.sampled_from(["running", "completed", "failed", ""]))
    def report(self, data: Any, word: str) -> None:
        """A program tells of its job, and of every third one in the other shop's name."""
        works = sorted(name for name, model in self.models.items() if model.worker)
        job_id = data.draw(st.sampled_from(works))
        model = self.models[job_id]
        shop = data.draw(st.sampled_from([model.shop, model.shop, _other(model.shop)]))
        told: dict[str, Any] = {"status": word} if word else data.draw(st.sampled_from(_REPORTS))
        answer = self.world.ask("PATCH", f"/api/jobs/{job_id}", told, shop=shop)
        if shop != model.shop:
            assert answer.status == 404, answer
        else:
            assert answer.status == 200, answer
            model.state = model.heard(model.attempt, _TOLD[word])
        self._accept({})

    @precondition(lambda self: self.world.letters)
    @rule(data=st.data(), comes_again=st.booleans())
    def receive_webhook(self, data: Any, comes_again: bool) -> None:
        number = data.draw(st.integers(0, len(self.world.letters) - 1))
        letter = self.world.letters[number] if comes_again else self.world.letters.pop(number)
        self._receive(letter)

    @precondition(lambda self: self.world.letters)
    @rule(data=st.data(), part=st.sampled_from(["signature", "body"]))
    def forge_webhook(self, data: Any, part: str) -> None:
        """Somebody else says it: refused, and kept for a day in case the wrong secret is ours."""
        letter = data.draw(st.sampled_from(self.world.letters))
        headers, content = dict(letter.headers), letter.content
        if part == "body":
            content = content.replace(b"job.", b"JOB.", 1)
        else:
            headers |= {"x-pikcel-signature": "0" * 64}
        forged = httpx.Request("POST", letter.url, headers=headers, content=content)
        before = len(self.world.probe.names)
        answer = self.world.post_webhook(forged)
        assert answer is not None
        assert answer["statusCode"] == 401
        # The secret is read, and once more in case it was rotated.
        allowed = {"webhook: secretsmanager.get_secret_value", "webhook: (its own answer)"}
        kept = {"webhook: quarantine.hold", *PUT_ASIDE}
        assert set(self.world.probe.names[before:]) <= allowed | kept
        self._accept({})

    @precondition(lambda self: self.world.dispatch.messages)
    @rule(is_lost=st.booleans())
    def work_on_dispatch(self, is_lost: bool) -> None:
        self.world.deliver("dispatch", is_lost=is_lost)
        self._accept(_truths(self.world))

    @precondition(lambda self: self.world.push.messages)
    @rule(is_lost=st.booleans())
    def work_on_push(self, is_lost: bool) -> None:
        self.world.deliver("push", is_lost=is_lost)
        self._accept({})

    @rule()
    def sweep(self) -> None:
        self.world.sweep()
        for job in self.world.jobs():
            model = self.models[job.job_id]
            if model.state in _OPEN and job.state in (JobState.PRESUMED, JobState.FAILED):
                assert job.error_code in ("timed_out", "dispatch_unknown", "dispatch_failed")
                model.state = job.state
        self._accept({})

    @rule(seconds=st.sampled_from([1, 11, 61, 130, 400, 1000]))
    def wait(self, seconds: float) -> None:
        self.world.run_for(seconds)
        self._accept({})

    @rule(minutes=st.sampled_from([-10, 0, 10]))
    def set_their_clock(self, minutes: int) -> None:
        """The clock of PikcelAI and Shopify jumps: what they sign now is of another time."""
        self.world.others.off = timedelta(minutes=minutes)
        self._accept({})

    @precondition(lambda self: self.models)
    @rule(
        data=st.data(), action=st.sampled_from(["retry", "cancel", "push-to-shopify", "undo-push"])
    )
    def ask(self, data: Any, action: str) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.models)))
        model = self.models[job_id]
        before = self.world.job(job_id, model.shop)
        stranger = self.world.ask(
            "POST", f"/api/jobs/{action}", {"jobId": job_id}, shop=_other(model.shop)
        )
        assert stranger.status == 404, stranger
        answer = self.world.ask("POST", f"/api/jobs/{action}", {"jobId": job_id}, shop=model.shop)
        expected = {
            "retry": model.state in (JobState.FAILED, JobState.PRESUMED, JobState.CANCELLED),
            "cancel": model.state in (*_OPEN, JobState.CANCELLED),
            "push-to-shopify": _is_kept(before),
            "undo-push": before.push.undo or any(o.media_id for o in before.current_outputs),
        }[action]
        assert answer.status == (200 if expected else 409), (action, answer, before)
        if expected:
            self._note_wish(model, action)
        self._accept({})

    @precondition(lambda self: self.models)
    @rule(data=st.data(), action=st.sampled_from(["resubmit", "complete"]))
    def administer(self, data: Any, action: str) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.models)))
        model = self.models[job_id]
        body = {"result": {"by": "hand"}} if action == "complete" else {}
        answer = self.world.ask("POST", f"/api/admin/jobs/{job_id}/{action}", body, shop=model.shop)
        is_open = model.state in (JobState.FAILED, JobState.PRESUMED, JobState.CANCELLED)
        expected = is_open or (action == "complete" and model.state is not JobState.COMPLETED)
        assert answer.status == (200 if expected else 409), (action, answer, model)
        if expected and action == "complete":
            model.state, model.by_hand = JobState.COMPLETED, True
        elif expected:
            self._note_wish(model, "retry")
        self._accept({})

    @staticmethod
    def _note_wish(model: Model, action: str) -> None:
        match action:
            case "retry":
                model.state, model.attempt = JobState.PENDING, model.attempt + 1
                model.by_hand = False
            case "cancel":
                model.state = JobState.CANCELLED
            case _:
                model.wants = action == "push-to-shopify"

    # --- what must hold ------------------------------------------------------------------

    def _receive(self, letter: httpx.Request) -> None:
        """Deliver a webhook; one from another time only makes us ask."""
        told = json.loads(letter.content)
        found = _reference(told["job"]["metadata"]["ref"])
        model = self.models[found.ref.job_id]
        sent_at = datetime.fromisoformat(told["timestamp"])
        if abs(self.world.our_clock.now() - sent_at) <= WINDOW:
            model.state = model.heard(found.attempt, told["event"])
            model.told |= {found.attempt} if told["event"] == "job.completed" else set()
        answer = self.world.post_webhook(letter)
        assert answer is not None
        assert answer["statusCode"] == 200
        self._accept({})

    def _accept(self, truths: dict[tuple[str, int], str]) -> None:
        """Compare every job with its model, which also takes what the provider itself said."""
        for job in self.world.jobs():
            model = self.models[job.job_id]
            assert job.attempt.number == model.attempt
            said = truths.get((job.job_id, model.attempt))
            if said is not None and job.state is not model.state:
                model.state = model.heard(model.attempt, said)
            assert job.state is model.state, (job.state, model, said)

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        if not self.models:
            return
        made = [_reference(record.ref) for record in self.world.pikcel.book.jobs.values()]
        assert len(made) == len(set(made)), "an attempt was sent twice"

    @invariant()
    def costs_are_booked_once(self) -> None:
        if not self.models:
            return
        for job in self.world.jobs():
            booked = self.models[job.job_id].booked
            told = self.models[job.job_id].told
            for attempt in job.attempts:
                if attempt.credits is not None:
                    assert booked.setdefault(attempt.number, attempt.credits) == attempt.credits
                    assert attempt.credits == _paid(self.world, job, attempt.number)
                assert attempt.credits is not None or attempt.number not in booked
                # Late, stale or refused as it may have been: what was paid is known.
                assert attempt.credits is not None or attempt.number not in told

    @invariant()
    def progress_never_falls(self) -> None:
        if not self.models:
            return
        for job in self.world.jobs():
            known = self.models[job.job_id].progress
            assert known.get(job.attempt.number, 0) <= job.progress <= 100
            assert job.progress < 100 or job.state is JobState.COMPLETED
            known[job.attempt.number] = job.progress

    @invariant()
    def no_output_is_on_a_product_twice(self) -> None:
        if not self.models:
            return
        for job_id, model in self.models.items():
            if model.worker:
                continue
            shown = self.world.product_media(model.product, model.shop)
            names = [media["filename"] for media in shown]
            assert all(name.startswith(job_id) for name in names)
            assert len(names) == len(set(names)) <= self.links
        for shop in BOTH:
            own = [model for model in self.models.values() if model.shop == shop]
            assert len(self.world.files(shop)) <= len(own) * self.links

    @invariant()
    def every_job_is_its_shops_alone(self) -> None:
        if self.models:
            for job in self.world.jobs():
                assert job.shop == self.models[job.job_id].shop

    @invariant()
    def statistics_are_a_recount(self) -> None:
        if self.models:
            assert self.world.tallies() == self.world.recount()

    def teardown(self) -> None:
        """Let everything go, and see what came of it."""
        try:
            if self.models:
                self._finish()
        finally:
            self.stack.close()

    def _finish(self) -> None:
        world = self.world
        for letter in world.letters:
            self._receive(letter)
        world.is_held = False
        world.settle()
        assert world.bugs == []
        assert world.failed_runs == []
        assert world.ear.leaks == []
        self.nothing_is_paid_twice()
        self.costs_are_booked_once()
        self.no_output_is_on_a_product_twice()
        self.statistics_are_a_recount()
        for job in world.jobs():
            self._check_end(job, self.models[job.job_id])

    def _check_end(self, job: Job, model: Model) -> None:
        assert job.attempt.number == model.attempt
        if model.worker:
            # One whose program never says a word waits for it; others are given up in silence.
            assert job.state in (model.state, JobState.PRESUMED)
            return
        shown = self.world.product_media(model.product, model.shop)
        assert not job.status.is_active
        if model.state not in _UNDECIDED:
            assert job.state is model.state
        if job.state is not JobState.COMPLETED:
            assert (shown, job.push.status) == ([], PushStatus.NONE)
            return
        if model.by_hand:
            return  # with the result that was given, and whatever came of the provider's
        assert job.attempt.credits == _paid(self.world, job, job.attempt.number) == 1
        assert len(job.current_outputs) == self.links
        assert all(output.is_kept for output in job.outputs)
        wanted = self.links if model.wants else 0
        assert len(shown) == wanted, job
        assert job.push.status is (PushStatus.PUSHED if model.wants else PushStatus.NONE)


def _other(shop: str) -> str:
    return OTHER_SHOP if shop == SHOP else SHOP


def _reference(text: str | None) -> Reference:
    found = read_reference("pikcel", text, [APP_SECRET])
    assert found is not None
    return found


def _truths(world: World) -> dict[tuple[str, int], str]:
    """Return what a poll may have found: (job, attempt) → the event that it amounts to."""
    return {
        (found.ref.job_id, found.attempt): _EVENT_OF[record.status]
        for record in world.pikcel.book.jobs.values()
        if record.status in _EVENT_OF
        for found in [_reference(record.ref)]
    }


def _record(world: World, job: Job, attempt: int) -> JobRecord | None:
    for record in world.pikcel.book.jobs.values():
        if _reference(record.ref) == Reference(job.ref, attempt):
            return record
    return None


def _paid(world: World, job: Job, attempt: int) -> int:
    record = _record(world, job, attempt)
    return sum(paid for ref, paid in world.charges() if record is not None and ref == record.ref)


def _is_kept(job: Job) -> bool:
    is_kept = any(output.is_kept for output in job.current_outputs)
    return job.state is JobState.COMPLETED and is_kept


class InterleavingOnTheTable(Interleaving):
    """The same with the real table."""

    engine = "embedded"


def run(machine: type[Interleaving], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=scaled(examples),
            stateful_step_count=steps,
            deadline=None,
            derandomize=not is_proof(),
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_every_order_of_what_two_attempts_tell_ends_as_the_model_says(
    order: tuple[int, ...],
) -> None:
    """All twenty-four: the first attempt's news comes before, between and after the second's."""
    with _one_job(fails=True) as (machine, job_id, model):
        first = _news(machine)
        machine._receive(first[1])
        assert model.state is JobState.FAILED
        assert machine.world.ask("POST", "/api/jobs/retry", {"jobId": job_id}).status == 200
        machine._note_wish(model, "retry")
        letters = [*first, *_news(machine)]
        events = [json.loads(letter.content)["event"] for letter in letters]
        assert events == ["job.started", "job.failed", "job.started", "job.completed"]
        for number in order:
            machine._receive(letters[number])
            machine.costs_are_booked_once()
        assert machine.models[job_id].state is JobState.COMPLETED
        machine._finish()


@pytest.mark.parametrize("ended", ["cancelled", "completed by hand"])
def test_what_was_paid_is_booked_however_late_it_is_told(ended: str) -> None:
    with _one_job(fails=False) as (machine, job_id, model):
        world = machine.world
        news = _news(machine)
        if ended == "cancelled":
            assert world.ask("POST", "/api/jobs/cancel", {"jobId": job_id}).status == 200
            machine._note_wish(model, "cancel")
        else:
            done = world.ask(
                "POST", f"/api/admin/jobs/{job_id}/complete", {"result": {"by": "hand"}}
            )
            assert done.status == 200
            model.state, model.by_hand = JobState.COMPLETED, True
        for letter in reversed(news):
            machine._receive(letter)
            machine._receive(letter)
        machine.costs_are_booked_once()
        assert (model.told, [a.credits for a in world.job(job_id).attempts]) == ({1}, [1])
        machine._finish()


@contextmanager
def _one_job(*, fails: bool) -> Iterator[tuple[Interleaving, str, Model]]:
    """Begin a world in which a shop has ordered one image for its product."""
    machine = Interleaving()
    try:
        machine.begin(links=1)
        machine.create(SHOP, fails=fails, auto_push=True)
        ((job_id, model),) = machine.models.items()
        yield machine, job_id, model
    finally:
        machine.stack.close()


def _news(machine: Interleaving) -> list[httpx.Request]:
    """Have the provider do the current attempt; returns what it tells, undelivered."""
    machine.world.letters.clear()
    machine.world.deliver("dispatch")
    machine.world.run_for(15)
    told, machine.world.letters = machine.world.letters, []
    return told


def test_any_order_of_events_ends_as_the_model_says() -> None:
    run(Interleaving, 15, 40)


@pytest.mark.slow
def test_any_order_of_many_events_ends_as_the_model_says() -> None:
    run(Interleaving, 150, 50)


@pytest.mark.slow
def test_any_order_of_events_ends_as_the_model_says_on_the_table() -> None:
    run(InterleavingOnTheTable, 20, 40)
