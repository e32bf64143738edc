"""functions/api: create, list, read, delete, from API Gateway's event to the answer."""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain import lifecycle
from shared.domain.events import LogEntry, ParkedEvent, Proof, Source
from shared.domain.ids import JobRef
from shared.domain.job import Counts, Job
from shared.domain.plan import Step
from shared.domain.shop import Shop
from shared.domain.status import JobStatus, Outcome, PushStatus
from shared.usecases.ports import DispatchRequest
from tests.api_world import ADMIN, Reply, World, digest, sample, world
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
    later,
)

__all__ = ["world"]

NEW: dict[str, Any] = {
    "toolId": "background-removal",
    "inputImageUrl": "https://shop.example/m.jpg",
}

# facts of the original tracker: its 26 columns.
COLUMNS = {
    *("id", "shop", "pikcelJobId", "toolId", "toolName", "status", "priority", "inputImageUrl"),
    *("outputImageUrl", "thumbnailUrl", "parameters", "errorMessage", "creditsUsed"),
    *("processingTimeMs", "progress", "productId", "productTitle", "variantId", "imageId"),
    *("metadata", "pushedToShopify", "pushedAt", "startedAt", "completedAt", "createdAt"),
    "updatedAt",
}
OURS = {
    *("provider", "providerJobId", "type", "nativeStatus", "attempt", "retryCount", "pushStatus"),
    *("pushError", "shopifyMediaId", "outputs", "batchId", "projectId", "mode", "inputAssetId"),
    *("agentId", "total", "processed", "successful", "failed", "speed", "etaSeconds"),
    *("durationMs", "costMicros", "errorCode", "cancelRequested"),
}


# --- create ----------------------------------------------------------------------------


def test_the_sample_event_creates_a_job_and_queues_its_dispatch(world: World) -> None:
    reply = world.send(sample("api_create_job"))
    assert reply.status == 202
    assert reply.headers["location"] == f"/api/jobs/{reply.job['id']}"
    job = world.job(reply.job["id"])
    assert (job.status, job.provider, job.auto_push) == (JobStatus.PENDING, "pikcel", True)
    assert [sent.request for sent in world.outbox.dispatches] == [DispatchRequest(ref=job.ref)]
    assert job.due_at is not None


def test_a_job_has_every_field_that_was_promised_and_null_where_nothing_is_known(
    world: World,
) -> None:
    job = world.post("/api/jobs", NEW).job
    assert len(COLUMNS) == 26
    assert set(job) >= COLUMNS | OURS
    assert job["productId"] is None
    assert job["createdAt"] == "2026-11-22T12:00:00.000Z"


def test_everything_that_may_be_sent_is_kept_and_shown(world: World) -> None:
    sent = NEW | {
        "parameters": {"deep": {"id": 2**53 + 1}},
        "metadata": {"a": 1},
        "priority": "urgent",
        "provider": "pikcel",
        "type": "mockup",
        "productId": 1001,
        "productTitle": "Blue mug",
        "variantId": "7",
        "imageId": "gid://shopify/MediaImage/3",
        "projectId": "p1",
        "mode": "studio",
        "inputAssetId": "asset-1",
        "name": "A name",
        "description": "Line one\nline two",
        "acceptanceCriteria": "White",
        "costMicros": 5,
        "templateId": "t",
        "batchId": "b",
        "agentId": "g",
        "autoPush": False,
        "altText": "Mug",
        "scheduledAt": "2026-11-23T00:00:00+01:00",
        "exclusive": False,
    }
    job = world.post("/api/jobs", sent).job
    shown = {name: job[name] for name in sent if name != "costMicros"}
    assert shown == {name: value for name, value in sent.items() if name != "costMicros"} | {
        "parameters": {"deep": {"id": str(2**53 + 1)}},
        "productId": "gid://shopify/Product/1001",
        "variantId": "gid://shopify/ProductVariant/7",
        "scheduledAt": "2026-11-22T23:00:00.000Z",
    }
    assert world.job(job["id"]).unit_cost_micros == 5
    assert world.job(job["id"]).parameters["deep"]["id"] == 2**53 + 1


def test_a_scheduled_job_is_not_dispatched_yet(world: World) -> None:
    job = world.post("/api/jobs", NEW | {"scheduledAt": "2026-11-23T00:00:00Z"}).job
    assert world.outbox.dispatches == []
    assert world.job(job["id"]).due_at is not None


def test_a_job_without_a_tool_is_a_workers_and_waits_for_it(world: World) -> None:
    job = world.post("/api/jobs", {"type": "catalog_pull", "name": "Pull"}).job
    assert (job["provider"], job["status"], job["type"]) == ("worker", "pending", "catalog_pull")
    assert world.outbox.dispatches == []


def test_the_shops_setting_decides_where_the_job_does_not_say(world: World) -> None:
    world.shops.save_shop(None, Shop(shop=SHOP, auto_push=True))
    assert world.post("/api/jobs", NEW).job["autoPush"] is True
    assert world.post("/api/jobs", NEW | {"autoPush": False}).job["autoPush"] is False
    assert world.post("/api/jobs", NEW, shop=OTHER_SHOP).job["autoPush"] is False


def test_the_same_key_and_body_give_the_same_job_once(world: World) -> None:
    first = world.post("/api/jobs", NEW, headers={"idempotency-key": "k"})
    again = world.post("/api/jobs", dict(reversed(NEW.items())), headers={"idempotency-key": "k"})
    assert (again.status, again.job["id"]) == (202, first.job["id"])
    assert len(world.outbox.dispatches) == 1


def test_the_same_key_with_another_body_is_refused(world: World) -> None:
    world.post("/api/jobs", NEW, headers={"idempotency-key": "k"})
    reply = world.post("/api/jobs", NEW | {"toolId": "x"}, headers={"idempotency-key": "k"})
    assert (reply.status, reply.code) == (422, "idempotency_key_reused")


def test_another_shop_may_use_the_same_key(world: World) -> None:
    first = world.post("/api/jobs", NEW, headers={"idempotency-key": "k"})
    other = world.post("/api/jobs", NEW, headers={"idempotency-key": "k"}, shop=OTHER_SHOP)
    assert other.status == 202
    assert other.job["id"] != first.job["id"]


@pytest.mark.parametrize(
    "body",
    [
        {"pikcelJobId": "pk_7"},
        {"pikcelJobId": "pk_7", "providerJobId": "pk_7", "provider": "pikcel"},
        {"providerJobId": "pk_7", "provider": "pikcel"},
        {"providerJobId": "pk_7", "toolId": "background-removal"},
    ],
)
def test_a_job_made_elsewhere_is_registered_and_asked_about_at_once(
    world: World, body: dict[str, Any]
) -> None:
    job = world.post("/api/jobs", body).job
    assert (job["provider"], job["providerJobId"], job["pikcelJobId"]) == ("pikcel", "pk_7", "pk_7")
    stored = world.store.get(JobRef(SHOP, job["id"]))
    assert world.tracker.step(stored, world.clock.now()) is Step.POLL
    assert world.outbox.dispatched_refs == [stored.ref]
    link = world.store.find_link("pikcel", "pk_7")
    assert link is not None
    assert link.ref.job_id == job["id"]


def test_a_workers_job_may_have_an_id_of_its_own(world: World) -> None:
    job = world.post("/api/jobs", {"providerJobId": "run-7"}).job
    assert (job["provider"], job["providerJobId"], job["pikcelJobId"]) == ("worker", "run-7", None)


def test_an_event_that_came_before_its_job_is_applied_by_registering(world: World) -> None:
    park(world, metadata={})
    job = world.post("/api/jobs", {"pikcelJobId": "pk_1"}).job
    assert (job["status"], job["creditsUsed"]) == ("completed", 2)
    assert job["outputImageUrl"] == "https://cdn.pikcel.ai/results/1.png"


def test_whose_the_result_is_says_its_reference_not_who_registers_it(world: World) -> None:
    park(world)  # its metadata refers to a job of SHOP
    job = world.post("/api/jobs", {"pikcelJobId": "pk_1"}, shop=OTHER_SHOP).job
    assert (job["status"], job["outputImageUrl"], job["creditsUsed"]) == ("pending", None, 0)


def park(world: World, **changes: Any) -> None:
    """Park the completion of the sample event, with changes to its job."""
    body = json.loads(sample("webhook_pikcel_completed")["body"])
    body["job"] |= changes
    world.store.park(
        ParkedEvent(
            provider="pikcel",
            provider_job_id="pk_1",
            key="e",
            received_at=world.clock.now(),
            proof=Proof.BODY,
            body=json.dumps(body).encode(),
        )
    )


@pytest.mark.parametrize("shop", [SHOP, OTHER_SHOP])
def test_an_id_that_is_registered_is_taken_whoever_asks(world: World, shop: str) -> None:
    world.has(a_dispatched_job())
    reply = world.post("/api/jobs", {"pikcelJobId": "pk_1"}, shop=shop)
    assert (reply.status, reply.code) == (409, "provider_job_taken")
    assert SHOP not in reply.text


def test_blanks_around_a_text_do_not_count(world: World) -> None:
    job = world.post("/api/jobs", NEW | {"name": "  A  chair\n", "projectId": " p1 "}).json["job"]
    assert (job["name"], job["projectId"]) == ("A  chair", "p1")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"toolId": "x"}, "inputImageUrl"),
        ({"provider": "pikcel", "inputImageUrl": "https://a.example/x"}, "toolId"),
        (NEW | {"provider": "acme"}, "provider"),
        (NEW | {"inputImageUrl": "http://shop.example/m.jpg"}, "inputImageUrl"),
        (NEW | {"inputImageUrl": "https://user:pass@shop.example/m.jpg"}, "inputImageUrl"),
        (NEW | {"inputImageUrl": "https://[::1/m.jpg"}, "inputImageUrl"),
        (NEW | {"inputImageUrl": "https://a.example:99999/"}, "inputImageUrl"),
        (NEW | {"inputImageUrl": "https://a b.example/"}, "inputImageUrl"),
        (NEW | {"type": "bulk.retry"}, "type"),
        (NEW | {"priority": "asap"}, "priority"),
        (NEW | {"productId": "gid://shopify/Order/1"}, "productId"),
        (NEW | {"productId": True}, "productId"),
        (NEW | {"parameters": []}, "parameters"),
        (NEW | {"parameters": {"x": "y" * 65_536}}, "parameters"),
        (NEW | {"costMicros": -1}, "costMicros"),
        (NEW | {"costMicros": "1"}, "costMicros"),
        (NEW | {"costMicros": True}, "costMicros"),
        (NEW | {"autoPush": "yes"}, "autoPush"),
        (NEW | {"scheduledAt": "tomorrow"}, "scheduledAt"),
        (NEW | {"scheduledAt": "2026-02-30"}, "scheduledAt"),
        (NEW | {"scheduledAt": "9999-12-31T23:59:59-12:00"}, "scheduledAt"),
        (NEW | {"scheduledAt": 1}, "scheduledAt"),
        ({"pikcelJobId": "a", "scheduledAt": "2027-01-01"}, "scheduledAt"),
        ({"pikcelJobId": "a", "providerJobId": "b"}, "pikcelJobId"),
        ({"pikcelJobId": "a", "provider": "worker"}, "pikcelJobId"),
        (NEW | {"altText": "x" * 513}, "altText"),
        (NEW | {"name": ""}, "name"),
        (NEW | {"altText": " \u3000\n"}, "altText"),
        ({"toolId": "  ", "inputImageUrl": "https://a.example/x"}, "toolId"),
        (NEW | {"name": "a\x00b"}, "name"),
        (NEW | {"jobIds": []}, "jobIds"),
        (NEW | {"tool_id": "x"}, "tool_id"),
    ],
)
def test_bad_input_is_refused_by_the_name_of_the_field(
    world: World, body: dict[str, Any], field: str
) -> None:
    reply = world.post("/api/jobs", body)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert [detail["field"] for detail in reply.json["details"]] == [field]
    assert reply.json["requestId"] == "JKJaXmPLvHcESHA="


@pytest.mark.parametrize(
    "parameters",
    [
        '{"x": NaN}',
        '{"x": -Infinity}',
        '{"x": 1e999}',
        '{"x": 1e200}',
        '{"x": [1e-200]}',
        '{"x": 1' + "0" * 38 + "}",
        '{"x": ' + "9" * 5000 + "}",
        '{"x": "\\ud800"}',
        '{"x": {"\\udfff": 1}}',
        "[" * 50 + "]" * 50,
        '{"a":' * 30_000,
    ],
    ids=lambda text: text[:16],
)
def test_what_could_not_be_stored_or_answered_is_refused(world: World, parameters: str) -> None:
    body = json.dumps(NEW)[:-1] + f', "parameters": {parameters}}}'
    reply = world.call("POST", "/api/jobs", body=body)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert [detail["field"] for detail in reply.json["details"]] == ["body"]


def test_what_is_not_utf_8_is_refused(world: World) -> None:
    body = base64.b64encode(json.dumps(NEW).encode("utf-16")).decode()
    reply = world.call("POST", "/api/jobs", body=body, is_base64=True)
    assert (reply.status, reply.code) == (400, "invalid_request")


def test_a_laptops_own_host_may_be_plain_http(world: World) -> None:
    world.plain_hosts.add("127.0.0.1:8790")
    body = NEW | {"inputImageUrl": "http://127.0.0.1:8790/m.jpg"}
    assert world.post("/api/jobs", body).status == 202


def test_parameters_may_be_twenty_levels_deep_and_no_more(world: World) -> None:
    def nested(levels: int) -> dict[str, Any]:
        return {"a": nested(levels - 1)} if levels > 1 else {}

    assert world.post("/api/jobs", NEW | {"parameters": nested(20)}).status == 202
    assert world.post("/api/jobs", NEW | {"parameters": nested(21)}).status == 400
    assert world.post("/api/jobs", NEW | {"parameters": nested(200)}).status == 400


def test_a_body_of_more_than_256_kb_is_too_large(world: World) -> None:
    reply = world.call("POST", "/api/jobs", body="x" * 262_145)
    assert (reply.status, reply.code) == (413, "too_large")


# --- read ------------------------------------------------------------------------------


def test_a_kept_result_is_shown_by_our_own_link(world: World) -> None:
    job = world.has(a_kept_job(job_id=a_job_id()))
    shown = world.get(f"/api/jobs/{job.job_id}").job
    assert shown["outputImageUrl"].startswith("https://bucket.example/shops/")
    assert "expires=7200" in shown["outputImageUrl"]
    assert shown["outputs"] == [
        {
            "index": 0,
            "url": shown["outputImageUrl"],
            "kept": True,
            "contentType": "image/png",
            "sha256": "ab" * 32,
            "bytes": 1234,
            "width": 640,
            "height": 480,
            "errorCode": None,
            "mediaId": None,
            "pushStatus": "none",
        }
    ]


def test_a_result_that_is_not_kept_yet_is_shown_by_the_providers_link(world: World) -> None:
    job = world.has(a_completed_job())
    assert world.get(f"/api/jobs/{job.job_id}").job["outputImageUrl"].startswith("https://cdn.")


def test_credits_and_cost_are_summed_over_all_attempts(world: World) -> None:
    job = a_dispatched_job()
    first = replace(job.attempt, credits=2, cost_micros=2**53)
    second = replace(job.attempt, number=2, provider_job_id="pk_2", credits=3, cost_micros=1)
    world.has(replace(job, attempts=(first, second)))
    shown = world.get(f"/api/jobs/{job.job_id}").job
    assert (shown["creditsUsed"], shown["costMicros"]) == (5, str(2**53 + 1))
    assert (shown["attempt"], shown["retryCount"]) == (2, 1)


def test_a_workers_progress_has_speed_and_time_left(world: World) -> None:
    job = a_worker_job(
        status=JobStatus.PROCESSING,
        started_at=later(0),
        reported_at=later(20),
        counts=Counts(total=100, processed=40),
    )
    world.has(job)
    shown = world.get(f"/api/jobs/{job.job_id}").job
    assert (shown["speed"], shown["etaSeconds"], shown["durationMs"]) == (2.0, 30, None)


def test_an_unchanged_job_is_not_sent_again(world: World) -> None:
    job = world.has(a_kept_job())
    first = world.get(f"/api/jobs/{job.job_id}")
    again = world.get(f"/api/jobs/{job.job_id}", headers={"if-none-match": first.headers["etag"]})
    assert (again.status, again.text) == (304, "")
    assert again.headers["etag"] == first.headers["etag"]
    assert first.job["outputImageUrl"] != world.get(f"/api/jobs/{job.job_id}").job["outputImageUrl"]


@pytest.mark.parametrize("form", ["W/{}", '"other", {}', "*"])
def test_every_form_of_if_none_match_is_understood(world: World, form: str) -> None:
    path = f"/api/jobs/{world.has(a_job()).job_id}"
    tag = world.get(path).headers["etag"]
    assert world.get(path, headers={"if-none-match": form.format(tag)}).status == 304


def test_a_changed_job_has_another_tag(world: World) -> None:
    job = world.has(a_job())
    tag = world.get(f"/api/jobs/{job.job_id}").headers["etag"]
    world.store.save(job, replace(job, progress=10))
    reply = world.get(f"/api/jobs/{job.job_id}", headers={"if-none-match": tag})
    assert (reply.status, reply.job["progress"]) == (200, 10)


@pytest.mark.parametrize("suffix", ["", "/logs", "/output"])
@pytest.mark.parametrize("job_id", [a_job_id(), "nonsense", "..", "%2e%2e", "'; drop", "ü"])
def test_a_job_that_does_not_exist_is_not_found(world: World, job_id: str, suffix: str) -> None:
    reply = world.get(f"/api/jobs/{job_id}{suffix}")
    assert (reply.status, reply.code) == (404, "not_found")


# --- output ----------------------------------------------------------------------------


def test_the_output_is_a_download_of_our_copy(world: World) -> None:
    job = world.has(a_kept_job())
    reply = world.get(f"/api/jobs/{job.job_id}/output")
    assert reply.status == 302
    assert reply.headers["location"].endswith(f"&name={job.job_id}-0.png")


def test_a_page_takes_the_link_and_follows_it_itself(world: World) -> None:
    job = world.has(a_kept_job())
    reply = world.get(f"/api/jobs/{job.job_id}/output", query={"link": "1"})
    assert reply.status == 200
    assert reply.json["url"].endswith(f"&name={job.job_id}-0.png")


def test_until_it_is_kept_the_providers_own_is_downloaded(world: World) -> None:
    job = world.has(a_completed_job())
    reply = world.get(f"/api/jobs/{job.job_id}/output")
    assert (reply.status, reply.headers["location"]) == (302, "https://cdn.pikcel.ai/results/1.png")


def test_a_job_without_a_result_says_so(world: World) -> None:
    job = world.has(a_job())
    reply = world.get(f"/api/jobs/{job.job_id}/output")
    assert (reply.status, reply.code) == (404, "not_found")
    assert "no result yet" in reply.json["error"]


def test_a_result_that_can_never_be_kept_is_not_offered(world: World) -> None:
    output = a_kept_output(key=None, error_code="output_expired")
    job = world.has(a_completed_job(outputs=(output,), error_message="The link is dead."))
    assert world.get(f"/api/jobs/{job.job_id}").job["outputImageUrl"] is None
    reply = world.get(f"/api/jobs/{job.job_id}/output")
    assert reply.status == 404
    assert "The link is dead." in reply.json["error"]


def test_there_is_no_second_result_of_one(world: World) -> None:
    job = world.has(a_kept_job())
    assert world.get(f"/api/jobs/{job.job_id}/output", query={"index": "1"}).status == 404


# --- timeline --------------------------------------------------------------------------


def test_the_timeline_names_who_did_what_newest_first(world: World) -> None:
    job_id = world.post("/api/jobs", NEW).job["id"]
    world.clock.advance(1)
    world.post("/api/jobs/cancel", {"jobId": job_id})
    logs = world.get(f"/api/jobs/{job_id}/logs").json["logs"]
    assert [(line["source"], line["from"], line["to"]) for line in logs] == [
        ("admin", "pending", "cancelled"),
        ("admin", None, "pending"),
    ]
    assert {line["actor"] for line in logs} == {f"admin:{digest(ADMIN)[:8]}"}


def test_a_long_timeline_comes_in_pages(world: World) -> None:
    job = world.has(a_job())
    for second in range(5):
        world.store.note(job.ref, _entry(world, second))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = world.get(f"/api/jobs/{job.job_id}/logs", query={"limit": "2", **cursor}).json
        seen += [line["message"] for line in page["logs"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert seen == ["4", "3", "2", "1", "0"]


def _entry(world: World, second: int) -> LogEntry:
    at = later(second)
    return LogEntry(
        entry_id=world.tracker.new_id(at),
        at=at,
        source=Source.SWEEP,
        outcome=Outcome.NOTED,
        message=str(second),
    )


# --- list ------------------------------------------------------------------------------


def _ids(reply: Any) -> list[str]:
    return [job["id"] for job in reply.json["jobs"]]


def test_the_sample_event_lists_the_running_jobs_only(world: World) -> None:
    running = world.has(
        a_job(), a_completed_job(attempt={"provider_job_id": "x"}), a_dispatched_job()
    )
    reply = world.send(sample("api_list_jobs"))
    assert (reply.status, _ids(reply)) == (200, [running.job_id])


def test_pages_follow_each_other_newest_first_and_end_with_null(world: World) -> None:
    jobs = [a_job(created_at=later(n)) for n in range(5)]
    world.has(*jobs)
    newest_first = [job.job_id for job in reversed(jobs)]
    first = world.get("/api/jobs", query={"limit": "2"})
    assert (_ids(first), first.json["total"]) == (newest_first[:2], 5)
    second = world.get("/api/jobs", query={"limit": "3", "cursor": first.json["nextCursor"]})
    assert _ids(second) == newest_first[2:]
    assert (second.json["nextCursor"], second.json["total"]) == (None, None)


def test_the_oldest_may_come_first(world: World) -> None:
    jobs = [a_job(created_at=later(n)) for n in range(3)]
    world.has(*jobs)
    assert _ids(world.get("/api/jobs", query={"sort": "createdAt"})) == [j.job_id for j in jobs]


def test_the_total_of_all_is_exact_though_only_a_page_is_read(world: World) -> None:
    for number in range(3):
        world.has(a_completed_job(attempt={"provider_job_id": f"c{number}"}))
        world.has(a_dispatched_job(attempt={"provider_job_id": f"d{number}"}))
        world.has(a_job())
    reply = world.get("/api/jobs", query={"limit": "2"})
    assert (reply.json["total"], reply.json["runningCount"]) == (9, 3)


def test_a_filtered_page_that_is_not_the_whole_answer_has_no_total(world: World) -> None:
    world.has(*(a_job() for _ in range(3)))
    reply = world.get("/api/jobs", query={"status": "queued", "limit": "2"})
    assert (reply.json["total"], reply.json["runningCount"]) == (None, None)
    whole = world.get("/api/jobs", query={"status": "queued"})
    assert (whole.json["total"], whole.json["runningCount"]) == (3, 0)


@pytest.mark.parametrize(
    "query",
    [
        {"status": "SUCCEEDED"},
        {"pushStatus": "pushed"},
        {"type": "mockup"},
        {"toolId": "special"},
        {"productId": "77"},
        {"productId": "gid://shopify/Product/77"},
        {"batchId": "b"},
        {"projectId": "p"},
        {"agentId": "g"},
        {"from": "2026-11-23"},
        {"from": "2026-11-23T10:00:00Z", "to": "2026-11-23T10:00:00.001Z"},
        {"q": "rEd MuG"},
        {"status": "completed", "type": "mockup", "q": "special", "projectId": "p"},
    ],
)
def test_every_filter_finds_the_one_job_and_they_combine(
    world: World, query: dict[str, str]
) -> None:
    world.has(a_job(), a_job(tool_id="other"))
    wanted = a_kept_job(
        created_at=later(22 * 3600),
        type="mockup",
        tool_id="special",
        product_id="gid://shopify/Product/77",
        product_title="Red mug",
        batch_id="b",
        project_id="p",
        agent_id="g",
    )
    world.has(replace(wanted, push=replace(wanted.push, status=PushStatus.PUSHED)))
    assert _ids(world.get("/api/jobs", query=query)) == [wanted.job_id]


def test_what_may_begin_now_is_told_from_what_waits(world: World) -> None:
    plain = world.has(a_job())
    soon = world.has(a_job(scheduled_at=later(60)))
    world.has(a_job(scheduled_at=later(61)))
    query = {"scheduledBefore": later(61).isoformat(), "status": "pending", "sort": "createdAt"}
    assert _ids(world.get("/api/jobs", query=query)) == [plain.job_id, soon.job_id]


def test_the_end_of_a_period_is_exclusive(world: World) -> None:
    world.has(a_job(created_at=later(12 * 3600)))
    assert _ids(world.get("/api/jobs", query={"to": "2026-11-23"})) == []


def test_named_jobs_come_at_once_without_those_of_others(world: World) -> None:
    mine = world.has(a_job())
    theirs = world.has(a_job(shop=OTHER_SHOP))
    reply = world.get("/api/jobs", query={"ids": f"{mine.job_id},{theirs.job_id},nonsense"})
    assert (_ids(reply), reply.json["total"]) == ([mine.job_id], 1)


def test_a_job_is_found_by_what_its_provider_calls_it(world: World) -> None:
    job = world.has(a_dispatched_job())
    world.has(a_dispatched_job(shop=OTHER_SHOP, attempt={"provider_job_id": "pk_theirs"}))
    again = lifecycle.retry(lifecycle.cancel(job, later(1)), later(2))
    world.store.save(job, again)

    def found(**query: str) -> Any:
        return _ids(world.get("/api/jobs", query=query))

    assert found(providerJobId="pk_1") == [job.job_id]
    assert found(providerJobId="pk_1", provider="replicate") == []
    assert found(providerJobId="pk_1", status="failed") == []
    assert found(providerJobId="pk_theirs") == found(providerJobId="nobody") == []


@pytest.mark.parametrize(
    "query",
    [
        {"providerJobId": "pk_1", "cursor": "x"},
        {"providerJobId": "pk_1", "ids": "x"},
        {"ids": "x", "cursor": "x"},
    ],
)
def test_jobs_are_named_in_one_way(world: World, query: dict[str, str]) -> None:
    reply = world.get("/api/jobs", query=query)
    assert (reply.status, reply.code) == (400, "invalid_request")


def test_a_provider_job_of_a_deleted_job_is_nobodys(world: World) -> None:
    job = world.has(a_completed_job())
    assert world.call("DELETE", f"/api/jobs/{job.job_id}").status == 200
    assert _ids(world.get("/api/jobs", query={"providerJobId": "pk_1"})) == []


def test_an_empty_parameter_counts_as_not_given(world: World) -> None:
    world.has(a_job())
    assert len(_ids(world.get("/api/jobs", raw_query="status=&toolId=&q="))) == 1


# Quotation marks take two bytes in the body's JSON, and four where that is a string in Lambda's.
HUGE = ("y" * 60_000, '"' * 30_000, "\\" * 30_000)


@pytest.mark.parametrize("text", HUGE)
def test_a_page_of_huge_jobs_is_shorter_than_asked_for(world: World, text: str) -> None:
    world.has(*(a_job(parameters={"x": text}, metadata={"x": text}) for _ in range(60)))
    reply = world.get("/api/jobs", query={"limit": "60"})
    assert 0 < len(_ids(reply)) < 60
    assert reply.json["nextCursor"] is not None
    assert reply.sent_bytes < 6_291_556
    jobs = world.get("/api/admin/jobs", shop=None, query={"limit": "60"})
    assert 0 < len(_ids(jobs)) < 60
    assert jobs.json["nextCursor"] is not None
    assert jobs.sent_bytes < 6_291_556


def test_named_jobs_that_are_too_large_for_one_answer_are_refused(world: World) -> None:
    jobs = [a_job(parameters={"x": '"' * 30_000}) for _ in range(60)]
    world.has(*jobs)
    names = ",".join(job.job_id for job in jobs)
    reply = world.get("/api/jobs", query={"ids": names})
    assert (reply.status, reply.code) == (413, "too_large")


@pytest.mark.parametrize(
    ("raw_query", "field"),
    [
        ("status=exploded", "status"),
        ("pushStatus=x", "pushStatus"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=NaN", "limit"),
        ("limit=1e1", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("from=yesterday", "from"),
        ("from=0001-01-01", "from"),
        ("sort=name", "sort"),
        ("page=2", "page"),
        ("status=pending&status=failed", "status"),
        ("ids=" + ",".join("x" * 101), "ids"),
        ("cursor=abc", "cursor"),
        ("cursor=%F0%9F%98%80", "cursor"),
        ("q=%FF", "query"),
        ("productId=abc", "productId"),
        ("shop=evil.example", "shop"),
    ],
)
def test_a_bad_question_is_refused_by_name(world: World, raw_query: str, field: str) -> None:
    shop = None if raw_query.startswith("shop=") else SHOP
    reply = world.get("/api/jobs", raw_query=raw_query, shop=shop)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert [detail["field"] for detail in reply.json["details"]] == [field]


def test_a_cursor_is_good_for_the_same_shop_and_filters_only(world: World) -> None:
    world.has(*(a_job() for _ in range(3)))
    world.has(*(a_job(shop=OTHER_SHOP) for _ in range(3)))
    cursor = world.get("/api/jobs", query={"limit": "1"}).json["nextCursor"]
    again = {"limit": "1", "cursor": cursor}
    assert world.get("/api/jobs", query=again).status == 200
    assert world.get("/api/jobs", query=again, shop=OTHER_SHOP).status == 400
    assert world.get("/api/jobs", query=again | {"status": "pending"}).status == 400
    assert world.get("/api/jobs", query=again | {"cursor": cursor[:-2] + "AA"}).status == 400


# --- delete ----------------------------------------------------------------------------


def test_a_deleted_job_is_gone_with_its_images(world: World) -> None:
    job = world.has(a_kept_job())
    key = job.outputs[0].key
    assert key is not None
    world.files.put(key, b"x", "image/png")
    world.files.put("another", b"x", "image/png")
    reply = world.call("DELETE", f"/api/jobs/{job.job_id}")
    assert (reply.status, reply.json) == (200, {"success": True})
    assert list(world.files.stored) == ["another"]
    assert world.get(f"/api/jobs/{job.job_id}").status == 404
    assert world.get("/api/jobs/stats").json["stats"]["total"] == 0


def test_who_wants_its_image_pushed_before_the_files_go_keeps_the_job(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, find = _kept(world), world.files.keys

    def push_first(prefix: str) -> list[str]:
        monkeypatch.setattr(world.files, "keys", find)
        world.tracker.change(job.ref, lambda seen, now: (lifecycle.request_push(seen, now), None))
        return find(prefix)

    monkeypatch.setattr(world.files, "keys", push_first)
    assert world.call("DELETE", f"/api/jobs/{job.job_id}").code == "job_active"
    assert set(world.files.stored) == {output.key for output in job.outputs}


@pytest.mark.parametrize("action", ["push-to-shopify", "undo-push", "retry"])
def test_nothing_begins_with_a_job_whose_files_are_going(
    world: World, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """It would find no file, and the deletion would be refused after all."""
    job = _kept(world, status=JobStatus.FAILED if action == "retry" else JobStatus.COMPLETED)
    told: list[Reply] = []
    delete = world.files.delete

    def act_first(keys: Sequence[str]) -> None:
        monkeypatch.setattr(world.files, "delete", delete)
        delete(keys)
        told.append(world.post(f"/api/jobs/{action}", {"jobId": job.job_id}))

    monkeypatch.setattr(world.files, "delete", act_first)
    assert world.call("DELETE", f"/api/jobs/{job.job_id}").status == 200
    assert [(reply.status, reply.code) for reply in told] == [(409, "wrong_status")]
    assert "being deleted" in told[0].json["error"]
    assert world.get(f"/api/jobs/{job.job_id}").status == 404


def _kept(world: World, **changes: Any) -> Job:
    output = replace(a_kept_output(), media_id="gid://shopify/MediaImage/1")
    product = "gid://shopify/Product/1"
    job = world.has(a_kept_job(outputs=(output,), product_id=product, **changes))
    world.files.put(output.key or "", b"PNG", "image/png")
    return job


@pytest.mark.parametrize("job", [a_job(), a_dispatched_job()], ids=["pending", "processing"])
def test_an_active_job_is_not_deleted(world: World, job: Any) -> None:
    world.has(job)
    reply = world.call("DELETE", f"/api/jobs/{job.job_id}")
    assert (reply.status, reply.code) == (409, "job_active")
    assert world.job(job.job_id) == job


def test_a_bucket_that_is_out_deletes_nothing(world: World) -> None:
    job = world.has(a_kept_job())
    world.files.broken = True
    reply = world.call("DELETE", f"/api/jobs/{job.job_id}")
    assert (reply.status, reply.code) == (503, "unavailable")
    assert world.job(job.job_id) == job


# --- statistics ------------------------------------------------------------------------


def test_the_sums_are_exact_and_describe_the_jobs_that_exist(world: World) -> None:
    _some_of_each(world)
    stats = world.get("/api/jobs/stats").json["stats"]
    assert stats == {
        "total": 6,
        "pending": 1,
        "processing": 1,
        "completed": 2,
        "failed": 1,
        "cancelled": 1,
        "successRate": pytest.approx(200 / 3),
        "averageProcessingTime": 2000.0,
        "totalCreditsUsed": 6,
        "totalCostMicros": str(2**53 + 6),
        "averageCostMicros": (2**53 + 6) / 4,
        "timeSavedHours": 0.2,
    }
    assert world.get("/api/jobs/pending-count").json == {
        "success": True,
        "pending": 1,
        "processing": 1,
        "total": 2,
    }


def test_days_are_given_without_gaps_the_oldest_first(world: World) -> None:
    _some_of_each(world)
    world.clock.advance(timedelta(days=1).total_seconds())
    days = world.get("/api/jobs/stats", query={"days": "3"}).json["days"]
    assert [(day["date"], day["total"]) for day in days] == [
        ("2026-11-21", 0),
        ("2026-11-22", 4),
        ("2026-11-23", 0),
    ]


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("project", [("p1", 2)]),
        ("tool", [("background-removal", 3), ("upscale", 1)]),
        ("type", [("image", 4)]),
        (
            "status",
            [("pending", 1), ("processing", 1), ("completed", 2), ("failed", 1), ("cancelled", 1)],
        ),
    ],
)
def test_the_sums_are_split_as_asked(
    world: World, group_by: str, expected: list[tuple[str, int]]
) -> None:
    _some_of_each(world)
    groups = world.get("/api/jobs/stats", query={"groupBy": group_by}).json["groups"]
    assert [(group["key"], group["total"]) for group in groups] == expected


def test_of_very_many_projects_the_small_ones_are_one_group(world: World) -> None:
    """An answer has at most 6 MB, and a shop may name its projects as it likes."""
    for number in range(1_001):
        world.has(ended_in(f"p{number}"))
    world.has(ended_in("p1000"))
    groups = world.get("/api/jobs/stats", query={"groupBy": "project"}).json["groups"]
    assert len(groups) == 1_000
    assert (groups[0]["key"], groups[0]["completed"]) == ("p1000", 2)
    assert (groups[-1]["key"], groups[-1]["completed"]) == ("other", 2)
    assert sum(group["completed"] for group in groups) == 1_002


def ended_in(project: str) -> Job:
    return a_worker_job(
        job_id=a_job_id(), project_id=project, status=JobStatus.COMPLETED, completed_at=later(5)
    )


def test_each_status_has_its_own_cost_and_averages(world: World) -> None:
    def booked(number: int, **said: int) -> dict[str, Any]:
        return {"provider_job_id": f"pk_{number}", **said}

    failed = {"status": JobStatus.FAILED, "outputs": ()}
    world.has(
        a_completed_job(attempt=booked(1, credits=2, cost_micros=100, processing_ms=1_000)),
        a_completed_job(attempt=booked(2, credits=3, cost_micros=101, processing_ms=4_000)),
        a_completed_job(**failed, attempt=booked(3, credits=1, cost_micros=40, processing_ms=9)),
        a_completed_job(**failed, attempt=booked(4)),
    )
    answer = world.get("/api/jobs/stats", query={"groupBy": "status"}).json
    groups = {group["key"]: group for group in answer["groups"]}
    names = ("total", "totalCreditsUsed", "totalCostMicros", "averageCostMicros")
    shown = {key: [group[name] for name in names] for key, group in groups.items()}
    assert shown == {
        "pending": [0, 0, 0, 0],
        "processing": [0, 0, 0, 0],
        "completed": [2, 5, 201, 100.5],
        "failed": [2, 1, 40, 20.0],
        "cancelled": [0, 0, 0, 0],
    }
    assert groups["completed"]["averageProcessingTime"] == 2_500
    assert groups["failed"]["averageProcessingTime"] == 0
    assert answer["stats"]["averageCostMicros"] == 241 / 4


def test_no_jobs_are_no_division_by_zero(world: World) -> None:
    stats = world.get("/api/jobs/stats").json["stats"]
    names = ("successRate", "averageProcessingTime", "averageCostMicros", "timeSavedHours", "total")
    assert [stats[name] for name in names] == [0, 0, 0, 0, 0]


def _some_of_each(world: World) -> None:
    def booked(number: int, ms: int | None) -> dict[str, Any]:
        cost = 2**53 + 6 if number == 1 else None
        return {
            "provider_job_id": f"pk_{number}",
            "credits": number,
            "cost_micros": cost,
            "processing_ms": ms,
        }

    world.has(
        a_job(),
        a_dispatched_job(attempt={"provider_job_id": "pk_d"}),
        a_completed_job(project_id="p1", attempt=booked(1, 1000)),
        a_completed_job(project_id="p1", attempt=booked(2, 3000)),
        a_completed_job(
            status=JobStatus.FAILED, outputs=(), tool_id="upscale", attempt=booked(3, 9)
        ),
        a_completed_job(status=JobStatus.CANCELLED, outputs=(), attempt=booked(0, None)),
    )
