"""functions/api: jobs whose parameters are too big for their item."""

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.errors import StoreUnavailableError
from shared.domain.job import Job
from shared.domain.status import JobStatus
from shared.usecases.documents import INLINE_BYTES, shelve
from tests.api_world import Reply, World, world
from tests.builders import SHOP, a_completed_job, a_job, later

__all__ = ["world"]

BIG: dict[str, Any] = {"prompts": ["a mug on a shelf"] * 200}
NEW: dict[str, Any] = {
    "toolId": "background-removal",
    "inputImageUrl": "https://shop.example/m.jpg",
    "parameters": BIG,
    "metadata": {"source": "spring"},
}
FRAME = len('{"parameters":{"x":""},"metadata":{},"result":null}')
KEY = {"idempotency-key": "k"}


def a_shelved_job(world: World, **changes: Any) -> Job:
    return world.has(shelve(world.files, a_job(**({"parameters": BIG} | changes))))


@pytest.mark.parametrize("size", [INLINE_BYTES, INLINE_BYTES + 1])
def test_a_job_reads_alike_just_below_and_above_the_boundary(world: World, size: int) -> None:
    parameters = {"x": "y" * (size - FRAME)}
    made = world.post("/api/jobs", NEW | {"parameters": parameters, "metadata": {}}).job
    assert made["parameters"] == parameters
    assert world.get(f"/api/jobs/{made['id']}").job == made
    assert world.get("/api/jobs").json["jobs"] == [made]
    stored = world.job(made["id"])
    is_big = size > INLINE_BYTES
    assert (stored.documents_key is not None, stored.parameters == {}) == (is_big, is_big)
    assert len(world.files.stored) == is_big


def test_a_created_job_holds_only_the_key_of_its_big_parameters(world: World) -> None:
    made = world.post("/api/jobs", NEW).job
    assert (made["parameters"], made["metadata"]) == (BIG, {"source": "spring"})
    stored = world.job(made["id"])
    assert (stored.parameters, stored.metadata) == ({}, {})
    assert list(world.files.stored) == [stored.documents_key]


def test_every_action_answers_with_the_big_parameters(world: World) -> None:
    job = a_shelved_job(world)
    assert world.post("/api/jobs/cancel", {"jobId": job.job_id}).job["parameters"] == BIG
    assert world.post("/api/jobs/retry", {"jobId": job.job_id}).job["parameters"] == BIG
    assert world.job(job.job_id).documents_key == job.documents_key
    assert list(world.files.stored) == [job.documents_key]


def test_a_page_mixes_big_and_small(world: World) -> None:
    small = world.has(a_job(created_at=later(1)))
    big = [a_shelved_job(world, created_at=later(2 + n)) for n in range(3)]
    found = world.get("/api/jobs").json["jobs"]
    assert {job["id"]: job["parameters"] for job in found} == {
        small.job_id: small.parameters,
        **{job.job_id: BIG for job in big},
    }
    named = world.get("/api/jobs", query={"ids": f"{big[0].job_id},{small.job_id}"}).json["jobs"]
    assert sorted(len(job["parameters"]) for job in named) == [1, 1]
    assert {"prompts"} in [set(job["parameters"]) for job in named]


def test_a_page_of_huge_shelved_jobs_is_shorter_and_reads_each_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = {"x": "y" * 60_000}
    for _ in range(60):
        a_shelved_job(world, parameters=huge, metadata=huge)
    asked: list[str] = []
    get = world.files.get

    def watched(key: str) -> bytes:
        asked.append(key)
        return get(key)

    monkeypatch.setattr(world.files, "get", watched)
    reply = world.get("/api/jobs", query={"limit": "60"})
    assert 0 < len(reply.json["jobs"]) < 60
    assert all(job["parameters"] == huge for job in reply.json["jobs"])
    assert len(asked) == len(set(asked)) == 60


def test_the_search_does_not_look_into_parameters(world: World) -> None:
    a_shelved_job(world)
    world.has(a_job(parameters={"prompt": "a mug on a shelf"}))
    assert world.get("/api/jobs", query={"q": "shelf"}).json["jobs"] == []


def test_an_unchanged_big_job_is_not_sent_again(world: World) -> None:
    path = f"/api/jobs/{a_shelved_job(world).job_id}"
    tag = world.get(path).headers["etag"]
    assert world.get(path, headers={"if-none-match": tag}).status == 304


def test_a_tag_says_nothing_of_where_the_parameters_are(world: World) -> None:
    job = a_shelved_job(world)
    tag = world.get(f"/api/jobs/{job.job_id}").headers["etag"]
    inline = replace(job, documents_key=None, parameters=BIG)
    world.store._jobs[job.ref] = inline
    assert world.get(f"/api/jobs/{job.job_id}").headers["etag"] == tag


def test_the_same_key_and_body_leave_one_document(world: World) -> None:
    first = world.post("/api/jobs", NEW, headers=KEY).job
    again = world.post("/api/jobs", NEW, headers=KEY).job
    assert (again["id"], again["parameters"]) == (first["id"], BIG)
    assert list(world.files.stored) == [world.job(first["id"]).documents_key]


def test_a_leftover_that_cannot_be_removed_is_no_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.post("/api/jobs", NEW, headers=KEY).job

    def refuse(keys: object) -> None:
        raise StoreUnavailableError("The bucket does not answer.")

    monkeypatch.setattr(world.files, "delete", refuse)
    again = world.post("/api/jobs", NEW, headers=KEY)
    assert (again.status, again.job["id"]) == (202, first["id"])


def test_a_bucket_that_is_out_makes_no_big_job_but_small_ones(world: World) -> None:
    world.files.broken = True
    reply = world.post("/api/jobs", NEW)
    assert (reply.status, reply.code) == (503, "unavailable")
    assert world.post("/api/jobs", NEW | {"parameters": {}}).status == 202
    world.files.broken = False
    assert len(world.get("/api/jobs").json["jobs"]) == 1


def test_a_bucket_that_can_only_be_written_to_does_not_hide_that_a_job_was_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(key: str) -> bytes:
        raise StoreUnavailableError("The bucket does not answer.")

    monkeypatch.setattr(world.files, "get", refuse)
    reply = world.post("/api/jobs", NEW)
    assert (reply.status, reply.job["parameters"]) == (202, BIG)


def test_a_bucket_that_is_out_hides_big_jobs_for_a_while(world: World) -> None:
    job = a_shelved_job(world)
    world.files.broken = True
    assert world.get(f"/api/jobs/{job.job_id}").status == 503
    assert world.get("/api/jobs").status == 503


def test_a_job_whose_documents_are_lost_can_be_read_listed_and_deleted(world: World) -> None:
    job = a_shelved_job(world, status=JobStatus.FAILED, completed_at=later(5))
    world.files.stored.clear()
    assert world.get(f"/api/jobs/{job.job_id}").job["parameters"] == {}
    assert [found["id"] for found in world.get("/api/jobs").json["jobs"]] == [job.job_id]
    assert world.call("DELETE", f"/api/jobs/{job.job_id}").status == 200


def test_a_deleted_job_is_gone_with_its_documents(world: World) -> None:
    job = world.has(shelve(world.files, a_completed_job(parameters=BIG, outputs=())))
    kept = a_shelved_job(world)
    assert world.call("DELETE", f"/api/jobs/{job.job_id}").status == 200
    assert list(world.files.stored) == [kept.documents_key]


def test_what_a_crash_left_in_a_jobs_folder_goes_with_the_job(world: World) -> None:
    job = world.has(a_completed_job(outputs=()))
    other = f"shops/{SHOP}/jobs/{a_completed_job().job_id}/documents-1.json"
    for key in (f"shops/{SHOP}/jobs/{job.job_id}/documents-0.json", other):
        world.files.put(key, b"{}", "application/json")
    assert world.call("DELETE", f"/api/jobs/{job.job_id}").status == 200
    assert list(world.files.stored) == [other]


# --- documents that change -------------------------------------------------------------


def patch(world: World, job_id: str, /, **report: Any) -> Reply:
    return world.call("PATCH", f"/api/jobs/{job_id}", json_body=report)


def test_a_report_keeps_big_documents_and_adds_to_them(world: World) -> None:
    made = world.post("/api/jobs", {"type": "pull", "parameters": BIG, "metadata": {"a": 1}}).job
    shown = patch(world, made["id"], status="RUNNING", metadata={"page": 1}).job
    assert (shown["parameters"], shown["metadata"]) == (BIG, {"a": 1, "page": 1})
    done = patch(world, made["id"], status="completed", result={"rows": ["x" * 50] * 90}).job
    assert (done["parameters"], done["metadata"]) == (BIG, {"a": 1, "page": 1})
    assert done["result"] == {"rows": ["x" * 50] * 90}
    assert world.get(f"/api/jobs/{made['id']}").job == done
    stored = world.job(made["id"])
    assert (stored.parameters, stored.metadata, stored.result) == ({}, {}, {})
    assert list(world.files.stored) == [stored.documents_key]
    assert world.call("DELETE", f"/api/jobs/{made['id']}").status == 200
    assert world.files.stored == {}


def test_a_report_without_documents_touches_none(world: World) -> None:
    made = world.post("/api/jobs", {"type": "pull", "parameters": BIG}).job
    before = dict(world.files.stored)
    shown = patch(world, made["id"], processed=3, message="page 3").job
    assert (shown["parameters"], shown["message"]) == (BIG, "page 3")
    assert world.files.stored == before


def test_the_bound_on_metadata_counts_what_lies_in_the_bucket(world: World) -> None:
    made = world.post("/api/jobs", {"type": "pull", "metadata": {"x": "y" * 40_000}}).job
    reply = patch(world, made["id"], metadata={"z": "y" * 40_000})
    assert (reply.status, reply.code) == (413, "too_large")
    assert world.get(f"/api/jobs/{made['id']}").job["metadata"] == {"x": "y" * 40_000}


def test_the_sync_apps_api_shows_big_metadata(world: World) -> None:
    path, big = "/api/sync/job-progress", {"x": "y" * 3_000}
    made = world.post(path, {"type": "PULL", "total": 9, "metadata": big}).json["data"]
    assert made["metadata"] == big
    reported = world.call("PATCH", path, json_body={"jobId": made["id"], "metadata": {"p": 1}})
    assert reported.json["data"]["metadata"] == big | {"p": 1}
    one = world.get(path, query={"jobId": made["id"]}).json["data"]
    assert one["metadata"] == big | {"p": 1}
    assert world.get(path, query={"all": "true"}).json["data"]["jobs"] == [one]
    assert world.get(path, query={"type": "PULL"}).json["data"]["latestJob"] == one
    (line,) = world.get("/api/logs").json["data"]["logs"]
    assert line["metadata"] == big | {"p": 1}


def test_a_result_given_by_hand_is_shelved_with_the_parameters(world: World) -> None:
    job = a_shelved_job(world)
    path = f"/api/admin/jobs/{job.job_id}/complete"
    done = world.post(path, {"result": {"x": "y" * 3_000}}).job
    assert (done["status"], done["parameters"]) == ("completed", BIG)
    assert done["result"] == {"x": "y" * 3_000}
    assert world.get(f"/api/jobs/{job.job_id}").job == done
    stored = world.job(job.job_id)
    assert (stored.parameters, stored.result) == ({}, {})
    assert list(world.files.stored) == [stored.documents_key]


def test_a_page_that_is_read_while_a_report_comes_shows_what_was_reported(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = world.post("/api/jobs", {"type": "pull", "parameters": BIG}).job
    get = world.files.get

    def late(key: str) -> bytes:
        monkeypatch.setattr(world.files, "get", get)
        patch(world, made["id"], metadata={"page": 1})
        return get(key)

    monkeypatch.setattr(world.files, "get", late)
    (shown,) = world.get("/api/jobs").json["jobs"]
    assert (shown["parameters"], shown["metadata"]) == (BIG, {"page": 1})
