"""Administrators: what failed its check, having it checked again, and the rotation of secrets."""

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.quarantine import HeldDelivery, hour_of
from shared.domain.rotation import Matched
from shared.usecases import list_quarantine
from shared.usecases.quarantine_ports import Mark, Reverified
from tests.api_world import World, logged, world
from tests.builders import SHOP, later
from tests.fakes import memory_quarantine
from tests.fakes.clock import START

__all__ = ["world"]

HOUR = 60 * 60
QUARANTINE, REVERIFY = "/api/admin/quarantine", "/api/admin/quarantine/reverify"


def hold(world: World, at: float, provider: str = "pikcel", **changes: Any) -> None:
    values: dict[str, Any] = {
        "provider": provider,
        "received_at": later(at),
        "reason": "wrong",
        "size_bytes": 17,
        "body": b"never shown to us",
        "headers": {"x-pikcel-signature": "never-shown-signature"},
        "reference": "never-shown-reference",
    }
    world.quarantine.hold(HeldDelivery(**values | changes))


def listed(world: World, **query: str) -> list[tuple[str, str]]:
    """Return sender and instant of every row, page by page."""
    rows: list[tuple[str, str]] = []
    cursor: str | None = ""
    while cursor is not None:
        asked = query | ({"cursor": cursor} if cursor else {})
        reply = world.get(QUARANTINE, query=asked, shop=None)
        assert reply.status == 200, reply.text
        rows += [(row["provider"], row["receivedAt"]) for row in reply.json["quarantine"]]
        cursor = reply.json["nextCursor"]
    return rows


def test_nothing_is_in_quarantine(world: World) -> None:
    reply = world.get(QUARANTINE, shop=None)
    assert (reply.status, reply.json) == (
        200,
        {"success": True, "quarantine": [], "nextCursor": None, "fullHours": []},
    )


def test_what_failed_its_check_is_listed_newest_first_without_what_is_in_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.clock.advance(10)
    hold(world, 1)
    hold(world, 2, "worker", reason="no_key", size_bytes=0)
    reply = world.get(QUARANTINE, shop=None)
    assert reply.json["quarantine"] == [
        {
            "id": "worker/2026-11-22T12:00:02.000000#000",
            "provider": "worker",
            "receivedAt": "2026-11-22T12:00:02.000Z",
            "endsAt": "2026-11-23T12:00:02.000Z",
            "reason": "no_key",
            "bytes": 0,
        },
        {
            "id": "pikcel/2026-11-22T12:00:01.000000#000",
            "provider": "pikcel",
            "receivedAt": "2026-11-22T12:00:01.000Z",
            "endsAt": "2026-11-23T12:00:01.000Z",
            "reason": "wrong",
            "bytes": 17,
        },
    ]
    assert "never-shown" not in reply.text + logged(caplog)


def test_it_is_listed_page_by_page_over_all_senders(world: World) -> None:
    world.clock.advance(100)
    for number in range(9):
        # Three senders, and some of them at the same instant.
        hold(world, number // 2, ("pikcel", "shopify", "worker")[number % 3])
    for limit in ("1", "2", "4", "100"):
        found = listed(world, limit=limit)
        assert len(found) == len(set(found)) == 9
        assert [at for _, at in found] == sorted((at for _, at in found), reverse=True)
    assert [name for name, _ in listed(world, provider="worker", limit="2")] == ["worker"] * 3


def test_a_cursor_is_of_its_own_question(world: World) -> None:
    for at in (1, 2):
        hold(world, at)
    world.clock.advance(9)
    cursor = world.get(QUARANTINE, query={"limit": "1"}, shop=None).json["nextCursor"]
    for query in ({"cursor": cursor, "provider": "pikcel"}, {"cursor": cursor[:-2] + "AA"}):
        assert world.get(QUARANTINE, query=query, shop=None).status == 400
    assert world.post(REVERIFY, {"cursor": cursor}, shop=None).status == 400
    assert world.get(QUARANTINE, query={"cursor": cursor}, shop=None).status == 200


def test_a_sender_that_there_is_not_is_400(world: World) -> None:
    assert world.get(QUARANTINE, query={"provider": "nobody"}, shop=None).status == 400
    reply = world.post(REVERIFY, {"provider": "nobody"}, shop=None)
    assert (reply.status, reply.json["details"][0]["field"]) == (400, "provider")


def test_hours_in_which_no_more_was_kept_are_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (memory_quarantine, list_quarantine):
        monkeypatch.setattr(module, "MAX_AN_HOUR", 2)
    for at in (1, 2, 3, HOUR):
        hold(world, at)
    world.clock.advance(2 * HOUR)
    reply = world.get(QUARANTINE, shop=None)
    assert reply.json["fullHours"] == [{"provider": "pikcel", "from": "2026-11-22T12:00:00.000Z"}]


def test_checking_again_is_asked_of_whoever_holds_the_secrets(world: World) -> None:
    mark = Mark(provider="pikcel", place="2026-11-22T12:00:00.000000#007")
    world.verifier.done = Reverified(
        checked=5, accepted=2, refused=1, failing=2, remaining=4, mark=mark
    )
    first = world.post(REVERIFY, {"provider": "pikcel"}, shop=None)
    cursor = first.json["nextCursor"]
    assert first.json == {
        "success": True,
        "checked": 5,
        "accepted": 2,
        "refused": 1,
        "failing": 2,
        "remaining": 4,
        "nextCursor": cursor,
    }
    world.verifier.done = Reverified(
        checked=4, accepted=4, refused=0, failing=0, remaining=0, mark=None
    )
    second = world.post(REVERIFY, {"provider": "pikcel", "cursor": cursor}, shop=None)
    assert second.json["nextCursor"] is None
    assert world.verifier.asked == [(["pikcel"], None), (["pikcel"], mark)]


def test_without_a_provider_everybodys_are_checked(world: World) -> None:
    world.post(REVERIFY, {}, shop=None)
    ((names, after),) = world.verifier.asked
    assert {"pikcel", "replicate", "fal", "runpod", "bfl", "openai", "worker", "shopify"} == {
        *names
    }
    assert after is None


@pytest.mark.parametrize("body", [{"provider": 5}, {"cursor": "x" * 5000}, {"more": 1}, []])
def test_any_other_body_is_400(world: World, body: Any) -> None:
    assert world.post(REVERIFY, body, shop=None).status == 400
    assert world.verifier.asked == []


def test_while_nobody_can_be_asked_it_is_503(world: World) -> None:
    world.verifier.broken = True
    assert world.post(REVERIFY, {}, shop=None).status == 503
    assert world.get("/api/admin/secrets", shop=None).status == 503


def test_an_administrator_may_name_a_shop_and_it_changes_nothing(world: World) -> None:
    hold(world, 0)
    world.clock.advance(1)
    assert len(world.get(QUARANTINE, shop=SHOP).json["quarantine"]) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", QUARANTINE), ("POST", REVERIFY), ("GET", "/api/admin/secrets")],
)
def test_nobody_but_administrators_may(world: World, method: str, path: str) -> None:
    key = world.post("/api/shop/keys", {"name": "x"}).json["secret"]
    agent = world.post("/api/admin/agents", {"name": "x"}).json["secret"]
    body: dict[str, Any] = {"json_body": {}} if method == "POST" else {}
    for credential in (key, agent, world.id_token()):
        assert world.call(method, path, key=credential, shop=None, **body).status == 403
    assert world.call(method, path, key="nobody", shop=None, **body).status == 401
    assert world.call(method, path, key=None, shop=None, **body).status == 401
    assert world.verifier.asked == []


# --- secrets -----------------------------------------------------------------------------


def matched(world: World, name: str, at: float, **counts: int) -> None:
    values = {mark: Matched(count, later(at)) for mark, count in counts.items()}
    world.matches.add(name, hour_of(later(at)), values)


def secret(world: World, provider: str) -> dict[str, Any]:
    reply = world.get("/api/admin/secrets", shop=None)
    assert reply.status == 200, reply.text
    (found,) = (row for row in reply.json["secrets"] if row["provider"] == provider)
    return dict(found)


def test_each_senders_secret_is_told_by_its_fingerprint(world: World) -> None:
    world.verifier.known = {"PIKCEL_WEBHOOK_SECRET": [["aa"]], "APP_SECRET": [["bb"]]}
    reply = world.get("/api/admin/secrets", shop=None)
    assert [(row["provider"], row["name"]) for row in reply.json["secrets"]] == [
        ("bfl", "APP_SECRET"),
        ("openai", "OPENAI_WEBHOOK_SECRET"),
        ("pikcel", "PIKCEL_WEBHOOK_SECRET"),
        ("replicate", "REPLICATE_WEBHOOK_SECRET"),
        ("runpod", "APP_SECRET"),
        ("shopify", "SHOPIFY_API_SECRET"),
        ("worker", "WORKER_WEBHOOK_SECRET"),
    ]
    assert secret(world, "pikcel") == {
        "provider": "pikcel",
        "name": "PIKCEL_WEBHOOK_SECRET",
        "keys": [{"fingerprint": "aa", "isCurrent": True, "lastMatchAt": None, "hours": []}],
        "placeholder": False,
        "safeToRemove": False,
        "reason": "only_one",
        "safeAt": None,
    }
    assert (secret(world, "openai")["keys"], secret(world, "openai")["reason"]) == ([], "not_set")


def test_what_was_written_in_the_place_of_a_secret_is_told(world: World) -> None:
    world.verifier.known = {"PIKCEL_WEBHOOK_SECRET": [["aa"]], "APP_SECRET": [["bb"]]}
    world.verifier.placeholders = frozenset({"PIKCEL_WEBHOOK_SECRET"})
    rows = world.get("/api/admin/secrets", shop=None).json["secrets"]
    assert [row["provider"] for row in rows if row["placeholder"]] == ["pikcel"]


def test_a_rotation_from_its_beginning_to_its_end(world: World) -> None:
    name = "PIKCEL_WEBHOOK_SECRET"
    world.verifier.known = {name: [["new"], ["old"]]}

    def state() -> tuple[bool, str, str | None]:
        found = secret(world, "pikcel")
        return found["safeToRemove"], found["reason"], found["safeAt"]

    matched(world, name, 0, old=2)
    world.clock.advance(60)
    assert state() == (False, "unproven", None)
    matched(world, name, HOUR, old=1, new=3)
    world.clock.set(later(2 * HOUR))
    assert state() == (False, "in_use", "2026-11-23T13:00:00.000Z")
    assert secret(world, "pikcel")["keys"] == [
        {
            "fingerprint": "new",
            "isCurrent": True,
            "lastMatchAt": "2026-11-22T13:00:00.000Z",
            "hours": [{"from": "2026-11-22T13:00:00.000Z", "deliveries": 3}],
        },
        {
            "fingerprint": "old",
            "isCurrent": False,
            "lastMatchAt": "2026-11-22T13:00:00.000Z",
            "hours": [
                {"from": "2026-11-22T13:00:00.000Z", "deliveries": 1},
                {"from": "2026-11-22T12:00:00.000Z", "deliveries": 2},
            ],
        },
    ]
    world.clock.set(START + timedelta(hours=25))
    assert state() == (True, "safe", "2026-11-23T13:00:00.000Z")


def test_what_seals_stored_things_is_never_called_safe_by_its_deliveries(world: World) -> None:
    world.verifier.known = {"APP_SECRET": [["new"], ["old"]]}
    matched(world, "APP_SECRET", 0, new=1)
    world.clock.advance(48 * HOUR)
    found = secret(world, "bfl")
    assert (found["safeToRemove"], found["reason"]) == (False, "seals_more")
