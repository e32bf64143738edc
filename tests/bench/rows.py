"""The bars of the design, one function a group: each returns its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.bench.life import Life, our_life, scan_units, textbook_life
from tests.bench.prices import PER_MILLION, PRICES_DATE, REGION
from tests.bench.report import Row, number
from tests.bench.scene import Scene
from tests.bench.timing import COLD_ROUNDS, Timing
from tests.builders import a_dispatched_job
from tests.functional.test_growth import QUESTIONS, SINGLE
from tests.packaging.artefacts import FUNCTIONS, build, files, zipped_bytes
from tests.whole import crowd
from tests.whole.crowd import Cost
from tests.whole.world import SHOP, a_world

MEGABYTE, KILOBYTE = 1_000_000, 1_000
# How many of a sweep's jobs are due, for the slope of its calls.
DUE: Final = (0, 5, 50)


def cold_rows(timings: Mapping[str, Timing]) -> list[Row]:
    """Compare cold start, first invocation and warm events with the peers."""
    ours, bare, fastapi = (timings[name] for name in ("ours", "bare", "fastapi_mangum"))
    rows = [
        _times("webhook, cold: time ÷ bare boto3", ours.cold_s, bare.cold_s, 0.8),
        _times("webhook, cold: time ÷ FastAPI + Mangum", ours.cold_s, fastapi.cold_s, 0.45),
        _times("webhook, cold: processor time ÷ bare boto3", ours.cold_cpu_s, bare.cold_cpu_s, 0.8),
        _times(
            "webhook, cold: processor time ÷ FastAPI + Mangum",
            ours.cold_cpu_s,
            fastapi.cold_cpu_s,
            0.45,
        ),
        _times("webhook, first invocation: time ÷ bare boto3", ours.first_s, bare.first_s, 1.5),
        _times(
            "webhook, warm event: processor time ÷ bare boto3",
            ours.warm_cpu_s,
            bare.warm_cpu_s,
            1.3,
        ),
    ]
    counted = (ours.instructions, bare.instructions, fastapi.instructions)
    a, b, c = counted
    if a is None or b is None or c is None:
        note = "neither perf nor valgrind counts instructions on this machine"
        return [*rows, *(Row(name=name, figure=None, bar=bar, note=note) for name, bar in _COUNTED)]
    pairs = ((a.cold, b.cold), (a.cold, c.cold), (a.first, b.first), (a.warm, b.warm))
    return rows + [
        _ratio(name, mine, theirs, bar, "M instructions")
        for (name, bar), (mine, theirs) in zip(_COUNTED, pairs, strict=True)
    ]


_COUNTED: Final = (
    ("webhook, cold: instructions ÷ bare boto3", 0.8),
    ("webhook, cold: instructions ÷ FastAPI + Mangum", 0.45),
    ("webhook, first invocation: instructions ÷ bare boto3", 1.5),
    ("webhook, warm event: instructions ÷ bare boto3", 1.3),
)


def _times(name: str, mine_s: float, theirs_s: float, bar: float) -> Row:
    return _ratio(name, mine_s * 1000, theirs_s * 1000, bar, "ms")


def _ratio(name: str, mine: float, theirs: float, bar: float, unit: str) -> Row:
    note = f"{mine:,.1f} and {theirs:,.1f} {unit}"
    return Row(name=name, figure=round(mine / theirs, 3), bar=bar, note=note)


def peer_rows(timings: Mapping[str, Timing]) -> list[Row]:
    """Return everyone's own figures, for a table with them side by side."""
    found = []
    for name, timing in timings.items():
        counted = timing.instructions
        figures = {
            "cold, ms": round(timing.cold_s * 1000),
            "median": round(timing.middle_cold_s * 1000),
            "cold, CPU ms": round(timing.cold_cpu_s * 1000),
            "of it init": round(timing.init_s * 1000),
            "of it first event": round(timing.first_s * 1000),
            "warm event, CPU ms": round(timing.warm_cpu_s * 1000, 2),
            "cold, M instructions": round(counted.cold) if counted else None,
            "warm event, M instructions": round(counted.warm, 1) if counted else None,
        }
        found += [
            Row(name=f"{_PEERS[name]} · {column}", figure=figure, note=f"{COLD_ROUNDS} in turns")
            for column, figure in figures.items()
        ]
    return found


_PEERS: Final = {
    "bare": "a bare handler, stock boto3",
    "ours": "**this one**",
    "fastapi_mangum": "FastAPI + Mangum",
    "textbook": "textbook: Powertools idempotency, get, put",
}


def late_rows(late: Sequence[str]) -> list[Row]:
    """Show what the first invocation still imports, opens or compiles."""
    name = "webhook, first invocation: modules imported, files opened"
    return [Row(name=name, figure=len(late), bar=0, note="; ".join(late[:5]))]


def call_rows(scene: Scene) -> list[Row]:
    """Count what one delivery calls when the function is warm."""
    deliveries = scene.deliver()
    told = {
        "with our reference": (deliveries.referenced, 200, 3),
        "through a link": (deliveries.through_link, 200, 4),
        "forged, and no JSON": (deliveries.forged, 401, 0),
    }
    rows = []
    for name, (delivery, status, bar) in told.items():
        calls, answer = scene.calls_of(delivery)
        if answer["statusCode"] != status:
            raise AssertionError(f"a delivery {name} was answered {answer}")
        note = ", ".join(call.operation for call in calls) or f"answered {status}"
        rows.append(Row(name=f"webhook, calls: {name}", figure=len(calls), bar=bar, note=note))
    return rows


def size_rows(folder: Path) -> list[Row]:
    """Build what goes to AWS, and weigh it."""
    build("layer", folder / "deployed-layer", "--architecture", "arm64")
    zipped = zipped_bytes(folder / "deployed-layer") / MEGABYTE
    sizes = {}
    for name in FUNCTIONS:
        build("function", folder / "deployed" / name, "--name", name)
        found = files(folder / "deployed" / name)
        own = sum(len(content) for path, content in found.items() if not path.endswith(".pyc"))
        sizes[name] = own / KILOBYTE
    largest = max(sizes, key=sizes.__getitem__)
    note = f"{largest}; the webhook's own {sizes['webhook']:.1f}"
    return [
        Row(name="layer, zipped, MB", figure=round(zipped, 2), bar=10),
        Row(name="largest function, own code, KB", figure=sizes[largest], bar=64, note=note),
    ]


def growth_rows(sizes: Iterable[int]) -> list[Row]:
    """Ask shops of several sizes the same, and compare what it costs."""
    costs: dict[int, dict[str, Cost]] = {}
    for size in sizes:
        with a_world("embedded") as world:
            costs[size] = crowd.costs(size, QUESTIONS, world)
    return judge_growth(costs) + sweep_rows()


def judge_growth(costs: Mapping[int, Mapping[str, Cost]]) -> list[Row]:
    """Return the rows about lists, statistics and sweeps, from the costs at each size."""
    of_what = "at " + ", ".join(f"{size:,}" for size in costs) + " jobs"
    few, *more = costs.values()
    lists = {f"list {name}" for name in SINGLE}
    calls = [_calls(cost[name]) for cost in costs.values() for name in lists]
    units = max(cost[name].units for cost in costs.values() for name in lists)
    statistics = [_calls(cost["statistics"]) for cost in costs.values()]

    def grown(names: Iterable[str]) -> int:
        return sum(cost[name] != few[name] for cost in more for name in names)

    return [
        Row(
            name="a page of 20 by one filter: calls",
            figure=max(calls),
            bar=2,
            note=f"{of_what}, any of {len(lists)} filters; at most {units:g} read units",
        ),
        Row(
            name="a page of 20 by one filter: questions that cost more with more jobs",
            figure=grown(lists),
            bar=0,
            note=of_what,
        ),
        Row(
            name="statistics: Queries",
            figure=max(statistics),
            bar=1,
            note=f"{of_what}: one for all that ended, two that count what is active; "
            f"{few['statistics'].units:g} read units",
        ),
        Row(
            name="statistics: cost that grows with the jobs",
            figure=grown(["statistics"]),
            bar=0,
            note=of_what,
        ),
        Row(
            name="sweep: cost that grows with the jobs",
            figure=grown(["sweep"]),
            bar=0,
            note=f"{of_what}, {crowd.DUE} of them due",
        ),
    ]


def _calls(cost: Cost) -> int:
    return sum(count for _, count in cost.calls)


def sweep_rows() -> list[Row]:
    """Count a sweep's calls by how many jobs are due."""
    calls = {due: calls_of_a_sweep(due) for due in DUE}
    slope = (calls[DUE[-1]] - calls[DUE[0]]) / (DUE[-1] - DUE[0])
    note = ", ".join(f"{due} due: {count}" for due, count in calls.items())
    return [Row(name="sweep: calls more for each due job", figure=round(slope, 2), note=note)]


def calls_of_a_sweep(due: int) -> int:
    """Return how many AWS calls a sweep makes that finds so many jobs due."""
    with a_world("embedded") as world:
        now = world.our_clock.now()
        for number in range(due):
            attempt = {"provider_job_id": f"pk_{number}"}
            world.store.create(a_dispatched_job(shop=SHOP, attempt=attempt, due_at=now))
        begun = len(world.probe.names)
        world.sweep()
        return len(world.probe.names) - begun - 1  # the last one is its own answer


def push_rows() -> list[Row]:
    """Push ten messages of one shop onto four products, as the simulator has Shopify."""
    from tests.fakes.push_world import PushWorld

    world = PushWorld()
    products = [world.product(f"Mug {number}") for number in range(4)]
    report = world.push(*(world.job(products[number % 4]) for number in range(10)))
    pushed = sum(outcome == "pushed" for outcome in report.outcomes.values())
    if pushed != 10:
        raise AssertionError(f"only {pushed} of ten were pushed")
    note = "ten messages, four products, READY at the first look"
    return [
        Row(name="push: GraphQL calls", figure=report.calls, bar=5, note=note),
        Row(name="push: actual cost, points", figure=report.points, bar=60, note=note),
    ]


def life_rows() -> list[Row]:
    """Compare a plain job's whole life with the textbook's."""
    ours, (textbook, item_size) = our_life(), textbook_life()
    scan = scan_units(item_size)
    dollars = PER_MILLION["DynamoDB read units"] * scan / 1e6
    return [
        Row(
            name="a plain job's life: write units",
            figure=ours.write_units,
            bar=40,
            note=f"the textbook's {number(textbook.write_units)}",
        ),
        Row(
            name="a plain job's life: read units",
            figure=ours.used["DynamoDB read units"],
            note=f"the textbook's {number(textbook.used['DynamoDB read units'])}",
        ),
        Row(
            name="a plain job's life: AWS calls",
            figure=ours.calls,
            note=f"the textbook's {textbook.calls}",
        ),
        Row(
            name="a million plain jobs, $",
            figure=round(ours.dollars_per_million, 2),
            note=f"{_bill(ours)}; {REGION}, prices of {PRICES_DATE}",
        ),
        Row(
            name="a million plain jobs, $: the textbook's",
            figure=round(textbook.dollars_per_million, 2),
            note=f"{_bill(textbook)}, without its statistics",
        ),
        Row(
            name="statistics of a million jobs: the textbook's scan, read units",
            figure=round(scan),
            note=f"${dollars:.3f} each time it is asked; items of {item_size} bytes",
        ),
    ]


def _bill(life: Life) -> str:
    parts = {what: PER_MILLION[what] * amount for what, amount in life.used.items() if amount}
    return ", ".join(f"{what} {dollars:.2f}" for what, dollars in parts.items())
