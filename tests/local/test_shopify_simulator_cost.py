"""The cost rule gives the numbers that Shopify answered, and the bucket throttles as it does."""

from typing import Any

import pytest

from local.shopify_simulator.execution import prepare
from local.shopify_simulator.schema import admin_schema
from tests.local.shopify_world import (
    FILE_CREATE,
    SHOP,
    STAGE,
    STATUS,
    ShopifyWorld,
    error_code,
    picture,
)

P1 = '"gid://shopify/Product/1"'
M1 = '"gid://shopify/MediaImage/1"'
IMAGES = "id alt preview { image { url } } ... on MediaImage { image { url } }"


@pytest.fixture
def world() -> ShopifyWorld:
    return ShopifyWorld()


def requested(query: str, **variables: Any) -> int:
    return prepare(query, variables, None).cost.requested()


def actual(query: str, data: dict[str, Any], **variables: Any) -> int:
    return prepare(query, variables, None).cost.actual(data)


def cost(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["extensions"]["cost"]
    return found


# Each line: a recorded request [L] and the requestedQueryCost that Shopify answered to it.
RECORDED = [
    ("{ shop { currencyCode } locations(first: 1) { nodes { id name } } }", 4),
    (
        """{ a: products(first: 10) { nodes { id } }
             b: products(first: 1) { nodes { id } pageInfo { hasNextPage } } }""",
        9,
    ),
    (f"{{ node(id: {M1}) {{ ... on MediaImage {{ status }} }} }}", 1),
    (
        f"""{{ node(id: {M1}) {{
             ... on MediaImage {{ image {{ url }} preview {{ image {{ url }} }} }} }} }}""",
        4,
    ),
    (f"{{ files(first: 2) {{ nodes {{ id }} }} nodes(ids: [{M1}, {M1}]) {{ id }} }}", 4),
    (f"{{ product(id: {P1}) {{ media(first: 10) {{ nodes {{ id }} }} }} }}", 7),
    (f"{{ product(id: {P1}) {{ media(first: 10) {{ nodes {{ {IMAGES} }} }} }} }}", 19),
    (
        f"""{{ product(id: {P1}) {{ media(first: 50) {{ nodes {{ {IMAGES} }} }}
             variants(first: 50) {{ nodes {{ media(first: 10) {{ nodes {{ id }} }} }} }} }} }}""",
        82,
    ),
    (
        f"""{{ nodes(ids: [{P1}]) {{
             ... on Product {{ media(first: 250) {{ nodes {{ {IMAGES} }} }} }} }} }}""",
        47,
    ),
    (
        f"""mutation {{ fileDelete(fileIds: [{M1}]) {{
             deletedFileIds userErrors {{ message }} }} }}""",
        10,
    ),
    (
        f"""mutation {{ productVariantAppendMedia(productId: {P1}, variantMedia: []) {{
             product {{ id }} productVariants {{ id media(first: 5) {{ nodes {{ id }} }} }}
             userErrors {{ message }} }} }}""",
        15,
    ),
    (
        f"""mutation {{ productCreateMedia(productId: {P1}, media: []) {{
             media {{ preview {{ image {{ url }} }} ... on MediaImage {{ image {{ url }} }} }}
             mediaUserErrors {{ message }}
             product {{ id media(first: 10) {{ nodes {{ id }} }} }} }} }}""",
        29,
    ),
]


@pytest.mark.parametrize(("query", "points"), RECORDED)
def test_requested_cost_is_what_shopify_answered(query: str, points: int) -> None:
    assert requested(query) == points


def test_stage_create_and_poll_cost_what_was_measured(world: ShopifyWorld) -> None:
    asked = {"filename": "a.png", "mimeType": "image/png", "resource": "IMAGE"}
    staged = cost(world.post(STAGE, {"input": [asked] * 10}))
    assert (staged["requestedQueryCost"], staged["actualQueryCost"]) == (11, 11)
    plain = FILE_CREATE.replace("... on MediaImage { image { url } }", "")
    source = {"originalSource": world.stage(picture(), "a.png")}
    created = world.post(plain, {"files": [source] * 60})
    assert (cost(created)["requestedQueryCost"], cost(created)["actualQueryCost"]) == (20, 20)
    gid = created.json()["data"]["fileCreate"]["files"][0]["id"]
    polled = cost(world.post(STATUS, {"id": gid}))
    assert (polled["requestedQueryCost"], polled["actualQueryCost"]) == (1, 1)


def test_a_refused_update_is_not_charged_for_the_objects_it_did_not_give() -> None:
    query = (
        "mutation { fileUpdate(files: []) { files { id preview { image { url } }"
        " ... on MediaImage { image { url } } } userErrors { message } } }"
    )
    assert requested(query) == 13
    assert actual(query, {"fileUpdate": {"files": [], "userErrors": [{"message": ""}]}}) == 10


def test_connections_are_charged_for_what_they_held() -> None:
    query = "{ a: products(first: 10) { nodes { id } } b: products(first: 1) { nodes { id } } }"
    three = [{"id": str(n)} for n in range(3)]
    assert actual(query, {"a": {"nodes": three}, "b": {"nodes": three[:1]}}) == 7


def test_an_empty_connection_is_charged_for_its_size_but_not_its_objects() -> None:
    query = f"{{ product(id: {P1}) {{ media(first: 10) {{ nodes {{ {IMAGES} }} }} }} }}"
    assert actual(query, {"product": {"media": {"nodes": []}}}) == 7


def test_the_bucket_is_charged_the_actual_cost_and_refills(world: ShopifyWorld) -> None:
    world.post("{ products(first: 250) { nodes { id } } }")
    before = cost(world.post("{ shop { name } }"))["throttleStatus"]
    assert before == {
        "maximumAvailable": 2000.0,
        "currentlyAvailable": 2000 - 13 - 1,
        "restoreRate": 100.0,
    }
    world.now += 0.0625
    assert cost(world.post("{ shop { name } }"))["throttleStatus"]["currentlyAvailable"] == 1991
    world.now += 60
    assert cost(world.post("{ shop { name } }"))["throttleStatus"]["currentlyAvailable"] == 1999


def test_an_empty_bucket_throttles_with_http_200_and_executes_nothing(
    world: ShopifyWorld,
) -> None:
    world.configure(switches={"bucketSize": 30, "restoreRate": 10})
    source = {"originalSource": "https://a.example/a.png"}
    assert "errors" not in world.post(FILE_CREATE, {"files": [source]}).json()
    answer = world.post(FILE_CREATE, {"files": [source]})
    assert answer.status_code == 200
    assert error_code(answer) == "THROTTLED"
    assert "data" not in answer.json()
    assert cost(answer)["actualQueryCost"] is None
    assert cost(answer)["requestedQueryCost"] == 21
    assert len(world.http.get(f"/_simulator/shops/{SHOP}/files").json()["files"]) == 1
    world.now += 1.2
    assert "errors" not in world.post(FILE_CREATE, {"files": [source]}).json()


def test_an_empty_bucket_throttles_with_429_and_retry_after_by_switch(
    world: ShopifyWorld,
) -> None:
    world.configure(switches={"bucketSize": 25, "restoreRate": 10, "throttleAs429": True})
    source = {"originalSource": "https://a.example/a.png"}
    world.post(FILE_CREATE, {"files": [source]})
    answer = world.post(FILE_CREATE, {"files": [source]})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1.7"


def test_buckets_of_two_shops_and_of_two_apps_are_separate(world: ShopifyWorld) -> None:
    world.http.put(
        "/_simulator/tokens", json={"shop": SHOP, "token": "shpat_other", "state": "live"}
    )
    world.post("{ products(first: 250) { nodes { id } } }")
    for answer in (
        world.post("{ shop { name } }", shop="lamps.myshopify.com"),
        world.post("{ shop { name } }", token="shpat_other"),
    ):
        assert cost(answer)["throttleStatus"]["currentlyAvailable"] == 1999


def test_a_query_over_1000_points_is_refused_for_ever(world: ShopifyWorld) -> None:
    query = (
        "{ products(first: 250) { nodes { media(first: 250) { nodes { id } }"
        " variants(first: 250) { nodes { media(first: 250) { nodes { id } } } } } } }"
    )
    assert error_code(world.post(query)) == "MAX_COST_EXCEEDED"


def test_an_invalid_document_costs_nothing(world: ShopifyWorld) -> None:
    answer = world.post("{ shop { nmae } }")
    assert answer.status_code == 200
    assert error_code(answer) == "undefinedField"
    assert "extensions" not in answer.json()
    status = cost(world.post("{ shop { name } }"))["throttleStatus"]
    assert status["currentlyAvailable"] == 1999


def test_the_schema_is_the_one_that_was_vendored() -> None:
    schema = admin_schema()
    assert schema.mutation_type is not None
    assert schema.query_type is not None
    assert (len(schema.mutation_type.fields), len(schema.query_type.fields)) == (524, 288)
    assert admin_schema() is schema


@pytest.mark.parametrize(
    "wrong",
    [
        'mutation { productUpdate(product: {id: "1"}) { userErrors { code } } }',
        """mutation { fileCreate(files: [{originalSource: "a", referencesToAdd: []}]) {
             userErrors { code } } }""",
    ],
)
def test_the_schema_catches_fields_that_do_not_exist(world: ShopifyWorld, wrong: str) -> None:
    assert error_code(world.post(wrong)) in ("undefinedField", "invalidDocument")
