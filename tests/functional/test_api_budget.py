"""A shop's budget of the month, and calls that are done once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.domain import lifecycle
from shared.domain.errors import StoreUnavailableError
from shared.domain.ids import JobRef
from shared.domain.status import JobStatus
from tests.api_world import World, world
from tests.builders import OTHER_SHOP, SHOP, a_job, a_kept_job, a_worker_job, an_event

__all__ = ["world"]

IMAGE = {"toolId": "background-removal", "inputImageUrl": "https://a.example/x.png"}


def limit(world: World, **limits: int) -> None:
    assert world.call("PUT", "/api/shop", json_body={"monthlyBudget": limits}).status == 200


def spent(world: World) -> tuple[int, int]:
    found = world.get("/api/shop").json["shop"]["spent"]
    return found["credits"], found["costMicros"]


def complete(world: World, job_id: str, charged: int) -> None:
    job = world.store.get(JobRef(SHOP, job_id))
    event = an_event(credits=charged, provider_job_id=f"pk_{job_id}")
    world.store.save(job, lifecycle.apply_event(job, event, world.clock.now()).job)


def test_creating_beyond_the_budget_is_refused_with_402(world: World) -> None:
    limit(world, credits=2)
    for _ in range(2):
        assert world.post("/api/jobs", IMAGE).status == 202
    refused = world.post("/api/jobs", IMAGE)
    assert (refused.status, refused.code) == (402, "budget_exceeded")
    assert spent(world) == (2, 0)
    assert len(world.get("/api/jobs").json["jobs"]) == 2


def test_a_batch_that_the_budget_does_not_allow_is_refused_as_a_whole(world: World) -> None:
    photos = [{"inputImageUrl": IMAGE["inputImageUrl"]}] * 3
    batch = {"toolId": IMAGE["toolId"], "images": photos}
    limit(world, credits=11)
    complete(world, world.post("/api/jobs", IMAGE).job["id"], 4)
    refused = world.post("/api/batches", batch)
    assert (refused.status, refused.code) == (402, "budget_exceeded")
    assert (spent(world), world.get("/api/batches").json["batches"]) == ((4, 0), [])
    assert world.post("/api/batches", batch | {"images": photos[:1]}).status == 202
    limit(world, credits=16)
    assert world.post("/api/batches", batch).status == 202


def test_a_batch_whose_answer_was_lost_is_not_refused_for_what_it_took_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = {"toolId": IMAGE["toolId"], "images": [{"inputImageUrl": IMAGE["inputImageUrl"]}]}
    once = {"idempotency-key": "once"}
    limit(world, credits=1)
    with monkeypatch.context() as patched:
        patched.setattr(world.receipts, "finish", lambda *_: None)
        made = world.post("/api/batches", batch, headers=once)
    assert world.post("/api/jobs", IMAGE).status == 202
    world.clock.advance(61)
    again = world.post("/api/batches", batch, headers=once)
    assert (again.status, again.json["batch"]["id"]) == (202, made.json["batch"]["id"])
    assert world.post("/api/batches", batch).status == 402


def test_a_tools_price_is_learnt_from_what_it_was_charged(world: World) -> None:
    limit(world, credits=10)
    first = world.post("/api/jobs", IMAGE).job["id"]
    assert spent(world) == (1, 0)
    complete(world, first, 4)
    assert spent(world) == (4, 0)
    world.post("/api/jobs", IMAGE)
    assert spent(world) == (8, 0)
    assert world.post("/api/jobs", IMAGE).status == 402
    assert world.post("/api/jobs", IMAGE | {"toolId": "other"}).status == 202


def test_cost_that_the_creator_names_is_counted_and_limited(world: World) -> None:
    limit(world, costMicros=1_000)
    assert world.post("/api/jobs", {"costMicros": 700}).status == 202
    assert world.post("/api/jobs", {"costMicros": 301}).status == 402
    assert world.post("/api/jobs", {"costMicros": 300}).status == 202


def test_a_cancelled_job_gives_back_what_was_set_aside(world: World) -> None:
    limit(world, credits=1)
    job_id = world.post("/api/jobs", IMAGE).job["id"]
    world.post("/api/jobs/cancel", {"jobId": job_id})
    assert spent(world) == (0, 0)
    assert world.post("/api/jobs", IMAGE).status == 202


@pytest.mark.parametrize("path", ["/api/jobs/retry", "/api/admin/jobs/{id}/resubmit"])
def test_a_retry_counts_too(world: World, path: str) -> None:
    limit(world, credits=1)
    failed = world.has(a_job(status=JobStatus.FAILED)).job_id
    world.post("/api/jobs", IMAGE)
    body = {"jobId": failed} if path.endswith("retry") else None
    refused = world.post(path.replace("{id}", failed), body)
    assert (refused.status, refused.code) == (402, "budget_exceeded")
    assert world.job(failed).status is JobStatus.FAILED
    limit(world, credits=2)
    assert world.post(path.replace("{id}", failed), body).status == 200
    assert spent(world) == (2, 0)


def test_a_worker_is_not_held_up_by_credits(world: World) -> None:
    limit(world, credits=0)
    assert world.post("/api/jobs", {"name": "sync"}).status == 202
    assert world.post("/api/jobs", IMAGE).status == 402


def test_registering_a_job_that_is_paid_for_already_is_never_refused(world: World) -> None:
    limit(world, credits=0)
    assert world.post("/api/jobs", {"pikcelJobId": "pk_7"}).status == 202
    assert spent(world) == (1, 0)


def test_a_budget_is_for_one_shop_and_one_month(world: World) -> None:
    limit(world, credits=1)
    world.post("/api/jobs", IMAGE)
    assert world.post("/api/jobs", IMAGE, shop=OTHER_SHOP).status == 202
    world.clock.advance(40 * 86_400)
    assert world.post("/api/jobs", IMAGE).status == 202


ONCE = {"headers": {"idempotency-key": "once"}}
DOES: dict[str, Callable[[World], tuple[str, Any]]] = {
    "retry": lambda world: (
        "/api/jobs/retry",
        {"jobId": world.has(a_job(status=JobStatus.FAILED)).job_id},
    ),
    "key": lambda _world: ("/api/shop/keys", {"name": "k"}),
    "agent": lambda _world: ("/api/admin/agents", {"name": "a"}),
    "resubmit": lambda world: (
        f"/api/admin/jobs/{world.has(a_job(status=JobStatus.FAILED)).job_id}/resubmit",
        None,
    ),
    "complete": lambda world: (
        f"/api/admin/jobs/{world.has(a_worker_job()).job_id}/complete",
        {"result": {"a": 1}},
    ),
    "adopt": lambda _world: (
        "/api/admin/parked/adopt",
        {"provider": "pikcel", "providerJobId": "pk_1", "shop": SHOP},
    ),
    "create": lambda _world: ("/api/jobs", IMAGE),
}


@pytest.mark.parametrize("name", DOES)
def test_the_same_call_with_the_same_key_is_done_once_and_answered_the_same(
    world: World, name: str
) -> None:
    path, body = DOES[name](world)
    first = world.post(path, body, **ONCE)
    assert first.status < 300
    world.clock.advance(3600)
    again = world.post(path, body, **ONCE)
    assert (again.status, again.json) == (first.status, first.json)
    assert len(world.keys.shop_keys(SHOP)) == (name == "key")
    assert len(world.keys.agents(SHOP)) == (name == "agent")


def test_the_answer_with_all_that_a_job_may_have_is_kept_in_any_language(world: World) -> None:
    big = {"text": "Кружка " * 5000}
    job = world.has(a_worker_job(status=JobStatus.FAILED, parameters=big, metadata=big))
    body = {"jobId": job.job_id}
    first = world.post("/api/jobs/retry", body, **ONCE)
    world.clock.advance(3600)
    now = world.job(job.job_id)
    world.store.save(now, replace(now, status=JobStatus.FAILED, completed_at=world.clock.now()))
    assert world.post("/api/jobs/retry", body, **ONCE).json == first.json
    assert world.job(job.job_id).attempt.number == 2


def test_the_same_key_with_another_body_or_on_another_route_is_refused(world: World) -> None:
    world.post("/api/shop/keys", {"name": "k"}, **ONCE)
    assert world.post("/api/shop/keys", {"name": "other"}, **ONCE).code == "idempotency_key_reused"
    assert world.post("/api/admin/agents", {"name": "k"}, **ONCE).code == "idempotency_key_reused"
    assert world.post("/api/shop/keys", {"name": "k"}, shop=OTHER_SHOP, **ONCE).status == 201


def test_a_refused_call_may_be_made_again_with_its_key(world: World) -> None:
    job = world.has(a_job())
    body = {"jobId": job.job_id}
    assert world.post("/api/jobs/retry", body, **ONCE).code == "wrong_status"
    world.post("/api/jobs/cancel", body)
    assert world.post("/api/jobs/retry", body, **ONCE).status == 200


def test_the_same_call_at_the_same_time_is_refused(world: World) -> None:
    job_id = world.has(a_kept_job(product_id="gid://shopify/Product/1")).job_id
    body = {"jobId": job_id}
    seen: list[str] = []

    def meanwhile() -> None:
        if not seen:
            seen.append("asked")
            seen.append(world.post("/api/jobs/push-to-shopify", body, **ONCE).code)

    world.clock.on_sleep = meanwhile
    assert world.post("/api/jobs/push-to-shopify", body, **ONCE).status == 200
    assert seen == ["asked", "already_running"]
    assert len(world.outbox.pushes) == 1


def test_a_call_that_the_table_did_not_answer_may_be_made_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_named: object) -> None:
        raise StoreUnavailableError("down")

    with monkeypatch.context() as broken:
        broken.setattr(world.keys, "add_key", fail)
        assert world.post("/api/shop/keys", {"name": "k"}, **ONCE).status == 503
    assert world.post("/api/shop/keys", {"name": "k"}, **ONCE).status == 201


def test_what_is_kept_of_an_answer_cannot_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed: list[str] = []

    def seal(text: str) -> str:
        sealed.append(text)
        return "unreadable"

    monkeypatch.setattr(world.installer.box, "seal", seal)
    secret = world.post("/api/shop/keys", {"name": "k"}, **ONCE).json["secret"]
    assert secret in sealed[0]
    assert secret not in str(vars(world.receipts))


def test_a_refused_job_leaves_no_documents(world: World) -> None:
    limit(world, credits=0)
    big = IMAGE | {"parameters": {"prompts": ["a mug on a shelf"] * 200}}
    assert world.post("/api/jobs", big).status == 402
    assert world.files.stored == {}
