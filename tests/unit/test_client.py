"""shared/client.py: what a program's loop says of itself, and what it survives."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from shared.client import (
    JobTracker,
    JobTrackerClientError,
    JobTrackerUnavailableError,
    TrackedJob,
)
from tests.api_world import World, request, world

__all__ = ["world"]

Answer = Callable[[httpx.Request], httpx.Response | None]


class Service:
    """The real API in memory, behind httpx; `answers` come first, one each (None: pass on)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.answers: list[Answer] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.waits: list[float] = []
        self.time = 0.0
        self._lock = threading.Lock()
        self.heard = threading.Event()

    def __call__(self, asked: httpx.Request) -> httpx.Response:
        with self._lock:
            self.calls.append((asked.method, json.loads(asked.content)))
            answer = self.answers.pop(0)(asked) if self.answers else None
            if answer is None:
                answer = self.passed_on(asked)
        self.heard.set()
        return answer

    def passed_on(self, asked: httpx.Request) -> httpx.Response:
        event = request(
            asked.method,
            asked.url.path,
            headers=dict(asked.headers),
            body=asked.content.decode(),
        )
        reply = self.world.send(event)
        return httpx.Response(reply.status, headers=reply.headers, text=reply.text)

    def tracker(self) -> JobTracker:
        return JobTracker(
            "https://api.example",
            key="admin-key-1",
            shop="a-shop.myshopify.com",
            transport=httpx.MockTransport(self),
            sleep=self.waits.append,
        )

    def job(self, **fields: Any) -> TrackedJob:
        wanted: dict[str, Any] = {
            "type": "pull",
            "heartbeat_s": 0,
            "clock": lambda: self.time,
        } | fields
        return self.tracker().job(**wanted)

    def stored(self, job: TrackedJob) -> Any:
        return self.world.job(job.id)

    @property
    def reports(self) -> list[dict[str, Any]]:
        return [body for method, body in self.calls if method == "PATCH"]


def status(code: int, **headers: str) -> Answer:
    return lambda _asked: httpx.Response(
        code, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def no_connection(asked: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=asked)


@pytest.fixture
def service(world: World) -> Service:
    return Service(world)


def test_a_block_creates_starts_counts_and_completes(service: Service) -> None:
    with service.job(total=3, name="Nightly") as job:
        job.advance(successful=1, created=1)
        job.advance(failed=1)
        job.advance(skipped=1)
        job.update(result={"pages": 1})
    stored = service.stored(job)
    assert (stored.status, stored.progress, stored.name) == ("completed", 100, "Nightly")
    counts = stored.counts
    assert (counts.total, counts.processed, counts.successful) == (3, 3, 1)
    assert (counts.failed, counts.skipped, counts.created) == (1, 1, 1)
    assert stored.result == {"pages": 1}


def test_reports_are_sent_together_by_count(service: Service) -> None:
    with service.job(total=100, every_items=25) as job:
        for _ in range(100):
            job.advance()
    assert [report.get("processed") for report in service.reports] == [None, 25, 50, 75, 100, 100]


def test_reports_are_sent_together_by_time(service: Service) -> None:
    with service.job(every_s=2) as job:
        for _ in range(10):
            service.time += 0.5
            job.advance(2)
    assert [report.get("processed") for report in service.reports] == [None, 8, 16, 20]


def test_an_exception_fails_the_job_and_goes_on(service: Service) -> None:
    def work(job: TrackedJob) -> None:
        job.advance(successful=1)
        raise ValueError("no stock")

    job = service.job()
    with pytest.raises(ValueError, match="no stock"), job:
        work(job)
    stored = service.stored(job)
    assert (stored.status, stored.error_message) == ("failed", "ValueError: no stock")
    assert stored.counts.successful == 1


def test_a_cancel_ends_the_block_at_the_next_report(service: Service) -> None:
    turns = 0
    with service.job(every_items=1) as job:
        for _ in range(10):
            turns += 1
            if turns == 3:
                service.world.post("/api/jobs/cancel", {"jobId": job.id})
            job.advance()
    assert turns == 3
    assert job.is_cancelled
    assert service.stored(job).status == "cancelled"
    assert service.stored(job).counts.processed == 2


def test_a_cancel_of_the_job_around_ends_both_blocks(service: Service) -> None:
    pages: list[TrackedJob] = []
    with service.job(type="all", every_items=1) as around:
        for _ in range(3):
            with service.job(type="page") as page:
                pages.append(page)
                service.world.post("/api/jobs/cancel", {"jobId": around.id})
                around.advance()
    assert service.stored(around).status == "cancelled"
    (stored,) = map(service.stored, pages)
    assert (stored.status, around.id in stored.error_message) == ("failed", True)


@pytest.mark.parametrize("trouble", [status(503), status(429), status(500), no_connection])
def test_a_creation_is_tried_again_and_makes_one_job(service: Service, trouble: Answer) -> None:
    def made_but_unheard(asked: httpx.Request) -> httpx.Response:
        event = request(
            "POST", "/api/jobs", headers=dict(asked.headers), body=asked.content.decode()
        )
        assert service.world.send(event).status == 202
        raise httpx.ReadTimeout("lost", request=asked)

    service.answers = [trouble, made_but_unheard]
    with service.job():
        pass
    assert service.world.get("/api/jobs").json["total"] == 1
    assert len(service.waits) == 2
    assert 0.5 <= service.waits[0] <= 1 <= service.waits[1] <= 2


def test_the_wait_that_is_asked_for_is_kept(service: Service) -> None:
    service.answers = [status(429, retry_after="7")]
    with service.job():
        pass
    assert service.waits == [7.0]


def test_an_outage_in_the_middle_stops_nobody_and_loses_nothing(service: Service) -> None:
    with service.job(every_items=1) as job:
        service.answers = [status(503), no_connection]
        job.update(message="page 1", metadata={"a": 1})
        job.advance(successful=1)
        job.update(metadata={"b": 2})
        job.advance(successful=1)
    stored = service.stored(job)
    assert (stored.message, stored.metadata) == ("page 1", {"a": 1, "b": 2})
    assert stored.counts.successful == 2


def test_an_end_that_cannot_be_told_is_an_error(service: Service) -> None:
    job = service.job()
    with pytest.raises(JobTrackerUnavailableError), job:
        service.answers = [status(503)] * 8
    assert service.stored(job).status == "processing"


def test_the_programs_own_error_is_worth_more_than_ours(service: Service) -> None:
    job = service.job()

    def fail_alone() -> None:
        service.answers = [status(503)] * 8
        raise KeyError("mine")

    with pytest.raises(KeyError) as raised, job:
        fail_alone()
    assert "could not be failed" in raised.value.__notes__[0]


def test_an_exception_with_half_a_character_fails_the_job_like_any_other(service: Service) -> None:
    # As the names of files have them that are no UTF-8 (os.fsdecode).
    job = service.job()
    with pytest.raises(FileNotFoundError), job:
        raise FileNotFoundError("caf\udce9.png")
    stored = service.stored(job)
    assert (stored.status, stored.error_message) == ("failed", "FileNotFoundError: caf?.png")


@pytest.mark.parametrize("value", [datetime(2026, 11, 26, tzinfo=UTC), float("nan"), "\udce9"])
def test_what_no_json_can_say_is_refused_where_it_is_said(service: Service, value: object) -> None:
    with service.job() as job:
        job.update(metadata={"page": 1})
        with pytest.raises((TypeError, ValueError)):
            job.update(metadata={"at": value})
        job.report()
    assert service.stored(job).metadata == {"page": 1}


def test_counts_of_other_libraries_are_whole_numbers_too(service: Service) -> None:
    class Int64:
        """As numpy's: no int, and nothing that JSON knows."""

        def __index__(self) -> int:
            return 3

    with service.job(every_items=1) as job:
        job.advance(successful=Int64())  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            job.advance(0.5)  # type: ignore[arg-type]
    assert service.stored(job).counts.processed == 3


def test_an_end_with_something_that_is_not_taken_fails_the_job_and_says_why(
    service: Service,
) -> None:
    def say_too_much(job: TrackedJob) -> None:
        job.advance(3)
        job.update(pages=3)

    job = service.job()
    with pytest.raises(JobTrackerClientError, match="pages is not a field"), job:
        say_too_much(job)
    stored = service.stored(job)
    assert (stored.status, stored.counts.processed) == ("failed", 3)
    assert "pages is not a field" in stored.error_message


def test_a_failure_is_told_whatever_else_is_not_taken(service: Service) -> None:
    def count_backwards(job: TrackedJob) -> None:
        job.advance(-3)
        raise ValueError("no stock")

    job = service.job()
    with pytest.raises(ValueError, match="no stock"), job:
        count_backwards(job)
    stored = service.stored(job)
    assert (stored.status, stored.error_message) == ("failed", "ValueError: no stock")


def test_an_answer_that_cannot_be_unpacked_is_an_outage(service: Service) -> None:
    def broken(_asked: httpx.Request) -> httpx.Response:
        raise httpx.DecodingError("not gzip")

    with service.job() as job:
        service.answers = [broken]
        job.report()
    assert service.stored(job).status == "completed"


def test_a_refused_creation_says_why(service: Service) -> None:
    with service.job() as running:
        job = service.job(exclusive=True)
        with pytest.raises(JobTrackerClientError) as raised, job:
            pass
        assert raised.value.code == "already_running"
        assert raised.value.details["runningJobId"] == running.id


def test_a_deleted_job_is_told_at_the_next_advance(service: Service) -> None:
    job = service.job(every_items=1)

    def go_on_after_deletion() -> None:
        service.world.post("/api/jobs/cancel", {"jobId": job.id})
        service.world.call("DELETE", f"/api/jobs/{job.id}")
        job.advance()

    with pytest.raises(JobTrackerClientError, match="no such job"), job:
        go_on_after_deletion()


def test_a_heartbeat_goes_out_while_nothing_advances(service: Service) -> None:
    with service.job(heartbeat_s=0.02) as job:
        before = len(service.reports)
        service.time += 60
        service.heard.clear()
        assert service.heard.wait(20)
    assert service.reports[before] == {"attempt": 1}
    assert service.stored(job).status == "completed"


def test_a_worker_of_an_earlier_attempt_cannot_end_the_next(service: Service) -> None:
    with service.job() as job:
        service.world.post("/api/jobs/cancel", {"jobId": job.id})
        service.world.post("/api/jobs/retry", {"jobId": job.id})
    assert service.stored(job).status == "pending"


def test_a_worker_learns_of_its_cancel_also_when_the_job_was_retried_since(
    service: Service,
) -> None:
    turns = 0
    with service.job(every_items=1) as job:
        for _ in range(5):
            turns += 1
            if turns == 2:
                service.world.post("/api/jobs/cancel", {"jobId": job.id})
                service.world.post("/api/jobs/retry", {"jobId": job.id})
            job.advance()
    assert (turns, job.is_cancelled) == (2, True)
    assert service.stored(job).status == "pending"


def test_a_log_entry_arrives_once_with_what_was_got_and_given(world: World) -> None:
    service = Service(world)
    lost = httpx.Response(502)
    with service.tracker() as tracker, tracker.job(type="pull", heartbeat_s=0) as job:

        def lose_the_answer(asked: httpx.Request) -> httpx.Response:
            service.passed_on(asked)
            return lost

        service.answers = [lose_the_answer]
        log_id = job.log("Asked the model.", request={"q": 1}, response=[2], native_status="ASKED")
    shown = world.get(f"/api/jobs/{job.id}/logs/{log_id}").json
    assert (shown["request"], shown["response"]) == ({"q": 1}, [2])
    assert (shown["log"]["message"], shown["log"]["nativeStatus"]) == ("Asked the model.", "ASKED")
    entries = world.get(f"/api/jobs/{job.id}/logs").json["logs"]
    assert len([entry for entry in entries if entry["hasPayload"]]) == 1
