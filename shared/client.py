"""A client for programs that report their own jobs.

    tracker = JobTracker(api_url, key=api_key)
    with tracker.job(type="catalog_pull", total=len(products)) as job:
        for product in products:
            pull(product)
            job.advance(successful=1)

Leaving the block completes the job, an exception fails it (and goes on), a cancel ends the
block at the next `advance`. Reports are sent together, a heartbeat goes out while nothing else
does, and counts are absolute: a report that is lost is made good by the next.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from operator import index
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

COUNTS = ("processed", "successful", "failed", "created", "updated", "skipped")
LONGEST_ERROR = 2_000
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
# Tries of what must arrive (a creation, an end), and of what the next report makes good.
SURE_TRIES, REPORT_TRIES = 8, 2


class JobTrackerClientError(Exception):
    """Job Tracker refuses: `code` is its stable word, the message a sentence.

    details: the whole answer, e.g. `runningJobId` with `already_running`.
    """

    def __init__(self, message: str, code: str, details: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class JobTrackerUnavailableError(Exception):
    """Job Tracker did not answer, however often it was asked."""


class JobCancelledError(Exception):
    """The job was cancelled. Let it pass: its own with block ends quietly."""

    def __init__(self, message: str, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class JobTracker:
    """One account at a Job Tracker.

    Parameters
        api_url: its address, without a path. key: a shop's, an agent's or an administrator's.
        shop: administrators say which. transport, sleep: for tests.
    """

    def __init__(
        self,
        api_url: str,
        *,
        key: str,
        shop: str | None = None,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"authorization": f"Bearer {key}"} | ({"x-shop": shop} if shop else {})
        self._http = httpx.Client(
            base_url=api_url, headers=headers, timeout=timeout_s, transport=transport
        )
        self._sleep = sleep

    def job(
        self,
        *,
        type: str,  # noqa: A002 - the API's own word
        total: int | None = None,
        every_items: int = 50,
        every_s: float = 2.0,
        heartbeat_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        **fields: Any,
    ) -> "TrackedJob":
        """Describe a job; entering it creates it.

        Parameters
            every_items, every_s: a report is sent when so much happened, whichever is first.
            heartbeat_s: the longest silence, well below the 300 s after which a job is taken
                for dead; 0 for no heartbeats.
            fields: anything else that POST /api/jobs takes: name, metadata, exclusive …
        """
        body = {"type": type, **({"total": total} if total is not None else {}), **fields}
        return TrackedJob(
            self,
            body,
            every_items=every_items,
            every_s=every_s,
            heartbeat_s=heartbeat_s,
            clock=clock,
        )

    def call(
        self, method: str, path: str, body: Mapping[str, Any], *, tries: int, once: str = ""
    ) -> dict[str, Any]:
        """Make a call; again, with growing waits, when it may heal (429, 5xx, no connection).

        Parameters
            once: an Idempotency-Key, for what must not be done twice.

        Raises JobTrackerClientError, JobTrackerUnavailableError.
        """
        headers = {"idempotency-key": once} if once else {}
        trouble = ""
        for number in range(tries):
            if number:
                self._sleep(self._wait_s(number, trouble))
            try:
                answer = self._http.request(method, path, json=body, headers=headers)
            except httpx.RequestError as error:
                trouble = type(error).__name__
                continue
            if answer.status_code != 429 and answer.status_code < 500:
                return _read(answer)
            trouble = answer.headers.get("retry-after", f"HTTP {answer.status_code}")
        raise JobTrackerUnavailableError(f"Job Tracker does not answer: {trouble}.")

    def close(self) -> None:
        """Close the connections (leaving a with block does it too)."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @staticmethod
    def _wait_s(number: int, trouble: str) -> float:
        if trouble.isdecimal():
            return min(float(trouble), LONGEST_WAIT_S)
        longest = min(FIRST_WAIT_S * 2.0**number, LONGEST_WAIT_S)
        return longest * random.uniform(0.5, 1)  # noqa: S311 - spreads the callers, no secret


class TrackedJob:
    """One job at work. Safe to use from several threads."""

    def __init__(
        self,
        tracker: JobTracker,
        body: Mapping[str, Any],
        *,
        every_items: int,
        every_s: float,
        heartbeat_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._tracker = tracker
        self._body = body
        self._every_items, self._every_s, self._heartbeat_s = every_items, every_s, heartbeat_s
        self._clock = clock
        self._state = threading.Lock()  # the numbers below
        self._wire = threading.Lock()  # one report at a time, in order
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._counts = dict.fromkeys(COUNTS, 0)
        self._news: dict[str, Any] = {}
        self._unsent_items = 0
        self._sent_at = clock()
        self._refusal: JobTrackerClientError | None = None
        self._path, self._attempt = "", 1
        self.id = ""
        self.is_cancelled = False

    def advance(
        self,
        processed: int | None = None,
        *,
        successful: int = 0,
        failed: int = 0,
        skipped: int = 0,
        created: int = 0,
        updated: int = 0,
    ) -> None:
        """Count items; sends a report when enough happened.

        Parameters
            processed: how many items; if not given, successful + failed + skipped, or else 1.
            created, updated: what became of the successful ones.

        Raises JobCancelledError when the job was cancelled; JobTrackerClientError; TypeError
        when a count is no whole number (numpy's are).
        """
        done = tuple(map(index, (successful, failed, created, updated, skipped)))
        items = sum((done[0], done[1], done[4])) or 1 if processed is None else index(processed)
        added = (items, *done)
        with self._state:
            for name, more in zip(COUNTS, added, strict=True):
                self._counts[name] += more
            self._unsent_items += items
            is_due = (
                self._unsent_items >= self._every_items
                or self._clock() - self._sent_at >= self._every_s
            )
        if is_due:
            self.report()
        self.check()

    def update(self, **fields: Any) -> None:
        """Say anything else that PATCH /api/jobs/{id} takes, with the next report: `message`,
        `metadata` (added by key), `total`, `progress`, `result`.

        Raises TypeError, ValueError when it is nothing that JSON can say.
        """
        # Here, where the culprit is: the heartbeat, which might send it, could tell nobody.
        json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()
        with self._state:
            if "metadata" in fields and "metadata" in self._news:
                fields["metadata"] = {**self._news["metadata"], **fields["metadata"]}
            self._news.update(fields)

    def log(
        self,
        message: str | None = None,
        *,
        request: Any = None,
        response: Any = None,
        native_status: str | None = None,
    ) -> str:
        """Put an entry on the job's timeline at once, with what was got and given (any JSON).

        Returns its id. Raises JobTrackerClientError, JobTrackerUnavailableError.
        """
        said = {
            "message": message,
            "nativeStatus": native_status,
            "requestPayload": request,
            "responsePayload": response,
        }
        body = {name: value for name, value in said.items() if value is not None}
        made = self._tracker.call(
            "POST", f"{self._path}/logs", body, tries=SURE_TRIES, once=str(uuid4())
        )
        return str(made["log"]["id"])

    def check(self) -> None:
        """Raise JobCancelledError once the job was cancelled; use it where nothing advances."""
        if self._refusal is not None:
            raise self._refusal
        if self.is_cancelled:
            raise JobCancelledError(f"Job {self.id} was cancelled.", self.id)

    def report(self) -> None:
        """Send what is known now. An outage is no error: the next report says it all."""
        self._send({}, tries=REPORT_TRIES)

    def __enter__(self) -> Self:
        made = self._tracker.call(
            "POST", "/api/jobs", self._body, tries=SURE_TRIES, once=str(uuid4())
        )["job"]
        self.id, self._path = made["id"], f"/api/jobs/{made['id']}"
        self._attempt = made["attempt"]
        self._send({"status": "processing"}, tries=SURE_TRIES, must_arrive=True)
        if self._heartbeat_s:
            self._thread = threading.Thread(target=self._beat, name="job-heartbeat", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if isinstance(error, JobCancelledError) and error.job_id == self.id:
            # Another job's, of a block around this one, ends this one like any error.
            return True
        if error is not None:
            self._fail(error)
            return False
        try:
            self._send({"status": "completed"}, tries=SURE_TRIES, must_arrive=True)
        except JobTrackerClientError as refusal:
            # What was said last is not taken: that is an error of the program's as well.
            self._fail(refusal)
            raise
        return False

    def _fail(self, error: BaseException) -> None:
        """Fail the job for an error. If even that is not taken, a note on the error says so."""
        # Half characters, as in names of files, are nothing that can be sent.
        text = f"{type(error).__name__}: {error}".encode("utf-8", "replace").decode()
        said = {"status": "failed", "error": text[:LONGEST_ERROR]}
        try:
            try:
                self._send(said, tries=SURE_TRIES, must_arrive=True)
            except JobTrackerClientError:
                # Perhaps only for what goes with it.
                self._send(said, tries=SURE_TRIES, must_arrive=True, is_bare=True)
        except (JobTrackerClientError, JobTrackerUnavailableError) as trouble:
            # The program's own error matters more; the time-out will end the job.
            error.add_note(f"Job {self.id} could not be failed: {trouble}")

    def _beat(self) -> None:
        while not self._ended.wait(self._heartbeat_s / 2):
            if self._clock() - self._sent_at >= self._heartbeat_s / 2:
                self.report()

    def _send(
        self,
        said: Mapping[str, Any],
        *,
        tries: int,
        must_arrive: bool = False,
        is_bare: bool = False,
    ) -> None:
        with self._wire:
            with self._state:
                news, self._news = self._news, {}
                known = {} if is_bare else self._counts
                counts = {name: count for name, count in known.items() if count}
                self._unsent_items, self._sent_at = 0, self._clock()
            body = {"attempt": self._attempt, **counts, **news, **said}
            try:
                job = self._tracker.call("PATCH", self._path, body, tries=tries)["job"]
            except JobTrackerUnavailableError:
                self._keep(news)
                if must_arrive:
                    raise
            except JobTrackerClientError as refusal:
                if must_arrive:
                    raise
                # The heartbeat's thread cannot raise: the next advance does.
                self._refusal = refusal
            else:
                # Cancelled and retried: what comes now is another worker's.
                is_over = job["attempt"] != self._attempt
                self.is_cancelled = is_over or bool(job["cancelRequested"])

    def _keep(self, news: Mapping[str, Any]) -> None:
        with self._state:
            merged = {**news, **self._news}
            if "metadata" in news:
                merged["metadata"] = {**news["metadata"], **self._news.get("metadata", {})}
            self._news = merged


def _read(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if answer.is_success and isinstance(body, dict) and body.get("success"):
        return body
    found = body if isinstance(body, dict) else {}
    message = str(found.get("error", f"HTTP {answer.status_code}"))
    raise JobTrackerClientError(message, str(found.get("code", "unexpected_answer")), found)
