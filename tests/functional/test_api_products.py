"""The shop's products by HTTP, from the simulator of Shopify, which executes our document."""

import base64
import math
from typing import Any

import httpx
import pytest

from shared.domain.errors import ShopRefusedError
from shared.domain.push_errors import CATALOGUE_SENTENCES, SHOP_SENTENCES
from shared.domain.shop import Shop
from shared.gateways.shopify import LIST_PRODUCTS
from tests.api_world import SHOPIFY_URL, World, world
from tests.builders import OTHER_SHOP, SHOP
from tests.fakes.push_world import picture

__all__ = ["world"]  # a fixture

STATIC = "shpat_simulator"


@pytest.fixture
def shop(world: World) -> World:
    """A world whose shops can be looked into."""
    world.secrets.values["shopify", "SHOPIFY_ACCESS_TOKEN"] = STATIC
    return world


def control(world: World, method: str, path: str, body: object = None) -> dict[str, Any]:
    client = httpx.Client(transport=world.shopify.transport())
    answer = client.request(method, f"{SHOPIFY_URL}/_simulator/{path}", json=body)
    assert answer.status_code < 300, answer.text
    found: dict[str, Any] = answer.json()
    return found


def has(world: World, title: str, *, shop: str = SHOP, photo: bool = False, **more: Any) -> str:
    """Create a product; returns its id."""
    body = {"shop": shop, "title": title, **more}
    if photo:
        body["imageBase64"] = base64.b64encode(picture(64, 48)).decode()
    return str(control(world, "POST", "products", body)["product"]["id"])


def titles(world: World, **query: str) -> list[str]:
    reply = world.get("/api/products", query=query)
    assert reply.status == 200, reply.text
    return [product["title"] for product in reply.json["products"]]


def test_a_product_comes_with_its_images(shop: World) -> None:
    made = has(shop, "Blue mug", photo=True, alt="A mug", status="DRAFT")
    (product,) = shop.get("/api/products").json["products"]
    image = product["images"][0]
    assert product == {
        "id": made,
        "title": "Blue mug",
        "handle": "blue-mug",
        "status": "DRAFT",
        "mediaCount": 1,
        "images": [image],
    }
    assert (image["alt"], image["width"], image["height"]) == ("A mug", 64, 48)
    assert image["url"].startswith(f"{SHOPIFY_URL}/cdn/{SHOP}/files/blue-mug.png")
    assert image["id"].startswith("gid://shopify/MediaImage/")


def test_a_product_without_images_is_there_too(shop: World) -> None:
    has(shop, "Bare")
    (product,) = shop.get("/api/products").json["products"]
    assert (product["images"], product["mediaCount"]) == ([], 0)


def test_the_catalogue_comes_by_title_in_pages(shop: World) -> None:
    for name in ("Cup", "ashtray", "Bowl", "Dish", "Egg cup"):
        has(shop, name)
    seen, query = [], {"limit": "2"}
    while True:
        page = shop.get("/api/products", query=query).json
        seen.append([product["title"] for product in page["products"]])
        if page["nextCursor"] is None:
            break
        query = {"limit": "2", "cursor": page["nextCursor"]}
    assert seen == [["ashtray", "Bowl"], ["Cup", "Dish"], ["Egg cup"]]


def test_words_are_searched_as_they_begin_and_never_as_operators(shop: World) -> None:
    for name in ("Blue mug", "Blue bowl", "Red mug", "T-shirt"):
        has(shop, name)
    assert titles(shop, q="blu") == ["Blue bowl", "Blue mug"]
    assert titles(shop, q="MUG blue") == ["Blue mug"]
    assert titles(shop, q="red OR blue") == []
    assert titles(shop, q='status:ACTIVE -title:"x"') == []
    assert titles(shop, q="t-shi") == []  # the simulator has it as one word
    assert titles(shop, q="?!") == []
    assert len(titles(shop, q=" ")) == 0
    assert len(titles(shop)) == 4


def test_a_cursor_is_good_for_its_shop_and_its_search_alone(shop: World) -> None:
    for name in ("Blue a", "Blue b"):
        has(shop, name)
        has(shop, name, shop=OTHER_SHOP)
    query = {"limit": "1", "q": "blue"}
    cursor = shop.get("/api/products", query=query).json["nextCursor"]
    assert titles(shop, **query, cursor=cursor) == ["Blue b"]
    for asked, name in (({"limit": "1"}, SHOP), (query, OTHER_SHOP)):
        reply = shop.get("/api/products", query=asked | {"cursor": cursor}, shop=name)
        assert (reply.status, reply.json["details"][0]["field"]) == (400, "cursor")


def test_a_page_that_shopify_no_longer_knows_is_said_to_be_gone(shop: World) -> None:
    first = has(shop, "a")
    has(shop, "b")
    cursor = shop.get("/api/products", query={"limit": "1"}).json["nextCursor"]
    control(shop, "DELETE", f"shops/{SHOP}/products/{first.rpartition('/')[2]}")
    reply = shop.get("/api/products", query={"limit": "1", "cursor": cursor})
    assert (reply.status, reply.json["details"][0]["field"]) == (400, "cursor")


@pytest.mark.parametrize("limit", ["0", "51", "x"])
def test_a_page_has_one_to_fifty_products(shop: World, limit: str) -> None:
    reply = shop.get("/api/products", query={"limit": limit})
    assert (reply.status, reply.json["details"][0]["field"]) == (400, "limit")


def test_the_dearest_page_costs_what_we_reckon_with_and_no_more_than_a_hundred_points(
    shop: World,
) -> None:
    for number in range(51):
        has(shop, f"Product {number}", photo=number < 3)
    assert len(titles(shop, limit="50")) == 50
    (call,) = control(shop, "GET", "calls")["calls"]
    assert call["requestedCost"] == math.ceil(LIST_PRODUCTS.cost) <= 100
    assert call["actualCost"] <= call["requestedCost"]


def test_another_shops_products_are_not_seen(shop: World) -> None:
    has(shop, "Theirs", shop=OTHER_SHOP)
    assert titles(shop) == []


# --- shops that cannot be looked into ---------------------------------------------------


def test_every_trouble_of_a_shop_has_a_sentence_for_somebody_who_looks() -> None:
    assert CATALOGUE_SENTENCES.keys() == SHOP_SENTENCES.keys()
    assert not any("image" in sentence for sentence in CATALOGUE_SENTENCES.values())


def test_a_shop_that_is_not_installed_is_told_to_open_the_app(world: World) -> None:
    reply = world.get("/api/products")
    assert (reply.status, reply.code) == (409, "shop_not_installed")
    assert "Open it once" in reply.json["error"]


def test_a_dead_token_is_noted_and_told(world: World) -> None:
    box = world.installer.box
    world.shops.save_shop(None, Shop(shop=SHOP, token=box.seal("shpat_dead")))
    for _ in range(2):
        reply = world.get("/api/products")
        assert (reply.status, reply.code) == (409, "token_dead")
    stored = world.shops.get_shop(SHOP)
    assert stored is not None
    assert stored.token_dead
    # The second time Shopify was not even asked.
    assert control(world, "GET", "calls")["counts"]["graphql"] == 1


def test_a_token_that_was_replaced_meanwhile_is_worth_another_try(world: World) -> None:
    box = world.installer.box
    dead = world.shops.save_shop(None, Shop(shop=SHOP, token=box.seal("shpat_dead")))
    real = world.storefront.admins.open

    def slow(shop: str, token: str) -> Any:
        world.shops.save_shop(dead, Shop(shop=SHOP, token=box.seal("shpat_new")))
        return real(shop, token)

    world.storefront.admins.open = slow  # type: ignore[method-assign]
    reply = world.get("/api/products")
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "1")


def test_missing_permissions_are_told(shop: World) -> None:
    has(shop, "x")
    body = {"shop": SHOP, "state": "live", "token": "shpat_few", "scopes": ["write_files"]}
    control(shop, "PUT", "tokens", body)
    shop.secrets.values["shopify", "SHOPIFY_ACCESS_TOKEN"] = "shpat_few"
    reply = shop.get("/api/products")
    assert (reply.status, reply.code) == (409, "missing_scope")


@pytest.mark.parametrize(
    ("status", "code"), [(402, "shop_frozen"), (404, "shop_gone"), (423, "shop_locked")]
)
def test_a_shop_that_shopify_has_closed_is_told(shop: World, status: int, code: str) -> None:
    control(shop, "PUT", "config", {"switches": {"shopStatus": status}})
    reply = shop.get("/api/products")
    assert (reply.status, reply.code) == (409, code)


def test_a_throttled_shop_is_told_how_long_to_wait(shop: World) -> None:
    has(shop, "x")
    switches = {"bucketSize": 100.0, "restoreRate": 10.0}
    control(shop, "PUT", "config", {"switches": switches})
    replies = [shop.get("/api/products", query={"limit": "50"}) for _ in range(20)]
    reply = next(each for each in replies if each.status != 200)
    assert (reply.status, reply.code) == (503, "unavailable")
    assert 1 <= int(reply.headers["retry-after"]) <= 10
    shop.clock.advance(float(reply.headers["retry-after"]))
    assert shop.get("/api/products", query={"limit": "50"}).status == 200


@pytest.mark.parametrize("kind", ["status_before", "drop_before", "drop_after"])
def test_an_outage_of_shopifys_is_no_fault_of_the_callers(shop: World, kind: str) -> None:
    has(shop, "x")
    control(shop, "POST", "faults", {"kind": kind})
    assert shop.get("/api/products").status == 503
    assert titles(shop) == ["x"]


def test_agents_see_no_products(shop: World) -> None:
    made = shop.post("/api/admin/agents", {"name": "A"}).json["secret"]
    assert shop.call("GET", "/api/products", shop=None, key=made).status == 403


def test_a_refusal_that_nobody_knows_is_worth_another_try(shop: World) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise ShopRefusedError("Something new.", code="something_new")

    shop.storefront.admins.open = refused  # type: ignore[method-assign]
    assert shop.get("/api/products").status == 503
