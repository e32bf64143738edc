"""Files of bulk jobs: exact whatever crashes, a part at a time, and readable by everybody."""

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from shared.domain.bulk import BulkAction, file_key, filter_json
from shared.domain.errors import ConflictError, NotFoundError, StoreUnavailableError
from shared.domain.filters import JobFilter
from shared.domain.ids import JobRef
from shared.domain.job import Counts, Job, Output
from shared.domain.plan import Step
from shared.domain.status import JobStatus
from shared.domain.storage import prefixes_of
from shared.usecases import file_drafts
from shared.usecases.cancel_job import cancel_job
from shared.usecases.delete_job import delete_job
from shared.usecases.export_jobs import COLUMNS, export_jobs
from shared.usecases.file_drafts import MIN_PART_BYTES
from shared.usecases.ports import Page
from shared.usecases.retry_job import retry_job
from shared.usecases.run_bulk import Bulk
from shared.usecases.start_bulk import create_bulk_job
from tests.builders import OTHER_SHOP, SHOP, a_job, a_kept_job, a_kept_output
from tests.unit.usecases.test_run_bulk import CALLER, World

BATCH = "a-batch"


class FileWorld(World):
    """A bulk lane, with jobs that have images."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0

    def a_result(self, body: bytes = b"picture", **changes: Any) -> JobRef:
        """Store a completed job of the batch with one kept result."""
        self.made += 1
        key = f"shops/{SHOP}/jobs/{self.made}/1-0.png"
        self.files.put(key, body, "image/png")
        output = a_kept_output(key=key, size_bytes=len(body))
        values: dict[str, Any] = {
            "batch_id": BATCH,
            "attempt": {"provider_job_id": f"p{self.made}"},
            "outputs": (output,),
        }
        return self.has(a_kept_job(**(values | changes)))

    def archive(self) -> JobRef:
        wanted = JobFilter(shop=SHOP, batch_id=BATCH)
        return create_bulk_job(
            self.tracker,
            self.works,
            CALLER,
            BulkAction.ARCHIVE,
            {"filter": filter_json(wanted)},
            total=None,
            name="Spring / mugs",
        ).ref

    def file(self, bulk: JobRef) -> bytes:
        return self.files.get(file_key(self.job(bulk)) or "")

    def rows(self, bulk: JobRef) -> list[dict[str, str]]:
        return read_rows(self.file(bulk))

    def zip(self, bulk: JobRef) -> zipfile.ZipFile:
        return zipfile.ZipFile(io.BytesIO(self.file(bulk)))


def read_rows(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))


@pytest.fixture
def world() -> FileWorld:
    return FileWorld()


@pytest.fixture
def small_parts(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a part be a kilobyte, so that a small file has many."""
    monkeypatch.setattr(file_drafts, "MIN_PART_BYTES", 1024)
    world.uploads.smallest = 1024


# --- tables -----------------------------------------------------------------------------


@pytest.mark.usefixtures("small_parts")
def test_an_export_has_every_job_once_as_the_page_by_page_file_has_them(world: FileWorld) -> None:
    for n in range(230):
        world.has(a_job(name=f"=job {n}"))
    world.has(a_job(shop=OTHER_SHOP, name="theirs"))
    bulk = world.start(BulkAction.EXPORT)
    world.clock.advance(1)
    world.has(a_job(created_at=world.clock.now(), name="too late"))
    assert [world.run(bulk) for _ in range(4)] == [Bulk.GOES_ON] * 3 + [Bulk.DONE]
    job = world.job(bulk)
    assert job.status is JobStatus.COMPLETED
    assert job.counts == Counts(total=230, processed=230, successful=230, failed=0)
    expected = export_jobs(
        world.store,
        JobFilter(shop=SHOP, created_to=world.clock.now()),
        cursor=None,
        cursor_secrets=["k"],
    )
    assert world.file(bulk).decode() == expected.text
    assert job.result == {
        "refused": [],
        "fileName": "jobs-2026-11-22.csv",
        "bytes": len(expected.text.encode()),
        "rows": 230,
        "expiresAt": "2026-11-29T12:00:02.000Z",
    }
    assert world.uploads.names == {file_key(job): "jobs-2026-11-22.csv"}
    # Nothing is left but the file itself.
    assert [key for key in world.files.stored if key.startswith("exports/")] == [file_key(job)]
    assert world.uploads.open == {}


def test_an_export_of_named_jobs_keeps_their_order_and_counts_the_missing(
    world: FileWorld,
) -> None:
    refs = [world.has(a_job(name=str(n))) for n in range(105)]
    theirs = world.has(a_job(shop=OTHER_SHOP))
    bulk = world.start(BulkAction.EXPORT, *refs, theirs, JobRef(SHOP, "nonsense"))
    job = world.finish(bulk)
    assert [row["id"] for row in world.rows(bulk)] == [ref.job_id for ref in refs]
    assert job.counts == Counts(total=107, processed=107, successful=105, failed=2)
    assert (job.result or {})["refused"] == [{"code": "not_found", "count": 2}]


def test_an_export_of_nothing_is_a_file_with_titles(world: FileWorld) -> None:
    bulk = world.start(BulkAction.EXPORT, status=JobStatus.FAILED)
    job = world.finish(bulk)
    assert (job.status, (job.result or {})["rows"]) == (JobStatus.COMPLETED, 0)
    assert world.file(bulk).decode("utf-8-sig").strip().split(",") == [n for n, _ in COLUMNS]


def test_an_export_of_named_jobs_none_of_which_is_there_has_failed(world: FileWorld) -> None:
    bulk = world.start(BulkAction.EXPORT, JobRef(SHOP, a_job().job_id))
    job = world.finish(bulk)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "nothing_done")
    assert world.uploads.open == {}
    with pytest.raises(NotFoundError):
        world.file(bulk)


def test_a_file_lies_where_the_shop_is_erased(world: FileWorld) -> None:
    world.has(a_job())
    bulk = world.start(BulkAction.EXPORT)
    world.run(bulk)
    written = [key for key in world.files.stored if bulk.job_id in key]
    assert written
    assert all(key.startswith(prefixes_of(SHOP)) for key in written)


@pytest.mark.slow
def test_a_hundred_thousand_lines_take_a_thousand_messages_of_few_calls_each(
    world: FileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory that does not grow: a draft is never more than a part."""
    pages, job = 1000, a_job(name="x" * 40)
    calls: Counter[str] = Counter()
    largest = 0  # of what was sent

    def page(_wanted: JobFilter, *, limit: int, position: str | None = None) -> Page:
        number = int(position or 0) + 1
        calls["list_jobs"] += 1
        assert limit == 100
        end = None if number == pages else str(number)
        return Page(jobs=(job,) * limit, position=end, is_complete=False)

    def watch(target: object, name: str) -> None:
        real = getattr(target, name)

        def call(*args: Any, **more: Any) -> Any:
            nonlocal largest
            calls[name] += 1
            if name == "put_part" or "draft-" in args[0]:
                sent = [len(each) for each in args if isinstance(each, bytes)]
                largest = max([largest, *sent])
            return real(*args, **more)

        monkeypatch.setattr(target, name, call)

    bulk = world.start(BulkAction.EXPORT)
    monkeypatch.setattr(world.store, "list_jobs", page)
    watch(world.files, "put")
    watch(world.files, "get")
    watch(world.uploads, "put_part")
    done = world.finish(bulk)
    assert (done.result or {})["rows"] == 100_000
    assert calls["list_jobs"] == pages
    assert calls["get"] == pages
    assert calls["put"] == pages + 1  # the last one is the file, by the bucket itself
    assert calls["put_part"] == -(-(done.result or {})["bytes"] // MIN_PART_BYTES)
    assert largest < MIN_PART_BYTES + 1024 * 1024


# --- archives ---------------------------------------------------------------------------


@pytest.mark.usefixtures("small_parts")
def test_an_archive_has_every_kept_result_under_a_name_that_says_something(
    world: FileWorld,
) -> None:
    mug = world.a_result(b"mug" * 700, product_title="Blaue Tasse: 0,5 l")
    bare = world.a_result(b"", product_title=None)
    failed = world.has(a_job(batch_id=BATCH, status=JobStatus.FAILED, error_code="oops"))
    world.a_result(batch_id="another")
    bulk = world.archive()
    job = world.finish(bulk)
    assert job.counts == Counts(total=3, processed=3, successful=2, failed=1)
    assert (job.result or {})["refused"] == [{"code": "no_output", "count": 1}]
    assert (job.result or {})["files"] == 2
    assert (job.result or {})["fileName"] == "spring-mugs-2026-11-22.zip"
    first = f"blaue-tasse-0-5-l-{mug.job_id}-0.png"
    second = f"image-{bare.job_id}-0.png"
    with world.zip(bulk) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {first, second, "manifest.csv"}
        assert archive.read(first) == b"mug" * 700
        assert archive.read(second) == b""
        rows = {row["jobId"]: row for row in read_rows(archive.read("manifest.csv"))}
    assert set(rows) == {mug.job_id, bare.job_id, failed.job_id}
    assert (rows[mug.job_id]["file"], rows[mug.job_id]["bytes"]) == (first, "2100")
    assert (rows[mug.job_id]["sha256"], rows[mug.job_id]["status"]) == ("ab" * 32, "completed")
    assert (rows[failed.job_id]["file"], rows[failed.job_id]["errorCode"]) == ("", "oops")


def test_only_the_results_of_the_present_attempt_are_in_it(world: FileWorld) -> None:
    for name in ("old", "new-0", "new-1"):
        world.files.put(name + ".png", name.encode(), "image/png")
    outputs = (
        a_kept_output(key="old.png"),
        a_kept_output(attempt=2, index=0, key="new-0.png"),
        a_kept_output(attempt=2, index=1, key="new-1.png"),
        Output(index=2, attempt=2, error_code="output_refused"),
    )
    job = a_kept_job(batch_id=BATCH, outputs=outputs)
    second = job.attempts[0].__class__(number=2, created_at=job.created_at)
    ref = world.has(a_kept_job(batch_id=BATCH, outputs=outputs, attempts=(*job.attempts, second)))
    bulk = world.archive()
    world.finish(bulk)
    with world.zip(bulk) as archive:
        names = archive.namelist()
        assert [archive.read(name) for name in names[:2]] == [b"new-0", b"new-1"]
    assert names[0].endswith(f"{ref.job_id}-0.png")


@pytest.mark.promise("hostile", "formulas in spreadsheets")
def test_a_manifest_holds_no_formulas(world: FileWorld) -> None:
    world.a_result(product_title='=HYPERLINK("https://evil.example")')
    bulk = world.archive()
    world.finish(bulk)
    with world.zip(bulk) as archive:
        (row,) = read_rows(archive.read("manifest.csv"))
        assert row["productTitle"].startswith("'=")
        assert archive.namelist()[0].startswith("hyperlink-https-evil-example-")


def test_a_result_that_was_deleted_a_moment_ago_is_told_and_left_out(world: FileWorld) -> None:
    ref = world.a_result(b"gone")
    world.a_result(b"there")
    world.files.delete([world.job(ref).outputs[0].key or ""])
    bulk = world.archive()
    job = world.finish(bulk)
    assert (job.result or {})["refused"] == [{"code": "output_missing", "count": 1}]
    with world.zip(bulk) as archive:
        assert len(archive.namelist()) == 2


def test_an_archive_without_any_result_has_failed_and_leaves_nothing(world: FileWorld) -> None:
    world.has(a_job(batch_id=BATCH))
    bulk = world.archive()
    assert world.finish(bulk).error_code == "nothing_done"
    assert world.uploads.open == {}


def test_an_archive_stops_when_its_time_is_up_and_goes_on_where_it_was(
    world: FileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(7):
        world.a_result(str(n).encode())
    real = world.files.get

    def slow(key: str) -> bytes:
        if key.startswith("shops/"):
            world.clock.advance(15)
        return real(key)

    monkeypatch.setattr(world.files, "get", slow)
    bulk = world.archive()
    seen = []
    while world.run(bulk) is Bulk.GOES_ON:
        seen.append(world.job(bulk).counts.processed)
    assert seen == [3, 6, 7]
    with world.zip(bulk) as archive:
        bodies = [archive.read(name) for name in archive.namelist()[:-1]]
    assert sorted(bodies) == [str(n).encode() for n in range(7)]


def test_memory_holds_one_part_and_one_image_at_a_time(world: FileWorld) -> None:
    """Real sizes: twelve images of 2 MiB make parts of 5 MiB or a little more."""
    bodies = [bytes([n]) * (2 * 1024 * 1024) for n in range(12)]
    for body in bodies:
        world.a_result(body)
    bulk = world.archive()
    sizes: list[int] = []
    real = world.uploads.put_part

    def put(key: str, upload_id: str, number: int, body: bytes) -> Any:
        sizes.append(len(body))
        return real(key, upload_id, number, body)

    world.uploads.put_part = put  # type: ignore[method-assign]
    world.finish(bulk)
    assert max(sizes) < 8 * 1024 * 1024
    with world.zip(bulk) as archive:
        assert archive.testzip() is None
        assert {archive.read(name) for name in archive.namelist()[:-1]} == set(bodies)


# --- whatever goes wrong ----------------------------------------------------------------


class CrashError(BaseException):
    """The process is gone: nothing catches this."""


def crashing(call: Callable[..., Any], tick: Callable[[], bool], after: bool) -> Any:
    def watched(*args: Any, **kwargs: Any) -> Any:
        is_now = tick()
        if is_now and not after:
            raise CrashError
        result = call(*args, **kwargs)
        if is_now:
            raise CrashError
        return result

    return watched


def told(kind: str, at: int | None, after: bool) -> tuple[Any, int]:
    """Write a file with a crash at one of the calls; returns what is left, and the calls."""
    world = FileWorld()
    world.uploads.smallest = 1024
    for n in range(103):
        world.a_result(bytes([n]) * 300, name=f"job {n}")
    bulk = world.start(BulkAction.EXPORT) if kind == "table" else world.archive()
    calls = 0

    def tick() -> bool:
        nonlocal calls
        calls += 1
        return calls == at

    watched = [
        (world.store, ("get", "save", "list_jobs")),
        (world.works, ("get_work",)),
        (world.files, ("put", "delete")),
        (world.uploads, ("begin", "put_part", "finish", "abort")),
        (world.outbox, ("send_bulk",)),
    ]
    look = world.store.get
    for target, names in watched:
        for name in names:
            setattr(target, name, crashing(getattr(target, name), tick, after))
    for _ in range(20):
        if not look(bulk).status.is_active:
            break
        with suppress(CrashError):
            world.run(bulk)
    job = look(bulk)
    body = world.files.get(file_key(job) or "")
    if kind == "table":
        content: Any = [row["name"] for row in read_rows(body)]
    else:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            assert archive.testzip() is None
            content = [archive.read(name) for name in archive.namelist()]
            content[-1] = len(read_rows(content[-1]))
    drafts = [key for key in world.files.stored if "draft" in key]
    assert len(drafts) <= 3
    return (job.status, job.counts, content), calls


@pytest.fixture
def middling_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_drafts, "MIN_PART_BYTES", 8 * 1024)


@pytest.mark.usefixtures("middling_parts")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["table", "archive"])
@pytest.mark.promise("lost", "a crash at every call of writing a file")
def test_a_crash_at_any_call_changes_nothing_in_the_end(kind: str, after: bool) -> None:
    calm, calls = told(kind, None, after)
    (status, counts, content) = calm
    assert (status, counts.successful) == (JobStatus.COMPLETED, 103)
    assert len(content) == (103 if kind == "table" else 104)
    # An archive reads its jobs one by one: every call of the table's, every third of those.
    for at in range(1, calls + 1, 1 if kind == "table" else 3):
        again, _ = told(kind, at, after)
        assert again == calm, f"call {at}"


def test_two_deliveries_at_once_write_every_line_once(world: FileWorld) -> None:
    for n in range(150):
        world.has(a_job(name=str(n)))
    bulk = world.start(BulkAction.EXPORT)
    real = world.works.get_work
    inner: list[Bulk] = []

    def get(ref: JobRef) -> Any:
        if len(inner) < 1:
            inner.append(Bulk.NOTHING)
            inner[0] = world.run(ref)
        return real(ref)

    world.works.get_work = get  # type: ignore[method-assign]
    assert world.run(bulk) is Bulk.NOTHING
    assert inner == [Bulk.GOES_ON]
    job = world.finish(bulk)
    assert job.counts == Counts(total=150, processed=150, successful=150, failed=0)
    assert sorted(row["name"] for row in world.rows(bulk)) == sorted(map(str, range(150)))


@pytest.mark.usefixtures("small_parts")
def test_a_part_that_a_late_worker_overwrote_has_the_file_begun_anew(world: FileWorld) -> None:
    for n in range(150):
        world.has(a_job(name=str(n)))
    bulk = world.start(BulkAction.EXPORT)
    world.run(bulk)
    (upload,) = world.uploads.open
    world.uploads.put_part(file_key(world.job(bulk)) or "", upload, 1, b"another content" * 100)
    job = world.finish(bulk)
    assert job.counts == Counts(total=150, processed=150, successful=150, failed=0)
    assert len(world.rows(bulk)) == 150
    assert "it is begun anew" in " ".join(world.sentences(bulk))


def test_an_upload_that_was_cleared_away_is_begun_anew(world: FileWorld) -> None:
    for n in range(150):
        world.has(a_job(name=str(n)))
    bulk = world.start(BulkAction.EXPORT)
    world.run(bulk)
    world.uploads.open.clear()
    assert world.finish(bulk).status is JobStatus.COMPLETED
    assert len(world.rows(bulk)) == 150


def test_a_draft_that_was_cleared_away_is_begun_anew(world: FileWorld) -> None:
    for n in range(150):
        world.has(a_job(name=str(n)))
    bulk = world.start(BulkAction.EXPORT)
    world.run(bulk)
    world.files.stored.clear()
    assert world.finish(bulk).status is JobStatus.COMPLETED
    assert len(world.rows(bulk)) == 150


def test_a_file_that_can_never_be_finished_is_given_up(world: FileWorld) -> None:
    world.has(a_job())
    bulk = world.start(BulkAction.EXPORT)
    for _ in range(20):
        world.uploads.open.clear()
        if world.run(bulk) is Bulk.DONE:
            break
    job = world.job(bulk)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "file_stuck")
    assert world.uploads.begun == 4


def test_while_the_bucket_is_out_the_message_comes_again(world: FileWorld) -> None:
    world.has(a_job())
    bulk = world.start(BulkAction.EXPORT)
    world.files.broken = True
    with pytest.raises(StoreUnavailableError):
        world.run(bulk)
    world.files.broken = False
    assert world.finish(bulk).status is JobStatus.COMPLETED


def test_a_cancelled_export_can_be_retried_and_goes_on(world: FileWorld) -> None:
    for n in range(150):
        world.has(a_job(name=str(n)))
    bulk = world.start(BulkAction.EXPORT)
    world.run(bulk)
    cancel_job(world.tracker, CALLER, bulk)
    assert world.run(bulk) is Bulk.NOTHING
    retry_job(world.tracker, CALLER, bulk)
    assert world.step(bulk) is Step.BULK
    assert world.finish(bulk).counts.successful == 150
    assert len(world.rows(bulk)) == 150
    assert world.uploads.begun == 1


def test_deleting_the_bulk_job_deletes_its_file(world: FileWorld) -> None:
    world.has(a_job())
    bulk = world.start(BulkAction.EXPORT)
    with pytest.raises(ConflictError):
        delete_job(world.tracker, world.files, bulk)
    job = world.finish(bulk)
    delete_job(world.tracker, world.files, bulk)
    assert file_key(job) not in world.files.stored


def test_a_job_that_only_looks_like_an_export_names_no_file() -> None:
    job: Job = a_job(type="image")
    assert file_key(job) is None
    assert file_key(a_job(type="bulk.retry")) is None
