"""Keys of shops, and what a shop has set."""

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.keys import MAX_SHOP_KEYS
from tests.api_world import World, logged, world
from tests.builders import OTHER_SHOP, SHOP, a_job

__all__ = ["world"]


def issue(world: World, name: str = "Warehouse", **more: Any) -> dict[str, Any]:
    reply = world.post("/api/shop/keys", {"name": name}, **more)
    assert reply.status == 201
    found: dict[str, Any] = reply.json
    return found


def test_a_shops_key_acts_for_its_shop_alone(world: World) -> None:
    world.has(a_job(shop=OTHER_SHOP), a_job())
    secret = issue(world)["secret"]
    assert secret.startswith("jts_")
    assert [j["shop"] for j in world.get("/api/jobs", shop=None, key=secret).json["jobs"]] == [SHOP]
    assert world.get("/api/jobs", shop=OTHER_SHOP, key=secret).status == 403


def test_a_key_is_shown_once_and_stored_as_a_digest(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        made = issue(world)
        world.get("/api/jobs", shop=None, key=made["secret"])
    secret = made["secret"].rpartition("_")[2]
    assert secret not in world.get("/api/shop/keys").text
    assert secret not in str(vars(world.keys))
    assert secret not in logged(caplog)


def test_a_revoked_key_is_refused_after_thirty_seconds_at_most(world: World) -> None:
    made = issue(world)
    assert world.get("/api/jobs", shop=None, key=made["secret"]).status == 200
    assert world.call("DELETE", f"/api/shop/keys/{made['key']['id']}").status == 200
    world.clock.advance(30)
    assert world.get("/api/jobs", shop=None, key=made["secret"]).status == 401
    assert world.get("/api/shop/keys").json["keys"] == []


def test_a_key_whose_answer_was_lost_is_the_same_key_with_another_secret(world: World) -> None:
    again = {"idempotency-key": "k"}
    lost = issue(world, headers=again)
    world.lose_answers()
    told = issue(world, headers=again)
    assert told["key"] == lost["key"]
    assert world.get("/api/shop/keys").json["keys"] == [told["key"]]
    assert world.get("/api/jobs", shop=None, key=lost["secret"]).status == 401
    assert world.get("/api/jobs", shop=None, key=told["secret"]).status == 200


def test_the_answer_that_was_given_is_given_again_and_the_key_stays_good(world: World) -> None:
    again = {"idempotency-key": "k"}
    made = issue(world, headers=again)
    world.clock.advance(24 * 3600 - 1)
    assert issue(world, headers=again) == made
    world.clock.advance(1)
    assert issue(world, headers=again)["key"]["id"] != made["key"]["id"]
    assert world.get("/api/jobs", shop=None, key=made["secret"]).status == 200


def test_a_key_of_another_shop_cannot_be_revoked(world: World) -> None:
    made = issue(world)
    path = f"/api/shop/keys/{made['key']['id']}"
    assert world.call("DELETE", path, shop=OTHER_SHOP).status == 404
    assert world.get("/api/jobs", shop=None, key=made["secret"]).status == 200


def test_a_key_with_another_secret_is_refused_also_while_the_right_one_is_remembered(
    world: World,
) -> None:
    secret = issue(world)["secret"]
    world.get("/api/jobs", shop=None, key=secret)
    wrong = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    assert world.get("/api/jobs", shop=None, key=wrong).status == 401
    as_agent = "jta" + secret[3:]
    assert world.get("/api/jobs", shop=None, key=as_agent).status == 401


def test_the_use_of_a_key_is_noted_to_the_hour(world: World) -> None:
    secret = issue(world)["secret"]

    def used() -> str | None:
        world.get("/api/jobs", shop=None, key=secret)
        found: str | None = world.get("/api/shop/keys").json["keys"][0]["lastUsedAt"]
        return found

    first = used()
    assert first is not None
    world.clock.advance(3599)
    assert used() == first
    world.clock.advance(31)
    assert used() != first


def test_a_shop_has_at_most_twenty_keys(world: World) -> None:
    for number in range(MAX_SHOP_KEYS):
        issue(world, f"key {number}")
    assert world.post("/api/shop/keys", {"name": "one more"}).status == 409
    assert world.post("/api/shop/keys", {"name": "theirs"}, shop=OTHER_SHOP).status == 201


def test_settings_are_read_and_changed_one_by_one(world: World) -> None:
    before = world.get("/api/shop").json["shop"]
    assert before["token"] == "missing"
    assert before["installed"] is False
    assert before["monthlyBudget"] == {"credits": None, "costMicros": None}
    sent = {"autoPush": True, "retentionDays": 90, "monthlyBudget": {"credits": 5}}
    changed = world.call("PUT", "/api/shop", json_body=sent).json["shop"]
    assert (changed["autoPush"], changed["retentionDays"]) == (True, 90)
    assert changed["monthlyBudget"] == {"credits": 5, "costMicros": None}
    cleared = world.call("PUT", "/api/shop", json_body={"monthlyBudget": None}).json["shop"]
    assert cleared["monthlyBudget"] == {"credits": None, "costMicros": None}
    assert (cleared["autoPush"], cleared["retentionDays"]) == (True, 90)


@pytest.mark.parametrize(
    "sent",
    [
        {"retentionDays": 0},
        {"monthlyBudget": {"credits": -1}},
        {"monthlyBudget": {"credits": "many"}},
        {"autoPush": "yes"},
        {"token": "shpat_mine"},
    ],
)
def test_settings_that_make_no_sense_are_refused(world: World, sent: Any) -> None:
    assert world.call("PUT", "/api/shop", json_body=sent).status == 400
    assert world.shops.get_shop(SHOP) is None


def test_the_token_is_never_shown_but_its_state_is(world: World) -> None:
    token = world.id_token()
    shown = world.get("/api/shop", shop=None, key=token)
    assert shown.json["shop"]["token"] == "ok"
    assert shown.json["shop"]["installed"] is True
    assert "shpat_" not in shown.text
    # Refresh token and all are past their end.
    world.clock.advance(timedelta(days=91).total_seconds())
    assert world.get("/api/shop").json["shop"]["token"] == "dead"


def test_a_setting_survives_the_installation(world: World) -> None:
    world.call("PUT", "/api/shop", json_body={"autoPush": True})
    world.get("/api/jobs", shop=None, key=world.id_token())
    shown = world.get("/api/shop").json["shop"]
    assert (shown["token"], shown["autoPush"]) == ("ok", True)
