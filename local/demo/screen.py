"""Progress while the demo runs, tables when it is over."""

import shutil
from collections.abc import Sequence
from typing import TextIO

from local.demo.evidence import Evidence
from local.demo.proofs import Proof
from local.demo.story import Sent, Viewer

_UP_AND_CLEAR = "\x1b[{lines}F\x1b[J"


def state_of(sent: Sent) -> str:
    """Say in a few words where a job is."""
    status, push = str(sent.job["status"]), str(sent.job["pushStatus"])
    if status == "processing":
        return f"processing {sent.job['progress']} %"
    if status != "completed" or push == "none":
        return status
    return "on its product" if push == "pushed" else f"completed, push {push}"


class LiveScreen:
    """Redraw one compact table in place."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on a terminal."""
        self._stream = stream
        self._drawn: list[str] = []

    def show(self, sent: Sequence[Sent], elapsed_s: float) -> None:
        """Draw the table anew, cut to the terminal's width, when it has changed."""
        columns = shutil.get_terminal_size().columns
        settled = sum(each.is_settled for each in sent)
        head = f"  {elapsed_s:5.0f} s   {settled} of {len(sent)} on their products"
        lines = [line[: columns - 1] for line in (head, *map(_live_line, sent))]
        if lines == self._drawn:
            return
        if self._drawn:
            self._stream.write(_UP_AND_CLEAR.format(lines=len(self._drawn)))
        self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()
        self._drawn = lines


class PlainScreen:
    """Write one line for each change."""

    def __init__(self, stream: TextIO) -> None:
        """Write to a file or a pipe."""
        self._stream = stream
        self._known: dict[str, str] = {}

    def show(self, sent: Sequence[Sent], elapsed_s: float) -> None:
        """Write what has changed since the last call."""
        for each in sent:
            state = f"{state_of(each)}, attempt {each.job['attempt']}"
            if self._known.get(each.job_id) == state:
                continue
            self._known[each.job_id] = state
            title, label = each.assignment.picture.title, each.assignment.case.label
            special = f"  ({label})" if label else ""
            self._stream.write(f"  {elapsed_s:5.1f} s  {title}: {state}{special}\n")
        self._stream.flush()


def viewer_for(stream: TextIO) -> Viewer:
    """Return the screen that suits a stream."""
    return LiveScreen(stream) if stream.isatty() else PlainScreen(stream)


def table(evidence: Evidence) -> str:
    """Return the table of every job; the image's address comes last, because it is long."""
    rows = [("photo", "what was special", "status", "push", "attempts", "image on the product")]
    for job in evidence.jobs:
        shown = job.sent.job
        rows.append(
            (
                job.title,
                job.sent.assignment.case.label or "–",
                str(shown["status"]),
                str(shown["pushStatus"]),
                str(shown["attempt"]),
                job.fetched.url if job.fetched else "none",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  " + "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[5]])
        for row in rows
    )


def list_of(proofs: Sequence[Proof]) -> str:
    """Return the proofs as a list; below one that fails, what speaks against it."""
    lines = []
    for proof in proofs:
        lines.append(f"  {'✓' if proof.holds else '✗'} {proof.sentence}")
        lines += [f"      {problem}" for problem in proof.problems]
    return "\n".join(lines)


def _live_line(sent: Sent) -> str:
    case = sent.assignment.case
    mark = "✓" if sent.is_settled and sent.job["pushStatus"] == "pushed" else "·"
    hint = "" if sent.is_settled else case.hint
    title = sent.assignment.picture.title[:30]
    return f"  {mark} {title:<30}  {state_of(sent):<27} {case.label:<22} {hint}"
