"""What was cancelled here is stopped at a provider that can be asked to."""

import pytest

from shared.domain import lifecycle
from shared.domain.errors import ConflictError, NotFoundError, ProviderUnknownOutcomeError
from shared.domain.job import Job
from shared.domain.plan import Step
from shared.domain.status import JobStatus
from shared.providers.base import Reply
from shared.usecases.cancel_job import STILL_CHARGED, cancel_job
from shared.usecases.delete_job import delete_job
from shared.usecases.dispatch_lane import Advance
from shared.usecases.sweep_due_jobs import MAX_ENDED_POLLS
from tests.builders import later
from tests.unit.providers.stories import USER, StoryWorld, read_story

CREATE = read_story("replicate", "happy")["created"]
ID = CREATE["body"]["id"]
STOPPED = {"status": 200, "body": {"id": ID, "status": "canceled"}}


@pytest.fixture
def world() -> StoryWorld:
    return StoryWorld("replicate")


def job(world: StoryWorld) -> Job:
    return world.job(world.ref)


def test_a_job_ends_here_at_once_and_there_by_a_message(world: StoryWorld) -> None:
    world.look(CREATE)
    world.outbox.clear()
    cancelled = cancel_job(world.tracker, USER, world.ref)
    assert (cancelled.job.status, cancelled.notice) == (JobStatus.CANCELLED, None)
    assert world.step(world.ref) is Step.STOP
    assert len(world.messages(world.ref)) == 1
    world.look(STOPPED)
    assert world.asked[-1] == f"POST /v1/predictions/{ID}/cancel"
    assert world.step(world.ref) is Step.NOTHING
    assert job(world).due_at is None
    assert world.sentences(world.ref)[-1] == "The provider was asked to stop, and does."
    world.look()  # a second message asks nothing
    assert len(world.asked) == 2


def test_a_job_stays_until_its_provider_was_asked_to_stop(world: StoryWorld) -> None:
    """Deleted before that, nobody would know whom to stop, and it would be paid for."""
    world.look(CREATE)
    cancel_job(world.tracker, USER, world.ref)
    with pytest.raises(ConflictError) as refused:
        delete_job(world.tracker, world.files, world.ref)
    assert refused.value.code == "job_active"
    world.look(STOPPED)
    delete_job(world.tracker, world.files, world.ref)
    with pytest.raises(NotFoundError):
        job(world)


def test_a_job_stays_while_its_create_call_may_tell_whom_to_stop(world: StoryWorld) -> None:
    """Cancelled and deleted while the call is under way, it would go on unseen, and be paid for."""

    class Slow:
        def call(self, request: object) -> Reply:
            cancel_job(world.tracker, USER, world.ref)
            with pytest.raises(ConflictError) as refused:
                delete_job(world.tracker, world.files, world.ref)
            assert refused.value.code == "job_active"
            return world.scripted.call(request)  # type: ignore[arg-type]

    world.lane.apis["replicate"] = Slow()  # type: ignore[index]
    world.answers(CREATE)
    world.advance(world.ref)
    world.lane.apis["replicate"] = world.scripted  # type: ignore[index]
    world.look(STOPPED)
    delete_job(world.tracker, world.files, world.ref)
    assert f"POST /v1/predictions/{ID}/cancel" in world.asked


def test_a_job_whose_call_is_never_heard_of_again_can_be_deleted(world: StoryWorld) -> None:
    class Lost:
        def call(self, request: object) -> Reply:
            cancel_job(world.tracker, USER, world.ref)
            raise ProviderUnknownOutcomeError("The provider does not answer.")

    world.lane.apis["replicate"] = Lost()  # type: ignore[index]
    world.advance(world.ref)
    with pytest.raises(ConflictError):
        delete_job(world.tracker, world.files, world.ref)
    world.clock.advance(45)
    delete_job(world.tracker, world.files, world.ref)
    with pytest.raises(NotFoundError):
        job(world)


def test_a_job_that_was_never_sent_is_nothing_to_stop(world: StoryWorld) -> None:
    cancelled = cancel_job(world.tracker, USER, world.ref)
    assert not cancelled.job.attempt.stop_wanted
    assert world.step(world.ref) is Step.NOTHING


def test_what_cannot_be_stopped_may_be_charged() -> None:
    world = StoryWorld("bfl")
    world.look(read_story("bfl", "happy")["created"])
    cancelled = cancel_job(world.tracker, USER, world.ref)
    assert cancelled.notice == STILL_CHARGED
    assert world.step(world.ref) is Step.NOTHING


def test_an_id_that_is_learnt_after_the_cancelling_is_stopped_then(world: StoryWorld) -> None:
    """The create call is under way while the user cancels."""
    world.scripted.answers.clear()

    class Slow:
        def call(self, request: object) -> Reply:
            cancel_job(world.tracker, USER, world.ref)
            assert world.step(world.ref) is Step.NOTHING  # nobody knows its id yet
            return world.scripted.call(request)  # type: ignore[arg-type]

    api = Slow()
    world.lane.apis["replicate"] = api  # type: ignore[index]
    world.answers(CREATE)
    world.advance(world.ref)
    world.lane.apis["replicate"] = world.scripted  # type: ignore[index]
    assert (job(world).status, world.step(world.ref)) == (JobStatus.CANCELLED, Step.STOP)
    world.look(STOPPED)
    assert world.step(world.ref) is Step.NOTHING


@pytest.mark.parametrize("status", [400, 404, 409])
def test_a_provider_that_has_nothing_to_stop_is_not_asked_again(
    world: StoryWorld, status: int
) -> None:
    world.look(CREATE)
    world.cancel()
    world.look({"status": status, "body": {"detail": "It has ended."}})
    assert world.step(world.ref) is Step.NOTHING
    assert f"nothing to stop ({status})" in world.sentences(world.ref)[-1]


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_trouble_has_it_asked_again_later_and_less_and_less_often(
    world: StoryWorld, status: int
) -> None:
    world.look(CREATE)
    world.cancel()
    world.answers({"status": status, "body": {}})
    assert world.advance(world.ref).advance is Advance.POSTPONED
    waits = []
    for _ in range(4):
        waits.append(world.due_in_s(world.ref))
        world.clock.set(job(world).due_at or later(0))
        world.sweep()
    assert waits == sorted(waits)
    assert waits[-1] > waits[0]
    world.look(STOPPED)
    assert world.step(world.ref) is Step.NOTHING


def test_a_provider_that_is_never_there_is_given_up(world: StoryWorld) -> None:
    world.look(CREATE)
    world.cancel()
    for _ in range(MAX_ENDED_POLLS + 2):
        due_at = job(world).due_at
        if due_at is None:
            break
        world.clock.set(due_at)
        world.sweep()
    assert world.step(world.ref) is Step.NOTHING
    assert "may charge" in world.sentences(world.ref)[-1]


def test_a_retry_does_not_forget_to_stop_what_came_before(world: StoryWorld) -> None:
    world.look(CREATE)
    world.cancel()
    world.change(world.ref, lambda each: lifecycle.retry(each, later(5)))
    created = {"status": 201, "body": {**CREATE["body"], "id": "rp_second"}}
    world.look(STOPPED, created)
    assert [each.split(" ")[1] for each in world.asked] == [
        "/v1/models/an-owner/a-model/predictions",
        f"/v1/predictions/{ID}/cancel",
        "/v1/models/an-owner/a-model/predictions",
    ]
    assert job(world).provider_job_id == "rp_second"
    assert not any(attempt.stop_wanted for attempt in job(world).attempts)


def test_a_broken_connection_may_have_stopped_it_and_is_repeated(world: StoryWorld) -> None:
    world.look(CREATE)
    world.cancel()

    class Broken:
        def call(self, request: object) -> Reply:
            raise ProviderUnknownOutcomeError("broken")

    world.lane.apis["replicate"] = Broken()  # type: ignore[index]
    assert world.advance(world.ref).advance is Advance.POSTPONED
    assert world.step(world.ref) is Step.STOP
