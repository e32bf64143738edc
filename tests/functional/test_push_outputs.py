"""Pushing, against the Shopify simulator: our documents run on Shopify's own schema."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from shared.domain.events import Source
from shared.domain.filters import JobFilter
from shared.domain.job import SHOP_NOT_INSTALLED, TOKEN_DEAD, Job, Push
from shared.domain.push_errors import (
    IMAGE_RESOLUTION,
    IMAGE_TYPE,
    MEDIA_LIMIT,
    MEDIA_SLOW,
    MISSING_SCOPE,
    NAME_TAKEN,
    OUTPUT_MISSING,
    PROCESSING_FAILED,
    PRODUCT_GONE,
    PUSH_SENTENCES,
    SHOP_FROZEN,
)
from shared.domain.status import PushStatus
from shared.usecases.ports import PushRequest
from shared.usecases.push_files import filename
from shared.usecases.push_lane import PushOutcome
from shared.usecases.push_outputs import push_batch
from tests.builders import OTHER_SHOP, SHOP
from tests.fakes.push_world import Crash, PushWorld, picture


@pytest.fixture
def world() -> PushWorld:
    return PushWorld()


def is_pushed_once(world: PushWorld, job: Job, product: str) -> bool:
    """Whether each output has exactly one file, on the product, and the job says so."""
    found = world.now(job)
    shown = [media["id"] for media in world.shown(product)]
    ours = [media["id"] for media in world.all_files() if job.job_id in media["filename"]]
    recorded = [output.media_id for output in found.current_outputs]
    return (
        found.push.status is PushStatus.PUSHED
        and found.due_at is None
        and sorted(shown) == sorted(ours) == sorted(str(media) for media in recorded)
    )


# --- the plain way -------------------------------------------------------------------


def test_a_kept_output_gets_onto_its_product(world: PushWorld) -> None:
    product = world.product("Blue mug")
    job = world.job(product)

    assert world.outcome(job) is PushOutcome.PUSHED

    assert is_pushed_once(world, job, product)
    (media,) = world.shown(product)
    assert media["filename"] == f"{job.job_id}-1-0.png"
    assert media["alt"] == "Blue mug – Cut-out"
    assert world.now(job).push.pushed_at == world.clock.now()


def test_ten_messages_share_their_calls(world: PushWorld) -> None:
    products = [world.product(f"Mug {number}") for number in range(4)]
    jobs = [world.job(products[number % 4]) for number in range(10)]

    report = world.push(*jobs)

    assert set(report.outcomes.values()) == {PushOutcome.PUSHED}
    assert report.calls <= 5
    assert report.points <= 60
    assert len(world.calls()) == report.calls
    assert sum(call["actualCost"] or 0 for call in world.recorded()) == report.points
    assert all(len(world.shown(product)) in (2, 3) for product in products)


@pytest.fixture
def seen(world: PushWorld) -> list[tuple[str, PushStatus, bool]]:
    """Of each call to Shopify: its field, the stored status of the one image, and whether its
    media is known."""
    found: list[tuple[str, PushStatus, bool]] = []

    def look(moment: str, request: httpx.Request) -> None:
        for field in (b"stagedUploadsCreate", b"fileCreate", b"nodes", b"fileUpdate"):
            if moment == "before" and field in request.content[:90] + request.content[90:400]:
                (job,) = world.store.list_jobs(JobFilter(shop=SHOP), limit=2).jobs
                output = job.outputs[0]
                found.append((field.decode(), output.push_status, output.media_id is not None))
                return

    world.on_call = look
    return found


def test_the_intent_is_written_before_the_call(
    world: PushWorld, seen: list[tuple[str, PushStatus, bool]]
) -> None:
    job = world.job(world.product())
    version = world.now(job).version
    world.push(job)
    assert ("fileCreate", PushStatus.STAGING, False) in seen
    # The intent, and what came of it: two writes, whatever is found out on the way.
    assert world.now(job).version == version + 2


def test_the_media_of_a_file_that_takes_longer_is_written_before_it_is_waited_for(
    world: PushWorld, seen: list[tuple[str, PushStatus, bool]]
) -> None:
    world.configure(readyAfterS=2.5)
    world.push(world.job(world.product()))
    assert seen[-2:] == [
        ("nodes", PushStatus.PROCESSING, True),
        ("fileUpdate", PushStatus.PROCESSING, True),
    ]


def test_a_job_with_several_images_gets_them_all(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product, images=3)

    assert world.outcome(job) is PushOutcome.PUSHED

    assert is_pushed_once(world, job, product)
    assert [media["alt"] for media in world.shown(product)] == ["Blue mug – Cut-out"] * 3


@pytest.mark.parametrize(("chosen", "pushed"), [((0,), [0]), ((2, 0), [0, 2]), ((), [0, 1, 2])])
def test_of_several_images_those_are_pushed_that_were_chosen(
    world: PushWorld, chosen: tuple[int, ...], pushed: list[int]
) -> None:
    product = world.product()
    job = world.job(product, images=3, push_outputs=chosen)

    assert world.outcome(job) is PushOutcome.PUSHED

    outputs = world.now(job).current_outputs
    assert world.now(job).push.status is PushStatus.PUSHED
    assert [out.index for out in outputs if out.push_status is PushStatus.PUSHED] == pushed
    assert all(out.media_id is None for out in outputs if out.index not in pushed)
    names = sorted(media["filename"] for media in world.shown(product))
    assert names == [f"{job.job_id}-1-{index}.png" for index in pushed]
    world.undo(job)
    world.push(job)
    assert world.shown(product) == []


def test_each_image_is_the_one_its_job_made(world: PushWorld) -> None:
    product = world.product()
    jobs = [world.job(product), world.job(product, images=2)]

    world.push(*jobs)

    by_id = {media["id"]: media["filename"] for media in world.all_files()}
    for job in jobs:
        for output in world.now(job).outputs:
            assert by_id[str(output.media_id)] == filename(job, output)


def test_equal_and_older_messages_are_harmless(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)
    requests = [PushRequest(ref=job.ref, number=number) for number in (1, 1, 0)]

    push_batch(world.lane, requests)
    world.forget_calls()
    report = push_batch(world.lane, requests)[SHOP]

    assert report.outcomes == {job.ref: PushOutcome.NOTHING}
    assert world.calls() == []
    assert is_pushed_once(world, job, product)


def test_a_deleted_job_is_gone(world: PushWorld) -> None:
    job = world.job(world.product())
    world.store.delete(job)

    assert world.outcome(job) is PushOutcome.GONE


def test_shops_of_one_batch_do_not_mix() -> None:
    world = PushWorld()
    products = {shop: world.product("Mug", shop) for shop in (SHOP, OTHER_SHOP)}
    jobs = {shop: world.job(products[shop], shop=shop) for shop in products}
    requests = [PushRequest(ref=job.ref, number=1) for job in jobs.values()]

    reports = push_batch(world.lane, requests)

    for shop, product in products.items():
        assert reports[shop].outcomes == {jobs[shop].ref: PushOutcome.PUSHED}
        (media,) = world.shown(product, shop)
        assert jobs[shop].job_id in media["filename"]


def test_our_token_goes_to_the_admin_api_only(world: PushWorld) -> None:
    uploads: list[httpx.Headers] = []
    world.on_call = lambda moment, request: (
        uploads.append(request.headers) if "/staged/" in request.url.path else None
    )
    world.push(world.job(world.product()))

    assert uploads
    assert all("x-shopify-access-token" not in headers for headers in uploads)


# --- alt texts -----------------------------------------------------------------------


def test_the_users_alt_text_goes_before_ours(world: PushWorld) -> None:
    product = world.product()
    world.push(world.job(product, alt_text="Hand-made"))

    assert world.shown(product)[0]["alt"] == "Hand-made"


def test_an_alt_text_is_cut_where_shopify_would_refuse_it(world: PushWorld) -> None:
    product = world.product()
    world.push(world.job(product, alt_text="x" * 600))

    assert world.shown(product)[0]["alt"] == "x" * 512


def test_the_title_is_shopifys_where_the_job_does_not_know_it(world: PushWorld) -> None:
    product = world.product("Red cup")
    report = world.push(world.job(product, product_title=None))

    assert world.shown(product)[0]["alt"] == "Red cup – Cut-out"
    assert report.calls == 5


def test_a_single_file_is_made_with_its_alt_text(world: PushWorld) -> None:
    made: list[str] = []

    def note(moment: str, request: httpx.Request) -> None:
        if moment == "before" and b"fileCreate" in request.content:
            made.extend(file["alt"] for file in json.loads(request.content)["variables"]["files"])

    world.on_call = note
    world.push(world.job(world.product("Red cup"), product_title=None))

    assert made == ["Red cup – Cut-out"]


def test_what_a_merchant_wrote_meanwhile_stays(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)
    world.push(job)
    media = world.simulator.world.shops[SHOP].media
    for one in media.values():
        one.alt = "My own words"
    world.push(world.undo(job))
    world.push(world.request(job))

    assert [one["alt"] for one in world.shown(product)] == ["My own words"]


# --- waiting -------------------------------------------------------------------------


def test_a_slow_file_is_waited_for_a_little(world: PushWorld) -> None:
    world.configure(readyAfterS=2.5)
    product = world.product()
    job = world.job(product)

    assert world.outcome(job) is PushOutcome.PUSHED
    assert world.clock.slept == [1.0, 2.0]


def test_a_very_slow_file_is_looked_at_again_later_and_never_made_again(world: PushWorld) -> None:
    world.configure(readyAfterS=600)
    product = world.product()
    job = world.job(product)

    assert world.outcome(job) is PushOutcome.POSTPONED
    waiting = world.now(job)
    assert waiting.push.status is PushStatus.PROCESSING
    assert waiting.due_at is not None
    assert waiting.due_at > world.clock.now()

    world.finish(job)
    assert is_pushed_once(world, job, product)
    assert world.calls().count("fileCreate") == 1


def test_a_file_that_is_never_ready_fails_in_the_end(world: PushWorld) -> None:
    world.configure(readyAfterS=10_000_000)
    job = world.job(world.product())

    world.finish(job)

    assert world.now(job).push.error_code == MEDIA_SLOW
    assert world.calls().count("fileCreate") == 1


def test_a_slow_job_does_not_hold_up_the_others(world: PushWorld) -> None:
    product = world.product()
    slow, quick = world.job(product), world.job(product)
    world.fault("slow_ready", filename=slow.job_id, seconds=100)

    outcomes = world.push(slow, quick).outcomes

    assert outcomes == {slow.ref: PushOutcome.POSTPONED, quick.ref: PushOutcome.PUSHED}


def test_a_run_ends_in_time_and_hands_the_rest_on(world: PushWorld) -> None:
    product = world.product()
    jobs = [world.job(product, images=3) for _ in range(10)]
    began_at = world.clock.now()

    def slow(moment: str, request: httpx.Request) -> None:
        if moment == "before" and "/staged/" in request.url.path:
            world.clock.advance(4)

    world.on_call = slow
    report = world.push(*jobs)

    assert world.clock.now() - began_at < timedelta(seconds=60)
    assert PushOutcome.CONTINUED in report.outcomes.values()
    assert {request.ref for request in world.outbox.pushes} == {
        ref for ref, outcome in report.outcomes.items() if outcome is PushOutcome.CONTINUED
    }
    world.finish(*jobs)
    assert len(world.shown(product)) == len(world.all_files()) == 30


# --- throttling and outages ------------------------------------------------------------


def test_a_throttled_call_waits_just_long_enough(world: PushWorld) -> None:
    world.configure(bucketSize=25, restoreRate=10)
    product = world.product()
    job = world.job(product)

    assert world.outcome(job) is PushOutcome.PUSHED

    assert [call for call in world.recorded() if call["outcome"] == "throttled"] == []
    # 25 - 2 - 11 leaves 12 for fileCreate, which asks for 20: 0.8 s at 10 points a second.
    assert world.clock.slept[0] == pytest.approx(0.8, abs=0.11)


def test_a_throttled_answer_is_not_a_failure(world: PushWorld) -> None:
    world.fault("throttled", operation="fileCreate", times=2)
    product = world.product()
    job = world.job(product)

    assert world.outcome(job) is PushOutcome.PUSHED
    assert is_pushed_once(world, job, product)


def test_an_http_429_waits_as_it_is_told(world: PushWorld) -> None:
    world.fault("throttled", operation="fileUpdate", status=429, retryAfterS=3.0)
    product = world.product()
    job = world.job(product)

    assert world.outcome(job) is PushOutcome.PUSHED
    assert 3.0 in world.clock.slept


def test_a_long_throttle_returns_the_rest_of_the_group(world: PushWorld) -> None:
    product = world.product()
    jobs = [world.job(product) for _ in range(3)]
    world.fault("throttled", operation="fileCreate", status=429, retryAfterS=120.0, times=1)

    report = world.push(*jobs)

    assert set(report.outcomes.values()) == {PushOutcome.RETURNED}
    assert report.wait_s(1) == 120
    # Nothing was executed, so nothing keeps the next run from beginning at once.
    assert all(world.now(job).push.status is PushStatus.QUEUED for job in jobs)
    world.clock.advance(120)
    assert set(world.push(*jobs).outcomes.values()) == {PushOutcome.PUSHED}


@pytest.mark.parametrize("operation", ["stagedUploadsCreate", "nodes", "fileUpdate"])
@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "status_before", "status_after"])
def test_an_outage_loses_and_doubles_nothing(world: PushWorld, operation: str, kind: str) -> None:
    product = world.product()
    jobs = [world.job(product) for _ in range(2)]
    world.fault(kind, operation=operation)

    report = world.push(*jobs)

    assert set(report.outcomes.values()) <= {PushOutcome.RETURNED, PushOutcome.PUSHED}
    world.push(*[world.now(job) for job in jobs])
    world.finish(*jobs)
    assert all(
        len(world.shown(product)) == len(world.all_files()) == 2
        and world.now(job).push.status is PushStatus.PUSHED
        for job in jobs
    )


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "status_before", "status_after"])
def test_an_upload_that_fails_is_this_jobs_trouble_alone(world: PushWorld, kind: str) -> None:
    product = world.product()
    jobs = [world.job(product) for _ in range(2)]
    world.fault(kind, operation="upload")

    outcomes = world.push(*jobs).outcomes

    assert outcomes == {jobs[0].ref: PushOutcome.POSTPONED, jobs[1].ref: PushOutcome.PUSHED}
    world.finish(*jobs)
    assert len(world.shown(product)) == len(world.all_files()) == 2


@pytest.mark.parametrize("place", ["http://storage.example/", "https://[storage/"])
def test_an_address_that_nothing_is_uploaded_to_ends_the_push_and_is_told(
    world: PushWorld, place: str
) -> None:
    """It would be waited for an hour and a half for, and nothing would say why."""
    job = world.job(world.product())
    world.misname_targets(place)

    assert world.outcome(job) is PushOutcome.FAILED

    push = world.now(job).push
    assert (push.status, push.error_code) == (PushStatus.FAILED, "upload_address_refused")
    assert push.error == PUSH_SENTENCES["upload_address_refused"]
    assert world.all_files() == []
    entry, *_ = world.store.log(job.ref, limit=5).entries
    assert (entry.source, entry.message) == (Source.PUSH, push.error)
    world.misname_targets(None)
    again = world.request(job)
    assert world.outcome(again) is PushOutcome.PUSHED


def test_where_nothing_can_be_reached_the_wait_doubles(world: PushWorld) -> None:
    job = world.job(world.product())

    def refuse(moment: str, request: httpx.Request) -> None:
        raise httpx.ConnectError("no route")

    world.on_call = refuse
    report = world.push(job)

    assert report.outcomes == {job.ref: PushOutcome.RETURNED}
    assert [report.wait_s(receives) for receives in (1, 2, 3, 30)] == [15, 30, 60, 900]


# --- unknown outcomes ------------------------------------------------------------------


@pytest.mark.parametrize("lag_s", [0.0, 30.0, 90.0])
@pytest.mark.parametrize("duplicate_name", ["synchronous", "late"])
@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "status_before", "status_after"])
def test_a_lost_create_call_is_never_sent_blindly(
    world: PushWorld, kind: str, duplicate_name: str, lag_s: float
) -> None:
    world.configure(searchLagS=lag_s, duplicateName=duplicate_name)
    product = world.product()
    jobs = [world.job(product) for _ in range(2)]
    world.fault(kind, operation="fileCreate")

    report = world.push(*jobs)

    was_executed = kind.endswith("after")
    if was_executed and lag_s == 0:
        assert set(report.outcomes.values()) == {PushOutcome.PUSHED}
    else:
        assert set(report.outcomes.values()) == {PushOutcome.POSTPONED}
        assert all(
            world.now(job).push.not_before == world.clock.now() + timedelta(seconds=60)
            for job in jobs
        )
    world.finish(*jobs)
    for job in jobs:
        assert world.now(job).push.status is PushStatus.PUSHED
    assert len(world.shown(product)) == 2
    assert len(world.all_files()) == 2


def plain(world: PushWorld, product: str) -> Job:
    return world.job(product)


def with_three_images(world: PushWorld, product: str) -> Job:
    return world.job(product, images=3)


def with_a_media_that_fails_once(world: PushWorld, product: str) -> Job:
    world.fault("media_failed", code="IMAGE_PROCESSING_FAILURE")
    return world.job(product)


def with_a_name_that_clashes_late(world: PushWorld, product: str) -> Job:
    world.configure(duplicateName="late")
    world.fault("drop_after", operation="fileCreate")
    return world.job(product)


def with_a_file_that_was_deleted(world: PushWorld, product: str) -> Job:
    job = world.job(product)
    world.push(job)
    world.delete_media(str(world.now(job).outputs[0].media_id))
    return world.request(job)


def with_an_undo_before(world: PushWorld, product: str) -> Job:
    job = world.job(product)
    world.push(job)
    world.push(world.undo(job))
    return world.request(job)


SCENARIOS: list[Callable[[PushWorld, str], Job]] = [
    plain,
    with_three_images,
    with_a_media_that_fails_once,
    with_a_name_that_clashes_late,
    with_a_file_that_was_deleted,
    with_an_undo_before,
]

type Point = tuple[str, str, int]  # "call" or "save", "before" or "after", which one


def crash_points(begin: Callable[[PushWorld, str], Job]) -> list[Point]:
    """Name every write of the job and every HTTP call of one run."""
    world = PushWorld()
    job = begin(world, world.product())
    saves = world.store.saves
    calls = 0

    def count(moment: str, request: httpx.Request) -> None:
        nonlocal calls
        calls += moment == "before"

    world.on_call = count
    world.push(job)
    return [
        (kind, moment, number)
        for kind, total in (("call", calls), ("save", world.store.saves - saves))
        for number in range(total)
        for moment in ("before", "after")
    ]


def die_at(world: PushWorld, point: Point) -> None:
    """Have the function die there."""
    kind, when, number = point
    seen = 0

    def die(moment: str, request: httpx.Request | None = None) -> None:
        nonlocal seen
        if moment == when:
            seen += 1
            if seen == number + 1:
                raise Crash

    if kind == "call":
        world.on_call = die
    else:
        world.store.on_save = die


def redeliver(world: PushWorld, job: Job) -> None:
    """Give the message again, as the queue does, to a new process; then let the sweep work."""
    world.clock.advance(90)
    world.on_call = world.store.on_save = None
    world.lane = world.new_lane()
    world.push(job)
    world.finish(job)


@pytest.mark.parametrize("lag_s", [0.0, 90.0])
@pytest.mark.parametrize("begin", SCENARIOS)
def test_a_crash_anywhere_leaves_one_media(
    begin: Callable[[PushWorld, str], Job], lag_s: float
) -> None:
    points = crash_points(begin)
    assert len(points) >= 4
    for point in points:
        world = PushWorld()
        world.configure(searchLagS=lag_s)
        product = world.product()
        job = begin(world, product)
        die_at(world, point)
        try:
            world.push(job)
        except Crash:
            redeliver(world, job)
        else:
            world.finish(job)
        assert is_pushed_once(world, job, product), point


def test_a_crash_anywhere_in_an_undo_leaves_nothing_on_the_product() -> None:
    def begin(world: PushWorld, product: str) -> Job:
        job = world.job(product, images=2)
        world.push(job)
        return world.undo(job)

    points = crash_points(begin)
    assert len(points) >= 6
    for point in points:
        world = PushWorld()
        product = world.product()
        job = begin(world, product)
        die_at(world, point)
        with pytest.raises(Crash):
            world.push(job)
        redeliver(world, job)
        assert world.shown(product) == [], point
        found = world.now(job)
        assert (found.push.status, found.push.undo) == (PushStatus.NONE, False), point
        assert len(world.all_files()) == 2, point


def test_concurrent_runs_make_one_media(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)
    inner: list[PushOutcome] = []

    def another(moment: str, request: httpx.Request) -> None:
        if moment == "before" and len(inner) < 12:
            hook, world.on_call = world.on_call, None
            inner.append(world.outcome(job))
            world.on_call = hook

    world.on_call = another
    outer = world.outcome(job)

    assert [outer, *inner].count(PushOutcome.PUSHED) == 1
    assert is_pushed_once(world, job, product)


def test_a_run_that_comes_between_two_others_leaves_the_lease_alone(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)
    inner: list[PushOutcome] = []

    def another(moment: str, request: httpx.Request) -> None:
        if b"fileCreate" in request.content and moment == "before":
            world.on_call = None
            inner.append(world.outcome(job))

    world.on_call = another

    assert world.outcome(job) is PushOutcome.PUSHED
    assert inner == [PushOutcome.NOTHING]
    assert world.calls().count("fileCreate") == 1


def test_two_runs_never_put_a_file_on_twice(world: PushWorld) -> None:
    world.configure(addReferenceTwice="duplicate")
    product = world.product()
    job = world.job(product)
    world.push(job)
    world.detach(product)
    world.request(job)
    inner: list[PushOutcome] = []

    def another(moment: str, request: httpx.Request) -> None:
        if b"fileUpdate" in request.content and moment == "before":
            world.on_call = None
            inner.append(world.outcome(job))

    world.on_call = another

    assert world.outcome(job) is PushOutcome.PUSHED
    assert inner == [PushOutcome.NOTHING]
    assert is_pushed_once(world, job, product)


def test_a_request_in_the_middle_of_a_run_changes_nothing(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)

    def ask_again(moment: str, request: httpx.Request) -> None:
        if b"fileCreate" in request.content and moment == "after":
            world.on_call = None
            world.request(job)

    world.on_call = ask_again
    world.push(job)
    world.push(world.now(job))
    world.finish(job)

    assert is_pushed_once(world, job, product)


# --- names that are taken --------------------------------------------------------------


@pytest.mark.parametrize("duplicate_name", ["synchronous", "late"])
def test_a_strangers_file_of_that_name_is_left_alone(world: PushWorld, duplicate_name: str) -> None:
    world.configure(duplicateName=duplicate_name)
    product = world.product()
    job = world.job(product)
    stranger = world.control("POST", f"shops/{SHOP}/files", {"filename": f"{job.job_id}-1-0.png"})

    world.push(job)
    world.finish(job)

    (media,) = world.shown(product)
    assert media["filename"] == f"{job.job_id}-1-0-1.png"
    assert media["id"] != stranger["id"]
    assert {one["id"] for one in world.all_files()} == {media["id"], stranger["id"]}


@pytest.mark.parametrize("duplicate_name", ["synchronous", "late"])
def test_a_name_that_cannot_be_found_is_waited_for_then_passed_over(
    world: PushWorld, duplicate_name: str
) -> None:
    world.configure(duplicateName=duplicate_name, searchLagS=10_000)
    product = world.product()
    job = world.job(product)
    world.control("POST", f"shops/{SHOP}/files", {"filename": f"{job.job_id}-1-0.png"})

    assert world.outcome(job) is PushOutcome.POSTPONED
    assert world.now(job).push.not_before == world.clock.now() + timedelta(seconds=60)
    world.finish(job)

    (media,) = world.shown(product)
    assert media["filename"] == f"{job.job_id}-1-0-1.png"


def test_when_all_names_are_taken_the_push_fails(world: PushWorld) -> None:
    job = world.job(world.product())
    for suffix in ("", "-1", "-2", "-3"):
        world.control("POST", f"shops/{SHOP}/files", {"filename": f"{job.job_id}-1-0{suffix}.png"})

    world.push(job)
    world.finish(job)

    assert world.now(job).push.error_code == NAME_TAKEN


# --- refusals and failures -------------------------------------------------------------


def test_a_media_that_failed_is_made_again_under_another_name(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)
    world.fault("media_failed", code="IMAGE_DOWNLOAD_FAILURE")

    world.push(job)
    world.finish(job)

    assert is_pushed_once(world, job, product)
    assert world.shown(product)[0]["filename"] == f"{job.job_id}-1-0-1.png"


def test_a_media_that_keeps_failing_fails_the_push_after_three_more(world: PushWorld) -> None:
    job = world.job(world.product())
    world.fault("media_failed", code="IMAGE_PROCESSING_FAILURE", times=None)

    world.push(job)
    world.finish(job)

    assert world.now(job).push.error_code == PROCESSING_FAILED
    assert world.calls().count("fileCreate") == 4
    assert left_behind(world, job) == ([], [None])


def test_a_later_request_tries_again(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)
    world.fault("media_failed", code="IMAGE_PROCESSING_FAILURE", times=4)
    world.push(job)
    world.finish(job)

    world.push(world.request(job))
    world.finish(job)

    assert is_pushed_once(world, job, product)


def test_a_picture_that_shopify_will_never_take_fails_at_once(world: PushWorld) -> None:
    job = world.job(world.product())
    world.fault("media_failed", code="INVALID_IMAGE_RESOLUTION")

    assert world.outcome(job) is PushOutcome.FAILED
    push = world.now(job).push
    assert (push.error_code, push.error) == (IMAGE_RESOLUTION, PUSH_SENTENCES[IMAGE_RESOLUTION])
    assert world.calls().count("fileCreate") == 1
    assert left_behind(world, job) == ([], [None])


def test_a_kind_of_file_that_shopify_does_not_take_is_not_sent(world: PushWorld) -> None:
    job = world.job(world.product())
    avif = replace(job.outputs[0], content_type="image/avif")
    job = world.store.save(job, replace(job, outputs=(avif,)))

    assert world.outcome(job) is PushOutcome.FAILED
    assert world.now(job).push.error_code == IMAGE_TYPE
    assert world.calls() == []


def test_a_file_that_is_no_longer_in_the_bucket_fails_that_output(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product, images=2)
    world.files.delete([job.outputs[0].key or ""])

    assert world.outcome(job) is PushOutcome.FAILED
    found = world.now(job)
    assert found.push.error_code == OUTPUT_MISSING
    assert [o.push_status for o in found.outputs] == [PushStatus.FAILED, PushStatus.PUSHED]


@pytest.mark.parametrize("mixed", ["reject_all", "keep_valid"])
def test_a_refused_file_is_dropped_and_the_rest_goes_on(world: PushWorld, mixed: str) -> None:
    world.configure(fileCreateMixed=mixed)
    product = world.product()
    jobs = [world.job(product) for _ in range(4)]
    name = f"{jobs[2].job_id}-1-0.png"
    world.control("POST", f"shops/{SHOP}/files", {"filename": name})

    world.push(*jobs)
    world.finish(*jobs)

    assert len(world.shown(product)) == 4
    assert len(world.all_files()) == 5
    assert all(world.now(job).push.status is PushStatus.PUSHED for job in jobs)


def test_a_refusal_that_names_no_file_is_found_by_asking_one_by_one(world: PushWorld) -> None:
    product = world.product()
    jobs = [world.job(product) for _ in range(3)]
    world.fault("user_error", operation="fileCreate", code="UNACCEPTABLE_ASSET", times=2)

    outcomes = world.push(*jobs).outcomes

    assert sorted(outcomes.values()) == ["failed", "pushed", "pushed"]
    assert len(world.all_files()) == len(world.shown(product)) == 2


def test_a_product_that_is_gone_fails_its_job_only(world: PushWorld) -> None:
    gone, there = world.product("Gone"), world.product("There")
    jobs = [world.job(gone), world.job(there)]
    world.delete_product(gone)

    outcomes = world.push(*jobs).outcomes

    assert outcomes == {jobs[0].ref: PushOutcome.FAILED, jobs[1].ref: PushOutcome.PUSHED}
    assert world.now(jobs[0]).push.error_code == PRODUCT_GONE
    assert left_behind(world, jobs[0]) == ([], [None])


def test_a_product_that_goes_at_the_last_moment_fails_its_job_only(world: PushWorld) -> None:
    gone, there = world.product("Gone"), world.product("There")
    jobs = [world.job(gone), world.job(there)]

    def delete(moment: str, request: httpx.Request) -> None:
        if b"fileUpdate" in request.content and moment == "before":
            world.on_call = None
            world.delete_product(gone)

    world.on_call = delete
    world.push(*jobs)
    world.finish(*jobs)

    assert world.now(jobs[0]).push.error_code == PRODUCT_GONE
    assert left_behind(world, jobs[0]) == ([], [None])
    assert world.now(jobs[1]).push.status is PushStatus.PUSHED


def test_a_text_that_is_no_product_does_not_spoil_the_others_call(world: PushWorld) -> None:
    jobs = [world.job("mug"), world.job(world.product())]

    outcomes = world.push(*jobs).outcomes

    assert outcomes == {jobs[0].ref: PushOutcome.FAILED, jobs[1].ref: PushOutcome.PUSHED}


def test_a_full_product_says_so(world: PushWorld) -> None:
    full, there = world.product("Full"), world.product("There")
    jobs = [world.job(full), world.job(there)]
    world.fault("media_limit", productId=full, times=None)

    world.push(*jobs)
    world.finish(*jobs)

    assert world.now(jobs[0]).push.error_code == MEDIA_LIMIT
    assert left_behind(world, jobs[0]) == ([], [None])
    assert world.now(jobs[1]).push.status is PushStatus.PUSHED


# --- what cannot get there is not begun, and leaves nothing behind ----------------------


def left_behind(world: PushWorld, job: Job) -> tuple[list[str], list[str | None]]:
    """Return the ids of the files of the job in the shop, and those that the job names."""
    files = [media["id"] for media in world.all_files() if job.job_id in media["filename"]]
    return files, [output.media_id for output in world.now(job).outputs]


def after_the_product_is_deleted(world: PushWorld, images: int = 1) -> Job:
    product, job = with_files_being_processed(world, images)
    world.delete_product(product)
    return job


def after_the_product_got_full(world: PushWorld, images: int = 1) -> Job:
    product, job = with_files_being_processed(world, images)
    world.fill(product, 250)
    return job


def with_files_being_processed(world: PushWorld, images: int) -> tuple[str, Job]:
    product = world.product()
    job = world.job(product, images=images)
    world.configure(readyAfterS=20)
    assert world.outcome(job) is PushOutcome.POSTPONED
    assert all(output.media_id for output in world.now(job).outputs)
    world.clock.advance(200)
    return product, job


def with_a_picture_that_shopify_never_takes(world: PushWorld, images: int = 1) -> Job:
    world.fault("media_failed", code="INVALID_IMAGE_RESOLUTION", times=None)
    return world.job(world.product(), images=images)


HOPELESS: list[tuple[Callable[[PushWorld, int], Job], str]] = [
    (with_a_picture_that_shopify_never_takes, IMAGE_RESOLUTION),
    (after_the_product_is_deleted, PRODUCT_GONE),
    (after_the_product_got_full, MEDIA_LIMIT),
]


def test_nothing_is_sent_for_a_product_that_is_gone(world: PushWorld) -> None:
    product = world.product()
    jobs = [world.job(product), world.job(product, images=2)]
    world.delete_product(product)

    report = world.push(*jobs)

    assert set(report.outcomes.values()) == {PushOutcome.FAILED}
    assert {world.now(job).push.error_code for job in jobs} == {PRODUCT_GONE}
    assert [call["kind"] for call in world.recorded()] == ["graphql"]
    assert world.calls() == ["nodes"]


def test_nothing_is_sent_for_a_product_that_is_full(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)
    world.fill(product, 250)

    assert world.outcome(job) is PushOutcome.FAILED
    assert world.now(job).push.error_code == MEDIA_LIMIT
    assert [call["kind"] for call in world.recorded()] == ["graphql"]
    assert left_behind(world, job) == ([], [None])


def test_no_more_is_sent_than_the_product_has_room_for(world: PushWorld) -> None:
    product, other = world.product(), world.product()
    jobs = [world.job(product), world.job(product, images=3), world.job(other)]
    world.fill(product, 247)

    outcomes = world.push(*jobs).outcomes

    assert list(outcomes.values()) == [PushOutcome.PUSHED, PushOutcome.FAILED, PushOutcome.PUSHED]
    found = world.now(jobs[1])
    assert found.push.error_code == MEDIA_LIMIT
    assert [output.push_status for output in found.outputs] == ["pushed", "pushed", "failed"]
    assert len(world.shown(product)) == 250
    assert len(world.all_files()) == 251
    uploads = [call for call in world.recorded() if call["kind"] != "graphql"]
    assert len(uploads) == 4


def test_once_there_is_room_again_a_push_makes_the_image_anew(world: PushWorld) -> None:
    job = after_the_product_got_full(world)
    world.push(job)
    product = str(job.product_id)
    world.detach(product)

    world.push(world.request(job))
    world.finish(job)

    assert is_pushed_once(world, job, product)


@pytest.mark.parametrize(("begin", "code"), HOPELESS)
def test_a_push_that_cannot_end_well_deletes_its_files(
    world: PushWorld, begin: Callable[[PushWorld, int], Job], code: str
) -> None:
    job = begin(world, 2)

    assert world.outcome(job) is PushOutcome.FAILED

    assert world.now(job).push.error_code == code
    assert left_behind(world, job) == ([], [None, None])


@pytest.mark.parametrize(("begin", "code"), HOPELESS)
@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "status_before", "status_after"])
def test_a_deletion_without_an_answer_is_looked_at_again(
    world: PushWorld, kind: str, begin: Callable[[PushWorld, int], Job], code: str
) -> None:
    job = begin(world, 2)
    world.fault(kind, operation="fileDelete")

    assert world.outcome(job) is PushOutcome.RETURNED
    assert world.now(job).push.status.is_active
    world.finish(job)

    assert world.now(job).push.error_code == code
    assert left_behind(world, job) == ([], [None, None])


@pytest.mark.parametrize(("begin", "code"), HOPELESS)
def test_a_crash_anywhere_in_a_hopeless_push_leaves_no_file(
    begin: Callable[[PushWorld, int], Job], code: str
) -> None:
    points = crash_points(lambda world, _: begin(world, 2))
    assert len(points) >= 10
    for point in points:
        world = PushWorld()
        job = begin(world, 2)
        die_at(world, point)
        with pytest.raises(Crash):
            world.push(job)
        redeliver(world, job)
        assert world.now(job).push.error_code == code, point
        assert left_behind(world, job) == ([], [None, None]), point


def test_a_file_made_by_an_unheard_call_for_a_product_gone_since_is_deleted(
    world: PushWorld,
) -> None:
    product = world.product()
    job = world.job(product)
    world.configure(searchLagS=30)
    world.fault("drop_after", operation="fileCreate")
    assert world.outcome(job) is PushOutcome.POSTPONED
    world.delete_product(product)

    world.finish(job)

    assert world.now(job).push.error_code == PRODUCT_GONE
    assert left_behind(world, job) == ([], [None])
    assert world.calls().count("fileCreate") == 1


def test_an_unheard_file_that_is_not_ready_is_known_by_the_title_that_shopify_told(
    world: PushWorld,
) -> None:
    world.configure(readyAfterS=300)
    product = world.product("Red cup")
    job = world.job(product, product_title=None)
    world.fault("drop_after", operation="fileCreate")

    world.push(job)
    assert world.now(job).outputs[0].media_id is not None
    world.finish(job)

    assert is_pushed_once(world, job, product)


def test_a_file_that_was_on_the_product_before_is_not_deleted(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)
    world.push(job)
    world.push(world.undo(job))
    world.delete_product(product)

    assert world.outcome(world.request(job)) is PushOutcome.FAILED

    files, named = left_behind(world, job)
    assert files == named
    assert len(files) == 1


def test_a_file_that_somebody_deleted_is_no_longer_named(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)
    world.push(job)
    world.delete_media(str(world.now(job).outputs[0].media_id))
    world.delete_product(product)

    assert world.outcome(world.request(job)) is PushOutcome.FAILED
    assert left_behind(world, job) == ([], [None])


def test_a_file_that_is_locked_is_deleted_later(world: PushWorld) -> None:
    job = after_the_product_is_deleted(world)
    world.fault("user_error", operation="fileDelete", code="FILE_LOCKED")

    assert world.outcome(job) is PushOutcome.POSTPONED
    world.finish(job)

    assert world.now(job).push.error_code == PRODUCT_GONE
    assert left_behind(world, job) == ([], [None])


def test_a_file_that_shopify_will_not_delete_is_still_named(world: PushWorld) -> None:
    job = after_the_product_is_deleted(world)
    world.fault("user_error", operation="fileDelete", code="INVALID")

    assert world.outcome(job) is PushOutcome.FAILED

    files, named = left_behind(world, job)
    assert files == named
    assert len(files) == 1


def test_a_file_that_may_be_on_the_product_is_not_deleted(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product, images=2)
    # Both are refused, then the first goes there unheard, and the second is refused alone.
    limit = "PRODUCT_MEDIA_LIMIT_EXCEEDED"
    world.fault("user_error", operation="fileUpdate", code=limit)
    world.fault("drop_after", operation="fileUpdate", after=1)
    world.fault("user_error", operation="fileUpdate", code=limit, after=1)

    world.push(job)
    world.finish(job)

    assert is_pushed_once(world, job, product)
    assert "fileDelete" not in world.calls()


def test_a_run_that_comes_late_does_not_end_what_another_one_has_begun(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)

    def overtake(moment: str, request: httpx.Request) -> None:
        world.on_call = die_having_made_the_file
        with pytest.raises(Crash):
            world.push(job)

    def die_having_made_the_file(moment: str, request: httpx.Request) -> None:
        if moment == "after" and b"fileCreate" in request.content:
            world.on_call = None
            world.delete_product(product)
            raise Crash

    world.on_call = overtake

    assert world.outcome(job) is PushOutcome.NOTHING
    assert world.now(job).push.status is PushStatus.STAGING
    redeliver(world, job)

    assert world.now(job).push.error_code == PRODUCT_GONE
    assert left_behind(world, job) == ([], [None])


@pytest.mark.parametrize(
    ("status", "code"), [(402, SHOP_FROZEN), (403, MISSING_SCOPE), (423, "shop_locked")]
)
def test_a_closed_shop_fails_its_pushes_with_the_reason(
    world: PushWorld, status: int, code: str
) -> None:
    jobs = [world.job(world.product()) for _ in range(2)]
    world.configure(shopStatus=status)

    assert set(world.push(*jobs).outcomes.values()) == {PushOutcome.FAILED}
    assert {world.now(job).push.error_code for job in jobs} == {code}


def test_a_missing_scope_says_so(world: PushWorld) -> None:
    job = world.job(world.product())
    world.fault("graphql_error", operation="fileCreate", code="ACCESS_DENIED")

    assert world.outcome(job) is PushOutcome.FAILED
    assert world.now(job).push.error_code == MISSING_SCOPE


# --- tokens ----------------------------------------------------------------------------


def test_a_shop_that_never_installed_is_told_so() -> None:
    world = PushWorld(static_token=False)
    job = world.job(world.product())

    assert world.outcome(job) is PushOutcome.FAILED
    assert world.now(job).push.error_code == SHOP_NOT_INSTALLED


def test_a_shops_own_token_is_used() -> None:
    world = PushWorld(static_token=False)
    world.install()
    product = world.product()
    job = world.job(product)

    assert world.outcome(job) is PushOutcome.PUSHED


def test_a_dead_token_fails_the_push_until_the_shop_comes_back() -> None:
    world = PushWorld(static_token=False)
    world.install()
    product = world.product()
    job = world.job(product)
    world.control("PUT", "tokens", {"shop": SHOP, "state": "dead"})

    assert world.outcome(job) is PushOutcome.FAILED
    assert world.now(job).push.error_code == TOKEN_DEAD
    shop = world.shops.get_shop(SHOP)
    assert shop is not None
    assert shop.token_dead

    world.install()
    assert world.outcome(world.request(job)) is PushOutcome.PUSHED
    assert is_pushed_once(world, job, product)


def test_a_token_that_dies_in_the_middle_does_not_double_the_media() -> None:
    world = PushWorld(static_token=False)
    world.install()
    product = world.product()
    job = world.job(product)

    def kill(moment: str, request: httpx.Request) -> None:
        if b"fileCreate" in request.content and moment == "after":
            world.on_call = None
            world.control("PUT", "tokens", {"shop": SHOP, "state": "dead"})

    world.on_call = kill
    assert world.outcome(job) is PushOutcome.FAILED
    world.install()
    world.push(world.request(job))

    assert is_pushed_once(world, job, product)


def test_an_old_token_is_refreshed_before_it_is_used() -> None:
    world = PushWorld(static_token=False)
    before = world.install()
    world.clock.advance(3590)

    assert world.outcome(world.job(world.product())) is PushOutcome.PUSHED
    after = world.shops.get_shop(SHOP)
    assert after is not None
    assert after.token != before.token
    assert after.refresh_token != before.refresh_token


# --- once pushed -------------------------------------------------------------------------


def test_pushing_a_pushed_job_changes_nothing_at_shopify(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)
    world.push(job)
    world.forget_calls()

    assert world.outcome(world.request(job)) is PushOutcome.PUSHED
    assert world.calls() == ["nodes+nodes"]
    assert is_pushed_once(world, job, product)


def test_what_the_merchant_took_off_is_put_on_again(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)
    world.push(job)
    before = world.now(job).outputs[0].media_id
    world.detach(product)

    world.push(world.request(job))

    assert is_pushed_once(world, job, product)
    assert world.now(job).outputs[0].media_id == before


def test_what_the_merchant_deleted_is_made_again_under_another_name(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)
    world.push(job)
    world.delete_media(str(world.now(job).outputs[0].media_id))

    world.push(world.request(job))
    world.finish(job)

    assert is_pushed_once(world, job, product)
    assert world.shown(product)[0]["filename"] == f"{job.job_id}-1-0-1.png"


def test_undo_takes_the_image_off_and_keeps_the_file(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product, images=2)
    world.push(job)

    assert world.outcome(world.undo(job)) is PushOutcome.UNDONE

    found = world.now(job)
    assert world.shown(product) == []
    assert (found.push.status, found.push.undo, found.due_at) == (PushStatus.NONE, False, None)
    assert len(world.all_files()) == 2


def test_an_undone_job_is_never_pushed_again_by_itself(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)
    world.push(job)
    world.push(world.undo(job))
    world.forget_calls()

    assert world.outcome(world.now(job)) is PushOutcome.NOTHING
    assert world.calls() == []


def test_a_push_after_an_undo_attaches_the_same_file(world: PushWorld) -> None:
    product = world.product()
    job = world.job(product)
    world.push(job)
    world.push(world.undo(job))

    assert world.outcome(world.request(job)) is PushOutcome.PUSHED
    assert is_pushed_once(world, job, product)
    assert world.calls().count("fileCreate") == 1


@pytest.mark.parametrize("what", ["media", "product", "reference"])
def test_undoing_what_is_gone_already_is_fine(world: PushWorld, what: str) -> None:
    product = world.product()
    job = world.job(product)
    world.push(job)
    removals: dict[str, Callable[[], None]] = {
        "media": lambda: world.delete_media(str(world.now(job).outputs[0].media_id)),
        "product": lambda: world.delete_product(product),
        "reference": lambda: world.detach(product),
    }
    removals[what]()

    assert world.outcome(world.undo(job)) is PushOutcome.UNDONE


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "status_after", "throttled"])
def test_an_undo_survives_trouble(world: PushWorld, kind: str) -> None:
    product = world.product()
    job = world.job(product)
    world.push(job)
    world.fault(kind, operation="fileUpdate")

    world.push(world.undo(job))
    world.finish(job)

    assert world.shown(product) == []
    assert world.now(job).push.status is PushStatus.NONE


def test_an_undo_that_is_refused_leaves_the_job_pushed(world: PushWorld) -> None:
    job = world.job(world.product())
    world.push(job)
    world.fault("user_error", operation="fileUpdate", code="PRODUCT_SUSPENDED")

    assert world.outcome(world.undo(job)) is PushOutcome.FAILED
    push = world.now(job).push
    assert (push.status, push.undo) == (PushStatus.PUSHED, False)
    assert push.error_code == "product_suspended"


def test_pushes_and_undos_share_one_batch(world: PushWorld) -> None:
    product = world.product()
    old, new = world.job(product), world.job(product)
    world.push(old)
    world.undo(old)

    outcomes = world.push(old, new).outcomes

    assert outcomes == {old.ref: PushOutcome.UNDONE, new.ref: PushOutcome.PUSHED}
    assert [media["id"] for media in world.shown(product)] == [world.now(new).outputs[0].media_id]


def test_a_superseded_result_is_not_pushed(world: PushWorld) -> None:
    job = world.job(world.product())
    cancelled = replace(job, push=Push(number=1))
    world.store.save(job, cancelled)

    assert world.outcome(job) is PushOutcome.NOTHING


def test_the_pictures_arrive_unchanged(world: PushWorld) -> None:
    product = world.product()
    world.push(world.job(product))

    (media,) = world.simulator.world.shops[SHOP].media.values()
    assert media.picture is not None
    assert media.picture.content == picture(20, 10)
