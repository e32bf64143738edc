"""Notices in words, for people: the subject and text of an e-mail, and a short message."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.notice_types import NoticeType
from shared.domain.notices import Notice

# Amazon SNS: ASCII, one line, at most 100 characters; it must not begin with a space.
MAX_SUBJECT = 100
MAX_SHORT = 140  # of one SMS, with room for what the operator adds
FAILURES_TOLD = 10

_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]+")
_GAPS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failed job of a batch, as its digest tells of it."""

    job_id: str
    name: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A notice in words. short: for a phone."""

    subject: str
    text: str
    short: str


def write_letter(notice: Notice, failures: Sequence[Failure] = ()) -> Letter:
    """Put a notice into words.

    Parameters
        failures: of a batch, some of its failed jobs.
    """
    headline = _HEADLINES[notice.type](notice.data)
    lines = [f"{headline}.", "", *_details(notice), *_failures(notice, failures)]
    return Letter(
        subject=_plain(f"{notice.shop}: {headline}", MAX_SUBJECT),
        text="\n".join(lines).rstrip() + "\n",
        short=_plain(f"{notice.shop}: {headline}", MAX_SHORT),
    )


def _plain(text: str, most: int) -> str:
    """Return a text of one line of printable ASCII.

    >>> _plain("Café\\n done", 20), _plain("a" * 9, 5)
    ('Caf? done', 'aa...')
    """
    line = _GAPS.sub(" ", _NOT_PRINTABLE.sub(lambda m: " " if m[0].isspace() else "?", text))
    line = line.strip()
    return line if len(line) <= most else line[: most - 3] + "..."


def _what(data: Mapping[str, Any]) -> str:
    name = data["name"] or data["productTitle"]
    return f'"{name}"' if name else f"job {data['id']}"


def _batch(data: Mapping[str, Any]) -> str:
    name = f'"{data["name"]}"' if data["name"] else data["id"]
    return (
        f"batch {name} is finished: {data['completedJobs']} of {data['totalJobs']} completed, "
        f"{data['failedJobs']} failed, {data['cancelledJobs']} cancelled"
    )


_HEADLINES: Mapping[NoticeType, Callable[[Mapping[str, Any]], str]] = {
    NoticeType.JOB_COMPLETED: lambda data: f"{_what(data)} is completed",
    NoticeType.JOB_FAILED: lambda data: f"{_what(data)} has failed",
    NoticeType.JOB_PUSHED: lambda data: f"{_what(data)} is on its product",
    NoticeType.JOB_PUSH_FAILED: lambda data: f"{_what(data)} could not be put on its product",
    NoticeType.BATCH_FINISHED: _batch,
    NoticeType.ENDPOINT_DISABLED: lambda data: f"webhook endpoint at {data['host']} was disabled",
    NoticeType.ENDPOINT_TEST: lambda data: f"webhook endpoint at {data['host']} is tested",
}

_LABELS = {
    "errorMessage": "Why",
    "pushError": "Why",
    "productTitle": "Product",
    "toolId": "Tool",
    "attempt": "Attempt",
    "creditsUsed": "Credits",
    "batchId": "Batch",
    "disabledReason": "Reason",
    "description": "Endpoint",
    "id": "Id",
}
_REASONS = {
    "gone": "it answered 410 Gone",
    "failing": "nothing has come through for three days",
}


def _details(notice: Notice) -> list[str]:
    told = {name: notice.data.get(name) for name in _LABELS}
    if told["disabledReason"] is not None:
        told["disabledReason"] = _REASONS[told["disabledReason"]]
    lines = [f"{label}: {told[name]}" for name, label in _LABELS.items() if told[name]]
    return [*lines, f"Shop: {notice.shop}"]


def _failures(notice: Notice, failures: Sequence[Failure]) -> list[str]:
    if not failures:
        return []
    lines = [
        f"- {each.name or each.job_id}: {each.error or 'no reason given'}" for each in failures
    ]
    more = notice.data["failedJobs"] - len(failures)
    return ["", "Failed:", *lines, *([f"… and {more} more"] if more > 0 else [])]
