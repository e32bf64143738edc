"""The shop's own webhook endpoints and whom it wants written to, over the API."""

from dataclasses import replace
from typing import Any

import pytest

from shared.bodies.webhooks import NoticeWord
from shared.domain.endpoints import DeliveryStatus, DisabledReason, disable, ended
from shared.domain.errors import InvalidRequestError, RetryableError
from shared.domain.notice_types import CHOICES
from shared.usecases.ports import DeliverRequest, DeliveryRef
from tests.api_world import World, logged, world
from tests.builders import OTHER_SHOP, SHOP
from tests.fakes.tokens import FakeBox

__all__ = ["world"]

ALL = "/api/shop/webhooks"
URL = "https://hooks.example.com/in"


def make(world: World, **more: Any) -> dict[str, Any]:
    """Make an endpoint; returns the answer."""
    reply = world.post(ALL, {"url": URL} | more)
    assert reply.status == 201, reply.text
    found: dict[str, Any] = reply.json
    return found


def one(made: dict[str, Any]) -> str:
    return f"{ALL}/{made['endpoint']['id']}"


def test_the_words_of_the_api_are_the_types_that_can_be_asked_for() -> None:
    assert set(NoticeWord.__args__) == {kind.value for kind in CHOICES}  # type: ignore[attr-defined]


def test_an_endpoint_is_made_with_a_secret_that_is_shown_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    made = make(world, types=["job.failed", "batch.finished"], description="Our CRM")
    assert made["secret"].startswith("whsec_")
    assert made["endpoint"] | {"id": "x"} == {
        "id": "x",
        "url": URL,
        "types": ["job.failed", "batch.finished"],
        "description": "Our CRM",
        "isEnabled": True,
        "disabledAt": None,
        "disabledReason": None,
        "failingSince": None,
        "oldSecretUntil": None,
        "createdAt": "2026-11-22T12:00:00.000Z",
        "updatedAt": "2026-11-22T12:00:00.000Z",
    }
    shown = world.get(one(made))
    assert shown.json["endpoint"] == made["endpoint"]
    listed = world.get(ALL)
    assert listed.json["endpoints"] == [made["endpoint"]]
    for text in (shown.text, listed.text, logged(caplog)):
        assert made["secret"] not in text
        assert "whsec" not in text


def test_an_endpoint_that_names_no_types_gets_them_all(world: World) -> None:
    assert make(world)["endpoint"]["types"] == [kind.value for kind in CHOICES]


@pytest.mark.promise("hostile", "addresses of shops' webhooks")
@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/in",
        "https://127.0.0.1/in",
        "https://[::1]/in",
        "https://10.0.0.7/in",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/in",
        "https://0x7f000001/in",
        "https://0x7f.1/in",
        "https://0177.0.0.1/in",
        "https://127.1/in",
        "https://0/in",
        "https://127.0.0.1./in",
        "https://１２７.０.０.１/in",
        "https://[::ffff:127.0.0.1]/in",
        "https://[::ffff:a9fe:a9fe]/in",
        "https://[64:ff9b::7f00:1]/in",
        "https://[2002:7f00:1::1]/in",
        "https://[fe80::1%25eth0]/in",
        "https://[fd00:ec2::254]/in",
        "https://localhost/in",
        "https://LOCALHOST./in",
        "https://db.internal/in",
        "https://user:pass@hooks.example.com/",
        "https:///in",
        "ftp://hooks.example.com",
        "https://hooks.example.com:99999/",
        "hooks.example.com",
        "",
    ],
)
def test_an_address_that_is_not_public_https_is_refused_at_once(world: World, url: str) -> None:
    reply = world.post(ALL, {"url": url})
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert reply.json["details"][0]["field"] == "url"
    made = make(world)
    assert world.call("PATCH", one(made), json_body={"url": url}).status == 400
    assert world.get(one(made)).json["endpoint"]["url"] == URL


def test_a_laptops_own_host_may_be_plain_and_private(world: World) -> None:
    world.plain_hosts.add("127.0.0.1:9000")
    assert make(world, url="http://127.0.0.1:9000/in")["endpoint"]["url"]
    assert world.post(ALL, {"url": "http://127.0.0.1:9001/in"}).status == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": URL, "types": []},
        {"url": URL, "types": ["job.exploded"]},
        {"url": URL, "types": ["endpoint.test"]},
        {"url": URL, "types": ["job.failed", "job.failed"]},
        {"url": URL, "secret": "whsec_mine"},
        {"url": "https://x.example/" + "a" * 2048},
    ],
)
def test_a_wish_that_is_wrong_is_refused(world: World, body: dict[str, Any]) -> None:
    assert world.post(ALL, body).status == 400


def test_a_shop_has_ten_endpoints(world: World) -> None:
    made = [make(world, url=f"{URL}/{n}") for n in range(10)]
    assert world.post(ALL, {"url": URL}).status == 409
    assert world.call("DELETE", one(made[0])).json == {"success": True}
    assert world.get(one(made[0])).status == 404
    assert world.call("DELETE", one(made[0])).status == 404
    make(world)


def test_creating_and_rotating_are_done_once_per_key(world: World) -> None:
    key = {"headers": {"idempotency-key": "k1"}}
    answers = [world.post(ALL, {"url": URL}, **key) for _ in range(2)]
    assert answers[0].json == answers[1].json
    assert len(world.get(ALL).json["endpoints"]) == 1
    path = f"{one(answers[0].json)}/rotate"
    rotated = [world.post(path, headers={"idempotency-key": "k2"}) for _ in range(2)]
    assert rotated[0].json == rotated[1].json
    assert rotated[0].json["secret"] != answers[0].json["secret"]


def test_an_endpoint_whose_answer_was_lost_is_found_again_with_its_secret(world: World) -> None:
    again = {"headers": {"idempotency-key": "k"}}
    lost = world.post(ALL, {"url": URL}, **again).json
    world.lose_answers()
    assert world.post(ALL, {"url": URL}, **again).json == lost
    assert len(world.get(ALL).json["endpoints"]) == 1


def test_a_rotation_whose_answer_was_lost_leaves_the_secret_that_is_in_use(world: World) -> None:
    """Rotated twice, the one that nobody was told of would sign beside the newest."""
    made = make(world)
    path, again = f"{one(made)}/rotate", {"headers": {"idempotency-key": "k"}}
    lost = world.post(path, **again).json
    world.lose_answers()
    world.clock.advance(60)
    assert world.post(path, **again).json == lost
    (endpoint,) = world.endpoints.endpoints(SHOP)
    signing = [FakeBox().open(each) for each in endpoint.sealed_secrets(world.clock.now())]
    assert signing == [lost["secret"], made["secret"]]
    world.clock.advance(24 * 3600)
    assert world.post(path, **again).json["secret"] != lost["secret"]


def test_an_endpoint_is_changed_field_by_field(world: World) -> None:
    made = make(world, description="old")
    changed = world.call("PATCH", one(made), json_body={"types": ["job.pushed"]}).json["endpoint"]
    assert (changed["types"], changed["description"]) == (["job.pushed"], "old")
    changed = world.call("PATCH", one(made), json_body={"description": None}).json["endpoint"]
    assert (changed["types"], changed["description"]) == (["job.pushed"], None)
    off = world.call("PATCH", one(made), json_body={"isEnabled": False}).json["endpoint"]
    assert (off["isEnabled"], off["disabledReason"]) == (False, None)
    assert off["disabledAt"] is not None


def test_what_we_disabled_is_shown_and_can_be_enabled_again(world: World) -> None:
    made = make(world)
    (endpoint,) = world.endpoints.endpoints(SHOP)
    dead = disable(
        replace(endpoint, failing_since=endpoint.created_at),
        DisabledReason.FAILING,
        endpoint.created_at,
    )
    world.endpoints.save_endpoint(endpoint, dead)
    shown = world.get(one(made)).json["endpoint"]
    assert (shown["isEnabled"], shown["disabledReason"]) == (False, "failing")
    assert shown["failingSince"] is not None
    assert world.post(f"{one(made)}/test").code == "wrong_status"
    alive = world.call("PATCH", one(made), json_body={"isEnabled": True}).json["endpoint"]
    assert (alive["isEnabled"], alive["disabledReason"], alive["failingSince"]) == (
        True,
        None,
        None,
    )


def test_a_rotation_keeps_the_old_secret_for_a_day_unless_it_has_leaked(world: World) -> None:
    made = make(world)
    rotated = world.post(f"{one(made)}/rotate").json
    assert rotated["secret"] != made["secret"]
    assert rotated["endpoint"]["oldSecretUntil"] == "2026-11-23T12:00:00.000Z"
    leaked = world.post(f"{one(made)}/rotate", query={"keepOld": "0"}).json
    assert leaked["endpoint"]["oldSecretUntil"] is None
    (endpoint,) = world.endpoints.endpoints(SHOP)
    assert endpoint.sealed_secrets(world.clock.now()) == (f"sealed({leaked['secret']})",)


# --- deliveries -----------------------------------------------------------------------


def test_a_test_is_sent_and_listed_with_what_it_carries(world: World) -> None:
    made = make(world, types=["job.failed"])
    reply = world.post(f"{one(made)}/test")
    assert reply.status == 202
    delivery = reply.json["delivery"]
    assert (delivery["type"], delivery["status"], delivery["tryCount"]) == (
        "endpoint.test",
        "pending",
        0,
    )
    assert delivery["payload"]["type"] == "endpoint.test"
    ((request, delay_s),) = world.outbox.delivers
    ref = DeliveryRef(shop=SHOP, endpoint_id=made["endpoint"]["id"], delivery_id=delivery["id"])
    assert (request, delay_s) == (DeliverRequest(ref=ref, number=0), 0)
    assert world.get(f"{one(made)}/deliveries").json["deliveries"] == [delivery]


def test_deliveries_come_in_pages_the_newest_first(world: World) -> None:
    made = make(world)
    ids = []
    for _ in range(5):
        world.clock.sleep(1)
        ids.append(world.post(f"{one(made)}/test").json["delivery"]["id"])
    found: list[str] = []
    query = {"limit": "2"}
    for is_last in (False, False, True):
        page = world.get(f"{one(made)}/deliveries", query=query).json
        found += [each["id"] for each in page["deliveries"]]
        assert (page["nextCursor"] is None) is is_last
        query["cursor"] = page["nextCursor"] or ""
    assert found == ids[::-1]
    other = make(world)
    cursor = world.get(f"{one(made)}/deliveries", query={"limit": "2"}).json["nextCursor"]
    reply = world.get(f"{one(other)}/deliveries", query={"cursor": cursor})
    assert reply.status == 400


def test_a_delivery_is_sent_once_more_by_hand(world: World) -> None:
    made = make(world)
    delivery_id = world.post(f"{one(made)}/test").json["delivery"]["id"]
    ref = DeliveryRef(shop=SHOP, endpoint_id=made["endpoint"]["id"], delivery_id=delivery_id)
    delivery = world.endpoints.get_delivery(ref)
    assert delivery is not None
    world.endpoints.save_delivery(delivery, ended(delivery, DeliveryStatus.FAILED))
    world.outbox.clear()
    path = f"{one(made)}/deliveries/{delivery_id}/redeliver"
    again = world.post(path)
    assert (again.status, again.json["delivery"]["status"]) == (202, "pending")
    assert [request.ref for request, _ in world.outbox.delivers] == [ref]
    world.call("PATCH", one(made), json_body={"isEnabled": False})
    assert world.post(path).code == "wrong_status"
    missing = f"{one(made)}/deliveries/{made['endpoint']['id']}/redeliver"
    world.call("PATCH", one(made), json_body={"isEnabled": True})
    assert world.post(missing).status == 404


def test_a_queue_that_is_out_loses_no_redelivery(world: World) -> None:
    made = make(world)
    world.outbox.broken = True
    reply = world.post(f"{one(made)}/test")
    assert reply.status == 202
    later = world.endpoints.due_deliveries(world.clock.now().replace(year=2027), limit=9)
    assert [ref.delivery_id for ref in later] == [reply.json["delivery"]["id"]]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"isEnabled": False}),
        ("DELETE", "", None),
        ("POST", "/rotate", None),
        ("POST", "/test", None),
        ("GET", "/deliveries", None),
        ("POST", "/deliveries/{delivery}/redeliver", None),
    ],
)
def test_another_shops_endpoint_does_not_exist(
    world: World, method: str, path: str, body: Any
) -> None:
    made = make(world)
    delivery = world.post(f"{one(made)}/test").json["delivery"]["id"]
    before = world.endpoints.endpoints(SHOP)
    sent = len(world.outbox.delivers)
    reply = world.call(
        method,
        one(made) + path.format(delivery=delivery),
        shop=OTHER_SHOP,
        **({"json_body": body} if body else {}),
    )
    assert (reply.status, reply.code) == (404, "not_found")
    assert world.endpoints.endpoints(SHOP) == before
    assert len(world.outbox.delivers) == sent
    assert world.get(ALL, shop=OTHER_SHOP).json["endpoints"] == []
    nonsense = one(made).replace(made["endpoint"]["id"], "no-such-id")
    assert (
        world.call(
            method,
            nonsense + path.format(delivery=delivery),
            **({"json_body": body} if body else {}),
        ).status
        == 404
    )


# --- people ---------------------------------------------------------------------------

ANNA, PHONE = "anna@example.com", "+4930123456"


def test_a_shop_says_whom_to_write_to_and_sees_who_has_agreed(world: World) -> None:
    assert world.get("/api/shop").json["shop"]["notifications"] is None
    wish = {"notifications": {"emails": [ANNA], "phones": [PHONE], "types": ["batch.finished"]}}
    shown = world.call("PUT", "/api/shop", json_body=wish).json["shop"]["notifications"]
    assert shown == {
        "emails": [{"address": ANNA, "state": "pending"}],
        "phones": [{"address": PHONE, "state": "pending"}],
        "types": ["batch.finished"],
    }
    world.letters.confirmed.add(ANNA)
    shown = world.get("/api/shop").json["shop"]["notifications"]
    assert shown["emails"] == [{"address": ANNA, "state": "confirmed"}]
    # Other settings leave it alone.
    world.call("PUT", "/api/shop", json_body={"autoPush": True})
    assert world.get("/api/shop").json["shop"]["notifications"] == shown
    world.call("PUT", "/api/shop", json_body={"notifications": None})
    assert world.get("/api/shop").json["shop"]["notifications"] is None
    assert world.letters.subscribed == {}


def test_who_says_nothing_of_types_is_told_of_trouble_and_batches(world: World) -> None:
    wish = {"notifications": {"emails": [ANNA]}}
    shown = world.call("PUT", "/api/shop", json_body=wish).json["shop"]["notifications"]
    assert shown["types"] == ["job.failed", "job.push_failed", "batch.finished"]


@pytest.mark.parametrize(
    "wish",
    [
        {"emails": ["anna"]},
        {"emails": ["anna@example"]},
        {"emails": ["anna@example.com\nbcc: x@y.z"]},
        {"emails": [ANNA, ANNA]},
        {"emails": [f"a{n}@example.com" for n in range(6)]},
        {"phones": ["030123456"]},
        {"phones": ["+49 30 123456"]},
        {"phones": ["+4930123456", "+4930123457", "+4930123458", "+4930123459"]},
        {"emails": [ANNA], "types": []},
        {"emails": [ANNA], "types": ["job.exploded"]},
        {"faxes": ["1"]},
    ],
)
def test_addresses_that_are_none_are_refused(world: World, wish: dict[str, Any]) -> None:
    reply = world.call("PUT", "/api/shop", json_body={"notifications": wish})
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert world.get("/api/shop").json["shop"]["notifications"] is None


def test_an_address_that_sns_refuses_changes_nothing(world: World) -> None:
    world.letters.refused[ANNA] = InvalidRequestError("no address")
    reply = world.call("PUT", "/api/shop", json_body={"notifications": {"emails": [ANNA]}})
    assert reply.status == 400
    assert world.get("/api/shop").json["shop"]["notifications"] is None


def test_a_wish_with_an_address_that_sns_refuses_changes_no_other_setting_either(
    world: World,
) -> None:
    world.letters.refused["no@example.com"] = InvalidRequestError("This is no address.")
    wish = {"autoPush": True, "retentionDays": 30, "notifications": {"emails": ["no@example.com"]}}
    assert world.call("PUT", "/api/shop", json_body=wish).status == 400
    shop = world.get("/api/shop").json["shop"]
    assert (shop["autoPush"], shop["retentionDays"], shop["notifications"]) == (False, None, None)


def test_while_sns_is_out_the_wish_is_kept_and_told_later(world: World) -> None:
    world.letters.error = RetryableError("out")
    reply = world.call("PUT", "/api/shop", json_body={"notifications": {"emails": [ANNA]}})
    assert reply.status == 503
    shown = world.get("/api/shop").json["shop"]["notifications"]
    assert shown["emails"] == [{"address": ANNA, "state": "unknown"}]
    world.letters.error = None
    shown = world.get("/api/shop").json["shop"]["notifications"]
    assert shown["emails"] == [{"address": ANNA, "state": "pending"}]
