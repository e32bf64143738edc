"""The demo's proofs: each holds when all went well, and falls when its fact is spoilt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from local.demo.cases import Kind
from local.demo.evidence import Evidence, Fetched, JobEvidence
from local.demo.proofs import prove
from tests.local.demo_world import SHA, a_delivery, an_entry, good_evidence

type Spoil = Callable[[JobEvidence], JobEvidence]


def spoilt(kind: Kind, spoil: Spoil) -> Evidence:
    """Return good evidence in which the first job of a kind was changed."""
    evidence = good_evidence()
    jobs = list(evidence.jobs)
    position = next(n for n, e in enumerate(jobs) if e.sent.assignment.case.kind is kind)
    jobs[position] = spoil(jobs[position])
    return replace(evidence, jobs=jobs)


def shown(**changes: Any) -> Spoil:
    """Change what the API shows of the job."""
    return lambda job: replace(job, sent=replace(job.sent, job={**job.sent.job, **changes}))


def fallen(evidence: Evidence) -> str:
    return "; ".join(proof.sentence for proof in prove(evidence) if not proof.holds)


def test_a_demo_that_went_well_is_proven_in_every_point() -> None:
    proofs = prove(good_evidence())
    assert [proof.problems for proof in proofs if not proof.holds] == []
    assert len(proofs) == 14


def test_a_case_that_no_photo_had_is_not_claimed() -> None:
    evidence = good_evidence()
    lost = [job for job in evidence.jobs if job.sent.assignment.case.kind is Kind.LOST]
    sentences = " ".join(proof.sentence for proof in prove(replace(evidence, jobs=lost)))
    assert "lost webhook" in sentences
    for word in ("forged", "duplicates", "late webhook", "retried", "throttled"):
        assert word not in sentences


SPOILT: list[tuple[str, Kind, Spoil, str]] = [
    (
        "two media of the job on the product",
        Kind.PLAIN,
        lambda job: replace(job, media=[*job.media, job.media[-1]]),
        "exactly once",
    ),
    (
        "no media of the job on the product",
        Kind.PLAIN,
        lambda job: replace(job, media=job.media[:1]),
        "exactly once",
    ),
    (
        "a second file that no product shows",
        Kind.PLAIN,
        lambda job: replace(job, files=[*job.files, job.files[0]]),
        "exactly once",
    ),
    ("another media id", Kind.PLAIN, shown(shopifyMediaId="gid://other"), "exactly once"),
    ("a push that failed", Kind.PLAIN, shown(pushStatus="failed"), "exactly once"),
    ("no image address", Kind.PLAIN, lambda job: replace(job, fetched=None), "image opens"),
    (
        "an address that gives a web page",
        Kind.PLAIN,
        lambda job: replace(job, fetched=Fetched("http://x", 200, "", None)),
        "image opens",
    ),
    (
        "another image",
        Kind.PLAIN,
        lambda job: replace(job, fetched=Fetched("http://x", 200, "00", (2, 2))),
        "image opens",
    ),
    (
        "two charges",
        Kind.PLAIN,
        lambda job: replace(job, charges=[*job.charges, *job.charges]),
        "one charge per job",
    ),
    ("credits that nobody charged", Kind.PLAIN, shown(creditsUsed=3), "one charge per job"),
    ("an attempt too many", Kind.PLAIN, shown(attempt=2), "one charge per job"),
    (
        "a charge for the failed attempt",
        Kind.RETRIED,
        lambda job: replace(job, charges=[{"job_id": job.provider_jobs[0]["id"], "credits": 2}]),
        "one charge per job",
    ),
    (
        "a second job at the provider after a lost answer",
        Kind.ANSWER_LOST,
        lambda job: replace(job, provider_jobs=[*job.provider_jobs, {"id": "p99"}]),
        "adopted, not created again",
    ),
    (
        "a webhook of the lost ones that came",
        Kind.LOST,
        lambda job: replace(job, deliveries=[*job.deliveries, a_delivery("job.completed")]),
        "sweep's poll",
    ),
    (
        "a lost one completed by somebody else",
        Kind.LOST,
        lambda job: replace(job, timeline=[an_entry("admin", "completed")]),
        "sweep's poll",
    ),
    (
        "a lost one that never completed",
        Kind.LOST,
        lambda job: replace(job, timeline=[]),
        "sweep's poll",
    ),
    (
        "a retried one without its failure",
        Kind.RETRIED,
        lambda job: replace(job, timeline=job.timeline[2:]),
        "retried as attempt 2",
    ),
    (
        "a late one that was in time",
        Kind.LATE,
        lambda job: replace(job, deliveries=list(reversed(job.deliveries))),
        "late webhook",
    ),
    (
        "a late one that is not on the timeline",
        Kind.LATE,
        lambda job: replace(job, timeline=job.timeline[:-1]),
        "late webhook",
    ),
    (
        "a late one that moved the job back",
        Kind.LATE,
        lambda job: replace(
            job,
            timeline=[*job.timeline, {**an_entry("webhook", "processing"), "from": "completed"}],
        ),
        "late webhook",
    ),
    (
        "a duplicate that completed the job again",
        Kind.DUPLICATE,
        lambda job: replace(job, timeline=[*job.timeline, an_entry("webhook", "completed")]),
        "duplicates",
    ),
    (
        "a duplicate that was refused",
        Kind.DUPLICATE,
        lambda job: replace(
            job, deliveries=[*job.deliveries[:-1], a_delivery("x", "duplicate", 500)]
        ),
        "duplicates",
    ),
    (
        "a forged webhook that was let in",
        Kind.FORGED,
        lambda job: replace(job, deliveries=[a_delivery("job.started", "forged", 200)] * 2),
        "forged",
    ),
    (
        "a forged webhook on the timeline",
        Kind.FORGED,
        lambda job: replace(job, timeline=[*job.timeline, an_entry("webhook", outcome="refused")]),
        "forged",
    ),
    ("a busy provider that cost an attempt", Kind.BUSY, shown(retryCount=1), "busy provider"),
    (
        "a dead link whose result was never kept",
        Kind.EXPIRED,
        shown(outputs=[{"sha256": SHA, "kept": False}]),
        "fresh one",
    ),
    ("a throttled shop without its image", Kind.THROTTLED, shown(pushStatus="queued"), "throttled"),
]


@pytest.mark.parametrize(
    ("kind", "spoil", "sentence"),
    [pytest.param(kind, spoil, sentence, id=name) for name, kind, spoil, sentence in SPOILT],
)
def test_a_proof_falls_when_its_fact_is_spoilt(kind: Kind, spoil: Spoil, sentence: str) -> None:
    assert sentence in fallen(spoilt(kind, spoil))


def test_a_shop_that_was_never_throttled_proves_nothing() -> None:
    evidence = good_evidence()
    calm = {
        shop: [c for c in calls if c["kind"] == "token"] for shop, calls in evidence.calls.items()
    }
    assert "throttled" in fallen(replace(evidence, calls=calm))


def test_a_throttled_shop_that_was_not_left_alone_long_enough_is_told() -> None:
    evidence = good_evidence()
    hasty = {
        shop: [{**call, "at": min(call["at"], 4.9)} for call in calls]
        for shop, calls in evidence.calls.items()
    }
    assert "throttled" in fallen(replace(evidence, calls=hasty))


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (("dispatch", None), "adopted, not created again"),
        (("dispatch", 429), "busy provider"),
        (("results", 404), "fresh one"),
        (("poll", 200), "fresh one"),
    ],
)
def test_a_trouble_that_never_came_proves_nothing(
    missing: tuple[str, int | None], sentence: str
) -> None:
    evidence = good_evidence()
    rest = [one for one in evidence.requests if (one["route"], one["status"]) != missing]
    assert sentence in fallen(replace(evidence, requests=rest))


@pytest.mark.parametrize("statuses", [[], [200, 200], [400]])
def test_a_shop_that_was_not_installed_exactly_once_is_told(statuses: list[int]) -> None:
    evidence = good_evidence()
    tokens = [
        {"kind": "token", "status": status, "outcome": "ok", "at": 1.0} for status in statuses
    ]
    shop = next(iter(evidence.calls))
    assert "installed" in fallen(replace(evidence, calls={**evidence.calls, shop: tokens}))


@pytest.mark.parametrize("name", ["total", "completed", "totalCreditsUsed"])
def test_statistics_that_disagree_with_the_ledger_are_told(name: str) -> None:
    evidence = good_evidence()
    shop = next(iter(evidence.stats))
    wrong = {**evidence.stats[shop], name: evidence.stats[shop][name] + 1}
    assert "statistics" in fallen(replace(evidence, stats={**evidence.stats, shop: wrong}))


def test_a_problem_names_the_photo_and_the_reason() -> None:
    evidence = spoilt(
        Kind.PLAIN, shown(status="failed", pushStatus="none", errorMessage="The model is away.")
    )
    problems = [problem for proof in prove(evidence) for problem in proof.problems]
    assert any("Photo 11: is failed" in each and "The model is away." in each for each in problems)
