"""The life of a job: wait, fetch the input, edit it, end, announce each step.

Which steps have a webhook is the provider's to say. Assumptions: the error codes of a job that
cannot be done, and that the events of one job are sent one after the other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import httpx

from local.provider_simulator.clock import Clock
from local.provider_simulator.delivery import Courier, Parcel
from local.provider_simulator.editing import Edited, EditError, edit
from local.provider_simulator.faults import Failure
from local.provider_simulator.jobs import JobBook, JobRecord

type Editor = Callable[[str, bytes], Awaitable[Edited]]


class InputError(Exception):
    """The input picture could not be had; the message says why."""


async def edit_in_thread(tool_id: str, data: bytes) -> Edited:
    """Edit without holding up the other jobs."""
    return await asyncio.to_thread(edit, tool_id, data)


class Background:
    """The tasks that run behind the answers; all of them can be stopped."""

    def __init__(self) -> None:
        """Begin with none."""
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Start `work`; the set keeps it from being collected half-way."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancel everything and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Pipeline:
    """Run jobs from their creation to their last webhook."""

    def __init__(
        self,
        book: Callable[[], JobBook],
        courier: Callable[[], Courier[Any]],
        clock: Clock,
        client: httpx.AsyncClient,
        background: Background,
        editor: Editor,
    ) -> None:
        """Work on the `book` and with the `courier` of the moment (a reset replaces them)."""
        self._book = book
        self._courier = courier
        self._clock = clock
        self._client = client
        self._background = background
        self._editor = editor

    async def run(self, job: JobRecord) -> None:
        """Take the job to its end; returns after the first attempt of its last webhook."""
        book, faults = self._book(), job.faults
        pending_s = book.config.pending_s if faults.pending_s is None else faults.pending_s
        await self._clock.sleep(pending_s)
        if not job.is_active:
            return
        book.start(job, self._clock.now())
        started = self._courier().prepare("job.started", job)
        announced = None
        if not faults.webhook_out_of_order:
            announced = self._background.run(self._announce(started))
        if faults.stuck:
            return
        ended = await self._finish(book, job)
        if announced is not None:
            await announced
        await self._announce(ended)
        if faults.webhook_out_of_order:
            await self._announce(started)
        if job.status == "failed" and faults.completes_after_s is not None:
            await self._clock.sleep(faults.completes_after_s)
            await self._announce(await self._complete_after_all(book, job))

    async def _complete_after_all(self, book: JobBook, job: JobRecord) -> Parcel | None:
        job.error_code = job.error_message = None
        book.complete(job, await self._work(book, job), self._clock.now())
        return self._courier().prepare("job.completed", job)

    async def _finish(self, book: JobBook, job: JobRecord) -> Parcel | None:
        """Work on the job and end it; return the webhook that says so, if one does.

        The work itself counts towards the processing time that was chosen.
        """
        begun = self._clock.now()
        processing_s = self._processing_s(book, job)
        output: Edited | None = None
        failure = job.faults.fail
        if failure is None and not job.faults.cancelled:
            try:
                output = await self._work(book, job)
            except InputError as problem:
                failure = Failure(code="INPUT_UNREACHABLE", message=str(problem))
            except EditError as problem:
                failure = Failure(code="INVALID_IMAGE", message=str(problem))
        await self._announce(self._courier().prepare("job.progress", job))
        spent_s = (self._clock.now() - begun).total_seconds()
        await self._clock.sleep(max(0.0, processing_s - spent_s))
        if not job.is_active:
            return None  # cancelled meanwhile, and announced
        now = self._clock.now()
        if output is not None:
            book.complete(job, output, now)
            return self._courier().prepare("job.completed", job)
        if failure is not None:
            book.fail(job, failure.code, failure.message, now)
            return self._courier().prepare("job.failed", job)
        book.cancel(job, now)
        return self._courier().prepare("job.cancelled", job)

    def cancel(self, job: JobRecord) -> None:
        """End an active job because its owner asked for it, and say so."""
        self._book().cancel(job, self._clock.now())
        said = self._courier().prepare("job.cancelled", job)
        self._background.run(self._announce(said))

    def _processing_s(self, book: JobBook, job: JobRecord) -> float:
        if job.faults.processing_s is not None:
            return job.faults.processing_s
        return book.rng.uniform(book.config.processing_min_s, book.config.processing_max_s)

    async def _work(self, book: JobBook, job: JobRecord) -> Edited:
        return await self._editor(job.tool_id, await self._fetch(book, job.input_image_url))

    async def _fetch(self, book: JobBook, url: str) -> bytes:
        """Return the input picture, whatever host it is on: this is a simulator."""
        limit = book.config.max_input_bytes
        parts: list[bytes] = []
        size = 0
        try:
            async with self._client.stream("GET", url, follow_redirects=True) as answer:
                if answer.status_code != 200:
                    raise InputError(f"The input image answered {answer.status_code}")
                async for part in answer.aiter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > limit:
                        raise InputError(f"The input image is larger than {limit} bytes")
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            raise InputError(f"The input image cannot be fetched: {problem}") from problem
        return b"".join(parts)

    async def _announce(self, parcel: Parcel | None) -> None:
        if parcel is None:
            return
        courier = self._courier()
        if not await courier.deliver(parcel):
            self._background.run(courier.retry(parcel))
