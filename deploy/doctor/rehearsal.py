"""Send a job the whole way that costs nothing, and remove it again.

Its work is done by a `worker`, which is us: nobody is asked, nobody is paid, nothing goes to
Shopify. It is for a shop of the doctor's own. What it leaves is nothing that anybody lists, counts
or pays for: its jobs are deleted with their timelines, also when a step fails or somebody
interrupts it. Only the forged delivery stays, in quarantine, for a day.
"""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from deploy.doctor.examination import clocks_agree
from deploy.doctor.findings import Finding, failed, judged, passed, skipped
from deploy.doctor.patient import Answer, Patient, UnreachableError
from shared.domain.standard_webhooks import write_secret

JOB_TYPE = "doctor.rehearsal"
# More than a KB: so it lies in the bucket, and bucket and permissions are shown too.
NOTES = {"notes": ["what the doctor wrote"] * 100}
SWEEP_WITHIN_S = 150.0
BULK_WITHIN_S = 60.0
LOOK_EVERY_S = 3.0
# How long a scheduled job of the rehearsal waits; the sweep of the minute after that sees to it.
SCHEDULED_IN = timedelta(seconds=5)
OLD = timedelta(minutes=10)
# Jobs of the doctor's own shop that are older belong to a run that was killed.
LEFT_AFTER = timedelta(hours=1)


class BrokenOffError(Exception):
    """The rehearsal cannot go on. The message says why."""


@dataclass(slots=True)
class Rehearsal:
    """One rehearsal. sweep_within_s: how long to wait for the sweep; 0 leaves it out."""

    patient: Patient
    sweep_within_s: float = SWEEP_WITHIN_S
    number: str = field(default_factory=lambda: secrets.token_hex(4))
    made: list[str] = field(default_factory=list)

    def play(self) -> Iterator[Finding]:
        """Play it to its end, and remove what it made."""
        try:
            yield from self._acts()
        except UnreachableError as error:
            yield failed("rehearsal", str(error))
        except BrokenOffError as error:
            yield failed("rehearsal", f"broken off: {error}")
        finally:
            yield from self._clean_up()

    def _acts(self) -> Iterator[Finding]:
        self.made += self._left_before()
        scheduled_at = self.patient.now() + SCHEDULED_IN
        job_id, created = self._create("create a job", {"metadata": NOTES, "total": 2})
        yield created
        yield self._function_clock(job_id)
        yield from self._deliveries(job_id)
        if self.sweep_within_s:
            waiting, scheduled = self._create(
                "schedule a job", {"scheduledAt": scheduled_at.isoformat()}
            )
            yield scheduled
            yield self._sweep(waiting)
            yield from self._bulk(waiting)
        else:
            yield skipped("sweep", "not waited for")

    # --- jobs --------------------------------------------------------------------------

    def _create(self, name: str, more: dict[str, Any]) -> tuple[str, Finding]:
        body = {"provider": "worker", "type": JOB_TYPE, "name": f"Rehearsal {self.number}"} | more
        answer = self.patient.ask("POST", "/api/jobs", body)
        job = answer.body.get("job")
        if answer.status != 202 or not isinstance(job, dict):
            raise BrokenOffError(f"no job was made ({answer.error})")
        self.made.append(job["id"])
        return job["id"], passed(name, f"in {answer.took_ms} ms")

    def _left_before(self) -> list[str]:
        """Name the jobs that an earlier run could not remove any more."""
        until = (self.patient.now() - LEFT_AFTER).isoformat()
        left: dict[str, None] = {}
        for kind in (JOB_TYPE, "bulk.cancel"):
            query = {"type": kind, "to": until, "limit": "100"}
            found = self.patient.ask("GET", "/api/jobs", query=query).body.get("jobs")
            left |= dict.fromkeys(job["id"] for job in found or ())
        return list(left)

    def _job(self, job_id: str) -> dict[str, Any]:
        answer = self.patient.ask("GET", f"/api/jobs/{job_id}")
        job = answer.body.get("job")
        if answer.status != 200 or not isinstance(job, dict):
            raise BrokenOffError(f"the job cannot be read ({answer.error})")
        return job

    def _entries(self, job_id: str) -> list[dict[str, Any]]:
        answer = self.patient.ask("GET", f"/api/jobs/{job_id}/logs")
        found = answer.body.get("logs")
        return found if isinstance(found, list) else []

    def _function_clock(self, job_id: str) -> Finding:
        made_at = datetime.fromisoformat(self._job(job_id)["createdAt"])
        return clocks_agree("clock of the functions", made_at, self.patient.now())

    # --- deliveries --------------------------------------------------------------------

    def _deliveries(self, job_id: str) -> Iterator[Finding]:
        half = self._said(job_id, "job.progress", {"processed": 1, "status": "running"})
        answer = self.patient.deliver(half, webhook_id=f"doctor-{self.number}-1")
        if answer.status == 401:
            says = "401: the stack knows another WORKER_WEBHOOK_SECRET than the one given here"
            yield failed("webhook, progress", says)
            yield skipped("webhook, the others", "would be refused too, and ring an alarm")
            return
        yield self._progressed(job_id, answer)
        done = self._said(job_id, "job.completed", {"processed": 2, "result": NOTES})
        yield self._taken("webhook, normal", done, "2", "applied")
        job = self._job(job_id)
        is_done = (job["status"], job["progress"], job["result"]) == ("completed", 100, NOTES)
        yield judged(
            is_done,
            "… and its effect",
            "the job is completed, its result is kept",
            f"the job is {job['status']} at {job['progress']} %, or its result is another one",
        )
        yield self._taken("webhook, duplicate", done, "2", "duplicate")
        late = self._said(job_id, "job.failed", {"error": "too late"})
        yield self._taken("webhook, late", late, "3", "late")
        yield self._old(self._said(job_id, "job.failed", {"error": "long ago"}))
        yield self._forged(self._said(job_id, "job.failed", {"error": "forged"}))
        yield self._unmoved(job)
        yield self._timeline(job_id)

    def _progressed(self, job_id: str, answer: Answer) -> Finding:
        job = self._job(job_id)
        told = (answer.status, answer.body.get("outcome"), job["status"], job["processed"])
        return judged(
            told == (200, "applied", "processing", 1),
            "webhook, progress",
            f"200 applied, in {answer.took_ms} ms; the job is processing, 1 of 2 done",
            f"{_instead(answer, '200 applied')}; the job is {job['status']}",
        )

    def _said(self, job_id: str, kind: str, report: dict[str, Any]) -> bytes:
        at = self.patient.now().isoformat()
        body = {"type": kind, "timestamp": at, "data": {"jobId": job_id, **report}}
        return json.dumps(body).encode()

    def _taken(self, name: str, body: bytes, number: str, outcome: str) -> Finding:
        answer = self.patient.deliver(body, webhook_id=f"doctor-{self.number}-{number}")
        said = answer.body.get("outcome")
        return judged(
            (answer.status, said) == (200, outcome),
            name,
            f"200 {outcome}, in {answer.took_ms} ms",
            _instead(answer, f"200 {outcome}"),
        )

    def _old(self, body: bytes) -> Finding:
        at = self.patient.now() - OLD
        answer = self.patient.deliver(body, webhook_id=f"doctor-{self.number}-4", at=at)
        says = _instead(answer, "400")
        return judged(answer.status == 400, "webhook, ten minutes old", "refused (400)", says)

    def _forged(self, body: bytes) -> Finding:
        answer = self.patient.deliver(
            body,
            webhook_id=f"doctor-{self.number}-5",
            secret=write_secret(secrets.token_bytes(32)),
        )
        says = _instead(answer, "401")
        return judged(answer.status == 401, "webhook, forged", "refused (401)", says)

    def _unmoved(self, before: dict[str, Any]) -> Finding:
        after = self._job(before["id"])
        moved = [
            name for name in ("status", "error", "updatedAt") if after.get(name) != before.get(name)
        ]
        return judged(
            not moved,
            "… and their effect",
            "none: the job is as it was",
            f"changed: {', '.join(moved)}",
        )

    def _timeline(self, job_id: str) -> Finding:
        told = [each["outcome"] for each in self._entries(job_id) if each["source"] == "worker"]
        wanted = ["late", "duplicate", "applied", "applied"]
        return judged(
            told == wanted,
            "timeline",
            "tells of each that was genuine, and of no other",
            f"tells of {', '.join(told) or 'nothing'} instead of {', '.join(wanted)}",
        )

    # --- those that work by themselves -------------------------------------------------

    def _sweep(self, job_id: str) -> Finding:
        waited_s = self._wait(self.sweep_within_s, lambda: self._is_swept(job_id))
        return judged(
            waited_s is not None,
            "sweep",
            f"saw to a scheduled job within {waited_s or 0:.0f} s",
            f"did not see to a scheduled job within {self.sweep_within_s:.0f} s: is it running?",
        )

    def _is_swept(self, job_id: str) -> bool:
        return any(each["source"] == "sweep" for each in self._entries(job_id))

    def _bulk(self, job_id: str) -> Iterator[Finding]:
        """Have bulk work cancel the job that waits: its queue and its function."""
        answer = self.patient.ask("POST", "/api/jobs/cancel", {"jobIds": [job_id]})
        job = answer.body.get("job")
        if answer.status != 202 or not isinstance(job, dict):
            yield failed("bulk", _instead(answer, "202"))
            return
        self.made.append(job["id"])
        waited_s = self._wait(BULK_WITHIN_S, lambda: self._has_ended(job["id"]))
        yield judged(
            waited_s is not None and self._job(job_id)["status"] == "cancelled",
            "bulk",
            f"cancelled a job within {waited_s or 0:.0f} s",
            f"did not cancel a job within {BULK_WITHIN_S:.0f} s: its queue, or its function",
        )

    def _has_ended(self, job_id: str) -> bool:
        return self._job(job_id)["status"] in ("completed", "failed", "cancelled")

    def _wait(self, longest_s: float, is_there: Any) -> float | None:
        """Wait for something; returns how long, None if it did not come."""
        began = self.patient.now()
        while not is_there():
            if (self.patient.now() - began).total_seconds() >= longest_s:
                return None
            self.patient.sleep(LOOK_EVERY_S)
        return (self.patient.now() - began).total_seconds()

    # --- afterwards --------------------------------------------------------------------

    def _clean_up(self) -> Iterator[Finding]:
        left = []
        for job_id in reversed(self.made):
            try:
                if not self._is_removed(job_id):
                    left.append(job_id)
            except UnreachableError:
                left.append(job_id)
        if self.made:
            yield judged(
                not left,
                "cleaned up",
                f"{len(self.made)} jobs are gone",
                f"left behind, in the shop of the doctor: {', '.join(left)}",
            )

    def _is_removed(self, job_id: str) -> bool:
        if self.patient.ask("DELETE", f"/api/jobs/{job_id}").status == 409:
            self.patient.ask("POST", "/api/jobs/cancel", {"jobId": job_id})
            self.patient.ask("DELETE", f"/api/jobs/{job_id}")
        return self.patient.ask("GET", f"/api/jobs/{job_id}").status == 404


def _instead(answer: Answer, wanted: str) -> str:
    said = answer.body.get("outcome")
    return f"{answer.status} {said}, not {wanted}" if said else f"{answer.error}, not {wanted}"
