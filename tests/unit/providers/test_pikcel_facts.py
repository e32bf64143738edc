"""PikcelAI's tools and its profile: read whatever form they have, and never more than is there."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import (
    JobTrackerError,
    ProviderBusyError,
    ProviderUnknownOutcomeError,
    ProviderUnreachableError,
)
from shared.domain.tools import Account, FactKind, Tool, account_value, tools_value
from shared.gateways.dynamo_items import to_json
from shared.providers.base import Reply, Request
from shared.providers.pikcel import PikcelAdapter
from tests.fakes.provider_api import a_refusal, a_reply

ADAPTER = PikcelAdapter()

# As the bundled export of the public client has them.
MODEL = {
    "id": "gemini-background-removal",
    "name": "Gemini Background Removal",
    "description": "Removes what is behind.",
    "category": "background",
    "credits_required": 2,
    "base_price": "0.0500",
    "default_parameters": {"format": "png"},
    "is_active": True,
    "max_input_size": 15728640,
    "processing_time_estimate": 25,
}
PROFILE = {
    "id": "u",
    "email": "owner@example.com",
    "credits_balance": 41,
    "subscription": {
        "plan": "professional",
        "status": "active",
        "credits_included": 1000,
        "renewal_date": "2026-12-01T00:00:00Z",
    },
}


def tools(body: Any) -> dict[str, Tool]:
    return dict(ADAPTER.read_tools(a_reply(200, body)))


def account(body: Any) -> Account:
    return ADAPTER.read_account(a_reply(200, body))


def test_what_is_asked_for() -> None:
    asked = [ADAPTER.fact_request(kind) for kind in (FactKind.TOOLS, FactKind.ACCOUNT)]
    assert asked == [
        Request(method="GET", path="/api/ai-models"),
        Request(method="GET", path="/api/profiles/me"),
    ]


def test_a_tool_is_read_as_the_typed_client_has_it() -> None:
    assert tools({"success": True, "data": [MODEL], "count": 1}) == {
        "gemini-background-removal": Tool(
            tool_id="gemini-background-removal",
            name="Gemini Background Removal",
            description="Removes what is behind.",
            category="background",
            credits=2,
            base_price="0.0500",
            default_parameters={"format": "png"},
        )
    }


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"id": "a"}, Tool(tool_id="a", name="a")),
        (
            {"model_id": "a", "title": "A", "creditsRequired": "1.5", "basePrice": 0.1},
            Tool(tool_id="a", name="A", credits=1.5, base_price="0.1"),
        ),
        (
            {"operationId": "a", "isActive": False, "credits": 0},
            Tool(tool_id="a", name="a", credits=0, is_active=False),
        ),
        (
            {"id": 7, "credits_required": "soon", "default_parameters": {"x": "y" * 600}},
            Tool(tool_id="7", name="7"),
        ),
        ({"id": "a", "default_parameters": ["x"]}, Tool(tool_id="a", name="a")),
    ],
)
def test_every_spelling_of_a_tool_is_read(model: dict[str, Any], expected: Tool) -> None:
    for name in ("data", "models", "tools"):
        assert tools({name: [model, "nonsense", {}]}) == {expected.tool_id: expected}


@pytest.mark.parametrize("body", [{}, {"data": {}}, {"success": False, "data": []}, "<html>"])
def test_an_answer_without_a_list_says_nothing(body: Any) -> None:
    with pytest.raises(ProviderUnknownOutcomeError):
        tools(body)


def test_an_account_is_read_as_the_typed_client_has_it() -> None:
    assert account({"success": True, "data": PROFILE}) == Account(
        balance=41,
        plan="professional",
        plan_status="active",
        credits_included=1000,
        renews_at=datetime(2026, 12, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("body", "balance"),
    [
        ({"profile": {"creditsBalance": 2.5}}, 2.5),
        ({"credits": "7"}, 7),
        ({"balance": 0}, 0),
        ({"data": {"credits_balance": -3, "subscription": "none"}}, -3),
    ],
)
def test_every_spelling_of_a_balance_is_read(body: dict[str, Any], balance: float) -> None:
    assert account(body) == Account(balance=balance)


@pytest.mark.parametrize("body", [{}, {"data": {"credits_balance": None}}, {"data": []}])
def test_an_answer_without_a_balance_says_nothing(body: dict[str, Any]) -> None:
    with pytest.raises(ProviderUnknownOutcomeError):
        account(body)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (a_refusal(429, "RATE_LIMIT", "Slow down"), ProviderBusyError),
        (a_refusal(401, "UNAUTHORIZED", "No"), ProviderUnreachableError),
        (a_refusal(500, "SERVER_ERROR", "Oh"), ProviderUnknownOutcomeError),
        (a_refusal(404, "NOT_FOUND", "Where?"), ProviderUnknownOutcomeError),
        (a_reply(302), ProviderUnknownOutcomeError),
    ],
)
def test_whatever_is_not_a_success_says_nothing(reply: Reply, error: type[JobTrackerError]) -> None:
    for read in (ADAPTER.read_tools, ADAPTER.read_account):
        with pytest.raises(error):
            read(reply)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
NAMES = st.sampled_from([*MODEL, *PROFILE, *PROFILE["subscription"]])  # type: ignore[misc]
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=6)


@given(
    body=st.builds(
        json.dumps,
        st.dictionaries(
            st.sampled_from(["data", "models", "profile", "success"]),
            OBJECTS | st.lists(OBJECTS, max_size=3) | VALUES,
        )
        | OBJECTS,
    )
    | st.text()
)
def test_no_answer_breaks_the_reading_or_cannot_be_stored(body: str) -> None:
    reply = Reply(status=200, body=body.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(JobTrackerError):
        to_json(tools_value(ADAPTER.read_tools(reply))).encode()
    with contextlib.suppress(JobTrackerError):
        to_json(account_value(ADAPTER.read_account(reply))).encode()
