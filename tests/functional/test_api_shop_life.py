"""A shop's life as its owner and administrators see it: installation, retention, erasure."""

from datetime import timedelta
from typing import Any

from shared.domain.erasure import ErasureReport, shop_digest
from shared.domain.shop import Shop
from shared.domain.status import JobStatus
from tests.api_world import Reply, World, world
from tests.builders import OTHER_SHOP, SHOP, a_job_id, a_worker_job, later

__all__ = ["world"]


def a_report(erasure_id: str, **changes: object) -> ErasureReport:
    values: dict[str, object] = {
        "erasure_id": erasure_id,
        "requested_at": later(0),
        "started_at": later(1),
        "log_days": 14,
    }
    return ErasureReport(**(values | changes))  # type: ignore[arg-type]


def put(world: World, path: str, body: Any) -> Reply:
    return world.call("PUT", path, json_body=body)


def test_administrators_read_what_was_erased_and_what_remains_where(world: World) -> None:
    first, second = a_job_id(later(0)), a_job_id(later(9))
    done = a_report(first, ended_at=later(400), deleted={"jobs": 7, "files": 3}, looks=2)
    world.erasures.put_report(SHOP, done)
    world.erasures.put_report(SHOP, a_report(second))
    found = world.get("/api/admin/erasures", shop=SHOP).json["erasures"]
    assert [(each["id"], each["status"]) for each in found] == [
        (second, "running"),
        (first, "completed"),
    ]
    assert found[1]["deleted"] == {"jobs": 7, "files": 3}
    assert found[1]["endedAt"] == "2026-11-22T12:06:40.000Z"
    remains = {each["where"]: each["days"] for each in found[1]["remains"]}
    assert remains["backups of the table"] == 35
    assert remains["logs"] == 14
    assert remains["queues"] == 14
    assert world.get("/api/admin/erasures", shop=OTHER_SHOP).json["erasures"] == []
    asked = world.get("/api/admin/erasures", shop=None, query={"shop": SHOP})
    assert asked.json["erasures"] == found
    assert SHOP not in str(found)
    assert shop_digest(SHOP) in world.erasures._reports


def test_reports_are_for_administrators_who_name_the_shop(world: World) -> None:
    key = world.post("/api/shop/keys", {"name": "x"}).json["secret"]
    assert world.get("/api/admin/erasures", shop=None, key=key).status == 403
    assert world.get("/api/admin/erasures", shop=None).status == 400


def test_a_shop_says_since_when_the_app_is_gone(world: World) -> None:
    world.shops.save_shop(None, Shop(shop=SHOP, uninstalled_at=later(5)))
    shown = world.get("/api/shop").json["shop"]
    assert (shown["installed"], shown["token"]) == (False, "missing")
    assert shown["uninstalledAt"] == "2026-11-22T12:00:05.000Z"


def test_a_shop_that_is_being_erased_takes_nothing_new(world: World) -> None:
    world.shops.save_shop(None, Shop(shop=SHOP, erasing=a_job_id()))
    login = {"authorization": f"Bearer {world.id_token()}"}
    for reply in (
        world.get("/api/jobs", shop=None, key=None, headers=login),
        world.post("/api/jobs", {"name": "x"}),
        put(world, "/api/shop", {"autoPush": True}),
    ):
        assert (reply.status, reply.code) == (503, "unavailable")
        assert reply.headers["retry-after"] == "5"
    assert world.post("/api/jobs", {"name": "x"}, shop=OTHER_SHOP).status == 202


def test_a_retention_is_seen_to_by_a_bulk_job_that_is_listed_only_when_asked_for(
    world: World,
) -> None:
    assert put(world, "/api/shop", {"retentionDays": 30}).json["shop"]["retentionDays"] == 30
    assert world.get("/api/jobs").json["jobs"] == []
    assert world.get("/api/jobs/pending-count").json["total"] == 0
    (job,) = world.get("/api/jobs", query={"type": "bulk.retain"}).json["jobs"]
    assert (job["status"], job["scheduledAt"]) == ("pending", "2026-11-23T12:00:00.000Z")
    body = {"jobId": job["id"]}
    assert world.post("/api/jobs/cancel", body).code == "wrong_status"
    assert world.call("DELETE", f"/api/jobs/{job['id']}").code == "job_active"
    assert world.post("/api/jobs/retry", body).status == 409
    said = {"status": "completed"}
    assert world.call("PATCH", f"/api/jobs/{job['id']}", json_body=said).status == 409
    done = world.post(f"/api/admin/jobs/{job['id']}/complete", {"result": {}})
    assert done.code == "wrong_status"
    assert world.job(job["id"]).status is JobStatus.PENDING


def test_setting_a_retention_again_makes_no_second_job_and_taking_it_back_frees_it(
    world: World,
) -> None:
    for days in (30, 30, 60):
        put(world, "/api/shop", {"retentionDays": days})
    put(world, "/api/shop", {"autoPush": True})
    jobs = world.get("/api/jobs", query={"type": "bulk.retain"}).json["jobs"]
    shop = world.shops.get_shop(SHOP)
    assert shop is not None
    assert [job["id"] for job in jobs] == [shop.retention_job]
    put(world, "/api/shop", {"retentionDays": None})
    shop = world.shops.get_shop(SHOP)
    assert shop is not None
    assert (shop.retention_days, shop.retention_job) == (None, None)


def test_a_retention_deletes_nothing_by_being_set(world: World) -> None:
    old = later(0) - timedelta(days=99)
    job = world.has(
        a_worker_job(created_at=old, status=JobStatus.COMPLETED, completed_at=old, due_at=None)
    )
    put(world, "/api/shop", {"retentionDays": 1})
    assert world.get(f"/api/jobs/{job.job_id}").status == 200
