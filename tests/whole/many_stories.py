"""What happens to many jobs at once, to work of other programs, and at an administrator's desk."""

import json
from typing import Any

import httpx

from shared.domain.standard_webhooks import signed_headers
from shared.domain.status import JobStatus
from tests.whole.story import Story
from tests.whole.world import (
    ADMIN_KEY,
    INPUT,
    PATIENCE_TRIES,
    PUBLIC_URL,
    SHOP,
    WORKER_SECRET,
    Answer,
    World,
)

DONE = (200, 201, 202)
# Two jobs a message, so that three of them take two.
IN_CHUNKS = {"chunk": 2}


def _photos(world: World, count: int = 3, **changes: Any) -> list[str]:
    return [
        _created(
            world,
            toolId="image-enhancement",
            inputImageUrl=INPUT,
            **{"productId": world.new_product(), "projectId": "spring"} | changes,
        )
        for _ in range(count)
    ]


def _created(world: World, by: str = ADMIN_KEY, **body: Any) -> str:
    return world.ask("POST", "/api/jobs", body, by=by).job_id


def _asked(world: World, path: str, body: dict[str, Any], *also: int) -> Answer:
    """Have it done; `also`: what a repeated request may be told, which was done before."""
    answer = world.ask("POST", path, body)
    assert answer.status in (*DONE, *also), answer
    return answer


def _in_bulk(world: World, action: str, body: dict[str, Any]) -> None:
    _asked(world, f"/api/jobs/{action}", body)
    world.settle()


FAILS_ONCE = {"simulate": {"fail": {}, "times": 1}}


def _retried_by_filter(world: World) -> None:
    _photos(world, autoPush=True, parameters=FAILS_ONCE)
    world.settle()
    _in_bulk(world, "retry", {"filter": {"status": "failed"}})


def _retried_by_ids(world: World) -> None:
    """One of them is not there, another one did not fail."""
    names = _photos(world, 2, autoPush=True, parameters=FAILS_ONCE)
    names += _photos(world, 1, autoPush=True)
    world.settle()
    _in_bulk(world, "retry", {"jobIds": [*names, "no-such-job"]})


def _pushed_by_ids(world: World) -> None:
    names = _photos(world)
    world.settle()
    _in_bulk(world, "push-to-shopify", {"jobIds": names})


def _undone_by_filter(world: World) -> None:
    _photos(world, autoPush=True)
    world.settle()
    _in_bulk(world, "undo-push", {"filter": {"pushStatus": "pushed"}})


def _cancelled_by_filter(world: World) -> None:
    names = _photos(world, 2, parameters={"simulate": {"processing_s": 900}})
    _created(world, type="report")
    while any(world.job(name).status is not JobStatus.PROCESSING for name in names):
        world.run_for(5)
    _in_bulk(world, "cancel", {"filter": {}})


def _deleted_by_ids(world: World) -> None:
    names = _photos(world, metadata={"notes": ["kept with the job"] * 200})
    world.settle()
    _in_bulk(world, "delete", {"jobIds": names})
    assert not [key for key in world.kept() if any(name in key for name in names)], "files left"


def _synced_by_filter(world: World) -> None:
    _photos(world, autoPush=True, parameters={"simulate": {"webhook_lost": "all"}})
    world.run_for(15)
    _in_bulk(world, "sync", {"filter": {"status": "processing"}})


def _batch_body(world: World, *, count: int, **changes: Any) -> dict[str, Any]:
    images = [
        {"inputImageUrl": INPUT, "productId": world.new_product(), "name": f"photo {number}"}
        for number in range(count)
    ]
    return {"toolId": "image-enhancement", "images": images, "autoPush": True} | changes


def _batch(world: World) -> None:
    _asked(world, "/api/batches", _batch_body(world, count=3))


def _batch_retried(world: World) -> None:
    body = _batch_body(world, count=3, parameters=FAILS_ONCE)
    batch_id = _asked(world, "/api/batches", body).body["batch"]["id"]
    world.settle()
    _asked(world, f"/api/batches/{batch_id}/retry", {}, 409)


def _batch_cancelled(world: World) -> None:
    """While its jobs are being made: the message of the second chunk has not come."""
    body = _batch_body(world, count=3, provider="worker")
    batch_id = _asked(world, "/api/batches", body).body["batch"]["id"]
    world.deliver("bulk")
    _asked(world, f"/api/batches/{batch_id}/cancel", {}, 409)


def _bulk_cancelled(world: World) -> None:
    """A bulk job is cancelled before its first chunk, and goes on where it was when retried."""
    names = _photos(world)
    world.settle()
    bulk_id = _asked(world, "/api/jobs/push-to-shopify", {"jobIds": names}).job_id
    _asked(world, "/api/jobs/cancel", {"jobId": bulk_id}, 409)
    world.settle()
    _asked(world, "/api/jobs/retry", {"jobId": bulk_id}, 409)


# --- work of other programs --------------------------------------------------------------


def _reported(world: World) -> None:
    job_id = _created(world, type="catalog_pull", total=100, costMicros=500)
    for report in (
        {"status": "running", "processed": 10, "message": "page 1", "metadata": {"page": 1}},
        {"processed": 60, "successful": 55, "failed": 5, "metadata": {"seen": ["x" * 80] * 20}},
        {},
        {"status": "succeeded", "processed": 100, "result": {"pages": 3}},
    ):
        world.run_for(5)
        answer = world.ask("PATCH", f"/api/jobs/{job_id}", report)
        assert answer.status == 200, answer


def _reported_by_webhook(world: World) -> None:
    """The same by signed webhooks, each sent until it is acknowledged: then it is not lost."""
    job_id = _created(world, type="catalog_pull", total=100, costMicros=500)
    for number, (kind, told) in enumerate(
        (
            ("job.progress", {"processed": 60, "metadata": {"seen": ["x" * 80] * 20}}),
            ("job.completed", {"processed": 100, "result": {"pages": 3}}),
        )
    ):
        body = json.dumps({"type": kind, "data": {"jobId": job_id} | told}).encode()
        _tell(world, f"msg_{number}", body)


def _tell(world: World, webhook_id: str, body: bytes) -> None:
    for _ in range(PATIENCE_TRIES):
        headers = signed_headers([WORKER_SECRET], webhook_id, world.our_clock.now(), body)
        letter = httpx.Request(
            "POST", f"{PUBLIC_URL}/webhooks/worker", headers=headers, content=body
        )
        answer = world.post_webhook(letter)
        if answer is not None and answer["statusCode"] < 500:
            assert answer["statusCode"] == 200, answer
            return
        world.run_for(5)
    raise AssertionError("a webhook is not acknowledged")


def _reported_and_deleted(world: World) -> None:
    """Its documents were replaced several times: nothing of them stays behind."""
    _reported(world)
    (job,) = world.jobs()
    assert world.ask("DELETE", f"/api/jobs/{job.job_id}").status in (200, 404)
    assert not [key for key in world.kept() if job.job_id in key], "files left"


def _told_to_stop(world: World) -> None:
    """The worker learns of the cancellation by the answer to its next report."""
    job_id = _created(world, type="catalog_pull", total=100)
    world.ask("PATCH", f"/api/jobs/{job_id}", {"status": "running", "processed": 10})
    _asked(world, "/api/jobs/cancel", {"jobId": job_id})
    late = {"status": "completed", "processed": 100, "result": {"all": True}}
    answer = world.ask("PATCH", f"/api/jobs/{job_id}", late)
    assert (answer.status, answer.body["job"]["cancelRequested"]) == (200, True)


def _silent_worker(world: World) -> None:
    """It is given up after five minutes, and finishes all the same."""
    job_id = _created(world, type="catalog_pull", total=100)
    world.ask("PATCH", f"/api/jobs/{job_id}", {"status": "running", "processed": 10})
    world.settle()
    assert world.job(job_id).error_code == "timed_out"
    world.ask("PATCH", f"/api/jobs/{job_id}", {"status": "completed", "processed": 100})


def _sync_app(world: World) -> None:
    body = {"type": "PRODUCT_SYNC", "total": 10, "exclusive": True}
    made = _asked(world, "/api/sync/job-progress", body).body["data"]
    refused = world.ask("POST", "/api/sync/job-progress", body)
    assert refused.status == 409, refused
    assert refused.body["details"] == [{"runningJobId": made["id"]}]
    report = {"jobId": made["id"], "status": "COMPLETED", "processed": 10, "successful": 10}
    assert world.ask("PATCH", "/api/sync/job-progress", report).status == 200
    made = _asked(world, "/api/sync/job-progress", body).body["data"]
    assert (
        world.ask("PATCH", "/api/sync/job-progress", report | {"jobId": made["id"]}).status == 200
    )


# --- an administrator's desk -------------------------------------------------------------


def _agent(world: World, name: str) -> tuple[str, str]:
    """Make an agent; returns its id and key."""
    made = world.ask("POST", "/api/admin/agents", {"name": name}).body
    return made["agent"]["id"], made["secret"]


def _reassigned(world: World) -> None:
    """One agent gives a task back to be done again; another one is given it, and does it."""
    _, first_key = _agent(world, "first")
    second, second_key = _agent(world, "second")
    task = {"name": "Describe", "description": "The mug", "acceptanceCriteria": "Three words"}
    job_id = _created(world, by=first_key, **task)
    again = {"status": "resubmission_required", "error": "No photo"}
    assert world.ask("PATCH", f"/api/jobs/{job_id}", again, by=first_key).status == 200
    _asked(world, f"/api/admin/jobs/{job_id}/reassign", {"agentId": second})
    assert world.ask("GET", f"/api/jobs/{job_id}", by=first_key).status == 404
    done = {"status": "completed", "result": {"words": ["a", "blue", "mug"]}}
    assert world.ask("PATCH", f"/api/jobs/{job_id}", done, by=second_key).status == 200


def _resubmitted(world: World) -> None:
    (job_id,) = _photos(world, 1, autoPush=True, parameters=FAILS_ONCE)
    world.settle()
    _asked(world, f"/api/admin/jobs/{job_id}/resubmit", {})


def _failed_again(world: World) -> None:
    """It is retried once, whatever becomes of the answer, and stays failed."""
    (job_id,) = _photos(world, 1, parameters={"simulate": {"fail": {}}})
    world.settle()
    _asked(world, "/api/jobs/retry", {"jobId": job_id})


def _completed_by_hand(world: World) -> None:
    small, big = (_created(world, type="task") for _ in range(2))
    _asked(world, f"/api/admin/jobs/{small}/complete", {"result": {"by": "hand"}}, 409)
    long = {"by": ["hand, and at length"] * 100}
    _asked(world, f"/api/admin/jobs/{big}/complete", {"result": long}, 409)


def _adopted(world: World) -> None:
    provider_job_id = world.make_elsewhere()
    world.run_for(20)
    assert world.ask("GET", "/api/admin/parked").body["parked"], "nothing is parked"
    body: dict[str, Any] = {"provider": "pikcel", "providerJobId": provider_job_id}
    body |= {"shop": SHOP, "productId": world.new_product(), "autoPush": True}
    _asked(world, "/api/admin/parked/adopt", body, 409)


# --- what a shop sets up for itself ------------------------------------------------------


def _furnished(world: World) -> None:
    """Keys, a preset, an endpoint, an agent, settings, and a remark with a big payload."""
    first = _asked(world, "/api/shop/keys", {"name": "till"}).body["key"]["id"]
    opens = _asked(world, "/api/shop/keys", {"name": "window"}).body["secret"]
    assert world.ask("GET", "/api/shop", shop=None, by=opens).status == 200
    assert world.ask("DELETE", f"/api/shop/keys/{first}").status in (200, 404)
    preset = {"name": "white", "toolId": "background-removal", "parameters": {"tone": 1}}
    made = _asked(world, "/api/templates", preset).body["template"]["id"]
    assert world.ask("PATCH", f"/api/templates/{made}", {"altText": "A mug"}).status == 200
    made = _asked(world, "/api/templates", preset | {"name": "old"}).body["template"]["id"]
    assert world.ask("DELETE", f"/api/templates/{made}").status in (200, 404)
    assert world.ask("GET", f"/api/templates/{made}").status == 404
    gone = _asked(world, "/api/shop/webhooks", {"url": "https://hooks.example/old"})
    path = f"/api/shop/webhooks/{gone.body['endpoint']['id']}"
    assert world.ask("DELETE", path).status in (200, 404)
    assert world.ask("GET", path).status == 404
    endpoint = _asked(world, "/api/shop/webhooks", {"url": "https://hooks.example/in"})
    path = f"/api/shop/webhooks/{endpoint.body['endpoint']['id']}"
    assert world.ask("PATCH", path, {"description": "Ours"}).status == 200
    _asked(world, f"{path}/rotate", {})
    agent, opens = _agent(world, "writer")
    assert world.ask("GET", "/api/jobs", shop=None, by=opens).status == 200
    assert world.ask("PATCH", f"/api/admin/agents/{agent}", {"isActive": False}).status == 200
    settings = {"autoPush": False, "monthlyBudget": {"credits": 9, "costMicros": None}}
    assert world.ask("PUT", "/api/shop", settings).status == 200
    job_id = _created(world, type="task", name="Describe")
    assert world.ask("PATCH", f"/api/jobs/{job_id}", {"name": "Describe it"}).status == 200
    remark = {"message": "Looked at it", "requestPayload": ["words"] * 2_000}
    _asked(world, f"/api/jobs/{job_id}/logs", remark)
    assert world.ask("PATCH", f"/api/jobs/{job_id}", {"status": "completed"}).status == 200


def _furniture(world: World) -> dict[str, Any]:
    """Tell what a shop has set up."""

    def all_of(path: str, part: str, *names: str) -> list[list[Any]]:
        return [[each[name] for name in names] for each in world.ask("GET", path).body[part]]

    (job,) = world.jobs()
    logs = world.ask("GET", f"/api/jobs/{job.job_id}/logs").body["logs"]
    settings = world.ask("GET", "/api/shop").body["shop"]
    return {
        "keys": all_of("/api/shop/keys", "keys", "name"),
        "templates": all_of("/api/templates", "templates", "name", "altText"),
        "endpoints": all_of("/api/shop/webhooks", "endpoints", "description"),
        "agents": all_of("/api/admin/agents", "agents", "name", "isActive"),
        "settings": [settings[name] for name in ("autoPush", "monthlyBudget")],
        "remarks": [entry["message"] for entry in logs if entry["hasPayload"]],
        "name": job.name,
    }


# --- budgets -----------------------------------------------------------------------------


def _set_budget(world: World, credits_: int) -> None:
    body = {"monthlyBudget": {"credits": credits_, "costMicros": None}}
    assert world.ask("PUT", "/api/shop", body).status == 200


def _within_a_budget(world: World) -> None:
    """Two are under way and take all of it; what the failed one set aside is free again."""
    _set_budget(world, 2)
    _photos(world, 1, autoPush=True)
    (failing,) = _photos(world, 1, autoPush=True, parameters=FAILS_ONCE)
    body = {"toolId": "image-enhancement", "inputImageUrl": INPUT}
    assert world.ask("POST", "/api/jobs", body).status == 402
    world.settle()
    spent = world.ask("GET", "/api/shop").body["shop"]["spent"]
    assert spent["credits"] > 0
    _set_budget(world, spent["credits"] + 2)
    _asked(world, "/api/jobs/retry", {"jobId": failing})


def _over_the_budget(world: World) -> None:
    """A batch of three for which there is room for two is refused as a whole, one of two is not."""
    _set_budget(world, 2)
    assert world.ask("POST", "/api/batches", _batch_body(world, count=3)).status == 402
    _asked(world, "/api/batches", _batch_body(world, count=2))


def _cancelled_in_a_budget(world: World) -> None:
    _set_budget(world, 10)
    names = _photos(world, 2, scheduledAt="2026-11-22T13:00:00Z")
    _asked(world, "/api/jobs/cancel", {"jobIds": names})
    world.settle()
    _in_bulk(world, "delete", {"jobIds": names})


_NOTHING = ("", "", 0)

MANY_STORIES = (
    Story("retried_by_filter", _retried_by_filter, IN_CHUNKS, ends=("completed", "pushed", 3)),
    Story("retried_by_ids", _retried_by_ids, IN_CHUNKS, ends=("completed", "pushed", 3)),
    Story("pushed_by_ids", _pushed_by_ids, IN_CHUNKS, ends=("completed", "pushed", 3)),
    Story("undone_by_filter", _undone_by_filter, IN_CHUNKS, ends=("completed", "none", 0)),
    Story("cancelled_by_filter", _cancelled_by_filter, IN_CHUNKS, ends=("cancelled", "none", 0)),
    Story("deleted_by_ids", _deleted_by_ids, IN_CHUNKS, ends=_NOTHING),
    Story("synced_by_filter", _synced_by_filter, IN_CHUNKS, ends=("completed", "pushed", 3)),
    Story("batch", _batch, IN_CHUNKS, ends=("completed", "pushed", 3)),
    Story("batch_retried", _batch_retried, IN_CHUNKS, ends=("completed", "pushed", 3)),
    Story(
        "batch_cancelled",
        _batch_cancelled,
        IN_CHUNKS,
        ends=("cancelled", "none", 0),
        free=("jobs", "bulk jobs", "statistics"),
    ),
    Story("bulk_cancelled", _bulk_cancelled, IN_CHUNKS, ends=("completed", "pushed", 3)),
    Story("reported", _reported, ends=("completed", "none", 0)),
    Story("reported_by_webhook", _reported_by_webhook, ends=("completed", "none", 0)),
    Story("reported_and_deleted", _reported_and_deleted, ends=_NOTHING),
    Story("told_to_stop", _told_to_stop, ends=("cancelled", "none", 0)),
    Story("silent_worker", _silent_worker, ends=("completed", "none", 0)),
    Story("sync_app", _sync_app, ends=("completed", "none", 0)),
    Story("reassigned", _reassigned, ends=("completed", "none", 0)),
    Story("resubmitted", _resubmitted),
    Story("failed_again", _failed_again, ends=("failed", "none", 0)),
    Story("completed_by_hand", _completed_by_hand, ends=("completed", "none", 0)),
    Story("adopted", _adopted),
    Story("furnished", _furnished, ends=("completed", "none", 0), look=_furniture),
    Story("within_a_budget", _within_a_budget, ends=("completed", "pushed", 2)),
    Story("over_the_budget", _over_the_budget, IN_CHUNKS, ends=("completed", "pushed", 2)),
    Story("cancelled_in_a_budget", _cancelled_in_a_budget, IN_CHUNKS, ends=_NOTHING),
)
