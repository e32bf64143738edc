"""Tokens are issued, rotated and refused as shopify.dev says."""

from typing import Any

import httpx
import pytest

from local.shopify_simulator import mint_id_token
from local.shopify_simulator.simulator_state import (
    DEFAULT_CLIENT_ID,
    DEFAULT_CLIENT_SECRET,
    DEFAULT_STATIC_TOKEN,
)
from tests.local.shopify_world import FILE_CREATE, OTHER_SHOP, SHOP, ShopifyWorld, error_code

SHOP_NAME = "{ shop { name } }"


@pytest.fixture
def world() -> ShopifyWorld:
    return ShopifyWorld()


def exchange(world: ShopifyWorld, shop: str = SHOP, **changed: Any) -> httpx.Response:
    form = {
        "client_id": DEFAULT_CLIENT_ID,
        "client_secret": DEFAULT_CLIENT_SECRET,
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": mint_id_token(SHOP, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, world.now),
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "requested_token_type": "urn:shopify:params:oauth:token-type:offline-access-token",
        "expiring": "1",
        **changed,
    }
    return world.http.post(f"/{shop}/admin/oauth/access_token", json=form)


def refresh(world: ShopifyWorld, token: str) -> httpx.Response:
    form = {
        "client_id": DEFAULT_CLIENT_ID,
        "client_secret": DEFAULT_CLIENT_SECRET,
        "grant_type": "refresh_token",
        "refresh_token": token,
    }
    return world.http.post(f"/{SHOP}/admin/oauth/access_token", data=form)


def test_an_id_token_is_exchanged_for_an_expiring_pair(world: ShopifyWorld) -> None:
    answer = exchange(world)
    issued = answer.json()
    assert answer.status_code == 200
    assert issued["scope"] == "write_files,write_products"
    assert (issued["expires_in"], issued["refresh_token_expires_in"]) == (3600, 7_776_000)
    assert world.post(SHOP_NAME, token=issued["access_token"]).status_code == 200


def test_a_token_without_expiry_has_no_refresh_token(world: ShopifyWorld) -> None:
    issued = exchange(world, expiring="0").json()
    assert issued.keys() == {"access_token", "scope"}
    world.now += 10_000_000
    assert world.post(SHOP_NAME, token=issued["access_token"]).status_code == 200


def test_an_expiring_token_dies_after_an_hour(world: ShopifyWorld) -> None:
    token = exchange(world).json()["access_token"]
    world.now += 3599
    assert world.post(SHOP_NAME, token=token).status_code == 200
    world.now += 1
    assert world.post(SHOP_NAME, token=token).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-app"},
        {"dest": f"https://{OTHER_SHOP}"},
        {"exp": None},
        {"exp": 1_789_999_980},
        {"nbf": 1_790_000_060},
    ],
)
def test_a_wrong_id_token_is_refused(world: ShopifyWorld, claims: dict[str, object]) -> None:
    token = mint_id_token(SHOP, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, world.now, **claims)
    answer = exchange(world, subject_token=token)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_subject_token")


def test_an_id_token_signed_with_another_secret_is_refused(world: ShopifyWorld) -> None:
    token = mint_id_token(SHOP, DEFAULT_CLIENT_ID, "another-secret-0123456789abcdefghi", world.now)
    assert exchange(world, subject_token=token).json()["error"] == "invalid_subject_token"
    assert exchange(world, subject_token="no.jwt").json()["error"] == "invalid_subject_token"


def test_an_id_token_of_one_shop_is_no_good_at_another(world: ShopifyWorld) -> None:
    assert exchange(world, OTHER_SHOP).json()["error"] == "invalid_subject_token"


def test_a_wrong_client_is_refused(world: ShopifyWorld) -> None:
    assert exchange(world, client_secret="wrong").json()["error"] == "invalid_client"


def test_a_refresh_rotates_the_refresh_token(world: ShopifyWorld) -> None:
    first = exchange(world).json()
    second = refresh(world, first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert world.post(SHOP_NAME, token=second["access_token"]).status_code == 200


def test_the_old_refresh_token_works_until_the_new_one_is_first_used(world: ShopifyWorld) -> None:
    first = exchange(world).json()["refresh_token"]
    second = refresh(world, first).json()["refresh_token"]
    assert refresh(world, first).status_code == 200
    assert refresh(world, second).status_code == 200
    answer = refresh(world, first)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_the_old_refresh_token_works_for_thirty_days_at_most(world: ShopifyWorld) -> None:
    first = exchange(world).json()["refresh_token"]
    refresh(world, first)
    world.now += 30 * 86_400
    assert refresh(world, first).json()["error"] == "invalid_grant"


def test_a_refresh_token_dies_after_ninety_days(world: ShopifyWorld) -> None:
    token = exchange(world).json()["refresh_token"]
    world.now += 90 * 86_400
    assert refresh(world, token).json()["error"] == "invalid_grant"


def test_an_uninstall_kills_every_token_until_the_next_exchange(world: ShopifyWorld) -> None:
    issued = exchange(world).json()
    world.http.put("/_simulator/tokens", json={"shop": SHOP, "state": "dead"})
    assert world.post(SHOP_NAME, token=issued["access_token"]).status_code == 401
    assert world.post(SHOP_NAME, token=DEFAULT_STATIC_TOKEN).status_code == 401
    assert refresh(world, issued["refresh_token"]).json()["error"] == "invalid_grant"
    assert world.post(SHOP_NAME, shop=OTHER_SHOP).status_code == 200
    again = exchange(world).json()["access_token"]
    assert world.post(SHOP_NAME, token=again).status_code == 200


def test_one_token_can_be_killed(world: ShopifyWorld) -> None:
    token = exchange(world).json()["access_token"]
    world.http.put("/_simulator/tokens", json={"shop": SHOP, "token": token, "state": "dead"})
    assert world.post(SHOP_NAME, token=token).status_code == 401
    assert world.post(SHOP_NAME).status_code == 200


def test_an_unknown_token_gets_shopifys_401(world: ShopifyWorld) -> None:
    answer = world.post(SHOP_NAME, token="shpat_unknown")
    assert answer.status_code == 401
    assert answer.json()["errors"].startswith("[API] Invalid API key or access token")


def test_a_token_of_one_shop_is_unknown_at_another(world: ShopifyWorld) -> None:
    token = exchange(world).json()["access_token"]
    assert world.post(SHOP_NAME, token=token, shop=OTHER_SHOP).status_code == 401


def test_a_missing_scope_is_a_top_level_access_denied(world: ShopifyWorld) -> None:
    body = {
        "shop": SHOP,
        "token": "shpat_reader",
        "state": "live",
        "scopes": ["read_products", "read_files"],
    }
    world.http.put("/_simulator/tokens", json=body)
    files = [{"originalSource": "https://a.example/a.png"}]
    answer = world.post(FILE_CREATE, {"files": files}, token="shpat_reader")
    assert error_code(answer) == "ACCESS_DENIED"
    assert answer.json()["data"] == {"fileCreate": None}
    products = world.post("{ products(first: 1) { nodes { id } } }", token="shpat_reader")
    assert "errors" not in products.json()


def test_attaching_needs_the_permission_to_write_products(world: ShopifyWorld) -> None:
    body = {"shop": SHOP, "token": "shpat_files", "state": "live", "scopes": ["write_files"]}
    world.http.put("/_simulator/tokens", json=body)
    update = "mutation U($f: [FileUpdateInput!]!) { fileUpdate(files: $f) { files { id } } }"
    given = {"id": "gid://shopify/MediaImage/1", "referencesToAdd": ["gid://shopify/Product/1"]}
    answer = world.post(update, {"f": [given]}, token="shpat_files")
    assert error_code(answer) == "ACCESS_DENIED"


def test_token_calls_are_counted(world: ShopifyWorld) -> None:
    refresh(world, exchange(world).json()["refresh_token"])
    recorded = world.http.get("/_simulator/calls", params={"shop": SHOP}).json()
    assert recorded["counts"]["token"] == 2
    assert [call["outcome"] for call in recorded["calls"]] == ["token-exchange", "refresh_token"]


def test_the_simulator_hands_out_id_tokens_for_the_tour(world: ShopifyWorld) -> None:
    minted = world.http.post("/_simulator/id-token", json={"shop": SHOP}).json()["idToken"]
    assert exchange(world, subject_token=minted).status_code == 200


def test_client_credentials_give_a_day_without_a_refresh_token(world: ShopifyWorld) -> None:
    issued = exchange(world, grant_type="client_credentials").json()
    assert issued["expires_in"] == 86_399
    assert "refresh_token" not in issued
