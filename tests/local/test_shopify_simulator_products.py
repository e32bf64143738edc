"""Products, their media and variants are read and changed as recorded on dev stores."""

import base64

import pytest

from tests.local.shopify_world import (
    OTHER_SHOP,
    SHOP,
    ShopifyWorld,
    codes,
    error_code,
    picture,
)

REORDER = """
mutation Reorder($id: ID!, $moves: [MoveInput!]!) {
  productReorderMedia(id: $id, moves: $moves) {
    job { id done }
    mediaUserErrors { code message }
  }
}"""

APPEND = """
mutation Append($product: ID!, $pairs: [ProductVariantAppendMediaInput!]!) {
  productVariantAppendMedia(productId: $product, variantMedia: $pairs) {
    productVariants { id media(first: 5) { nodes { id } } }
    userErrors { code field message }
  }
}"""

UPDATE = """
mutation Update($product: ProductUpdateInput!, $media: [CreateMediaInput!]) {
  productUpdate(product: $product, media: $media) {
    product { id title media(first: 10) { nodes { id status } } }
    userErrors { field message }
  }
}"""

JOB = "query Job($id: ID!) { job(id: $id) { id done } }"


@pytest.fixture
def world() -> ShopifyWorld:
    return ShopifyWorld()


def with_two_media(world: ShopifyWorld) -> tuple[str, str, str]:
    product = world.product()
    first, second = world.ready_file("a.png"), world.ready_file("b.png")
    world.update(
        {"id": first, "referencesToAdd": [product]}, {"id": second, "referencesToAdd": [product]}
    )
    return product, first, second


def test_products_are_listed_and_searched_by_title(world: ShopifyWorld) -> None:
    mug, lamp = world.product("Blue mug"), world.product("Red lamp")
    query = "query P($q: String) { products(first: 10, query: $q) { nodes { id title } } }"
    everything = world.ask(query)["products"]["nodes"]
    assert [node["id"] for node in everything] == [mug, lamp]
    lamps = world.ask(query, q="title:lam*")["products"]["nodes"]
    assert [node["title"] for node in lamps] == ["Red lamp"]


def test_products_of_one_shop_are_not_those_of_another(world: ShopifyWorld) -> None:
    product = world.product(shop=OTHER_SHOP)
    assert world.ask("query P($id: ID!) { product(id: $id) { id } }", id=product) == {
        "product": None
    }


def test_a_product_created_with_a_photo_shows_it_ready_on_the_cdn(world: ShopifyWorld) -> None:
    encoded = base64.b64encode(picture(30, 20, "JPEG")).decode()
    answer = world.http.post(
        "/_simulator/products", json={"shop": SHOP, "title": "Blue mug", "imageBase64": encoded}
    ).json()["product"]
    assert answer["media"][0]["status"] == "READY"
    assert world.http.get(answer["imageUrl"]).headers["content-type"] == "image/jpeg"
    data = world.ask(
        "query($id: ID!) { product(id: $id) { featuredMedia { alt preview { image { url } } } } }",
        id=answer["id"],
    )
    assert data["product"]["featuredMedia"] == {
        "alt": "Blue mug",
        "preview": {"image": {"url": answer["imageUrl"]}},
    }


def test_nodes_answers_in_the_order_of_the_ids_with_null_for_the_unknown(
    world: ShopifyWorld,
) -> None:
    product, gid = world.product(), world.ready_file()
    ids = [gid, "gid://shopify/MediaImage/5", product]
    data = world.ask("query N($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", ids=ids)
    assert data["nodes"] == [
        {"__typename": "MediaImage", "id": gid},
        None,
        {"__typename": "Product", "id": product},
    ]


def test_product_media_can_be_looked_up_by_id(world: ShopifyWorld) -> None:
    product, _, second = with_two_media(world)
    number = second.rpartition("/")[2]
    query = """
    query M($id: ID!, $q: String) {
      product(id: $id) { media(first: 5, query: $q) { nodes { id } } }
    }"""
    data = world.ask(query, id=product, q=f"id:{number}")
    assert data["product"]["media"]["nodes"] == [{"id": second}]


def test_a_connection_needs_first_or_last(world: ShopifyWorld) -> None:
    answer = world.post("{ products { nodes { id } } }")
    assert error_code(answer) == "BAD_REQUEST"


def test_reordering_happens_later_in_a_job(world: ShopifyWorld) -> None:
    world.configure(switches={"reorderAfterS": 2})
    product, first, second = with_two_media(world)
    moves = [{"id": second, "newPosition": "0"}]
    job = world.ask(REORDER, id=product, moves=moves)["productReorderMedia"]["job"]
    assert job["done"] is False
    assert world.media_of(product) == [first, second]
    world.now += 2
    assert world.media_of(product) == [second, first]
    assert world.ask(JOB, id=job["id"])["job"]["done"] is True


def test_reordering_an_unknown_medium_gives_no_error(world: ShopifyWorld) -> None:
    product, first, second = with_two_media(world)
    moves = [{"id": "gid://shopify/MediaImage/1", "newPosition": "0"}]
    payload = world.ask(REORDER, id=product, moves=moves)["productReorderMedia"]
    assert payload["mediaUserErrors"] == []
    assert world.media_of(product) == [first, second]


def test_a_position_is_a_string_of_digits(world: ShopifyWorld) -> None:
    product, first, _ = with_two_media(world)
    moves = [{"id": first, "newPosition": 1}]
    answer = world.post(REORDER, {"id": product, "moves": moves})
    assert error_code(answer) == "INVALID_VARIABLE"
    problem = answer.json()["errors"][0]["extensions"]["problems"][0]
    assert problem["path"] == [0, "newPosition"]


def test_a_variant_takes_one_ready_medium_of_its_product(world: ShopifyWorld) -> None:
    product, first, second = with_two_media(world)
    listed = world.http.get(f"/_simulator/shops/{SHOP}/products").json()["products"][0]
    variant = listed["variants"][0]["id"]

    def append(media: str) -> list[str]:
        pairs = [{"variantId": variant, "mediaIds": [media]}]
        payload = world.ask(APPEND, product=product, pairs=pairs)["productVariantAppendMedia"]
        return codes(payload)

    foreign = world.ready_file("c.png")
    assert append("gid://shopify/MediaImage/1") == ["MEDIA_DOES_NOT_EXIST"]
    assert append(foreign) == ["MEDIA_DOES_NOT_EXIST_ON_PRODUCT"]
    assert append(first) == []
    assert append(second) == ["PRODUCT_VARIANT_ALREADY_HAS_MEDIA"]
    held = world.http.get(f"/_simulator/shops/{SHOP}/products").json()["products"][0]
    assert held["variants"][0]["mediaId"] == first


def test_a_variant_does_not_take_a_medium_that_is_not_ready(world: ShopifyWorld) -> None:
    product = world.product()
    media = [{"originalSource": world.stage(picture(), "a.png"), "mediaContentType": "IMAGE"}]
    made = world.ask(UPDATE, product={"id": product}, media=media)["productUpdate"]["product"]
    pairs = [
        {
            "variantId": f"gid://shopify/ProductVariant/{product.rpartition('/')[2]}001",
            "mediaIds": [made["media"]["nodes"][0]["id"]],
        }
    ]
    payload = world.ask(APPEND, product=product, pairs=pairs)["productVariantAppendMedia"]
    assert codes(payload) == ["NON_READY_MEDIA"]


def test_product_update_changes_text_and_appends_media(world: ShopifyWorld) -> None:
    product, first, second = with_two_media(world)
    media = [{"originalSource": world.stage(picture(), "c.png"), "mediaContentType": "IMAGE"}]
    payload = world.ask(UPDATE, product={"id": product, "title": "New"}, media=media)
    updated = payload["productUpdate"]["product"]
    assert updated["title"] == "New"
    assert [node["id"] for node in updated["media"]["nodes"]][:2] == [first, second]
    assert len(world.media_of(product)) == 3


def test_product_update_with_one_bad_medium_does_nothing(world: ShopifyWorld) -> None:
    product = world.product("Old")
    media = [
        {"originalSource": world.stage(picture(), "c.png"), "mediaContentType": "IMAGE"},
        {"originalSource": "data:image/png;base64,AA==", "mediaContentType": "IMAGE"},
    ]
    payload = world.ask(UPDATE, product={"id": product, "title": "New"}, media=media)
    assert payload["productUpdate"] == {
        "product": None,
        "userErrors": [
            {"field": ["media", "1", "originalSource"], "message": "Image URL is invalid"}
        ],
    }
    assert world.media_of(product) == []


def test_the_shop_and_the_apps_scopes_can_be_read(world: ShopifyWorld) -> None:
    data = world.ask(
        "{ shop { name myshopifyDomain } currentAppInstallation { accessScopes { handle } } }"
    )
    assert data["shop"] == {"name": "mugs", "myshopifyDomain": SHOP}
    handles = [scope["handle"] for scope in data["currentAppInstallation"]["accessScopes"]]
    assert handles == ["read_files", "read_products", "write_files", "write_products"]


def test_deleting_a_product_leaves_its_files(world: ShopifyWorld) -> None:
    product, first, _ = with_two_media(world)
    number = product.rpartition("/")[2]
    assert world.http.delete(f"/_simulator/shops/{SHOP}/products/{number}").status_code == 200
    assert world.ask("query P($id: ID!) { product(id: $id) { id } }", id=product) == {
        "product": None
    }
    assert world.node(first)["status"] == "READY"


def test_the_merchant_may_delete_a_medium(world: ShopifyWorld) -> None:
    product, first, second = with_two_media(world)
    number = first.rpartition("/")[2]
    assert world.http.delete(f"/_simulator/shops/{SHOP}/media/{number}").status_code == 200
    assert world.media_of(product) == [second]
    assert world.node(first) is None


def test_what_is_not_simulated_is_an_error_and_never_a_silent_null(world: ShopifyWorld) -> None:
    world.product()
    for query in (
        "{ orders(first: 1) { nodes { id } } }",
        "{ products(first: 1) { nodes { seo { title } } } }",
        'mutation { productDelete(input: {id: "gid://shopify/Product/1"}) { deletedProductId } }',
    ):
        assert error_code(world.post(query)) in ("NOT_SIMULATED", "ACCESS_DENIED")
