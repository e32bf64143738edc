"""Files, staged uploads and media processing behave as recorded on dev stores."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.local.shopify_world import (
    BASE_URL,
    FILE_CREATE,
    STAGE,
    ShopifyWorld,
    codes,
    error_code,
    picture,
)

DELETE = """
mutation Delete($ids: [ID!]!) {
  fileDelete(fileIds: $ids) { deletedFileIds userErrors { code field message } }
}"""

FIND = """
query Find($query: String, $first: Int = 10, $after: String, $reverse: Boolean) {
  files(first: $first, after: $after, query: $query, reverse: $reverse) {
    nodes { id fileStatus }
    pageInfo { hasNextPage endCursor }
  }
}"""


@pytest.fixture
def world() -> ShopifyWorld:
    return ShopifyWorld()


def staged_target(world: ShopifyWorld, **given: str) -> dict[str, object]:
    asked = {"filename": "a.png", "mimeType": "image/png", "resource": "IMAGE", **given}
    payload = world.ask(STAGE, input=[asked])["stagedUploadsCreate"]
    target: dict[str, object] = payload["stagedTargets"][0]
    return target


def found(world: ShopifyWorld, query: str) -> list[str]:
    return [node["id"] for node in world.ask(FIND, query=query)["files"]["nodes"]]


# --- staged uploads -----------------------------------------------------------------------------


def test_put_is_the_default_way_and_the_upload_answers_200(world: ShopifyWorld) -> None:
    target = staged_target(world)
    names = [entry["name"] for entry in target["parameters"]]  # type: ignore[attr-defined]
    assert names == ["content_type", "acl"]
    assert "X-Goog-Expires=604800" in str(target["url"])
    assert str(target["url"]).startswith(f"{target['resourceUrl']}?")
    assert world.http.put(str(target["url"]), content=picture()).status_code == 200


def test_put_url_dies_after_seven_days(world: ShopifyWorld) -> None:
    target = staged_target(world)
    world.now += 604_800
    assert world.http.put(str(target["url"]), content=picture()).status_code == 400


def test_put_without_the_signature_is_refused(world: ShopifyWorld) -> None:
    target = staged_target(world)
    assert world.http.put(str(target["resourceUrl"]), content=picture()).status_code == 403


def post_form(
    world: ShopifyWorld, target: dict[str, object], content: bytes, *, file_first: bool = False
) -> int:
    fields = {e["name"]: e["value"] for e in target["parameters"]}  # type: ignore[attr-defined]
    form = [(name, (None, value)) for name, value in fields.items()]
    file = ("file", ("a.png", content))
    parts = [file, *form] if file_first else [*form, file]
    return world.http.post(str(target["url"]), files=parts).status_code


def test_post_form_lists_the_recorded_fields_and_answers_201(world: ShopifyWorld) -> None:
    target = staged_target(world, httpMethod="POST")
    names = [entry["name"] for entry in target["parameters"]]  # type: ignore[attr-defined]
    assert names == [
        "Content-Type",
        "success_action_status",
        "acl",
        "key",
        "x-goog-date",
        "x-goog-credential",
        "x-goog-algorithm",
        "x-goog-signature",
        "policy",
    ]
    assert post_form(world, target, picture()) == 201


def test_a_file_uploaded_by_form_becomes_ready(world: ShopifyWorld) -> None:
    target = staged_target(world, httpMethod="POST", filename="form.png")
    assert post_form(world, target, picture()) == 201
    gid = world.ready_file("form.png", originalSource=str(target["resourceUrl"]))
    assert "/files/form.png?" in world.node(gid)["image"]["url"]


def test_of_many_creates_at_once_one_gets_the_name(world: ShopifyWorld) -> None:
    source = world.stage(picture(), "mug.png")

    def create(_: int) -> list[str]:
        return codes(world.create(originalSource=source, duplicateResolutionMode="RAISE_ERROR"))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(create, range(16)))
    assert sorted(answers) == [[], *([["FILENAME_ALREADY_EXISTS"]] * 15)]


def test_post_form_with_the_file_first_is_refused(world: ShopifyWorld) -> None:
    target = staged_target(world, httpMethod="POST")
    assert post_form(world, target, picture(), file_first=True) == 400


@pytest.mark.parametrize(("size", "status"), [(0, 400), (1, 201), (20_971_520, 201)])
def test_post_policy_allows_one_byte_to_twenty_mebibytes(
    world: ShopifyWorld, size: int, status: int
) -> None:
    target = staged_target(world, httpMethod="POST")
    assert post_form(world, target, b"x" * size) == status


def test_post_policy_refuses_one_byte_more(world: ShopifyWorld) -> None:
    target = staged_target(world, httpMethod="POST")
    assert post_form(world, target, b"x" * 20_971_521) == 400


def test_post_policy_dies_after_a_day(world: ShopifyWorld) -> None:
    target = staged_target(world, httpMethod="POST")
    world.now += 86_400
    assert post_form(world, target, picture()) == 400


def test_wrong_mime_type_answers_a_user_error_and_no_url(world: ShopifyWorld) -> None:
    asked = {"filename": "a.exe", "mimeType": "application/x-msdownload", "resource": "IMAGE"}
    payload = world.ask(STAGE, input=[asked])["stagedUploadsCreate"]
    assert payload["stagedTargets"] == [{"url": None, "resourceUrl": None, "parameters": []}]
    assert payload["userErrors"] == [
        {
            "field": ["input", "0", "mimeType"],
            "message": "a.exe: (application/x-msdownload) is not a recognized format",
        }
    ]


# --- fileCreate ---------------------------------------------------------------------------------


def test_create_answers_uploaded_without_an_image(world: ShopifyWorld) -> None:
    payload = world.create("mug.png", alt="A mug")
    assert payload["userErrors"] == []
    assert payload["files"][0] | {"id": ""} == {
        "id": "",
        "alt": "A mug",
        "fileStatus": "UPLOADED",
        "image": None,
    }


def test_media_goes_from_uploaded_over_processing_to_ready(world: ShopifyWorld) -> None:
    gid = world.create()["files"][0]["id"]
    seen = [world.node(gid)["status"]]
    world.now += 0.5
    seen.append(world.node(gid)["status"])
    world.now += 0.5
    seen.append(world.node(gid)["status"])
    assert seen == ["UPLOADED", "PROCESSING", "READY"]


def test_ready_after_nothing_is_ready_at_the_first_poll(world: ShopifyWorld) -> None:
    world.configure(switches={"readyAfterS": 0})
    payload = world.create()
    assert payload["files"][0]["fileStatus"] == "UPLOADED"
    assert world.node(payload["files"][0]["id"])["fileStatus"] == "READY"


def test_ready_image_is_served_by_the_cdn_under_exactly_its_name(world: ShopifyWorld) -> None:
    node = world.node(world.ready_file("job-1-1-0.png"))
    assert re.fullmatch(
        rf"{BASE_URL}/cdn/mugs\.myshopify\.com/files/job-1-1-0\.png\?v=\d+", node["image"]["url"]
    )
    assert (node["image"]["width"], node["image"]["height"]) == (8, 6)
    served = world.http.get(node["image"]["url"])
    assert served.headers["content-type"] == "image/png"
    assert served.content == picture()


def test_without_a_filename_the_source_names_the_file(world: ShopifyWorld) -> None:
    world.internet["https://images.example/cup.png"] = picture()
    made = world.create(originalSource="https://images.example/cup.png", filename=None)
    world.now += 5
    assert "/files/cup.png?" in world.node(made["files"][0]["id"])["image"]["url"]


def test_a_taken_name_gets_a_uuid_by_default(world: ShopifyWorld) -> None:
    world.ready_file("mug.png")
    second = world.node(world.ready_file("mug.png"))
    assert re.search(r"/files/mug_[0-9a-f-]{36}\.png\?", second["image"]["url"])


def test_raise_error_refuses_a_taken_name_at_once(world: ShopifyWorld) -> None:
    world.create("mug.png", duplicateResolutionMode="RAISE_ERROR")
    payload = world.create("mug.png", duplicateResolutionMode="RAISE_ERROR")
    assert payload["files"] == []
    assert codes(payload) == ["FILENAME_ALREADY_EXISTS"]


def test_raise_error_refuses_a_name_used_twice_in_one_call(world: ShopifyWorld) -> None:
    one = {
        "originalSource": world.stage(picture(), "a.png"),
        "filename": "a.png",
        "duplicateResolutionMode": "RAISE_ERROR",
    }
    payload = world.ask(FILE_CREATE, files=[one, one])["fileCreate"]
    assert [error["field"] for error in payload["userErrors"]] == [["files", "1", "filename"]]


def test_the_clash_may_come_late_as_a_failed_file(world: ShopifyWorld) -> None:
    world.configure(switches={"duplicateName": "late"})
    world.ready_file("mug.png")
    payload = world.create("mug.png", duplicateResolutionMode="RAISE_ERROR")
    assert payload["userErrors"] == []
    world.now += 5
    node = world.node(payload["files"][0]["id"])
    assert node["status"] == "FAILED"
    assert node["mediaErrors"][0]["code"] == "DUPLICATE_FILENAME_ERROR"


def test_replace_keeps_the_id_and_changes_the_bytes(world: ShopifyWorld) -> None:
    first = world.ready_file("mug.png")
    source = world.stage(picture(20, 10), "mug.png")
    payload = world.create(originalSource=source, duplicateResolutionMode="REPLACE")
    world.now += 5
    assert payload["files"][0]["id"] == first
    assert world.node(first)["image"]["width"] == 20


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        (
            {"originalSource": "data:image/png;base64,AA=="},
            "INVALID_IMAGE_SOURCE_URL",
            "originalSource",
        ),
        ({"originalSource": "ftp://a.example/a.png"}, "INVALID_IMAGE_SOURCE_URL", "originalSource"),
        (
            {"originalSource": "https://a.example/a.png", "filename": "a.jpg"},
            "MISMATCHED_FILENAME_AND_ORIGINAL_SOURCE",
            "filename",
        ),
        (
            {"originalSource": "https://a.example/a.png", "alt": "x" * 513},
            "ALT_VALUE_LIMIT_EXCEEDED",
            "alt",
        ),
        (
            {"originalSource": "https://a.example/a.png", "duplicateResolutionMode": "REPLACE"},
            "INVALID_DUPLICATE_MODE_FOR_TYPE",
            "duplicateResolutionMode",
        ),
        (
            {
                "originalSource": "https://a.example/a.png",
                "contentType": "IMAGE",
                "duplicateResolutionMode": "REPLACE",
            },
            "MISSING_FILENAME_FOR_DUPLICATE_MODE_REPLACE",
            "filename",
        ),
        (
            {"originalSource": "data:image/png;base64,AA==", "filename": "a.jpg"},
            "INVALID_IMAGE_SOURCE_URL",
            "originalSource",
        ),
    ],
)
def test_create_refuses_what_shopify_refuses(
    world: ShopifyWorld, given: dict[str, str], code: str, field: str
) -> None:
    payload = world.ask(FILE_CREATE, files=[given])["fileCreate"]
    assert payload["files"] == []
    assert [(e["code"], e["field"]) for e in payload["userErrors"]] == [
        (code, ["files", "0", field])
    ]


def test_an_alt_text_of_512_characters_is_accepted(world: ShopifyWorld) -> None:
    assert world.create(alt="x" * 512)["userErrors"] == []


def test_one_bad_file_refuses_the_whole_call_by_default(world: ShopifyWorld) -> None:
    good = {"originalSource": world.stage(picture(), "a.png"), "filename": "a.png"}
    payload = world.ask(FILE_CREATE, files=[good, {"originalSource": "data:x"}])["fileCreate"]
    assert payload["files"] == []
    assert [error["field"][1] for error in payload["userErrors"]] == ["1"]


def test_one_bad_file_leaves_the_others_by_switch(world: ShopifyWorld) -> None:
    world.configure(switches={"fileCreateMixed": "keep_valid"})
    good = {"originalSource": world.stage(picture(), "a.png"), "filename": "a.png", "alt": "good"}
    payload = world.ask(FILE_CREATE, files=[{"originalSource": "data:x"}, good])["fileCreate"]
    assert [file["alt"] for file in payload["files"]] == ["good"]
    assert len(payload["userErrors"]) == 1


@pytest.mark.parametrize("length", [0, 2049])
def test_a_source_of_wrong_length_is_a_top_level_error(world: ShopifyWorld, length: int) -> None:
    source = "https://a.example/".ljust(length, "a")[:length]
    answer = world.post(FILE_CREATE, {"files": [{"originalSource": source}]})
    assert error_code(answer) == "INVALID_FIELD_ARGUMENTS"
    assert answer.json()["data"] == {"fileCreate": None}


def test_more_than_250_files_are_too_many(world: ShopifyWorld) -> None:
    files = [{"originalSource": "https://a.example/a.png"}] * 251
    assert error_code(world.post(FILE_CREATE, {"files": files})) == "MAX_INPUT_SIZE_EXCEEDED"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<html>not an image</html>", "UNSUPPORTED_IMAGE_FILE_TYPE"),
        (picture()[:40], "IMAGE_PROCESSING_FAILURE"),
        (picture(5001, 4000), "INVALID_IMAGE_RESOLUTION"),
        (b"", "INVALID_IMAGE_FILE_SIZE"),
        (picture() + b"\0" * 20_971_520, "INVALID_IMAGE_FILE_SIZE"),
    ],
)
def test_bytes_that_are_no_good_image_fail_after_processing(
    world: ShopifyWorld, content: bytes, code: str
) -> None:
    payload = world.create(originalSource=world.stage(content, "mug.png"))
    assert payload["userErrors"] == []
    world.now += 5
    node = world.node(payload["files"][0]["id"])
    assert (node["status"], node["image"]) == ("FAILED", None)
    assert [error["code"] for error in node["mediaErrors"]] == [code]


def test_a_source_that_is_gone_fails_after_processing(world: ShopifyWorld) -> None:
    gid = world.create(originalSource="https://gone.example/mug.png")["files"][0]["id"]
    world.now += 5
    assert world.node(gid)["mediaErrors"][0]["code"] == "IMAGE_DOWNLOAD_FAILURE"


def test_a_staged_target_that_was_never_filled_fails(world: ShopifyWorld) -> None:
    source = str(staged_target(world, filename="mug.png")["resourceUrl"])
    gid = world.create(originalSource=source)["files"][0]["id"]
    world.now += 5
    assert world.node(gid)["mediaErrors"][0]["code"] == "IMAGE_DOWNLOAD_FAILURE"


@pytest.mark.parametrize("keeps", [True, False])
def test_whether_a_failed_file_keeps_its_name_is_a_switch(world: ShopifyWorld, keeps: bool) -> None:
    world.configure(switches={"failedKeepsName": keeps})
    world.create(originalSource=world.stage(b"no image", "mug.png"))
    world.now += 5
    again = world.create(duplicateResolutionMode="RAISE_ERROR")
    assert codes(again) == (["FILENAME_ALREADY_EXISTS"] if keeps else [])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_the_four_image_types_become_ready(world: ShopifyWorld, kind: str) -> None:
    extension = kind.lower().replace("jpeg", "jpg")
    source = world.stage(picture(kind=kind), f"a.{extension}", f"image/{kind.lower()}")
    gid = world.ready_file(f"a.{extension}", originalSource=source)
    assert world.node(gid)["mimeType"] == f"image/{kind.lower()}"


# --- fileUpdate and fileDelete ------------------------------------------------------------------


def test_attaching_appends_to_the_product(world: ShopifyWorld) -> None:
    product = world.product()
    first, second = world.ready_file("a.png"), world.ready_file("b.png")
    payload = world.update(
        {"id": first, "referencesToAdd": [product]}, {"id": second, "referencesToAdd": [product]}
    )
    assert payload["userErrors"] == []
    assert world.media_of(product) == [first, second]


def test_detaching_leaves_the_file(world: ShopifyWorld) -> None:
    product, gid = world.product(), world.ready_file()
    world.update({"id": gid, "referencesToAdd": [product]})
    world.update({"id": gid, "referencesToRemove": [product]})
    assert world.media_of(product) == []
    assert world.node(gid)["status"] == "READY"


@pytest.mark.parametrize(
    ("switch", "expected_media", "expected_codes"),
    [("idempotent", 1, []), ("duplicate", 2, []), ("error", 1, ["INVALID"])],
)
def test_what_adding_twice_does_is_a_switch(
    world: ShopifyWorld, switch: str, expected_media: int, expected_codes: list[str]
) -> None:
    world.configure(switches={"addReferenceTwice": switch})
    product, gid = world.product(), world.ready_file()
    world.update({"id": gid, "referencesToAdd": [product]})
    assert codes(world.update({"id": gid, "referencesToAdd": [product]})) == expected_codes
    assert len(world.media_of(product)) == expected_media


def test_a_file_that_is_not_ready_refuses_the_whole_update(world: ShopifyWorld) -> None:
    product, ready = world.product(), world.ready_file("a.png")
    fresh = world.create("b.png")["files"][0]["id"]
    payload = world.update(
        {"id": ready, "referencesToAdd": [product]}, {"id": fresh, "referencesToAdd": [product]}
    )
    assert (payload["files"], codes(payload)) == ([], ["NON_READY_STATE"])
    assert world.media_of(product) == []


def test_a_missing_product_refuses_the_whole_update(world: ShopifyWorld) -> None:
    gid = world.ready_file()
    payload = world.update({"id": gid, "referencesToAdd": ["gid://shopify/Product/999"]})
    assert codes(payload) == ["REFERENCE_TARGET_DOES_NOT_EXIST"]


def test_an_unknown_file_refuses_the_whole_update(world: ShopifyWorld) -> None:
    payload = world.update({"id": "gid://shopify/MediaImage/1", "alt": "x"})
    assert codes(payload) == ["FILE_DOES_NOT_EXIST"]


def test_a_long_alt_text_refuses_only_its_own_entry(world: ShopifyWorld) -> None:
    first, second = world.ready_file("a.png"), world.ready_file("b.png")
    payload = world.update({"id": first, "alt": "new"}, {"id": second, "alt": "x" * 513})
    assert [file["id"] for file in payload["files"]] == [first]
    assert payload["userErrors"][0]["field"] == ["files", "1", "alt"]
    assert world.node(first)["alt"] == "new"


def test_the_251st_medium_is_over_the_products_limit(world: ShopifyWorld) -> None:
    product = world.product()
    gid = world.ready_file("last.png")
    held = world.simulator.world.shop("mugs.myshopify.com").products[int(product.split("/")[-1])]
    number = int(gid.split("/")[-1])
    held.media = [number] * 250
    other = world.ready_file("more.png")
    payload = world.update({"id": other, "referencesToAdd": [product]})
    assert codes(payload) == ["PRODUCT_MEDIA_LIMIT_EXCEEDED"]
    assert len(held.media) == 250


def test_renaming_needs_the_same_extension_and_a_free_name(world: ShopifyWorld) -> None:
    gid = world.ready_file("a.png")
    world.ready_file("b.png")
    assert codes(world.update({"id": gid, "filename": "a.jpg"})) == ["INVALID_FILENAME_EXTENSION"]
    assert codes(world.update({"id": gid, "filename": "b.png"})) == ["FILENAME_ALREADY_EXISTS"]
    assert codes(world.update({"id": gid, "filename": "c.png"})) == []
    assert found(world, "filename:c.png") == [gid]


def test_deleting_a_file_takes_it_off_the_product_and_frees_its_name(world: ShopifyWorld) -> None:
    product, gid = world.product(), world.ready_file("mug.png")
    world.update({"id": gid, "referencesToAdd": [product]})
    payload = world.ask(DELETE, ids=[gid])["fileDelete"]
    assert payload["deletedFileIds"] == [gid]
    assert world.media_of(product) == []
    assert codes(world.create("mug.png", duplicateResolutionMode="RAISE_ERROR")) == []


def test_deleting_an_unknown_file_deletes_nothing(world: ShopifyWorld) -> None:
    gid = world.ready_file()
    payload = world.ask(DELETE, ids=[gid, "gid://shopify/MediaImage/1"])["fileDelete"]
    assert payload["deletedFileIds"] is None
    assert codes(payload) == ["FILE_DOES_NOT_EXIST"]
    assert world.node(gid)["status"] == "READY"


# --- files(query:) ------------------------------------------------------------------------------


def test_files_are_found_by_name_prefix_and_alternatives(world: ShopifyWorld) -> None:
    first, second = world.ready_file("job-1.png"), world.ready_file("job-2.png")
    third = world.ready_file("other.png")
    assert found(world, "filename:job-1.png") == [first]
    assert found(world, "filename:job-*") == [first, second]
    assert found(world, "filename:job-2.png OR filename:'other.png'") == [second, third]
    assert found(world, "filename:job-* -filename:job-1.png") == [second]
    assert found(world, "filename:absent.png") == []


def test_a_new_file_hides_from_the_search_index_for_a_while(world: ShopifyWorld) -> None:
    world.configure(switches={"searchLagS": 30})
    gid = world.ready_file("job-1.png")
    assert found(world, "filename:job-1.png") == []
    world.now += 30
    assert found(world, "filename:job-1.png") == [gid]


def test_files_come_in_pages(world: ShopifyWorld) -> None:
    made = [world.ready_file(f"{n}.png") for n in range(3)]
    first = world.ask(FIND, first=2)["files"]
    rest = world.ask(FIND, first=2, after=first["pageInfo"]["endCursor"])["files"]
    assert [node["id"] for node in first["nodes"] + rest["nodes"]] == made
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)


def test_an_unknown_search_key_is_an_error_not_an_empty_page(world: ShopifyWorld) -> None:
    world.ready_file()
    assert error_code(world.post(FIND, {"query": "colour:red"})) == "NOT_SIMULATED"


def test_files_of_another_shop_are_invisible(world: ShopifyWorld) -> None:
    gid = world.ready_file("mug.png")
    query = "query N($id: ID!) { node(id: $id) { id } files(first: 5) { nodes { id } } }"
    data = world.ask(query, shop="lamps.myshopify.com", id=gid)
    assert data == {"node": None, "files": {"nodes": []}}
