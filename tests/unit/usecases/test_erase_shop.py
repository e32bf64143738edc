"""Erasing a shop: nothing is left that names it, whatever crashes or comes in between."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.batch import Batch
from shared.domain.erasure import shop_digest
from shared.domain.errors import (
    ConflictError,
    RetryableError,
    ShopClosedError,
    StoreUnavailableError,
)
from shared.domain.ids import JobRef
from shared.domain.job import Output
from shared.domain.keys import Agent, ShopKey
from shared.domain.shop import Notifications, Shop
from shared.domain.status import JobStatus, Outcome
from shared.domain.storage import export_folder
from shared.usecases.apply_event import apply_event
from shared.usecases.cancel_job import cancel_job
from shared.usecases.create_job import NewJob, create_job
from shared.usecases.dispatch_lane import Advance
from shared.usecases.identify_caller import Caller, CallerKind
from shared.usecases.install_shop import Installation
from shared.usecases.ports import Idempotency
from shared.usecases.receive_shop_webhook import Heard
from shared.usecases.retry_job import retry_job
from shared.usecases.run_bulk import Bulk
from shared.usecases.shop_letters import change_notifications
from shared.usecases.shop_settings import change_shop
from shared.usecases.sweep_due_jobs import MAX_BULK_LOOKS
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
    an_event,
    later,
)
from tests.contract.entries import an_entry
from tests.contract.test_parking import a_parked_event
from tests.unit.usecases.shop_life_world import ShopWorld

ADMIN = Caller(kind=CallerKind.ADMIN, shop=SHOP, actor="admin:1")
TWO_DAYS = timedelta(hours=48).total_seconds()


@pytest.fixture
def world() -> ShopWorld:
    return ShopWorld()


def furnish(world: ShopWorld, shop: str = SHOP) -> None:
    """Give a shop some of everything."""
    n = shop[0]
    world.login(shop)
    change_shop(world.tracker, world.shops, shop, {"retention_days": 30})
    active = a_dispatched_job(shop=shop, attempt={"provider_job_id": f"{n}-active"})
    world.store.create(active, idempotency=Idempotency(key="k", body_sha256="d"))
    world.has(a_job(shop=shop))
    output = a_kept_output(key=f"shops/{shop}/jobs/x/1-0.png")
    attempt = {"provider_job_id": f"{n}-kept", "credits": 2}
    kept = world.has(a_kept_job(shop=shop, outputs=(output,), attempt=attempt))
    world.store.note(kept, an_entry(body=b"raw"))
    world.files.put(f"shops/{shop}/jobs/{kept.job_id}/1-0.png", b"png", "image/png")
    world.files.put(export_folder(kept) + "jobs.csv", b"csv", "text/csv")
    gone = world.store.create(a_completed_job(shop=shop, attempt={"provider_job_id": f"{n}-gone"}))
    world.store.delete(gone)
    batch_id = a_job_id()
    world.works.put_batch(
        Batch(shop=shop, batch_id=batch_id, created_at=later(0), tool_id="t", total=1)
    )
    world.works.put_work(JobRef(shop, batch_id), {"ids": []}, later(60))
    world.keys.add_key(
        ShopKey(
            shop=shop,
            key_id=f"{n}-key",
            digest="d",
            name="n",
            created_at=later(0),
            created_by="a",
        )
    )
    world.keys.add_agent(
        Agent(
            shop=shop,
            agent_id=a_job_id(),
            key_id=f"{n}-agent",
            digest="d",
            name="n",
            created_at=later(0),
            updated_at=later(0),
        )
    )


def leave(world: ShopWorld, shop: str = SHOP) -> None:
    """Let the merchant uninstall the app, and two days pass."""
    world.clock.advance(60)
    assert world.tell("app/uninstalled", shop) is Heard.UNINSTALLED
    world.run_messages()
    world.clock.advance(TWO_DAYS)


def redact(world: ShopWorld, shop: str = SHOP, **more: Any) -> JobRef:
    assert world.tell("shop/redact", shop, **more) is Heard.ERASURE_OWED
    return world.duty("erase", shop).ref


def test_nothing_is_left_that_names_the_shop_and_the_other_has_all_of_its_own(
    world: ShopWorld,
) -> None:
    furnish(world)
    furnish(world, OTHER_SHOP)
    theirs = world.names(OTHER_SHOP), world.files.stored.keys()
    leave(world)
    redact(world)
    world.go_on(minutes=10)
    assert world.names() == []
    assert [key for key in world.files.stored if OTHER_SHOP in key] == [
        key for key in theirs[1] if OTHER_SHOP in key
    ]
    assert len(world.names(OTHER_SHOP)) == len(theirs[0])
    assert world.keys.find_key("o-key") is not None
    assert world.keys.find_key("a-key") is None
    assert world.keys.find_key("a-agent") is None
    for name in ("a-active", "a-kept", "a-gone"):
        assert world.store.find_link("pikcel", name) is None


def test_the_report_says_what_was_deleted_when_and_what_remains(world: ShopWorld) -> None:
    furnish(world)
    leave(world)
    requested_at = world.clock.now()
    ref = redact(world)
    world.run_messages()
    (running,) = world.erasures.reports(SHOP)
    assert (running.ended_at, running.looks) == (None, 0)
    world.go_on(minutes=10)
    (report,) = world.erasures.reports(SHOP)
    assert report.erasure_id == ref.job_id
    assert (report.requested_at, report.started_at) == (requested_at, requested_at)
    assert report.ended_at is not None
    assert report.ended_at - requested_at >= timedelta(minutes=5)
    # Three of its own, and those that resumed pushes, cancelled jobs and saw to retention.
    assert report.deleted == {
        "keys": 2,
        "jobs": 6,
        "tombstones": 1,
        "batches": 1,
        "workLists": 1,
        "receipts": 1,
        "files": 2,
    }
    assert (report.looks, report.log_days) == (2, 30)
    assert SHOP not in repr(report)
    assert shop_digest(SHOP) in world.erasures._reports


def test_nobody_of_an_erased_shop_is_written_to_any_more(world: ShopWorld) -> None:
    wanted = Notifications(emails=("anna@example.com",))
    for shop in (SHOP, OTHER_SHOP):
        world.login(shop)
        change_notifications(world.tracker, world.shops, world.letters, shop, wanted)
    leave(world)
    redact(world)
    world.letters.error = RetryableError("out")
    with pytest.raises(RetryableError):
        world.run_messages()
    assert SHOP in world.letters.subscribed  # it is tried again
    world.letters.error = None
    world.go_on(minutes=20)
    assert world.letters.subscribed == {OTHER_SHOP: wanted}
    assert world.names() == []


def test_a_wish_that_is_overtaken_by_the_erasure_leaves_nobody_subscribed(
    world: ShopWorld,
) -> None:
    world.login()

    def erase() -> None:
        leave(world)
        redact(world)
        world.go_on(minutes=20)

    world.letters.during = erase
    wanted = Notifications(emails=("anna@example.com",))
    change_notifications(world.tracker, world.shops, world.letters, SHOP, wanted)
    assert world.letters.subscribed == {}
    assert world.names() == []


def test_a_shop_is_closed_while_it_is_being_erased(world: ShopWorld) -> None:
    furnish(world)
    leave(world)
    ref = redact(world)
    world.run_messages()
    assert world.shop() == Shop(shop=SHOP, erasing=ref.job_id, version=world.shop().version)
    asked: list[Callable[[], object]] = [
        world.login,
        lambda: change_shop(world.tracker, world.shops, SHOP, {"auto_push": True}),
        lambda: create_job(
            world.tracker,
            world.shops,
            world.files,
            ADMIN,
            NewJob(name="x"),
            idempotency=None,
            is_allowed_http=lambda _: False,
        ),
    ]
    for ask in asked:
        with pytest.raises(ShopClosedError):
            ask()
    world.go_on(minutes=10)
    assert world.names() == []


def test_after_it_the_shop_can_be_installed_again_and_begins_anew(world: ShopWorld) -> None:
    furnish(world)
    leave(world)
    delivery = world.delivery("shop/redact")
    assert world.hear(delivery).heard is Heard.ERASURE_OWED
    world.go_on(minutes=10)
    assert world.login().installation is Installation.INSTALLED
    new = world.has(a_worker_job(created_at=world.clock.now()))
    world.clock.advance(60)
    # The request comes again, or the news of the uninstallation does, after all this.
    assert world.hear(delivery).heard is Heard.DUPLICATE
    another = {**delivery.headers, "x-shopify-webhook-id": "w-other"}
    assert world.hear(replace(delivery, headers=another)).heard is Heard.OUTDATED
    world.go_on(hours=1)
    assert world.shop().token is not None
    assert world.job(new).ref == new
    assert world.store.tally(f"SHOP#{SHOP}", "ALL").ended == 0


def test_a_shop_that_was_installed_again_before_the_request_is_not_erased(
    world: ShopWorld,
) -> None:
    furnish(world)
    leave(world)
    world.clock.advance(-3600)
    world.login()
    world.clock.advance(3600)
    before = world.names()
    assert world.tell("shop/redact") is Heard.OUTDATED
    assert world.names() == before


def test_an_installation_that_overtakes_the_erasure_stops_it(world: ShopWorld) -> None:
    furnish(world)
    leave(world)
    ref = redact(world)
    world.login()
    jobs = len(world.jobs_of_all())
    assert world.run(ref) is Bulk.DONE
    duty = world.job(ref)
    assert duty.status is JobStatus.COMPLETED
    assert duty.result == {"erased": False, "reason": "installed_again"}
    assert len(world.jobs_of_all()) == jobs
    assert (world.shop().erasing, world.erasures.reports(SHOP)) == (None, [])
    with pytest.raises(ConflictError):
        retry_job(world.tracker, ADMIN, ref)


def test_a_login_at_the_moment_of_closing_either_stops_the_erasure_or_waits(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(world)
    leave(world)
    ref = redact(world)
    exchange = world.tokens.exchange

    def erase_first(shop: str, id_token: str) -> Any:
        grant = exchange(shop, id_token)
        world.run(ref)
        return grant

    monkeypatch.setattr(world.tokens, "exchange", erase_first)
    with pytest.raises(ShopClosedError):
        world.login()
    assert world.shop().token is None
    monkeypatch.undo()
    world.go_on(minutes=10)
    assert world.names() == []
    assert world.login().installation is Installation.INSTALLED


def test_without_news_of_an_uninstallation_a_week_is_given_for_a_sign_of_life(
    world: ShopWorld,
) -> None:
    furnish(world)
    world.clock.advance(TWO_DAYS * 3)
    assert world.tell("shop/redact") is Heard.ERASURE_OWED
    world.run_messages()
    assert (world.shop().token_dead, world.shop().erasing) == (True, None)
    world.go_on(hours=24 * 6)
    assert world.names() != []
    world.go_on(hours=25)
    assert world.names() == []


def test_a_shop_that_lives_is_not_erased_on_doubt(world: ShopWorld) -> None:
    """Whoever replays an old request can erase no shop that uses the app."""
    furnish(world)
    world.clock.advance(TWO_DAYS * 3)
    assert world.tell("shop/redact") is Heard.ERASURE_OWED
    world.go_on(hours=24 * 3)
    assert world.login().installation is Installation.INSTALLED
    jobs = len(world.jobs_of_all())
    world.go_on(hours=24 * 5)
    assert len(world.jobs_of_all()) == jobs
    assert (world.shop().token_dead, world.shop().erasing) == (False, None)


def test_a_second_request_while_the_first_is_under_way_ends_with_it(world: ShopWorld) -> None:
    furnish(world)
    leave(world)
    first = redact(world)
    world.run(first)
    assert world.tell("shop/redact") is Heard.ERASURE_OWED
    world.go_on(minutes=15)
    assert world.names() == []
    assert [report.erasure_id for report in world.erasures.reports(SHOP)] == [first.job_id]


def test_nobody_stops_an_erasure_and_no_number_of_failures_does(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(world)
    leave(world)
    ref = redact(world)
    with pytest.raises(ConflictError):
        cancel_job(world.tracker, ADMIN, ref)
    world.change(ref, lambda job: replace(job, due_tries=MAX_BULK_LOOKS * 3, due_at=later(0)))
    world.sweep()
    assert world.job(ref).status is JobStatus.PENDING
    with monkeypatch.context() as patch:
        patch.setattr(world.files, "broken", True)
        with pytest.raises(StoreUnavailableError):  # noqa: PT012 - whichever run it is
            while world.run(ref) is Bulk.GOES_ON:
                pass
    world.go_on(hours=2)
    assert world.names() == []


# --- crashes and races ----------------------------------------------------------------------


@pytest.mark.promise("lost", "an erasure that dies, and what comes after it began")
@pytest.mark.parametrize("step", range(1, 41))
def test_a_crash_at_any_write_changes_nothing_of_the_end(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    furnish(world)
    leave(world)
    ref = redact(world)
    calls = 0

    def dying(call: Any) -> Any:
        def die(*args: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step:
                raise KeyboardInterrupt
            found = call(*args, **more)
            calls += 1
            if calls == step:
                raise KeyboardInterrupt
            return found

        return die

    with monkeypatch.context() as patch:
        for port, names in (
            (world.store, ("save", "erase")),
            (world.shops, ("save_shop",)),
            (world.erasures, ("erase", "put_report", "finish")),
            (world.files, ("remove",)),
        ):
            for name in names:
                patch.setattr(port, name, dying(getattr(port, name)))
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - whichever run it is
            while world.run(ref) is not Bulk.GONE:
                world.clock.advance(400)
    world.go_on(minutes=15)
    assert world.names() == []
    (report,) = world.erasures.reports(SHOP)
    assert report.ended_at is not None
    assert report.deleted["jobs"] == 6
    assert report.deleted["files"] == 2


@pytest.mark.promise("lost", "an erasure that dies, and what comes after it began")
def test_a_late_webhook_and_a_late_message_bring_nothing_back(world: ShopWorld) -> None:
    furnish(world)
    active = next(job for job in world.jobs_of_all() if job.provider_job_id == "a-active")
    leave(world)
    redact(world)
    world.go_on(minutes=10)
    told = an_event(provider_job_id="a-active")
    assert apply_event(world.tracker, active.ref, told) is Outcome.GONE
    assert world.advance(active.ref).advance is Advance.GONE
    assert world.run(active.ref) is Bulk.GONE
    world.tell("app/uninstalled", at=world.clock.now() - timedelta(hours=48))
    assert world.names() == []


@pytest.mark.promise("lost", "an erasure that dies, and what comes after it began")
def test_a_result_that_was_being_fetched_is_found_by_the_next_look(world: ShopWorld) -> None:
    furnish(world)
    leave(world)
    redact(world)
    world.run_messages()
    assert [key for key in world.files.stored if SHOP in key] == []
    # A function that had begun before puts its file, and dies before it looks at the job.
    world.files.put(f"shops/{SHOP}/jobs/x/1-0.png", b"png", "image/png")
    world.go_on(minutes=7)
    assert world.names() != []  # what was found calls for another look
    world.go_on(minutes=7)
    assert world.names() == []
    (report,) = world.erasures.reports(SHOP)
    assert (report.deleted["files"], report.looks) == (3, 3)


def test_what_is_parked_for_a_job_goes_with_it(world: ShopWorld) -> None:
    """A registration that died between the link and what had been parked for it."""
    world.login()
    world.store.park(a_parked_event(provider_job_id="foreign"))
    world.has(a_job(attempt={"provider_job_id": "foreign"}))
    leave(world)
    redact(world)
    world.go_on(minutes=10)
    assert world.store.parked("pikcel", "foreign") == []


def test_other_bulk_work_under_way_ends_with_the_shop(world: ShopWorld) -> None:
    world.login()
    bulk = a_job(type="bulk.retry", provider="worker", tool_id=None)
    world.works.put_work(
        bulk.ref,
        {"ids": [a_job_id()] * 300, "kind": "admin", "actor": "admin:1"},
        later(60),
    )
    ref = world.has(bulk)
    leave(world)
    redact(world)
    world.go_on(minutes=10)
    assert world.run(ref) is Bulk.GONE
    assert world.names() == []


def test_a_file_that_is_being_written_goes_with_the_shop(world: ShopWorld) -> None:
    world.login()
    bulk = a_job(type="bulk.export", provider="worker", tool_id=None)
    work = {"ids": [a_job_id()] * 300, "kind": "admin", "actor": "admin:1"}
    world.works.put_work(bulk.ref, work, later(60))
    ref = world.has(bulk)
    assert world.run(ref) is Bulk.GOES_ON
    assert [key for key in world.files.stored if "draft" in key]
    assert len(world.files.uploads) == 1
    leave(world)
    redact(world)
    world.go_on(minutes=10)
    assert world.run(ref) is Bulk.GONE
    assert (world.names(), world.files.stored, world.files.uploads) == ([], {}, {})


def test_a_chunk_whose_bulk_job_is_erased_under_it_is_no_failure(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk = a_job(type="bulk.cancel", provider="worker", tool_id=None)
    work = {"ids": [a_job_id()], "kind": "admin", "actor": "admin:1"}
    world.works.put_work(bulk.ref, work, later(60))
    ref = world.has(bulk)
    get_work = world.works.get_work

    def erase_first(found: JobRef) -> Any:
        world.store.erase(found)
        return get_work(found)

    monkeypatch.setattr(world.works, "get_work", erase_first)
    assert world.run(ref) is Bulk.GONE


def test_jobs_in_hundreds_go_in_chunks(world: ShopWorld) -> None:
    for n in range(260):
        outputs = (Output(index=0, attempt=1, key=f"shops/{SHOP}/jobs/{n}.png"),)
        world.has(a_kept_job(attempt={"provider_job_id": f"p{n}"}, outputs=outputs))
        world.files.put(f"shops/{SHOP}/jobs/{n}.png", b"png", "image/png")
    ref = redact(world)
    chunks = 0
    while world.run(ref) is Bulk.GOES_ON and world.outbox.bulks:
        world.outbox.bulks.clear()
        chunks += 1
        done: dict[str, int] = (world.job(ref).result or {})["done"]
        assert sum(done.values()) <= 125 * chunks + 25
    assert chunks >= 5
    world.go_on(minutes=10)
    (report,) = world.erasures.reports(SHOP)
    assert (report.deleted["jobs"], report.deleted["files"]) == (260, 260)


def test_an_unknown_shop_that_is_to_be_erased_leaves_a_report_and_nothing_else(
    world: ShopWorld,
) -> None:
    redact(world)
    world.go_on(minutes=10)
    assert world.names() == []
    (report,) = world.erasures.reports(SHOP)
    assert report.deleted == {}
