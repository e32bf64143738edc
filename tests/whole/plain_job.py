"""A plain job's whole life, metered: what a million of them cost at DynamoDB.

A shop's app orders one image with `autoPush` and a product; PikcelAI tells of it three times
(queued, processing, completed); the result is kept and pushed, and whoever wants to know is told
(nobody does, so nothing is delivered). Nothing goes wrong. Everything else in the world is as on
any day: its tool has been used before, its shop has statistics, nobody looks at the job meanwhile.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from local.pikcel_simulator.config import DEVELOPMENT_SECRET
from local.pikcel_simulator.dialect import sign
from shared.domain.job import Job
from shared.domain.pace import ENOUGH
from tests.fakes.table import embedded_item
from tests.whole.units import Bill, Meter
from tests.whole.world import TABLE, World, a_world

# As Shopify has them: with the shop's number and the file's version.
INPUT = (
    "https://cdn.shopify.com/s/files/1/0712/3456/7890/files/cactus-terracotta-pot.jpg?v=1732000000"
)
TITLE = "Cactus in a terracotta pot"
# What its tools are said to take. Source: the bundled export of the provider's tools (2025-10).
PROCESSING_S = 30
# What the template's event mapping hands to notify of the table's stream.
ENDED = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """How a plain job's life went. job: as it is in the end. timeline: newest first."""

    job: Job
    bill: Bill
    timeline: tuple[Mapping[str, Any], ...]
    stored: tuple[Mapping[str, Any], ...]


def live_a_plain_job(**ordered: Any) -> Life:
    """Live it in a world of its own; `ordered` is what the order says besides (or instead)."""
    times = {"processing_min_s": PROCESSING_S, "processing_max_s": PROCESSING_S}
    with a_world("embedded", **times) as world:
        for _ in range(ENOUGH):
            _order(world)
            world.settle()
        meter = Meter(
            find=lambda pk, sk: embedded_item(TABLE, pk, sk), running=lambda: world.probe.running
        )
        detach = meter.attach(world.dynamo)
        try:
            job_id = _order(world, **ordered)
            world.run_for(0.5)
            _tell_queued(world, job_id)
            world.settle()
            _tell_others(world, meter)
        finally:
            detach()
        timeline = world.ask("GET", f"/api/jobs/{job_id}/logs").body["logs"]
        assert not world.bugs, world.bugs
        stored = tuple(item for item in world.items() if job_id in json.dumps(item, default=str))
        return Life(job=world.job(job_id), bill=meter.bill, timeline=tuple(timeline), stored=stored)


def _order(world: World, **ordered: Any) -> str:
    body = {
        "toolId": "image-enhancement",
        "inputImageUrl": INPUT,
        "productId": world.new_product(),
        "productTitle": TITLE,
        "autoPush": True,
    }
    answer = world.ask_once("POST", "/api/jobs", body | ordered)
    assert answer is not None
    return answer.job_id


def _tell_queued(world: World, job_id: str) -> None:
    """Deliver what PikcelAI's flat form says of a job in its queue."""
    (theirs,) = [job for job in world.pikcel.book.jobs.values() if job_id in str(job.metadata)]
    told = {"jobId": theirs.id, "status": "queued", "metadata": theirs.metadata}
    body = json.dumps(told).encode()
    headers = {"X-PikcelAI-Signature": sign(DEVELOPMENT_SECRET, body)}
    assert theirs.webhook_url is not None
    request = httpx.Request("POST", theirs.webhook_url, headers=headers, content=body)
    answer = world.post_webhook(request)
    assert answer is not None
    assert answer["statusCode"] == 200


def _tell_others(world: World, meter: Meter) -> None:
    """Hand to notify what the table's stream would."""
    records = [
        {
            "dynamodb": {
                "SequenceNumber": str(number),
                "Keys": {"pk": after["pk"], "sk": after["sk"]},
                "NewImage": after,
            }
            | ({"OldImage": before} if before is not None else {})
        }
        for number, (before, after) in enumerate(meter.streamed, start=1)
        if after is not None and after["sk"]["S"].startswith("JOB#")
        if after["status"]["S"] in ENDED
    ]
    assert world.invoke("notify", {"Records": records}) == {"batchItemFailures": []}
    assert [told["DetailType"] for told in world.told] == ["job.completed", "job.pushed"]


if __name__ == "__main__":
    life = live_a_plain_job()
    print(life.bill.table())  # noqa: T201
