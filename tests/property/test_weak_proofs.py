"""What a delivery says that proves too little is asked about, and moves nothing by itself.

Whoever has seen a callback address can send RunPod's webhook, and whoever has seen one of Black
Forest Labs' can send it again at any time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from local.provider_simulator.jobs import JobRecord
from shared.domain.status import JobStatus, PushStatus
from tests.whole.elsewhere import TOOLS
from tests.whole.world import INPUT, World, a_world

pytestmark = [
    pytest.mark.promise("drift", "deliveries that prove too little"),
    pytest.mark.filterwarnings("ignore:No application metrics to publish"),
]

EVIL = "https://evil.example/cat.png"


def from_runpod(record: JobRecord, is_done: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """RunPod signs nothing."""
    end = (
        {"status": "COMPLETED", "output": {"image_url": EVIL}} if is_done else {"status": "FAILED"}
    )
    return {"id": record.id, **end}, {}


def from_bfl(record: JobRecord, is_done: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """Black Forest Labs signs the body, and no time."""
    result = {"sample": EVIL} if is_done else None
    body = {"id": record.id, "status": "Ready" if is_done else "Error", "result": result}
    key = str(record.extra["secret"]).encode()
    digest = hmac.new(key, json.dumps(body).encode(), hashlib.sha256).hexdigest()
    return body, {"x-bfl-signature": f"sha256={digest}"}


@pytest.mark.parametrize("is_done", [True, False], ids=["completed", "failed"])
@pytest.mark.parametrize(("provider", "forge"), [("runpod", from_runpod), ("bfl", from_bfl)])
def test_what_proves_too_little_moves_nothing_until_the_provider_says_so_itself(
    provider: str,
    forge: Callable[[JobRecord, bool], tuple[dict[str, Any], dict[str, str]]],
    is_done: bool,
) -> None:
    with a_world(elsewhere=provider, processing_min_s=600, processing_max_s=600) as world:
        body: dict[str, Any] = {
            "toolId": TOOLS[provider],
            "provider": provider,
            "inputImageUrl": INPUT,
        }
        body |= {"productId": world.new_product(), "autoPush": True}
        job_id = world.ask("POST", "/api/jobs", body).job_id
        world.run_for(timedelta(seconds=20).total_seconds())
        (record,) = world.books[provider].jobs.values()
        said, headers = forge(record, is_done)
        assert _deliver(world, record, said, headers)["statusCode"] == 200
        job = world.job(job_id)
        assert job.status.is_active
        assert job.outputs == ()
        assert job.poll_wanted
        # Asked, the provider says that it still works on it.
        world.run_for(timedelta(minutes=5).total_seconds())
        assert world.job(job_id).status.is_active
        assert not world.job(job_id).poll_wanted
        world.settle()
        ended = world.job(job_id)
        assert (ended.status, ended.push.status) == (JobStatus.COMPLETED, PushStatus.PUSHED)
        assert len(world.product_media(world.products[0])) == 1
        assert world.tallies() == world.recount()


def _deliver(
    world: World, record: JobRecord, said: dict[str, Any], headers: dict[str, str]
) -> dict[str, Any]:
    assert record.webhook_url is not None
    content = json.dumps(said).encode()
    request = httpx.Request("POST", record.webhook_url, headers=headers, content=content)
    answer = world.post_webhook(request)
    assert answer is not None
    return answer
