"""What must have come of it, checked against what the simulators and the API say.

Nothing is taken from what the demo itself remembers of having done: media are counted on the
product, payments in the provider's ledger, refusals in the sender's log.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from local.demo.cases import Kind
from local.demo.evidence import Evidence, Facts, JobEvidence
from local.demo.providers import DemoProvider
from local.demo.story import RETRY_AFTER_S

_ADOPTED = "the lost answer: the job was adopted, not created again"
_ASKED_AGAIN = "the busy provider was asked again, for the same attempt"
_FRESH = "the dead result link was replaced by a fresh one"

NO_EFFECT = frozenset({"duplicate", "late", "lower", "stale"})


@dataclass(frozen=True, slots=True)
class Proof:
    """A sentence that is true when there are no problems."""

    sentence: str
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Tell whether it is proven."""
        return not self.problems


type Check = Callable[[JobEvidence], Iterator[str]]


def prove(evidence: Evidence) -> tuple[Proof, ...]:
    """Check everything that the photos' cases call for."""
    everywhere, provider = evidence.jobs, evidence.provider
    kinds: tuple[tuple[Kind, str, Check], ...] = (
        (Kind.LOST, "the lost webhook was made up for by the sweep's poll", _lost),
        (Kind.RETRIED, "the failed job was retried as attempt 2, and only that was paid", _retried),
        (Kind.LATE, "the late webhook is on the timeline, without effect", _late),
        (
            Kind.DUPLICATE,
            "the duplicates are on the timeline, without effect",
            lambda job: _duplicate(job, provider),
        ),
        (
            Kind.FORGED,
            "every forged webhook got 401 and touched no job",
            lambda job: _forged(job, provider),
        ),
    )
    return (
        _about(everywhere, "every photo is on its product exactly once", _once),
        _about(everywhere, "each product's image opens and is the one that we kept", _opens),
        _about(
            everywhere,
            f"{provider.label}'s ledger has one charge per job, for its last attempt",
            lambda job: _paid(job, provider),
        ),
        *(
            _about(jobs, sentence, check)
            for kind, sentence, check in kinds
            if (jobs := [job for job in everywhere if job.sent.assignment.case.kind is kind])
        ),
        *_with_requests(evidence, Kind.ANSWER_LOST, _ADOPTED, _adopted),
        *_with_requests(evidence, Kind.BUSY, _ASKED_AGAIN, _busy),
        *_with_requests(evidence, Kind.EXPIRED, _FRESH, _expired),
        *_throttled(evidence),
        _installed(evidence),
        _statistics(evidence),
    )


def _with_requests(
    evidence: Evidence,
    kind: Kind,
    sentence: str,
    check: Callable[[JobEvidence, Sequence[Facts]], Iterator[str]],
) -> Iterator[Proof]:
    """Check jobs of a kind against what the provider was asked, too."""
    jobs = [job for job in evidence.jobs if job.sent.assignment.case.kind is kind]
    if jobs:
        yield _about(jobs, sentence, lambda job: check(job, evidence.requests))


def _about(jobs: Sequence[JobEvidence], sentence: str, check: Check) -> Proof:
    problems = tuple(f"{job.title}: {problem}" for job in jobs for problem in check(job))
    count = f" ({len(jobs)} of {len(jobs)})" if len(jobs) > 1 else ""
    return Proof(sentence + count, problems)


def _once(job: JobEvidence) -> Iterator[str]:
    shown = job.sent.job
    if (shown["status"], shown["pushStatus"]) != ("completed", "pushed"):
        yield f"is {shown['status']}, push {shown['pushStatus']} ({_trouble(shown)})"
    if len(job.pushed_media) != 1:
        yield f"{len(job.pushed_media)} images of the job on its product"
    elif job.pushed_media[0]["id"] != shown["shopifyMediaId"]:
        yield "the API names another media than the one on the product"
    if len(job.media) != 2:
        yield f"{len(job.media)} media on the product instead of the photo and its edit"
    if len(job.files) != 1:
        yield f"{len(job.files)} files of the job in the shop"


def _opens(job: JobEvidence) -> Iterator[str]:
    fetched = job.fetched
    if fetched is None:
        yield "no image address"
        return
    if fetched.status != 200 or fetched.size is None:
        yield f"{fetched.url} answered {fetched.status}, and no image"
    elif fetched.sha256 != job.sent.job["outputs"][0]["sha256"]:
        yield "the product shows another image than the one that was kept"


def _paid(job: JobEvidence, provider: DemoProvider) -> Iterator[str]:
    attempts = job.sent.assignment.case.attempts
    if job.sent.job["attempt"] != attempts:
        yield f"attempt {job.sent.job['attempt']} instead of {attempts}"
    if len(job.provider_jobs) != attempts:
        yield f"{len(job.provider_jobs)} jobs at {provider.label} for {attempts} attempts"
    if len(job.charges) != 1:
        yield f"{len(job.charges)} charges"
    elif job.charges[0]["job_id"] != job.sent.job["providerJobId"]:
        yield "the charge is for another attempt than the one that succeeded"
    total = sum(charge["credits"] for charge in job.charges)
    if provider.says_credits and total != job.sent.job["creditsUsed"]:
        yield f"{total} credits were charged, {job.sent.job['creditsUsed']} are booked"


def _lost(job: JobEvidence) -> Iterator[str]:
    if any(one["kind"] != "lost" for one in job.deliveries) or not job.deliveries:
        yield "its webhooks were not all lost"
    (*_, completion), sources = _moves(job, "completed") or [{}], _sources(job)
    if completion.get("source") != "poll":
        yield f"it was completed by {completion.get('source')}, not by a poll"
    if "webhook" in sources:
        yield "a webhook is on its timeline"


def _adopted(job: JobEvidence, requests: Sequence[Facts]) -> Iterator[str]:
    if not _has(requests, "dispatch", None):
        yield "every create call was answered"
    if len(job.provider_jobs) != 1:
        yield f"the provider has {len(job.provider_jobs)} jobs"
    elif job.provider_jobs[0]["id"] != job.sent.job["providerJobId"]:
        yield "we follow another job than the one that the provider made"


def _retried(job: JobEvidence) -> Iterator[str]:
    if (job.sent.job["attempt"], job.sent.job["retryCount"]) != (2, 1):
        yield f"attempt {job.sent.job['attempt']}, retryCount {job.sent.job['retryCount']}"
    ends = [(entry["attempt"], entry["to"]) for entry in job.timeline if _has_ended(entry)]
    if ends != [(1, "failed"), (2, "completed")]:
        yield f"its attempts ended as {ends}"
    if [one["status"] for one in job.provider_jobs] != ["failed", "completed"]:
        yield f"at the provider: {[one['status'] for one in job.provider_jobs]}"


def _late(job: JobEvidence) -> Iterator[str]:
    came = [one["event"] for one in job.deliveries if _is_accepted(one)]
    if came != ["job.completed", "job.started"]:
        yield f"the webhooks came as {came}"
    yield from _without_effect(job, at_least=1)


def _duplicate(job: JobEvidence, provider: DemoProvider) -> Iterator[str]:
    copies = [one for one in job.deliveries if one["kind"] == "duplicate"]
    refused = [one["status"] for one in copies if not _is_accepted(one)]
    wanted = 2 * provider.webhooks
    if len(copies) != wanted or refused:
        yield f"{len(copies)} duplicates were sent, answered {refused or 'with 2xx'}"
    yield from _without_effect(job, at_least=wanted)


def _without_effect(job: JobEvidence, *, at_least: int) -> Iterator[str]:
    """The job was completed once, never moved after it, and the rest is noted as idle."""
    idle = [e for e in job.timeline if e["source"] == "webhook" and e["outcome"] in NO_EFFECT]
    if len(idle) < at_least:
        yield f"{len(idle)} deliveries without effect on the timeline instead of {at_least}"
    if len(_moves(job, "completed")) != 1:
        yield f"it was completed {len(_moves(job, 'completed'))} times"
    order = ["pending", "processing", "completed"]
    if [e for e in job.timeline if _moved(e) and order.index(e["to"]) < order.index(e["from"])]:
        yield "its status went backwards"


def _forged(job: JobEvidence, provider: DemoProvider) -> Iterator[str]:
    forged = [one["status"] for one in job.deliveries if one["kind"] == "forged"]
    if len(forged) != provider.webhooks or set(forged) != {401}:
        yield f"{len(forged)} forged webhooks were answered {forged}"
    genuine = len(job.deliveries) - len(forged)
    noted = sum(entry["source"] == "webhook" for entry in job.timeline)
    if noted != genuine:
        yield f"{noted} webhooks on the timeline, {genuine} were genuine"


def _busy(job: JobEvidence, requests: Sequence[Facts]) -> Iterator[str]:
    if not _has(requests, "dispatch", 429):
        yield "the provider never said 429"
    if job.sent.job["retryCount"] != 0:
        yield "being busy cost an attempt"


def _expired(job: JobEvidence, requests: Sequence[Facts]) -> Iterator[str]:
    if not _has(requests, "results", 404):
        yield "no link was dead"
    if not _has(requests, "poll", 200, ending=f"/{job.sent.job['providerJobId']}"):
        yield "the provider was not asked for a fresh link"
    if not job.sent.job["outputs"][0]["kept"]:
        yield "its result is not kept"


def _throttled(evidence: Evidence) -> Iterator[Proof]:
    jobs = [e for e in evidence.jobs if e.sent.assignment.case.kind is Kind.THROTTLED]
    if not jobs:
        return
    shop = jobs[0].sent.shop
    calls = evidence.calls[shop]
    count = sum(call["outcome"] == "throttled" for call in calls)
    problems = [] if count else ["Shopify never said THROTTLED"]
    problems += [
        f"it was called again after {after['at'] - before['at']:.1f} s instead of {RETRY_AFTER_S}"
        for before, after in pairwise(calls)
        if before["status"] == 429 and after["at"] - before["at"] < RETRY_AFTER_S
    ]
    late = [job.title for job in jobs if job.sent.job["pushStatus"] != "pushed"]
    problems += [f"{title} did not get through" for title in late]
    yield Proof(f"the throttled shop ({count} × THROTTLED) got its images", tuple(problems))


def _installed(evidence: Evidence) -> Proof:
    problems = []
    for shop, calls in evidence.calls.items():
        exchanges = [call for call in calls if call["kind"] == "token"]
        if [call["status"] for call in exchanges] != [200]:
            problems.append(f"{shop}: {[call['status'] for call in exchanges]}")
    return Proof("each shop was installed by its page's first call, once", tuple(problems))


def _statistics(evidence: Evidence) -> Proof:
    problems = []
    for shop, stats in evidence.stats.items():
        mine = [job for job in evidence.jobs if job.sent.shop == shop]
        said = [stats["total"], stats["completed"]]
        wanted = [len(mine), len(mine)]
        if evidence.provider.says_credits:
            said.append(stats["totalCreditsUsed"])
            wanted.append(sum(charge["credits"] for job in mine for charge in job.charges))
        if said != wanted:
            problems.append(f"{shop}: jobs, completed, credits {said} instead of {wanted}")
    with_what = "the ledger" if evidence.provider.says_credits else "what was sent"
    return Proof(f"the statistics agree with {with_what}", tuple(problems))


def _has(requests: Sequence[Facts], route: str, status: int | None, ending: str = "") -> bool:
    """Tell whether the provider got such a request; a status of None is one left unanswered."""
    return any(
        (one["route"], one["status"]) == (route, status) and one["path"].endswith(ending)
        for one in requests
    )


def _is_accepted(delivery: Facts) -> bool:
    return delivery["status"] is not None and 200 <= delivery["status"] < 300


def _moved(entry: Facts) -> bool:
    return None not in (entry["from"], entry["to"]) and entry["from"] != entry["to"]


def _moves(job: JobEvidence, to: str) -> list[Facts]:
    return [entry for entry in job.timeline if _moved(entry) and entry["to"] == to]


def _has_ended(entry: Facts) -> bool:
    return _moved(entry) and entry["to"] in ("completed", "failed", "cancelled")


def _sources(job: JobEvidence) -> set[Any]:
    return {entry["source"] for entry in job.timeline}


def _trouble(job: Facts) -> str:
    return str(job["pushError"] or job["errorMessage"] or "no reason given")
