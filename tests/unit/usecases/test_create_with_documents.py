"""Creating at the provider a job whose parameters are in the bucket."""

from dataclasses import replace

import pytest

from shared.domain.errors import StoreUnavailableError
from shared.domain.job import Job
from shared.domain.status import JobStatus
from shared.usecases.create_at_provider import create_at_provider
from shared.usecases.dispatch_lane import Advance
from shared.usecases.documents import shelve
from tests.builders import a_job
from tests.unit.usecases.lane_world import LaneWorld

BIG = {"prompts": ["a mug on a shelf"] * 200}


@pytest.fixture
def world() -> LaneWorld:
    return LaneWorld()


def a_shelved_job(world: LaneWorld) -> Job:
    return shelve(world.files, a_job(parameters=BIG))


def test_the_provider_gets_the_parameters_that_are_in_the_bucket(world: LaneWorld) -> None:
    ref = world.has(a_shelved_job(world))
    assert world.advance(ref).advance is Advance.CREATED
    body = world.api.created[0].body
    assert body is not None
    assert body["parameters"] == BIG
    job = world.job(ref)
    assert (job.parameters, job.documents_key) == ({}, next(iter(world.files.stored)))


def test_a_job_whose_parameters_are_lost_fails_and_says_so(world: LaneWorld) -> None:
    ref = world.has(a_shelved_job(world))
    world.files.stored.clear()
    assert world.advance(ref).advance is Advance.UNSENDABLE
    job = world.job(ref)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "documents_lost")
    assert (job.attempt.intent_at, job.attempt.tries) == (None, 0)
    assert world.api.created == []
    assert world.sentences(ref)[-1] == (
        "The job cannot be sent: The job's parameters are no longer there."
    )


def test_while_the_bucket_is_out_nothing_is_begun(world: LaneWorld) -> None:
    ref = world.has(a_shelved_job(world))
    before = world.job(ref)
    world.files.broken = True
    with pytest.raises(StoreUnavailableError):
        world.advance(ref)
    assert world.job(ref) == before
    assert world.api.created == []
    world.files.broken = False
    assert world.advance(ref).advance is Advance.CREATED


def test_parameters_that_were_changed_meanwhile_are_not_sent_as_they_were(
    world: LaneWorld,
) -> None:
    job = a_shelved_job(world)
    ref = world.has(job)
    newer = shelve(world.files, replace(job, documents_key=None, parameters={"x": "y" * 2_000}))
    world.change(ref, lambda found: replace(found, documents_key=newer.documents_key))
    adapter = world.lane.tracker.adapters["pikcel"]
    assert create_at_provider(world.lane, job, adapter).advance is Advance.NOTHING
    assert world.api.created == []
    assert world.job(ref).attempt.intent_at is None
