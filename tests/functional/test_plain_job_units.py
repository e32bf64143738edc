"""What a plain job's whole life costs at DynamoDB, counted from the items that are written.

`python -m tests.whole.plain_job` prints where the units go.
"""

import pytest

from shared.gateways.dynamo_items import index_attributes
from shared.gateways.dynamo_table import Item, item_bytes, key, text
from tests.builders import a_job
from tests.whole.plain_job import Life, live_a_plain_job
from tests.whole.units import index_units, write_units

WRITE_UNITS, READ_UNITS = 40, 12


@pytest.fixture(scope="module")
def life() -> Life:
    return live_a_plain_job()


def test_the_job_is_completed_pushed_and_all_of_it_is_on_its_timeline(life: Life) -> None:
    assert (life.job.status, life.job.push.status) == ("completed", "pushed")
    assert [(entry["source"], entry["message"]) for entry in reversed(life.timeline)] == [
        ("admin", "Created for pikcel."),
        (
            "dispatch",
            f"The provider has the job as {life.job.provider_job_id} and says pending.",
        ),
        ("webhook", "The provider says queued again; nothing changes."),
        ("webhook", "The provider says processing."),
        ("webhook", "The provider says completed."),
        ("dispatch", "1 result is kept."),
        ("push", "The image is on the product."),
    ]


def test_it_costs_no_more_write_units_than_the_bar(life: Life) -> None:
    assert life.bill.write_units <= WRITE_UNITS, life.bill.table()


def test_it_costs_no_more_read_units_than_the_bar(life: Life) -> None:
    assert life.bill.read_units <= READ_UNITS, life.bill.table()


def test_the_job_stays_within_the_first_kilobyte(life: Life) -> None:
    """More would cost one unit more at every write, and two in a transaction."""
    sizes = [item_bytes(row.after) for row in life.bill.writes if row.kind == "job" and row.after]
    assert max(sizes) <= 1024, sizes


def test_the_engine_counts_the_same_write_units(life: Life) -> None:
    """It tells what each call consumed, by rules that its makers measured on AWS."""
    assert not any(written.has_failed for written in life.bill.writes)
    assert life.bill.told == life.bill.write_units


def test_an_index_entry_costs_a_unit_to_come_or_go_and_two_to_move() -> None:
    before = key("SHOP#a", "JOB#1") | index_attributes(a_job())
    assert set(index_units(None, before).values()) == {1}
    assert index_units(None, before) == index_units(before, None)
    moved = before | {"status_pk": text("SHOP#a#STATUS#failed")}
    assert index_units(before, moved) == {"by_status": 2}
    assert index_units(before, before | {"name": text("what no index has")}) == {}


@pytest.mark.parametrize(("size", "units"), [(1024, 1), (1025, 2), (2048, 2), (2049, 3)])
def test_a_write_costs_by_the_larger_image_and_twice_in_a_transaction(
    size: int, units: int
) -> None:
    small: Item = {"pk": text("x")}
    large: Item = {"pk": text("x" * (size - len("pk")))}
    assert write_units(small, large) == write_units(large, small) == units
    assert write_units(large, None, is_transactional=True) == 2 * units
