"""Whatever a job is, the table gives it back as it was written."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, get_args, get_origin, get_type_hints

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events import LogEntry
from shared.domain.ids import milliseconds_up
from shared.domain.job import Attempt, Counts, Job, Output, Push, Sample
from shared.domain.shop import Shop
from shared.gateways.dynamo_items import (
    entry_item,
    job_item,
    read_entry,
    read_job,
    read_shop,
    shop_item,
)
from shared.gateways.dynamo_table import item_bytes
from shared.gateways.store_rules import stored_form
from tests.builders import SHOP, a_job_id

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["sha256:", "#", "x" * 520]  # what is special in keys, and what is too long for them
)
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
DOCUMENTS = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
PLAIN: dict[object, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(0, 2**60),
    bool: st.booleans(),
    datetime: INSTANTS,
    bytes: st.none(),
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return values of a field's type, so that a new field is tested without being named."""
    if hint in PLAIN:
        return PLAIN[hint]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(list(hint))
    if isinstance(hint, type):
        return records(hint)
    if get_origin(hint) is tuple:
        return st.lists(values_of(get_args(hint)[0]), min_size=1, max_size=3).map(tuple)
    parts = get_args(hint)
    if type(None) in parts:
        return st.none() | st.one_of(*(values_of(p) for p in parts if p is not type(None)))
    return DOCUMENTS


def records(cls: Any, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return any value of a dataclass."""
    hints = get_type_hints(cls)
    values = {field.name: values_of(hints[field.name]) for field in fields(cls)}
    return st.builds(cls, **(values | fixed))


JOBS = records(Job, shop=st.just(SHOP), job_id=st.builds(a_job_id))


@given(JOBS)
def test_a_job_comes_back_as_it_was(job: Job) -> None:
    item = job_item(stored_form(job))
    assert read_job(item) == stored_form(job)
    assert item_bytes(item) > 0


@given(JOBS)
def test_a_due_instant_comes_back_as_the_next_millisecond(job: Job) -> None:
    due_at = read_job(job_item(job)).due_at
    if job.due_at is None or due_at is None:
        assert due_at is job.due_at
    else:
        assert due_at >= job.due_at
        assert milliseconds_up(due_at) == milliseconds_up(job.due_at)


@given(JOBS)
def test_fields_at_their_defaults_cost_nothing(job: Job) -> None:
    bare = Job(
        shop=job.shop,
        job_id=job.job_id,
        created_at=job.created_at,
        updated_at=job.updated_at,
        provider=job.provider,
        type="image",
        attempts=job.attempts,
    )
    kept = {"pk", "sk", "created_at", "updated_at", "provider", "version", "status"}
    assert job_item(bare).keys() == kept | {"attempts", "status_pk", "type_pk", "day_pk"}


@given(records(LogEntry, entry_id=st.builds(a_job_id), body=st.none(), payload=st.none()))
def test_a_timeline_entry_comes_back_as_it_was(entry: LogEntry) -> None:
    ref = Job(
        shop=SHOP,
        job_id=a_job_id(),
        created_at=entry.at,
        updated_at=entry.at,
        provider="pikcel",
        type="image",
        attempts=(Attempt(number=1, created_at=entry.at),),
    ).ref
    assert read_entry(entry_item(ref, entry)) == entry


@given(records(Shop, shop=st.just(SHOP)))
def test_a_shop_comes_back_as_it_was(shop: Shop) -> None:
    assert read_shop(SHOP, shop_item(shop)) == shop


def test_every_record_inside_a_job_is_built_by_these_tests() -> None:
    hints = get_type_hints(Job).values()
    inside = {hint for hint in hints if hint in (Counts, Push)}
    inside |= {get_args(hint)[0] for hint in hints if get_origin(hint) is tuple} - {str, int}
    assert inside == {Attempt, Output, Counts, Push, Sample}
