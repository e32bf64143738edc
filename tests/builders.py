"""Values for tests: valid by default, changed by keyword.

`a_job()` is a PikcelAI job that was just created for a product; the helpers below it
return the same job further along.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from shared.domain.events import Proof, ProviderEvent, Source
from shared.domain.ids import uuid7
from shared.domain.job import PIKCEL, WORKER, Attempt, Job, Output
from shared.domain.plan import Patience, schedule
from shared.domain.status import JobEvent, JobStatus
from tests.fakes.clock import START

SHOP = "a-shop.myshopify.com"
OTHER_SHOP = "other-shop.myshopify.com"
PRODUCT = "gid://shopify/Product/1001"
TOOL = "background-removal"
RESULT_URL = "https://cdn.pikcel.ai/results/1.png"

_numbers = count(1)


def a_job_id(at: datetime = START) -> str:
    """Make an id that no other call returned."""
    return uuid7(at, next(_numbers).to_bytes(10))


def a_job(**changes: Any) -> Job:
    """Return a pending PikcelAI job of SHOP, created at START, its first look planned.

    Give `due_at` to have it as given, `attempt` (keywords of Attempt) to change the attempt.
    """
    created_at: datetime = changes.pop("created_at", START)
    attempt: dict[str, Any] = changes.pop("attempt", {})
    first: dict[str, Any] = {"number": 1, "created_at": created_at}
    values: dict[str, Any] = {
        "shop": SHOP,
        "job_id": changes.get("job_id") or a_job_id(created_at),
        "created_at": created_at,
        "updated_at": created_at,
        "provider": PIKCEL,
        "type": "image",
        "tool_id": TOOL,
        "input_image_url": "https://shop.example/photos/mug.jpg",
        "parameters": {"colour": "white"},
        "product_id": PRODUCT,
        "product_title": "Blue mug",
        "attempts": (Attempt(**(first | attempt)),),
    }
    job = Job(**(values | changes))
    return job if "due_at" in changes else schedule(job, job.updated_at, Patience())


def a_worker_job(**changes: Any) -> Job:
    """Return a job that a program of the user's own does."""
    values: dict[str, Any] = {
        "provider": WORKER,
        "type": "catalog_pull",
        "tool_id": None,
        "input_image_url": None,
        "product_id": None,
        "product_title": None,
        "parameters": {},
    }
    return a_job(**(values | changes))


def a_dispatched_job(**changes: Any) -> Job:
    """Return a processing job that the provider knows as `pk_1`, linked at START."""
    attempt = {"provider_job_id": "pk_1", "linked_at": START, "intent_at": START, "tries": 1}
    values: dict[str, Any] = {
        "status": JobStatus.PROCESSING,
        "native_status": "processing",
        "progress": 50,
        "started_at": START,
        "attempt": attempt | changes.pop("attempt", {}),
    }
    return a_job(**(values | changes))


def a_completed_job(**changes: Any) -> Job:
    """Return a completed job whose one result is still at the provider."""
    values: dict[str, Any] = {
        "status": JobStatus.COMPLETED,
        "native_status": "completed",
        "progress": 100,
        "completed_at": START,
        "outputs": (Output(index=0, attempt=1, url=RESULT_URL),),
    }
    return a_dispatched_job(**(values | changes))


def a_kept_output(**changes: Any) -> Output:
    """Return a result whose bytes are in our bucket."""
    values: dict[str, Any] = {
        "index": 0,
        "attempt": 1,
        "key": "shops/a-shop.myshopify.com/jobs/x/1-0.png",
        "content_type": "image/png",
        "sha256": "ab" * 32,
        "size_bytes": 1234,
        "width": 640,
        "height": 480,
    }
    return Output(**(values | changes))


def a_kept_job(**changes: Any) -> Job:
    """Return a completed job whose one result is kept: it can be pushed."""
    return a_completed_job(**({"outputs": (a_kept_output(),)} | changes))


def an_event(event: JobEvent = JobEvent.COMPLETED, **changes: Any) -> ProviderEvent:
    """Return what PikcelAI says by webhook about the first attempt of `pk_1`."""
    values: dict[str, Any] = {
        "provider": PIKCEL,
        "provider_job_id": "pk_1",
        "event": event,
        "native": event.value,
        "key": f"pk_1:{event.value}",
        "source": Source.WEBHOOK,
        "proof": Proof.BODY,
        "attempt": 1,
    }
    if event is JobEvent.COMPLETED:
        values |= {"output_urls": (RESULT_URL,), "credits": 2, "processing_ms": 9000}
    return ProviderEvent(**(values | changes))


def later(seconds: float, at: datetime = START) -> datetime:
    """Return the instant that many seconds after `at`."""
    return at + timedelta(seconds=seconds)


def changed(**changes: Any) -> Callable[[Job], Job]:
    """Return a function that changes those fields of a job."""
    return lambda job: replace(job, **changes)
