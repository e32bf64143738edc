"""A hundred thousand jobs in a shop change nothing of what a question costs.

Counted on ministack's DynamoDB: calls, and the items and index entries that each went through.
`GROWTH_JOBS=1000000` compares with more (time and memory grow alike).
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.whole import crowd
from tests.whole.crowd import DUE, PENDING, PROCESSING, Cost
from tests.whole.world import SHOP, World, a_world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]

FEW, MANY = 1_000, int(os.environ.get("GROWTH_JOBS", "100000"))
ACTIVE = PENDING + PROCESSING


def _get(path: str, **query: str) -> Callable[[World], Mapping[str, Any]]:
    def ask(world: World) -> Mapping[str, Any]:
        answer = world.ask_once("GET", path, query=query)
        assert answer is not None
        assert answer.status == 200, answer
        return answer.body

    return ask


# Each with one condition that an index knows.
SINGLE = {
    "status": "completed",
    "pushStatus": "pushed",
    "type": "image",
    "toolId": "image-enhancement",
    "projectId": "spring",
    "productId": "gid://shopify/Product/2",
    "batchId": "a-batch",
    "agentId": "an-agent",
}
QUESTIONS: dict[str, Callable[[World], Any]] = {
    **{f"list {name}": _get("/api/jobs", **{name: value}) for name, value in SINGLE.items()},
    "list": _get("/api/jobs"),
    "list tool and failed": _get("/api/jobs", toolId="image-enhancement", status="failed"),
    "list project and pushed": _get("/api/jobs", projectId="summer", pushStatus="pushed"),
    "statistics": _get("/api/jobs/stats"),
    "statistics of days": _get("/api/jobs/stats", days="30"),
    "statistics by project": _get("/api/jobs/stats", groupBy="project"),
    "statistics by tool": _get("/api/jobs/stats", groupBy="tool"),
    "statistics by type": _get("/api/jobs/stats", groupBy="type"),
    "statistics by status": _get("/api/jobs/stats", groupBy="status"),
    "pending count": _get("/api/jobs/pending-count"),
    "latest of a type": _get("/api/sync/job-progress", type="catalog_pull"),
    "batch": lambda world: world.store.batch_sums(SHOP, "a-batch"),
    "sweep": lambda world: world.sweep(),
}


@pytest.fixture(scope="module")
def costs() -> dict[int, dict[str, Cost]]:
    found = {}
    for size in (FEW, MANY):
        with a_world("embedded") as world:
            found[size] = crowd.costs(size, QUESTIONS, world)
    return found


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_costs_the_same_whatever_the_number_of_jobs(
    costs: dict[int, dict[str, Cost]], question: str
) -> None:
    few, many = costs[FEW][question], costs[MANY][question]
    print(f"{question}: {dict(many.calls)}, {many.read} read, {many.units} units")  # noqa: T201
    assert many == few


@pytest.mark.parametrize("name", SINGLE)
def test_a_page_by_one_index_is_two_calls_and_reads_no_more_than_it_shows(
    costs: dict[int, dict[str, Cost]], name: str
) -> None:
    cost = costs[MANY][f"list {name}"]
    assert dict(cost.calls) == {"Query": 1, "BatchGetItem": 1}
    # 21 keys, of which the last one tells that there is more, and their jobs.
    assert cost.read <= 42


def test_the_statistics_read_their_counters_and_the_active_jobs(
    costs: dict[int, dict[str, Cost]],
) -> None:
    """The active jobs are counted one by one on their index: that grows with them, not with all."""
    cost = costs[MANY]["statistics"]
    assert dict(cost.calls) == {"Query": 3}
    assert cost.read == 8 + ACTIVE
    assert costs[MANY]["pending count"].read == ACTIVE


def test_a_batch_is_summed_by_its_counter_and_its_own_jobs(
    costs: dict[int, dict[str, Cost]],
) -> None:
    cost = costs[MANY]["batch"]
    assert dict(cost.calls) == {"Query": 2}
    assert cost.read == 8 + crowd.IN_BATCH


def test_the_sweep_goes_through_what_is_due(costs: dict[int, dict[str, Cost]]) -> None:
    """Two looks at the eight shards, of which the second one finds that no more is due; and one
    at the four shards of deliveries to the shops' own webhooks."""
    cost = costs[MANY]["sweep"]
    assert dict(cost.calls) == {"Query": 20, "BatchGetItem": 1, "UpdateItem": DUE}
    assert cost.read == 2 * DUE
