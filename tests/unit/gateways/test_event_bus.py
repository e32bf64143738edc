"""The event bus: what is put on it, and that every entry's fate is looked at."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from shared.domain.errors import InvariantError, RetryableError
from shared.gateways.aws import AwsClients
from shared.gateways.event_bus import EventBridgeBus
from tests.builders import SHOP, later
from tests.unit.domain.test_endpoints import a_notice

CLIENT = AwsClients().client("events")


@pytest.fixture
def stub() -> Iterator[Stubber]:
    with Stubber(CLIENT) as stub:
        yield stub


def bus() -> EventBridgeBus:
    return EventBridgeBus(CLIENT, "job-tracker")


def reply(*codes: str | None) -> dict[str, Any]:
    entries = [{"ErrorCode": code} if code else {"EventId": "e"} for code in codes]
    return {"FailedEntryCount": sum(code is not None for code in codes), "Entries": entries}


def ids(entries: list[dict[str, Any]]) -> list[str]:
    return [json.loads(entry["Detail"])["id"] for entry in entries]


def test_an_entry_says_what_happened_to_whom_and_when(stub: Stubber) -> None:
    entry = {
        "EventBusName": "job-tracker",
        "Source": "job-tracker",
        "DetailType": "job.failed",
        "Time": later(5),
        "Detail": json.dumps(
            {
                "id": "j1:3:job.failed",
                "type": "job.failed",
                "timestamp": "2026-11-22T12:00:05.000Z",
                "shop": SHOP,
                "data": {"id": "j1"},
            },
            separators=(",", ":"),
        ),
    }
    stub.add_response("put_events", reply(None), {"Entries": [entry]})
    bus().put([a_notice(1, later(5))])
    stub.assert_no_pending_responses()


def test_a_call_takes_ten_entries(stub: Stubber) -> None:
    stub.add_response("put_events", reply(*[None] * 10), {"Entries": ANY})
    stub.add_response("put_events", reply(None, None), {"Entries": ANY})
    bus().put([a_notice(number) for number in range(12)])
    stub.assert_no_pending_responses()


def test_only_the_refused_entries_are_sent_again() -> None:
    sent: list[list[str]] = []

    class Client:
        def put_events(self, Entries: list[dict[str, Any]]) -> Any:  # noqa: N803 - botocore's
            sent.append(ids(Entries))
            return reply(None, "ThrottlingException", None) if len(sent) == 1 else reply(None)

    EventBridgeBus(Client(), "b").put([a_notice(1), a_notice(2), a_notice(3)])
    assert sent == [
        [f"j{n}:3:job.failed" for n in (1, 2, 3)],
        ["j2:3:job.failed"],
    ]


def test_entries_that_are_refused_again_and_again_are_an_error_that_may_heal(
    stub: Stubber,
) -> None:
    for _ in range(3):
        stub.add_response("put_events", reply("InternalFailure"), {"Entries": ANY})
    with pytest.raises(RetryableError, match="refused 1 entries"):
        bus().put([a_notice()])
    stub.assert_no_pending_responses()


@pytest.mark.parametrize("code", ["MalformedDetail", "InvalidArgument"])
def test_an_entry_that_is_wrong_is_our_bug(stub: Stubber, code: str) -> None:
    stub.add_response("put_events", reply(code), {"Entries": ANY})
    with pytest.raises(InvariantError, match=code):
        bus().put([a_notice()])


def test_a_bus_that_does_not_answer_may_heal(stub: Stubber) -> None:
    stub.add_client_error("put_events", "InternalException", http_status_code=500)
    with pytest.raises(RetryableError, match="does not answer"):
        bus().put([a_notice()])


def test_nothing_to_tell_is_no_call(stub: Stubber) -> None:
    bus().put([])
