"""Jobs as a table for spreadsheets."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.cursors import jobs_scope, make_cursor, read_cursor
from shared.domain.filters import JobFilter
from shared.domain.ids import iso
from shared.domain.job import Job
from shared.domain.status import PushStatus
from shared.usecases.ports import JobStore

MAX_ROWS = 5_000
# Lambda answers with at most 6 MB of JSON. The last page read may add its own: 99 jobs with
# the longest texts there are, 36 KB each.
MAX_BYTES = 2_300_000
# With one more, which tells whether there are more, they are one read.
_PAGE = 99
# Spreadsheets take a file without it for the machine's own code page.
BOM = "\ufeff"
# What begins a formula somewhere (in full width too), whatever blanks are before it.
_FORMULA = re.compile(r"[\s\x00\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n\x00]")

type Cell = str | int | datetime | None

COLUMNS: tuple[tuple[str, Callable[[Job], Cell]], ...] = (
    ("id", lambda job: job.job_id),
    ("type", lambda job: job.type),
    ("provider", lambda job: job.provider),
    ("providerJobId", lambda job: job.provider_job_id),
    ("name", lambda job: job.name),
    ("toolId", lambda job: job.tool_id),
    ("toolName", lambda job: job.tool_name),
    ("status", lambda job: job.status.value),
    ("progress", lambda job: job.progress),
    ("attempt", lambda job: job.attempt.number),
    ("priority", lambda job: job.priority.value),
    ("productId", lambda job: job.product_id),
    ("productTitle", lambda job: job.product_title),
    ("variantId", lambda job: job.variant_id),
    ("projectId", lambda job: job.project_id),
    ("batchId", lambda job: job.batch_id),
    ("agentId", lambda job: job.agent_id),
    ("inputImageUrl", lambda job: job.input_image_url),
    ("total", lambda job: job.counts.total),
    ("processed", lambda job: job.counts.processed),
    ("successful", lambda job: job.counts.successful),
    ("failed", lambda job: job.counts.failed),
    ("creditsUsed", lambda job: job.credits_used),
    ("costMicros", lambda job: job.cost_micros),
    ("processingTimeMs", lambda job: job.processing_ms),
    ("pushStatus", lambda job: job.push.status.value),
    ("pushedToShopify", lambda job: str(job.push.status is PushStatus.PUSHED).lower()),
    ("pushError", lambda job: job.push.error),
    ("errorCode", lambda job: job.error_code),
    ("errorMessage", lambda job: job.error_message),
    ("createdAt", lambda job: job.created_at),
    ("startedAt", lambda job: job.started_at),
    ("completedAt", lambda job: job.completed_at),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A CSV file, and where the next one starts (None: that was all)."""

    text: str
    next_cursor: str | None


def export_jobs(
    store: JobStore, wanted: JobFilter, *, cursor: str | None, cursor_secrets: Sequence[str]
) -> Export:
    """Return up to 5,000 jobs as CSV (RFC 4180, UTF-8 with a byte order mark), fewer when their
    texts are so long that they would not fit into one answer.

    Raises InvalidRequestError for a cursor of another shop or other filters.
    """
    scope = "csv\n" + jobs_scope(wanted)
    position = read_cursor(scope, cursor, cursor_secrets) if cursor is not None else None
    parts, size, count = [head()], 0, 0
    while count < MAX_ROWS and size < MAX_BYTES:
        page = store.list_jobs(wanted, limit=min(_PAGE, MAX_ROWS - count), position=position)
        rows = list(map(line, page.jobs))
        parts += rows
        count += len(rows)
        size += sum(map(_json_bytes, rows))
        position = page.position
        if position is None:
            break
    more = make_cursor(scope, position, cursor_secrets) if position is not None else None
    return Export(text="".join(parts), next_cursor=more)


def _json_bytes(text: str) -> int:
    """Return what a text takes of Lambda's answer, in which it is a JSON string."""
    return len(json.dumps(text, ensure_ascii=False).encode())


def head() -> str:
    """Return what a file of jobs begins with."""
    return BOM + row(name for name, _ in COLUMNS)


def line(job: Job) -> str:
    """Return a job's line in it."""
    return row(cell(job) for _, cell in COLUMNS)


def row(cells: Iterable[Cell]) -> str:
    r"""Write one line.

    >>> row(["=1+1", 'a "b", c', -5, None])
    '\'=1+1,"a ""b"", c",-5,\r\n'
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([_safe(cell) for cell in cells])
    return out.getvalue()


def _safe(cell: Cell) -> str | int:
    """Return a cell that no spreadsheet takes for a formula (numbers are none)."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return iso(cell)
    if isinstance(cell, int):
        return cell
    return f"'{cell}" if _FORMULA.match(cell) else cell
