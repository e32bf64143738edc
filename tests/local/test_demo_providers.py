"""Through whom the demo goes: what each provider's story leaves out, and what it still proves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from local.demo.cases import CASES, PLAIN, Kind
from local.demo.clients import DemoError
from local.demo.evidence import Evidence, JobEvidence
from local.demo.proofs import prove
from local.demo.providers import PIKCEL, PROVIDERS, DemoProvider, provider_named
from local.pikcel_simulator.catalogue import TOOLS
from local.provider_simulator.models import work_of
from tests.local.demo_world import DELIVERIES, PLAIN_DELIVERIES, a_job, good_evidence


def evidence_of(provider: DemoProvider) -> Evidence:
    """Return evidence of a demo that went well through a provider that tells no credits."""
    cases = [*provider.cases, PLAIN]
    jobs = [as_told_by(provider, a_job(case, number)) for number, case in enumerate(cases, 1)]
    whole = good_evidence()
    mine = {shop: [job for job in jobs if job.sent.shop == shop] for shop in whole.stats}
    stats = {
        shop: {"total": len(of_shop), "completed": len(of_shop), "totalCreditsUsed": 0}
        for shop, of_shop in mine.items()
    }
    return replace(whole, jobs=jobs, stats=stats, provider=provider)


def as_told_by(provider: DemoProvider, job: JobEvidence) -> JobEvidence:
    """Return a job's evidence without the webhooks that the provider has not, and its credits."""
    kind = job.sent.assignment.case.kind
    deliveries: list[Any] = list(DELIVERIES.get(kind, PLAIN_DELIVERIES))
    if provider.webhooks == 1:
        deliveries = [each for each in deliveries if each["event"] != "job.started"]
    sent = replace(job.sent, job={**job.sent.job, "creditsUsed": None})
    timeline = [
        line
        for line in job.timeline
        if provider.webhooks == 2 or kind is not Kind.FORGED or line.get("to") != "processing"
    ]
    return replace(job, sent=sent, deliveries=deliveries, timeline=timeline)


@pytest.mark.parametrize("name", ["replicate", "fal"])
def test_a_demo_that_went_well_through_another_provider_is_proven(name: str) -> None:
    provider = PROVIDERS[name]
    proofs = prove(evidence_of(provider))
    assert [proof.problems for proof in proofs if not proof.holds] == []
    assert len(proofs) == 14 - len(provider.left_out)
    assert any(f"{provider.label}'s ledger" in proof.sentence for proof in proofs)


def test_a_webhook_too_few_is_seen_at_each_provider() -> None:
    fal, replicate = PROVIDERS["fal"], PROVIDERS["replicate"]
    told_by_fal = evidence_of(fal)
    fallen = [p for p in prove(replace(told_by_fal, provider=replicate)) if not p.holds]
    assert {proof.sentence for proof in fallen} == {
        "the duplicates are on the timeline, without effect",
        "every forged webhook got 401 and touched no job",
    }


def test_credits_are_only_compared_where_they_are_told() -> None:
    evidence = evidence_of(PROVIDERS["replicate"])
    fallen = [proof for proof in prove(replace(evidence, provider=PIKCEL)) if not proof.holds]
    assert "PikcelAI's ledger" in fallen[0].sentence
    assert fallen[-1].sentence == "the statistics agree with the ledger"


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_what_is_left_out_is_one_of_the_cases_and_has_a_reason(provider: DemoProvider) -> None:
    assert set(provider.left_out) <= {case.kind for case in CASES}
    assert all(provider.left_out.values())
    assert len(provider.cases) == len(CASES) - len(provider.left_out)


@pytest.mark.parametrize("name", ["replicate", "fal"])
def test_each_tool_is_a_model_of_the_providers_simulator(name: str) -> None:
    assert {work_of(PROVIDERS[name].tool(tool)) for tool in TOOLS} == set(TOOLS)


def test_an_unknown_provider_is_told_which_there_are() -> None:
    with pytest.raises(DemoError, match=r"PROVIDER=midjourney: .*pikcel, replicate, fal"):
        provider_named("midjourney")
