"""Every fault can be switched on, hits what it names, is used up, and leaves the rest alone."""

import httpx
import pytest

from local.shopify_simulator import Simulator
from local.shopify_simulator.config import Config
from tests.local.shopify_world import (
    FILE_CREATE,
    OTHER_SHOP,
    PRODUCT_MEDIA,
    SHOP,
    STAGE,
    STATUS,
    ShopifyWorld,
    codes,
    error_code,
    picture,
)

SHOP_NAME = "{ shop { name } }"


@pytest.fixture
def world() -> ShopifyWorld:
    return ShopifyWorld()


def files_of(world: ShopifyWorld) -> list[str]:
    listed = world.http.get(f"/_simulator/shops/{SHOP}/files").json()["files"]
    return [file["filename"] for file in listed]


def create_call(world: ShopifyWorld, filename: str = "mug.png") -> httpx.Response:
    source = world.stage(picture(), filename)
    files = [{"originalSource": source, "filename": filename}]
    return world.post(FILE_CREATE, {"files": files})


# --- answers lost or refused --------------------------------------------------------------------


def test_a_connection_cut_before_execution_does_nothing(world: ShopifyWorld) -> None:
    world.fault("drop_before", operation="fileCreate")
    with pytest.raises(httpx.RemoteProtocolError):
        create_call(world)
    assert files_of(world) == []
    assert create_call(world).status_code == 200


def test_a_lost_answer_leaves_the_file_behind(world: ShopifyWorld) -> None:
    world.fault("drop_after", operation="fileCreate")
    with pytest.raises(httpx.RemoteProtocolError):
        create_call(world)
    assert files_of(world) == ["mug.png"]
    assert [call["outcome"] for call in world.calls()][-1] == "dropped_after"


def test_a_502_may_come_before_or_after_execution(world: ShopifyWorld) -> None:
    world.fault("status_before", operation="fileCreate", status=503)
    assert create_call(world).status_code == 503
    assert files_of(world) == []
    world.fault("status_after", operation="fileCreate")
    assert create_call(world).status_code == 502
    assert files_of(world) == ["mug.png"]


def test_a_top_level_error_executes_nothing(world: ShopifyWorld) -> None:
    world.fault("graphql_error", operation="fileCreate")
    answer = create_call(world)
    assert answer.status_code == 200
    assert error_code(answer) == "INTERNAL_SERVER_ERROR"
    assert files_of(world) == []


@pytest.mark.parametrize("status", [402, 403, 404, 423])
def test_a_shop_can_be_frozen_forbidden_missing_or_locked(world: ShopifyWorld, status: int) -> None:
    world.configure(shops={SHOP: {"shopStatus": status}})
    assert world.post(SHOP_NAME).status_code == status
    assert world.post(SHOP_NAME, shop=OTHER_SHOP).status_code == 200
    world.configure(shops={SHOP: {}})
    assert world.post(SHOP_NAME).status_code == 200


# --- throttling ---------------------------------------------------------------------------------


def test_throttled_n_times(world: ShopifyWorld) -> None:
    world.fault("throttled", times=2)
    outcomes = ["errors" in world.post(SHOP_NAME).json() for _ in range(3)]
    assert outcomes == [True, True, False]


def test_throttled_until_an_instant(world: ShopifyWorld) -> None:
    world.fault("throttled", times=None, until=world.now + 10)
    assert error_code(world.post(SHOP_NAME)) == "THROTTLED"
    assert error_code(world.post(SHOP_NAME)) == "THROTTLED"
    world.now += 10
    assert "errors" not in world.post(SHOP_NAME).json()


def test_throttled_as_429_with_a_chosen_retry_after(world: ShopifyWorld) -> None:
    world.fault("throttled", status=429, retryAfterS=2.5)
    answer = world.post(SHOP_NAME)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2.5")


def test_one_throttled_shop_leaves_the_other_alone(world: ShopifyWorld) -> None:
    world.fault("throttled", shop=SHOP, times=None)
    assert error_code(world.post(SHOP_NAME)) == "THROTTLED"
    assert "errors" not in world.post(SHOP_NAME, shop=OTHER_SHOP).json()


def test_the_nth_call_is_hit(world: ShopifyWorld) -> None:
    world.fault("status_before", after=2)
    assert [world.post(SHOP_NAME).status_code for _ in range(4)] == [200, 200, 502, 200]


# --- media and products -------------------------------------------------------------------------


def test_media_fails_n_times_with_a_code(world: ShopifyWorld) -> None:
    world.fault("media_failed", filename="mug", code="IMAGE_PROCESSING_FAILURE")
    first = world.create("mug.png")["files"][0]["id"]
    other = world.create("lamp.png")["files"][0]["id"]
    second = world.create("mug-1.png")["files"][0]["id"]
    world.now += 5
    assert world.node(first)["mediaErrors"][0]["code"] == "IMAGE_PROCESSING_FAILURE"
    assert [world.node(gid)["status"] for gid in (other, second)] == ["READY", "READY"]


def test_a_slow_medium_stays_in_processing(world: ShopifyWorld) -> None:
    world.fault("slow_ready", filename="mug", seconds=60)
    gid = world.create("mug.png")["files"][0]["id"]
    world.now += 59
    assert world.node(gid)["status"] == "PROCESSING"
    world.now += 2
    assert world.node(gid)["status"] == "READY"


def test_a_strangers_file_may_hold_the_name(world: ShopifyWorld) -> None:
    world.fault("name_taken", filename="mug.png")
    refused = world.create("mug.png", alt="ours", duplicateResolutionMode="RAISE_ERROR")
    assert codes(refused) == ["FILENAME_ALREADY_EXISTS"]
    listed = world.http.get(f"/_simulator/shops/{SHOP}/files").json()["files"]
    assert [(file["filename"], file["alt"], file["status"]) for file in listed] == [
        ("mug.png", "", "READY")
    ]


def test_a_stranger_may_upload_a_file_of_that_name(world: ShopifyWorld) -> None:
    world.product()
    answer = world.http.post(f"/_simulator/shops/{SHOP}/files", json={"filename": "mug.png"})
    assert answer.status_code == 201
    again = world.create("mug.png", duplicateResolutionMode="RAISE_ERROR")
    assert codes(again) == ["FILENAME_ALREADY_EXISTS"]


def test_a_product_may_be_gone(world: ShopifyWorld) -> None:
    product, gid = world.product(), world.ready_file()
    world.fault("product_gone", productId=product, times=None)
    payload = world.update({"id": gid, "referencesToAdd": [product]})
    assert codes(payload) == ["REFERENCE_TARGET_DOES_NOT_EXIST"]
    assert world.ask(PRODUCT_MEDIA, id=product) == {"product": None}


def test_a_product_may_vanish_between_two_calls(world: ShopifyWorld) -> None:
    product, gid = world.product(), world.ready_file()
    world.fault("product_gone", productId=product, after=1)
    assert world.update({"id": gid, "referencesToAdd": [product]})["userErrors"] == []
    assert world.ask(PRODUCT_MEDIA, id=product) == {"product": None}
    assert world.media_of(product) == [gid]


def test_a_product_may_be_full(world: ShopifyWorld) -> None:
    product, gid = world.product(), world.ready_file()
    world.fault("media_limit", productId=product)
    update = {"id": gid, "referencesToAdd": [product]}
    assert codes(world.update(update)) == ["PRODUCT_MEDIA_LIMIT_EXCEEDED"]
    assert codes(world.update(update)) == []


@pytest.mark.parametrize("operation", ["fileCreate", "fileUpdate"])
def test_a_mutation_may_answer_any_user_error(world: ShopifyWorld, operation: str) -> None:
    gid = world.ready_file("a.png")
    world.fault("user_error", operation=operation, code="FILE_LOCKED", message="Busy")
    payloads = {
        "fileUpdate": lambda: world.update({"id": gid, "alt": "new"}),
        "fileCreate": lambda: world.create("b.png"),
    }
    expected = {"code": "FILE_LOCKED", "field": [], "message": "Busy"}
    payload = payloads[operation]()
    assert (payload["files"], payload["userErrors"]) == ([], [expected])
    assert payloads[operation]()["userErrors"] == []


# --- uploads and tokens -------------------------------------------------------------------------


def put_url(world: ShopifyWorld) -> str:
    given = {"filename": "a.png", "mimeType": "image/png", "resource": "IMAGE"}
    targets = world.ask(STAGE, input=[given])["stagedUploadsCreate"]["stagedTargets"]
    return str(targets[0]["url"])


def test_an_upload_may_fail_or_be_lost_and_be_repeated(world: ShopifyWorld) -> None:
    url = put_url(world)
    world.fault("status_before", operation="upload", status=503)
    assert world.http.put(url, content=picture()).status_code == 503
    world.fault("drop_after", operation="upload")
    with pytest.raises(httpx.RemoteProtocolError):
        world.http.put(url, content=picture())
    assert world.http.put(url, content=picture()).status_code == 200


def test_a_token_answer_may_be_lost(world: ShopifyWorld) -> None:
    world.fault("drop_after", operation="token")
    with pytest.raises(httpx.RemoteProtocolError):
        world.http.post(f"/{SHOP}/admin/oauth/access_token", json={})
    assert world.http.post(f"/{SHOP}/admin/oauth/access_token", json={}).status_code == 401


# --- the control routes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"switches": {"readyAfter": 1}},
        {"switches": {"readyAfterS": "soon"}},
        {"switches": {"duplicateName": "sometimes"}},
        {"shops": {SHOP: {"shopStatus": 500}}},
        {"faults": [{"kind": "earthquake"}]},
        {"faults": [{"times": 1}]},
        {"else": 1},
        [],
    ],
)
def test_a_wrong_configuration_changes_nothing(world: ShopifyWorld, wrong: object) -> None:
    before = world.http.get("/_simulator/config").json()
    answer = world.http.put("/_simulator/config", json=wrong)
    assert answer.status_code == 400
    assert "error" in answer.json()
    assert world.http.get("/_simulator/config").json() == before


def test_the_configuration_reads_back_as_it_was_written(world: ShopifyWorld) -> None:
    world.configure(
        switches={"readyAfterS": 3},
        shops={SHOP: {"searchLagS": 9}},
        faults=[{"kind": "throttled", "times": 4}],
    )
    config = world.http.get("/_simulator/config").json()
    assert config["switches"]["readyAfterS"] == 3
    assert config["shops"] == {SHOP: {"searchLagS": 9}}
    assert config["faults"][0]["times"] == 4
    assert world.http.put("/_simulator/config", json=config).status_code == 200


def test_reset_forgets_everything(world: ShopifyWorld) -> None:
    product = world.product()
    world.configure(switches={"searchLagS": 9}, faults=[{"kind": "throttled", "times": None}])
    assert world.http.post("/_simulator/reset").status_code == 200
    assert world.ask(PRODUCT_MEDIA, id=product) == {"product": None}
    assert world.http.get("/_simulator/config").json()["switches"]["searchLagS"] == 0


def test_reset_returns_to_the_configuration_of_the_start() -> None:
    config = Config()
    config.update({"switches": {"readyAfterS": 7}, "shops": {SHOP: {"searchLagS": 9}}})
    simulator = Simulator(config=config)
    simulator.config.update({"switches": {"readyAfterS": 1}})
    simulator.reset()
    assert simulator.config.for_shop(SHOP).ready_after_s == 7
    assert simulator.config.for_shop(SHOP).search_lag_s == 9


def test_calls_show_names_fields_costs_and_outcomes(world: ShopifyWorld) -> None:
    gid = world.ready_file()
    world.http.delete("/_simulator/calls")
    world.ask(STATUS, id=gid)
    (call,) = world.calls()
    assert (call["name"], call["fields"], call["outcome"]) == ("Status", ["node"], "executed")
    assert (call["requestedCost"], call["actualCost"]) == (1, 1)
    assert call["variables"] == {"id": gid}


def test_inspection_lists_products_with_their_media(world: ShopifyWorld) -> None:
    product, gid = world.product("Blue mug"), world.ready_file("job-1.png", alt="Mug")
    world.update({"id": gid, "referencesToAdd": [product]})
    (shown,) = world.http.get(f"/_simulator/shops/{SHOP}/products").json()["products"]
    (media,) = shown["media"]
    assert (shown["id"], shown["title"]) == (product, "Blue mug")
    assert (media["id"], media["filename"], media["alt"], media["status"]) == (
        gid,
        "job-1.png",
        "Mug",
        "READY",
    )
    assert world.http.get(media["url"]).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "health", None, 200),
        ("GET", "nothing", None, 404),
        ("GET", "shops/unknown.myshopify.com/products", None, 404),
        ("POST", "products", {"shop": "example.com", "title": "x"}, 400),
        ("POST", "products", {"shop": SHOP}, 400),
        ("POST", "products", {"shop": SHOP, "title": "x", "colour": "red"}, 400),
        ("POST", "products", {"shop": SHOP, "title": "x", "imageBase64": "bm8="}, 400),
        ("POST", "id-token", {}, 400),
        ("PUT", "tokens", {"shop": SHOP, "state": "undead"}, 400),
        ("POST", "products", [], 400),
    ],
)
def test_control_routes_refuse_what_is_wrong(
    world: ShopifyWorld, method: str, path: str, body: object, status: int
) -> None:
    assert world.http.request(method, f"/_simulator/{path}", json=body).status_code == status


# --- the envelope -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "served"), [("2026-10", "2026-10"), ("2026-01", "2026-01"), ("2025-04", "2026-01")]
)
def test_the_version_header_names_the_version_that_was_used(
    world: ShopifyWorld, asked: str, served: str
) -> None:
    answer = world.post(SHOP_NAME, version=asked)
    assert answer.headers["x-shopify-api-version"] == served
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("version", ["2027-04", "latest"])
def test_a_version_that_does_not_exist_is_not_found(world: ShopifyWorld, version: str) -> None:
    assert world.post(SHOP_NAME, version=version).status_code == 404
    assert world.simulator.calls == [], "it was executed"


@pytest.mark.parametrize("shop", ["example.com", "-a.myshopify.com", "A.myshopify.com"])
def test_only_myshopify_domains_are_shops(world: ShopifyWorld, shop: str) -> None:
    assert world.post(SHOP_NAME, shop=shop).status_code == 404


def test_the_shop_may_be_the_host(world: ShopifyWorld) -> None:
    answer = world.http.post(
        "/admin/api/2026-10/graphql.json",
        json={"query": SHOP_NAME},
        headers={"Host": SHOP, "X-Shopify-Access-Token": "shpat_simulator"},
    )
    assert answer.json()["data"] == {"shop": {"name": "mugs"}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"query": 1}',
        b'{"variables": {}}',
        b'{"query": "{shop{id}}", "variables": "{"}',
    ],
)
def test_a_body_without_a_query_is_a_bad_request(world: ShopifyWorld, body: bytes) -> None:
    answer = world.http.post(
        f"/{SHOP}/admin/api/2026-10/graphql.json",
        content=body,
        headers={"X-Shopify-Access-Token": "shpat_simulator"},
    )
    assert answer.status_code == 400


def test_malformed_variables_answer_200_with_their_place(world: ShopifyWorld) -> None:
    answer = world.post(FILE_CREATE, {"files": [{"contentType": "IMAGE"}]})
    (error,) = answer.json()["errors"]
    assert answer.status_code == 200
    assert error["extensions"]["code"] == "INVALID_VARIABLE"
    assert error["extensions"]["problems"][0]["path"][0] == 0
    assert "data" not in answer.json()


def test_a_document_with_two_operations_needs_a_name(world: ShopifyWorld) -> None:
    answer = world.post("query A { shop { name } } query B { shop { id } }")
    assert error_code(answer) == "INVALID_OPERATION"
