"""Evidence of a demo that went as it should, for tests that spoil one fact of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.demo.cases import CASES, PLAIN, Assignment, Case, Kind
from local.demo.evidence import Evidence, Fetched, JobEvidence
from local.demo.photos import Picture
from local.demo.story import Sent

SHA = "ab" * 32


def a_sent(case: Case = PLAIN, number: int = 1, **changes: Any) -> Sent:
    """A photo whose job is completed and pushed, unless `changes` say otherwise."""
    picture = Picture(f"{number}.jpg", f"Photo {number}", "upscale-4x", b"")
    assignment = Assignment(picture, case, f"http://127.0.0.1:1/photos/{number}.jpg")
    job = {
        "id": f"job-{number}",
        "status": "completed",
        "pushStatus": "pushed",
        "progress": 100,
        "attempt": case.attempts,
        "retryCount": case.attempts - 1,
        "providerJobId": f"p{number}-{case.attempts}",
        "shopifyMediaId": f"gid://shopify/MediaImage/{number}",
        "creditsUsed": 2,
        "outputs": [{"sha256": SHA, "kept": True}],
        "pushError": None,
        "errorMessage": None,
    }
    return Sent(assignment, f"gid://shopify/Product/{number}", {**job, **changes})


def an_entry(source: str, to: str | None = None, **changes: Any) -> dict[str, Any]:
    """A line of a timeline; with `to`, one that moved the job."""
    moved = {"from": {"processing": "pending"}.get(to, "processing") if to else None, "to": to}
    return {"source": source, "outcome": "applied", "attempt": 1, **moved, **changes}


def a_delivery(event: str, kind: str = "genuine", status: int | None = 200) -> dict[str, Any]:
    """A line of the sender's log."""
    return {"event": event, "kind": kind, "status": status}


def a_job(case: Case, number: int) -> JobEvidence:
    """The evidence of one job that went as its case says."""
    sent = a_sent(case, number)
    media = {
        "id": sent.job["shopifyMediaId"],
        "filename": f"{sent.job_id}-{case.attempts}-0.png",
    }
    original = {"id": "gid://shopify/MediaImage/9000", "filename": f"{number}.jpg"}
    provider_jobs = [
        {"id": f"p{number}-{attempt}", "status": "completed" if attempt == last else "failed"}
        for last in [case.attempts]
        for attempt in range(1, last + 1)
    ]
    return JobEvidence(
        sent=sent,
        timeline=TIMELINES.get(case.kind, PLAIN_TIMELINE),
        media=[original, media],
        files=[media],
        provider_jobs=provider_jobs,
        charges=[{"job_id": sent.job["providerJobId"], "credits": 2}],
        deliveries=DELIVERIES.get(case.kind, PLAIN_DELIVERIES),
        fetched=Fetched(f"http://127.0.0.1:1/cdn/{number}.png", 200, SHA, (2, 2)),
    )


def good_evidence() -> Evidence:
    """A whole demo: a job for each case, and a plain one."""
    jobs = [a_job(case, number) for number, case in enumerate([*CASES, PLAIN], start=1)]
    shops = sorted({job.sent.shop for job in jobs})
    mine = {shop: [job for job in jobs if job.sent.shop == shop] for shop in shops}
    token = {"kind": "token", "status": 200, "outcome": "ok", "at": 1.0}
    throttled = {"kind": "graphql", "status": 429, "outcome": "throttled", "at": 2.0}
    again = {"kind": "graphql", "status": 200, "outcome": "ok", "at": 5.2}
    return Evidence(
        jobs=jobs,
        stats={
            shop: {
                "total": len(mine[shop]),
                "completed": len(mine[shop]),
                "totalCreditsUsed": 2 * len(mine[shop]),
            }
            for shop in shops
        },
        calls={shop: [token, throttled, again] for shop in shops},
        requests=REQUESTS,
    )


REQUESTS: list[dict[str, Any]] = [
    {"route": "dispatch", "status": None, "path": "/api/jobs/dispatch"},
    {"route": "dispatch", "status": 429, "path": "/api/jobs/dispatch"},
    {"route": "results", "status": 404, "path": "/results/1.jpg"},
    {"route": "poll", "status": 200, "path": "/api/jobs/p10-1"},
]

_CREATED = an_entry("user", from_=None)
_STARTED, _COMPLETED = an_entry("webhook", "processing"), an_entry("webhook", "completed")
_IDLE = an_entry("webhook", outcome="duplicate")
_ANSWER = an_entry("dispatch")

PLAIN_TIMELINE = [_CREATED, _ANSWER, _STARTED, _COMPLETED]
PLAIN_DELIVERIES = [a_delivery("job.started"), a_delivery("job.completed")]

TIMELINES: Mapping[Kind, list[dict[str, Any]]] = {
    Kind.LOST: [_CREATED, _ANSWER, an_entry("poll", "completed")],
    Kind.ANSWER_LOST: [_CREATED, _STARTED, _COMPLETED],
    Kind.RETRIED: [
        _CREATED,
        an_entry("webhook", "failed"),
        {**an_entry("user", "pending", attempt=2), "from": "failed"},
        an_entry("webhook", "completed", attempt=2),
    ],
    Kind.LATE: [_CREATED, _ANSWER, _COMPLETED, an_entry("webhook", outcome="late")],
    Kind.DUPLICATE: [_CREATED, _ANSWER, _STARTED, _IDLE, _IDLE, _COMPLETED, _IDLE, _IDLE],
}

DELIVERIES: Mapping[Kind, list[dict[str, Any]]] = {
    Kind.LOST: [a_delivery("job.started", "lost", None), a_delivery("job.completed", "lost", None)],
    Kind.RETRIED: [a_delivery("job.failed"), a_delivery("job.completed")],
    Kind.LATE: [a_delivery("job.completed"), a_delivery("job.started")],
    Kind.DUPLICATE: [
        a_delivery(event, kind)
        for event in ("job.started", "job.completed")
        for kind in ("genuine", "duplicate", "duplicate")
    ],
    Kind.FORGED: [
        a_delivery(event, kind, status)
        for event in ("job.started", "job.completed")
        for kind, status in (("forged", 401), ("genuine", 200))
    ],
}
