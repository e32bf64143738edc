"""Take a program's report on its own job, and an owner's edit of one that nobody has begun."""

import json
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain import reports
from shared.domain.errors import ForbiddenError, NotFoundError, RejectedError, TooLargeError
from shared.domain.events import Proof, Source
from shared.domain.ids import JobRef
from shared.domain.job import ASSIGNED, Job
from shared.domain.reports import Edit, Report
from shared.domain.status import Outcome
from shared.usecases.change_documents import change_documents
from shared.usecases.identify_caller import Caller
from shared.usecases.payloads import attach, take_back
from shared.usecases.ports import Files
from shared.usecases.tracker import Note, Tracker

# What metadata may have grown to: the job is one item of the table, and is read as a whole.
MAX_METADATA_BYTES = 64 * 1024

# What changes no status is on the job itself; the timeline has only 500 lines.
_SILENT = frozenset({Outcome.PROGRESSED, Outcome.DUPLICATE})


def report_progress(
    tracker: Tracker,
    files: Files,
    caller: Caller,
    ref: JobRef,
    report: Report | None,
    *,
    edit: Edit | None = None,
) -> Job:
    """Apply an edit, if there is one, then a report; returns the job, perhaps shelved.

    One read and one write; a report that moves no status is a plain update. Only a report
    that brings metadata or a result costs more, where the job's are big: those lie in the
    bucket; and one with a remark, which is on the timeline whatever the report amounts to.
    After the job's end a report has no effect and is no error: `cancel_requested` tells the
    worker to stop.

    Raises NotFoundError (an agent: also for a job of others); ForbiddenError (an agent's edit);
    ConflictError `not_a_worker_job`, `wrong_status` (an edit of a job that has begun);
    TooLargeError when the merged metadata are over 64 KB; StoreUnavailableError (table or
    bucket).
    """
    return take_report(tracker, files, caller, ref, report, edit=edit).job


@dataclass(frozen=True, slots=True)
class Reported:
    """The job afterwards, and what the report amounted to."""

    job: Job
    outcome: Outcome


def take_report(
    tracker: Tracker,
    files: Files,
    caller: Caller,
    ref: JobRef,
    report: Report | None,
    *,
    edit: Edit | None = None,
    proof: Proof | None = None,
    received_at: datetime | None = None,
) -> Reported:
    """Do what `report_progress` does, and tell what it amounted to.

    Parameters
        proof: what is proven of a report that came as a webhook; received_at: when it came, if
            not just now. Both for the timeline.
    """
    if edit is not None and caller.is_agent:
        raise ForbiddenError("An agent reports; what a job is about is its owner's to say.")

    entry_id = tracker.new_id(tracker.now())
    telling = _Telling(tracker, files, caller, ref, report, edit, proof, received_at, entry_id)
    try:
        if report is not None and (report.metadata or report.result is not None):
            saved = change_documents(tracker, files, ref, telling.decide)
        else:
            saved = tracker.change(ref, telling.decide)
    except RejectedError:
        take_back(files, telling.remarked)
        raise
    telling.tidy()
    return Reported(saved, telling.outcome)


@dataclass(slots=True)
class _Telling:
    """One report (or edit) as it is being tried.

    entry_id: of the entry with the report's remark: the same at every try, with the same file.
    remarked: that entry, once the report was taken. outcome: what it amounted to.
    """

    tracker: Tracker
    files: Files
    caller: Caller
    ref: JobRef
    report: Report | None
    edit: Edit | None
    proof: Proof | None
    received_at: datetime | None
    entry_id: str
    remarked: Note | None = None
    outcome: Outcome = Outcome.APPLIED

    def decide(self, job: Job, now: datetime) -> tuple[Job, Note | None]:
        """Apply the edit, then the report."""
        if not self.caller.may_see(job):
            raise NotFoundError("There is no such job.")
        after, note = job, None
        if self.edit is not None:
            after = reports.edit(job, self.edit, now)
            if after is not job:
                note = _edited(self.caller, self.edit)
        if self.report is None:
            return after, note
        decision = reports.apply_report(after, self.report, now)
        self.outcome = decision.outcome
        if decision.job.metadata is not job.metadata:
            _check_size(decision.job)
        told = _reported(self.caller, self.report, decision.job, decision.outcome)
        if told is not None:
            message = f"{note.message} {told.message}" if note is not None else told.message
            told = replace(told, message=message, proof=self.proof, received_at=self.received_at)
        return decision.job, self._with_remark(told or note, decision.outcome)

    def _with_remark(self, note: Note | None, outcome: Outcome) -> Note | None:
        """Return the note with the remark; of a report that nobody else tells of, a note of it."""
        remark = self.report.remark if self.report is not None else None
        if remark is None:
            return note
        if note is None:
            actor = self.caller.actor
            note = Note(source=Source.WORKER, actor=actor, outcome=outcome, message="")
        words = " ".join(filter(None, (note.message, remark.message)))
        note = replace(note, message=words, entry_id=self.entry_id)
        self.remarked = attach(self.files, self.ref, note, remark)
        return self.remarked

    def tidy(self) -> None:
        """Remove the file of an entry that was only counted, beyond the timeline's cap."""
        if self.remarked is None or self.remarked.payload_key is None:
            return
        if self.tracker.store.entry(self.ref, self.entry_id) is None:
            take_back(self.files, self.remarked)


def _check_size(job: Job) -> None:
    if len(json.dumps(job.metadata, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
        raise TooLargeError(
            f"With these, the job's metadata would be larger than {MAX_METADATA_BYTES} bytes."
        )


def _edited(caller: Caller, edit: Edit) -> Note:
    names = ", ".join(name.replace("_", " ") for name in sorted(edit.changes))
    return Note(
        source=caller.source,
        actor=caller.actor,
        outcome=Outcome.APPLIED,
        message=f"Edited: {names}.",
        native_status=ASSIGNED if edit.changes.get("agent_id") else None,
    )


def _reported(caller: Caller, report: Report, job: Job, outcome: Outcome) -> Note | None:
    if outcome in _SILENT and not (outcome is Outcome.DUPLICATE and _is_end(report)):
        return None
    if outcome is not Outcome.APPLIED and not _is_end(report):
        # A worker that does not know yet that its job ended goes on reporting for a while.
        return None
    word = (report.native or job.status.value)[:60]
    sentences = {
        Outcome.APPLIED: f"The worker says {word}.",
        Outcome.DUPLICATE: f"The worker says {word} again; nothing changes.",
        Outcome.STALE: f"The worker says {word} of an earlier attempt; the job does not move.",
        Outcome.MISMATCH: f"The worker says {word} of an attempt that there is not.",
        Outcome.LATE: f"The worker says {word}, but the job has ended already; nothing changes.",
    }
    return Note(
        source=Source.WORKER,
        actor=caller.actor,
        outcome=outcome,
        message=sentences.get(outcome, f"The worker says {word}; nothing changes."),
        attempt=report.attempt if outcome is Outcome.STALE else None,
        native_status=(report.native or "")[:60] or None,
    )


def _is_end(report: Report) -> bool:
    return report.status is not None and not report.status.is_active
