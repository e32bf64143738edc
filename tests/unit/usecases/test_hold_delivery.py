"""Which deliveries are kept when they fail their check, and what that costs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvariantError, JobTrackerError, StoreUnavailableError
from shared.domain.quarantine import MAX_AN_HOUR, HeldDelivery
from shared.providers.base import Check, Delivery
from shared.usecases.hold_delivery import Held, Ward, hold_delivery
from tests.builders import later
from tests.fakes.memory_quarantine import InMemoryQuarantine
from tests.unit.providers.senders import RECEIVERS

HOUR = 60 * 60
REFERENCE = f"a.myshopify.com:019aab7c-5e00-7000-8000-000000000001:1:{'0' * 32}"


class CountingQuarantine(InMemoryQuarantine):
    """Counts what it is asked, and fails if it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.trouble: JobTrackerError | None = None

    def hold(self, delivery: HeldDelivery) -> bool:
        self.calls += 1
        if self.trouble is not None:
            raise self.trouble
        return super().hold(delivery)


@pytest.fixture
def quarantine() -> CountingQuarantine:
    return CountingQuarantine()


@pytest.fixture
def ward(quarantine: CountingQuarantine) -> Ward:
    return Ward(quarantine=quarantine, receivers=RECEIVERS)


def a_delivery(at: float = 0, body: bytes = b"{}", **changes: Any) -> Delivery:
    values: dict[str, Any] = {
        "provider": "pikcel",
        "body": body,
        "headers": {"x-pikcel-signature": "0" * 64},
        "received_at": later(at),
    }
    return Delivery(**values | changes)


@pytest.mark.parametrize("check", sorted(set(Check) - {Check.MISSING, Check.ACCEPTED}))
def test_whatever_is_signed_is_kept(ward: Ward, check: Check) -> None:
    assert hold_delivery(ward, a_delivery(), check) is Held.KEPT


def test_what_is_not_signed_costs_nothing(ward: Ward, quarantine: CountingQuarantine) -> None:
    assert hold_delivery(ward, a_delivery(), Check.MISSING) is Held.POINTLESS
    assert quarantine.calls == 0


@pytest.mark.parametrize("provider", ["runpod", "bfl"])
@pytest.mark.parametrize(
    ("reference", "held"),
    [(None, Held.POINTLESS), ("junk", Held.POINTLESS), (REFERENCE, Held.KEPT)],
)
def test_where_our_reference_is_the_key_there_must_be_one(
    ward: Ward, provider: str, reference: str | None, held: Held
) -> None:
    delivery = a_delivery(provider=provider, reference=reference)
    assert hold_delivery(ward, delivery, Check.WRONG) is held


def test_all_that_a_later_check_needs_is_kept_and_who_sent_it_is_not(
    ward: Ward, quarantine: CountingQuarantine
) -> None:
    headers = {
        "x-pikcel-signature": "ab",
        "webhook-id": "msg_1",
        "authorization": "Bearer x",
        "cookie": "c",
        "x-forwarded-for": "192.0.2.1",
        "x-amzn-trace-id": "Root=1",
    }
    hold_delivery(ward, a_delivery(headers=headers, reference=REFERENCE), Check.WRONG)
    (held,) = quarantine.take("pikcel", later(1), after=None)
    assert held.headers == {"x-pikcel-signature": "ab", "webhook-id": "msg_1"}
    assert (held.reference, held.reason, held.received_at) == (REFERENCE, "wrong", later(0))


def test_what_cannot_be_a_reference_of_ours_is_left_out(
    ward: Ward, quarantine: CountingQuarantine
) -> None:
    hold_delivery(ward, a_delivery(reference="x" * 9000), Check.WRONG)
    (held,) = quarantine.take("pikcel", later(1), after=None)
    assert held.reference is None


def test_the_largest_that_is_kept_has_64_kilobytes(ward: Ward) -> None:
    largest = b"x" * 64 * 1024
    assert hold_delivery(ward, a_delivery(body=largest), Check.WRONG) is Held.KEPT
    assert hold_delivery(ward, a_delivery(body=largest + b"x"), Check.WRONG) is Held.TOO_LARGE


def test_headers_are_bounded_too(ward: Ward, quarantine: CountingQuarantine) -> None:
    headers = {"x-pikcel-signature": "é" * 4000}
    assert hold_delivery(ward, a_delivery(headers=headers), Check.MALFORMED) is Held.TOO_LARGE
    assert quarantine.calls == 0


def test_the_five_hundred_and_first_of_an_hour_is_only_counted_and_then_costs_nothing(
    ward: Ward, quarantine: CountingQuarantine
) -> None:
    kept = [hold_delivery(ward, a_delivery(n), Check.WRONG) for n in range(MAX_AN_HOUR + 5)]
    assert kept == [Held.KEPT] * 500 + [Held.FULL] * 5
    assert quarantine.calls == 501
    # Another provider's and the next hour's are kept.
    assert hold_delivery(ward, a_delivery(provider="openai"), Check.WRONG) is Held.KEPT
    assert hold_delivery(ward, a_delivery(HOUR), Check.WRONG) is Held.KEPT


@pytest.mark.parametrize(
    "trouble", [StoreUnavailableError("It does not answer."), InvariantError("No permission.")]
)
def test_a_table_that_does_not_take_it_changes_no_answer(
    ward: Ward, quarantine: CountingQuarantine, trouble: JobTrackerError
) -> None:
    quarantine.trouble = trouble
    assert hold_delivery(ward, a_delivery(), Check.WRONG) is Held.FAILED
    quarantine.trouble = None
    assert hold_delivery(ward, a_delivery(), Check.WRONG) is Held.KEPT


ANY_TEXT = st.text(st.characters(), max_size=40)


@given(
    body=st.binary(max_size=300),
    headers=st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=4),
    reference=st.none() | ANY_TEXT,
    provider=st.sampled_from([*RECEIVERS, "shopify"]),
    check=st.sampled_from(Check),
)
def test_any_bytes_in_any_header_and_body_are_kept_or_not_without_an_exception(
    body: bytes, headers: dict[str, str], reference: str | None, provider: str, check: Check
) -> None:
    quarantine = InMemoryQuarantine()
    delivery = Delivery(
        provider=provider,
        body=body,
        headers=headers,
        received_at=later(0),
        reference=reference,
    )
    held = hold_delivery(Ward(quarantine=quarantine, receivers=RECEIVERS), delivery, check)
    found = quarantine.take(provider, later(1), after=None)
    assert [each.body for each in found] == ([body] if held is Held.KEPT else [])
