"""Shopify's own webhooks: what follows from each, whatever comes twice, late, or for another."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain import lifecycle
from shared.domain.bulk import BulkAction
from shared.domain.errors import (
    InvalidRequestError,
    SecretUnavailableError,
    TooLargeError,
    VersionConflictError,
)
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.shop import Shop
from shared.domain.status import JobStatus
from shared.providers.base import Check
from shared.usecases.batches import NewBatch, create_batch
from shared.usecases.identify_caller import Caller, CallerKind
from shared.usecases.install_shop import Installation
from shared.usecases.receive_shop_webhook import Heard
from shared.usecases.receive_webhook import SignatureError
from shared.usecases.start_bulk import Selection, start_bulk
from tests.builders import (
    OTHER_SHOP,
    SHOP,
    a_completed_job,
    a_dispatched_job,
    a_job,
    a_worker_job,
    later,
)
from tests.unit.usecases.shop_life_world import ShopWorld

ADMIN = Caller(kind=CallerKind.ADMIN, shop=SHOP, actor="admin:1")


@pytest.fixture
def world() -> ShopWorld:
    return ShopWorld()


def installed(world: ShopWorld, shop: str = SHOP) -> Shop:
    assert world.login(shop).installation is Installation.INSTALLED
    return world.shop(shop)


# --- the door -------------------------------------------------------------------------------


def test_a_forged_delivery_is_refused_before_anything_is_read(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(world)
    monkeypatch.setattr(world.shops, "get_shop", lambda _: pytest.fail("read"))
    good = world.delivery("app/uninstalled")
    for changed, check in (
        ({"x-shopify-hmac-sha256": ""}, Check.MISSING),
        ({"x-shopify-hmac-sha256": "x"}, Check.MALFORMED),
        ({"x-shopify-hmac-sha256": "A" * 43 + "="}, Check.WRONG),
    ):
        with pytest.raises(SignatureError) as refused:
            world.hear(replace(good, headers={**good.headers, **changed}))
        assert refused.value.check is check
        assert str(refused.value) == "The signature is missing or wrong."
    with pytest.raises(SignatureError):
        world.hear(replace(good, body=good.body + b" "))


def test_both_secrets_are_good_while_one_replaces_the_other(world: ShopWorld) -> None:
    name = ("signing", "SHOPIFY_API_SECRET")
    world.secrets.values[name] = "new,test-secret"
    assert world.tell("customers/redact") is Heard.ACKNOWLEDGED
    world.secrets.values[name] = "old"
    world.secrets.newer[name] = "test-secret"
    assert world.tell("customers/redact") is Heard.ACKNOWLEDGED
    assert world.secrets.refreshes == 1


@pytest.mark.parametrize("value", ["", " , "])
def test_without_our_own_secret_nothing_is_accepted(world: ShopWorld, value: str) -> None:
    world.secrets.values["signing", "SHOPIFY_API_SECRET"] = value
    with pytest.raises(SecretUnavailableError):
        world.tell("shop/redact")
    world.secrets.broken = True
    with pytest.raises(SecretUnavailableError):
        world.tell("shop/redact")


def test_a_topic_that_means_nothing_is_acknowledged_unread(world: ShopWorld) -> None:
    assert world.tell("orders/create") is Heard.UNKNOWN_TOPIC
    assert world.names() == []


def test_a_genuine_delivery_that_is_too_large_or_unreadable_is_refused(world: ShopWorld) -> None:
    with pytest.raises(TooLargeError):
        world.tell("app/uninstalled", pad="x" * 1024 * 1024)
    with pytest.raises(InvalidRequestError):
        world.tell("app/uninstalled", body={"id": 1})


# --- uninstalled ----------------------------------------------------------------------------


def test_uninstalling_takes_the_token_and_cancels_what_is_under_way(world: ShopWorld) -> None:
    installed(world)
    world.shops.save_shop(world.shop(), replace(world.shop(), auto_push=True, retention_days=30))
    active = [world.has(a_job()), world.has(a_dispatched_job()), world.has(a_worker_job())]
    done = world.has(a_completed_job(attempt={"provider_job_id": "done"}))
    other = world.has(a_job(shop=OTHER_SHOP))
    world.clock.advance(60)
    assert world.tell("app/uninstalled") is Heard.UNINSTALLED
    shop = world.shop()
    assert (shop.installed_at, shop.token, shop.refresh_token) == (None, None, None)
    assert (shop.uninstalled_at, shop.scopes) == (later(61), None)
    assert (shop.auto_push, shop.retention_days) == (True, 30)
    world.run_messages()
    assert [world.job(ref).status for ref in active] == [JobStatus.CANCELLED] * 3
    assert world.job(done).status is JobStatus.COMPLETED
    assert world.job(other).status is JobStatus.PENDING
    duty = world.duty("uninstall")
    assert (duty.status, duty.counts.processed, duty.result) == (
        JobStatus.COMPLETED,
        3,
        {"done": {"jobs": 3}},
    )
    assert world.sentences(active[0])[-1] == "Cancelled: the app was uninstalled from the shop."


def test_a_delivery_that_comes_again_owes_nothing_more(world: ShopWorld) -> None:
    installed(world)
    world.clock.advance(60)
    delivery = world.delivery("app/uninstalled")
    assert world.hear(delivery).heard is Heard.UNINSTALLED
    version = world.shop().version
    assert world.hear(delivery).heard is Heard.DUPLICATE
    assert world.shop().version == version
    world.run_messages()
    assert world.hear(delivery).heard is Heard.DUPLICATE
    assert world.duty("uninstall").status is JobStatus.COMPLETED


def test_a_crash_after_the_first_write_is_made_good_by_the_next_delivery(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(world)
    ref = world.has(a_job())
    world.clock.advance(60)
    delivery = world.delivery("app/uninstalled")

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(world.shops, "save_shop", die)
        patch.setattr(world.outbox, "send_bulk", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            world.hear(delivery)
    assert world.hear(delivery).heard is Heard.DUPLICATE
    assert world.shop().token is None
    world.go_on(minutes=5)  # the message was lost: the sweep sends it
    assert world.job(ref).status is JobStatus.CANCELLED


def test_a_shop_that_was_installed_again_is_not_torn_down_by_a_late_delivery(
    world: ShopWorld,
) -> None:
    installed(world)
    world.clock.advance(3600)
    late = world.delivery("app/uninstalled")
    assert world.hear(late).heard is Heard.UNINSTALLED
    world.clock.advance(600)
    again = installed(world)
    ref = world.has(a_job(created_at=world.clock.now()))
    world.run_messages()
    another = replace(late, headers={**late.headers, "x-shopify-webhook-id": "w-other"})
    assert world.hear(another).heard is Heard.OUTDATED
    assert world.hear(late).heard is Heard.OUTDATED
    assert world.shop() == again
    world.run_messages()
    assert world.job(ref).status is JobStatus.PENDING


def test_a_new_installation_that_overtakes_the_delivery_keeps_its_token_and_jobs(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(world)
    world.clock.advance(60)
    delivery = world.delivery("app/uninstalled")
    world.clock.advance(60)
    world.shops.save_shop(world.shop(), replace(world.shop(), token_dead=True))
    save = world.shops.save_shop

    def login_first(before: Shop | None, after: Shop) -> Shop:
        monkeypatch.setattr(world.shops, "save_shop", save)
        world.login()
        return save(before, after)

    monkeypatch.setattr(world.shops, "save_shop", login_first)
    new = world.has(a_job(created_at=world.clock.now()))
    assert world.hear(delivery).heard is Heard.UNINSTALLED
    assert world.shop().token == "sealed(shpat_2)"
    world.run_messages()
    assert world.job(new).status is JobStatus.PENDING


def test_a_setting_changed_at_the_same_moment_stays(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(world)
    world.clock.advance(60)
    save = world.shops.save_shop

    def change_first(before: Shop | None, after: Shop) -> Shop:
        monkeypatch.setattr(world.shops, "save_shop", save)
        save(world.shop(), replace(world.shop(), auto_push=True))
        return save(before, after)

    monkeypatch.setattr(world.shops, "save_shop", change_first)
    world.tell("app/uninstalled")
    assert (world.shop().auto_push, world.shop().token) == (True, None)


def test_pushes_wait_for_the_next_installation(world: ShopWorld) -> None:
    installed(world)
    world.clock.advance(60)
    world.tell("app/uninstalled")
    world.clock.advance(3600)
    assert installed(world).uninstalled_at is None
    assert [job.type for job in world.jobs_of_all()].count("bulk.resume") == 2


def test_of_a_shop_that_nothing_is_known_of_nothing_is_written(world: ShopWorld) -> None:
    for topic in ("app/uninstalled", "app/scopes_update", "customers/data_request"):
        world.tell(topic)
    assert world.names() == []


def test_jobs_of_a_shop_without_a_record_are_cancelled_too(world: ShopWorld) -> None:
    """The token of a custom app is given to us: such a shop is never installed."""
    ref = world.has(a_job())
    assert world.tell("app/uninstalled") is Heard.UNINSTALLED
    world.run_messages()
    assert world.job(ref).status is JobStatus.CANCELLED


def test_more_jobs_than_a_chunk_are_cancelled_and_counted_once(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = [world.has(a_job()) for _ in range(130)]
    world.tell("app/uninstalled")
    ref = world.duty("uninstall").ref
    save, writes = world.store.save, 0

    def die(before: Job, after: Job, **more: Any) -> Job:
        nonlocal writes
        writes += 1
        if writes == 40:
            raise KeyboardInterrupt
        return save(before, after, **more)

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "save", die)
        with pytest.raises(KeyboardInterrupt):
            world.run(ref)
    world.run(ref)
    world.run_messages()
    assert {world.job(each).status for each in refs} == {JobStatus.CANCELLED}
    assert world.duty("uninstall").result == {"done": {"jobs": 130}}


def test_a_batch_that_is_being_made_is_stopped_too(world: ShopWorld) -> None:
    """What it would still make would be paid for, for a shop that has left."""
    making = a_batch_under_way(world)
    world.clock.advance(60)
    world.tell("app/uninstalled")
    world.run(world.duty("uninstall").ref)
    world.go_on(hours=1)
    assert world.job(making).status is JobStatus.CANCELLED
    jobs = [job for job in world.jobs_of_all() if job.batch_id == making.job_id]
    assert [job.status for job in jobs] == [JobStatus.CANCELLED] * 100
    assert world.duty("uninstall").status is JobStatus.COMPLETED
    assert world.duty("uninstall").result == {"done": {"bulkJobs": 1, "jobs": 100}}


def test_what_a_bulk_job_begins_while_it_is_stopped_is_cancelled_too(world: ShopWorld) -> None:
    retrying = start_bulk(
        world.tracker, world.works, ADMIN, BulkAction.RETRY, Selection(job_ids=("none",))
    )
    failed = world.has(a_dispatched_job(status=JobStatus.FAILED, due_at=None))
    world.clock.advance(60)
    world.tell("app/uninstalled")
    world.run(world.duty("uninstall").ref)
    # Its chunk was under way, and goes on for a while without having seen that.
    world.change(failed, lambda job: lifecycle.retry(job, world.clock.now()))
    world.go_on(hours=1)
    assert world.job(retrying.ref).status is JobStatus.CANCELLED
    assert world.job(failed).status is JobStatus.CANCELLED


def test_bulk_work_of_the_next_installation_goes_on(world: ShopWorld) -> None:
    installed(world)
    world.clock.advance(60)
    late = world.delivery("app/uninstalled")
    world.hear(late)
    world.clock.advance(60)
    installed(world)
    making = a_batch_under_way(world)
    world.run(world.duty("uninstall").ref)
    assert world.job(making).status is JobStatus.PROCESSING


def a_batch_under_way(world: ShopWorld) -> JobRef:
    """Take a batch of 150 images, and have 100 of its jobs made."""
    images = [{"input_image_url": f"https://a.example/{n}.png"} for n in range(150)]
    wish = NewBatch(name=None, common={"tool_id": "t"}, images=images)
    view = create_batch(
        world.tracker, world.works, ADMIN, wish, is_allowed_http=lambda _host: False
    )
    making = JobRef(SHOP, view.batch.batch_id)
    world.run(making)
    return making


# --- scopes ---------------------------------------------------------------------------------


def test_new_scopes_are_stored(world: ShopWorld) -> None:
    installed(world)
    world.clock.advance(60)
    assert world.tell("app/scopes_update") is Heard.SCOPES_STORED
    assert world.shop().scopes == "write_files,write_products"


def test_older_scopes_never_replace_newer_ones(world: ShopWorld) -> None:
    installed(world)
    world.clock.advance(60)
    late = world.delivery("app/scopes_update", current=["read_products"])
    world.clock.advance(60)
    newer = world.delivery("app/scopes_update")
    assert world.hear(newer).heard is Heard.SCOPES_STORED
    assert world.hear(late).heard is Heard.OUTDATED
    assert world.hear(newer).heard is Heard.OUTDATED
    assert world.shop().scopes == "write_files,write_products"
    # What came with a token is newer still.
    world.shops.save_shop(world.shop(), replace(world.shop(), token_dead=True))
    world.clock.advance(60)
    installed(world)
    assert world.hear(newer).heard is Heard.OUTDATED
    assert world.shop().scopes == "read_products,write_products"


def test_scopes_that_came_for_one_shop_are_never_anothers(world: ShopWorld) -> None:
    installed(world)
    installed(world, OTHER_SHOP)
    world.clock.advance(60)
    mine = world.delivery("app/scopes_update", current=["read_products"])
    assert world.hear(mine).heard is Heard.SCOPES_STORED
    stolen = replace(mine, headers={**mine.headers, "x-shopify-shop-domain": OTHER_SHOP})
    before = world.shop(OTHER_SHOP)
    with pytest.raises(InvalidRequestError):
        world.hear(stolen)
    assert world.shop(OTHER_SHOP) == before


def test_scopes_of_long_ago_or_of_no_installation_are_not_stored(world: ShopWorld) -> None:
    installed(world)
    old = world.delivery("app/scopes_update")
    world.clock.advance(timedelta(days=8).total_seconds())
    assert world.hear(replace(old, received_at=world.clock.now())).heard is Heard.OUTDATED
    world.tell("app/uninstalled")
    assert world.tell("app/scopes_update") is Heard.OUTDATED
    assert world.shop().scopes is None


# --- one shop's delivery never touches another ------------------------------------------------


@pytest.mark.parametrize("topic", ["app/uninstalled", "shop/redact", "customers/redact"])
def test_a_body_signed_for_one_shop_changes_no_other(world: ShopWorld, topic: str) -> None:
    installed(world)
    victim = installed(world, OTHER_SHOP)
    jobs = world.jobs_of_all()
    with pytest.raises(InvalidRequestError):
        world.tell(topic, named=OTHER_SHOP)
    assert world.shop(OTHER_SHOP) == victim
    assert world.jobs_of_all() == jobs


def test_a_request_about_a_customer_told_as_one_about_the_shop_erases_nothing(
    world: ShopWorld,
) -> None:
    customer = {"shop_id": 1, "shop_domain": SHOP, "customer": {"id": 1}, "orders_to_redact": []}
    with pytest.raises(InvalidRequestError):
        world.tell("shop/redact", body=customer)
    assert world.jobs_of_all() == []


@pytest.mark.parametrize("topic", ["customers/data_request", "customers/redact"])
def test_a_request_about_a_customer_is_acknowledged_and_stores_nothing(
    world: ShopWorld, topic: str
) -> None:
    receipt = world.hear(world.delivery(topic))
    assert (receipt.heard, receipt.topic, receipt.shop) == (Heard.ACKNOWLEDGED, topic, SHOP)
    assert world.names() == []


def test_a_shop_that_changes_without_end_is_asked_about_again(
    world: ShopWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(world)
    world.clock.advance(60)

    def conflict(*_: Any) -> None:
        raise VersionConflictError("changed")

    monkeypatch.setattr(world.shops, "save_shop", conflict)
    with pytest.raises(Exception, match="too many at once") as error:
        world.tell("app/uninstalled")
    assert error.value.code == "unavailable"  # type: ignore[attr-defined]
