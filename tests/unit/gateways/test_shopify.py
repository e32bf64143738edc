"""The Admin API gateway: documents, answers, what failures mean, and the cost bucket."""

import json
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from graphql import parse, validate

from local.shopify_simulator.schema import admin_schema
from shared.domain.errors import (
    InvariantError,
    ShopBusyError,
    ShopRefusedError,
    ShopUnknownOutcomeError,
)
from shared.domain.job import TOKEN_DEAD
from shared.domain.push_errors import (
    MISSING_SCOPE,
    SHOP_FROZEN,
    SHOP_GONE,
    SHOP_INACTIVE,
    SHOP_LOCKED,
    SHOP_SENTENCES,
)
from shared.gateways.shopify import DOCUMENTS, Document, ShopifyAdmin, ShopifyAdmins
from shared.gateways.shopify_http import make_client, shop_address
from shared.usecases.ports import FileChange, FileToCreate, FileToStage, StagedTarget
from tests.builders import SHOP
from tests.fakes.clock import FakeClock

type Answer = Callable[[httpx.Request], httpx.Response]

CREATE = [FileToCreate(filename="a.png", source="https://s/a.png", alt="A")]
CHANGE = [FileChange(media_id="gid://shopify/MediaImage/1", add_to="gid://shopify/Product/1")]
TARGET = StagedTarget(
    filename="a.png",
    url="https://storage.example/",
    resource_url="https://storage.example/tmp/a.png",
    parameters=(("key", "tmp/a.png"), ("policy", "p")),
)


def an_admin(
    answer: Answer, clock: FakeClock | None = None, base: str = "https://{shop}"
) -> ShopifyAdmin:
    http = httpx.Client(transport=httpx.MockTransport(answer))
    return ShopifyAdmins(http, base, "2026-10", clock or FakeClock()).open(SHOP, "shpat_1")


def says(
    data: object = None, status: int = 200, *, cost: object = None, **more: Any
) -> httpx.Response:
    headers = {"x-shopify-api-version": "2026-10", **more.pop("headers", {})}
    body = {"data": data, "extensions": {"cost": cost}, **more}
    return httpx.Response(status, json=body, headers=headers)


def a_cost(available: float, requested: float = 20, actual: float | None = 20) -> dict[str, Any]:
    return {
        "requestedQueryCost": requested,
        "actualQueryCost": actual,
        "throttleStatus": {
            "maximumAvailable": 2000.0,
            "currentlyAvailable": available,
            "restoreRate": 100.0,
        },
    }


def look(admin: ShopifyAdmin) -> object:
    return admin.look(["gid://shopify/MediaImage/1"], ["gid://shopify/Product/1"])


# --- documents -------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.name))
def test_every_document_is_valid_in_shopifys_schema(document: Document) -> None:
    assert validate(admin_schema(), parse(document.text)) == []


def test_a_call_names_the_shop_the_version_and_the_token() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return says({"media": [], "products": []})

    look(an_admin(answer))

    assert str(seen[0].url) == f"https://{SHOP}/admin/api/2026-10/graphql.json"
    assert seen[0].headers["x-shopify-access-token"] == "shpat_1"


@pytest.mark.parametrize("text", ["evil.example", "a.myshopify.com.evil.example", "", "A.x/../"])
def test_no_address_is_built_from_a_text_that_is_no_shop(text: str) -> None:
    with pytest.raises(InvariantError):
        shop_address("https://{shop}", text)


def test_the_client_follows_no_redirect() -> None:
    with make_client() as client:
        assert not client.follow_redirects


# --- answers ---------------------------------------------------------------------------


def test_targets_are_matched_by_name_whatever_their_order() -> None:
    def target(name: str) -> dict[str, Any]:
        return {
            "url": "https://storage.example/",
            "resourceUrl": f"https://storage.example/tmp/1/{name}",
            "parameters": [{"name": "key", "value": name}],
        }

    answer = {
        "stagedUploadsCreate": {
            "stagedTargets": [target("b.png"), target("a.png"), target("stranger.png")],
            "userErrors": [],
        }
    }
    staged = an_admin(lambda _: says(answer)).stage(
        [FileToStage(filename=name, content_type="image/png") for name in ("a.png", "b.png")]
    )

    assert [t.filename for t in staged.targets] == ["a.png", "b.png"]
    assert [dict(t.parameters)["key"] for t in staged.targets] == ["a.png", "b.png"]


def test_an_outline_leaves_out_what_is_no_product_or_gone() -> None:
    nodes = [
        {"id": "gid://shopify/Product/1", "title": "Mug", "mediaCount": {"count": 250}},
        None,
        {"id": "gid://shopify/Shop/1"},
        {"id": "gid://shopify/Product/2", "title": "Cup", "mediaCount": None},
    ]
    seen = an_admin(lambda _: says({"products": nodes})).outline(["any"])

    assert [(one.title, one.media_count) for one in seen.values()] == [("Mug", 250), ("Cup", 0)]


@pytest.mark.parametrize(
    ("codes", "word"),
    [([], None), (["FILE_DOES_NOT_EXIST"], None), (["FILE_LOCKED"], "FILE_LOCKED")],
)
def test_a_deletion_says_why_a_file_stays(codes: list[str], word: str | None) -> None:
    errors = [{"code": code, "field": ["fileIds"], "message": "no"} for code in codes]
    answer = {"fileDelete": {"deletedFileIds": None, "userErrors": errors}}

    assert an_admin(lambda _: says(answer)).delete("gid://shopify/MediaImage/1") == word


def test_a_refusal_says_which_input_it_is_about() -> None:
    errors = [
        {"code": "INVALID_FILENAME", "field": ["files", "3", "filename"], "message": "no"},
        {"code": "NON_READY_STATE", "field": ["files"], "message": "no"},
        {"code": None, "field": None, "message": "no"},
    ]
    answer = an_admin(lambda _: says({"fileCreate": {"files": [], "userErrors": errors}}))

    refusals = answer.create(CREATE).refusals

    assert [(one.code, one.index) for one in refusals] == [
        ("INVALID_FILENAME", 3),
        ("NON_READY_STATE", None),
        ("INVALID", None),
    ]


def test_what_does_not_exist_is_left_out_of_a_look() -> None:
    data = {
        "media": [None, {"id": "gid://shopify/MediaImage/1", "fileStatus": "READY", "alt": None}],
        "products": [None],
    }
    seen = an_admin(lambda _: says(data)).look(["gid://shopify/MediaImage/1"], [])

    assert list(seen.media) == ["gid://shopify/MediaImage/1"]
    assert seen.products == {}


def test_a_file_of_another_name_is_not_found() -> None:
    def node(number: int, name: str | None) -> dict[str, Any]:
        image = None if name is None else {"url": f"https://cdn.example/f/{name}?v=1"}
        return {
            "id": f"gid://shopify/MediaImage/{number}",
            "fileStatus": "UPLOADED" if name is None else "READY",
            "image": image,
        }

    data = {
        "files": {"nodes": [node(1, "x-1-0.png"), node(2, "x-1-0-1.png"), node(3, None)]},
        "product": {"media": {"nodes": [node(4, "x-1-0.png"), node(5, "y.png"), node(6, None)]}},
    }
    found = an_admin(lambda _: says(data)).find("x-1-0.png", "gid://shopify/Product/1")

    assert [file.media_id[-1] for file in found] == ["1", "3", "4"]


def test_a_change_names_only_what_changes() -> None:
    sent: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content)["variables"]["files"])
        return says({"fileUpdate": {"files": [], "userErrors": []}})

    an_admin(answer).update(
        [*CHANGE, FileChange(media_id="gid://shopify/MediaImage/2", remove_from="p", alt="")]
    )

    assert sent[0] == [
        {"id": "gid://shopify/MediaImage/1", "referencesToAdd": ["gid://shopify/Product/1"]},
        {"id": "gid://shopify/MediaImage/2", "referencesToRemove": ["p"], "alt": ""},
    ]


def test_another_version_than_ours_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    admin = an_admin(
        lambda _: says({"media": [], "products": []}, headers={"x-shopify-api-version": "2027-01"})
    )
    with caplog.at_level(logging.WARNING):
        look(admin)

    assert [record.levelname for record in caplog.records] == ["WARNING"]


# --- failures --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, TOKEN_DEAD),
        (402, SHOP_FROZEN),
        (403, MISSING_SCOPE),
        (404, SHOP_GONE),
        (423, SHOP_LOCKED),
    ],
)
def test_a_closed_door_says_why(status: int, code: str) -> None:
    with pytest.raises(ShopRefusedError) as caught:
        look(an_admin(lambda _: httpx.Response(status)))

    assert caught.value.code == code
    assert caught.value.message == SHOP_SENTENCES[code]


@pytest.mark.parametrize(
    ("word", "code"), [("ACCESS_DENIED", MISSING_SCOPE), ("SHOP_INACTIVE", SHOP_INACTIVE)]
)
def test_a_refusal_in_words_says_why(word: str, code: str) -> None:
    errors = [{"message": "no", "extensions": {"code": word}}]
    with pytest.raises(ShopRefusedError) as caught:
        look(an_admin(lambda _: says(errors=errors)))

    assert caught.value.code == code


@pytest.mark.parametrize("word", ["MAX_COST_EXCEEDED", "INVALID_VARIABLE", "undefinedField"])
def test_a_wrong_call_is_our_bug(word: str) -> None:
    errors = [{"message": "no", "extensions": {"code": word}}]
    with pytest.raises(InvariantError):
        look(an_admin(lambda _: says(errors=errors)))


def raises(error: type[httpx.HTTPError]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("no")

    return answer


LOST: list[Answer] = [
    lambda _: httpx.Response(502),
    lambda _: httpx.Response(200, text="<html>"),
    lambda _: httpx.Response(200, json=[]),
    lambda _: says(),
    lambda _: says(errors=[{"message": "no", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]),
    lambda _: says(errors="no"),
    raises(httpx.ReadTimeout),
    raises(httpx.WriteTimeout),
    raises(httpx.RemoteProtocolError),
    raises(httpx.ReadError),
]


@pytest.mark.parametrize("answer", LOST)
def test_a_lost_answer_to_a_change_is_an_unknown_outcome(answer: Answer) -> None:
    with pytest.raises(ShopUnknownOutcomeError):
        an_admin(answer).create(CREATE)
    with pytest.raises(ShopUnknownOutcomeError):
        an_admin(answer).update(CHANGE)


@pytest.mark.parametrize("answer", LOST)
def test_a_lost_answer_to_a_question_only_means_later(answer: Answer) -> None:
    with pytest.raises(ShopBusyError):
        look(an_admin(answer))


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_without_a_connection_nothing_was_executed(error: type[httpx.HTTPError]) -> None:
    with pytest.raises(ShopBusyError):
        an_admin(raises(error)).create(CREATE)


@pytest.mark.parametrize(("text", "wait_s"), [("2", 2.0), ("2.0", 2.0), ("1.2", 2.0), (None, None)])
def test_an_http_429_says_how_long_to_wait(text: str | None, wait_s: float | None) -> None:
    headers = {} if text is None else {"retry-after": text}
    with pytest.raises(ShopBusyError) as caught:
        an_admin(lambda _: httpx.Response(429, headers=headers)).create(CREATE)

    assert caught.value.retry_after_s == wait_s


def test_a_security_rejection_waits_a_minute() -> None:
    with pytest.raises(ShopBusyError) as caught:
        look(an_admin(lambda _: httpx.Response(430)))

    assert caught.value.retry_after_s == 60


# --- the cost bucket -------------------------------------------------------------------


def test_a_throttled_call_says_how_long_until_it_fits() -> None:
    errors = [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]
    admin = an_admin(lambda _: says(errors=errors, cost=a_cost(5, 20, None)))

    with pytest.raises(ShopBusyError) as caught:
        admin.create(CREATE)

    assert caught.value.retry_after_s == pytest.approx((20 - 5) / 100 + 0.05)


def test_a_call_that_would_not_fit_is_not_made() -> None:
    calls = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        return says({"fileCreate": {"files": [], "userErrors": []}}, cost=a_cost(3))

    clock = FakeClock()
    admin = an_admin(answer, clock)
    admin.create(CREATE)
    with pytest.raises(ShopBusyError) as caught:
        admin.create(CREATE)
    clock.advance(caught.value.retry_after_s or 0)
    admin.create(CREATE)

    assert calls == 2
    assert caught.value.retry_after_s == pytest.approx(0.22)


def test_what_a_process_knows_of_the_bucket_outlives_the_run() -> None:
    clock = FakeClock()
    http = httpx.Client(
        transport=httpx.MockTransport(
            lambda _: says({"fileCreate": {"files": [], "userErrors": []}}, cost=a_cost(0))
        )
    )
    admins = ShopifyAdmins(http, "https://{shop}", "2026-10", clock)
    admins.open(SHOP, "t").create(CREATE)

    with pytest.raises(ShopBusyError):
        admins.open(SHOP, "t").create(CREATE)
    # Another shop has a bucket of its own.
    admins.open("other-shop.myshopify.com", "t").create(CREATE)


def test_calls_and_their_actual_cost_are_counted() -> None:
    admin = an_admin(
        lambda _: says({"fileCreate": {"files": [], "userErrors": []}}, cost=a_cost(900, 21, 17))
    )
    admin.create(CREATE)
    admin.create(CREATE)

    assert (admin.calls, admin.points) == (2, 34)


@pytest.mark.parametrize(
    "cost", [None, {}, {"throttleStatus": {"restoreRate": 0}}, {"throttleStatus": "full"}]
)
def test_an_answer_without_a_readable_cost_is_no_trouble(cost: object) -> None:
    admin = an_admin(lambda _: says({"fileCreate": {"files": [], "userErrors": []}}, cost=cost))
    admin.create(CREATE)
    admin.create(CREATE)

    assert admin.points == 0


# --- uploads ---------------------------------------------------------------------------


def test_an_upload_sends_the_parameters_in_order_and_the_file_last() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        sent.append(request)
        return httpx.Response(201)

    an_admin(answer).upload(TARGET, b"PNG", "image/png")

    body = sent[0].content
    assert body.index(b'name="key"') < body.index(b'name="policy"') < body.index(b'name="file"')
    assert b'filename="a.png"' in body
    assert "x-shopify-access-token" not in sent[0].headers


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://{shop}", "http://storage.example/"),
        ("https://{shop}", "file:///etc/passwd"),
        ("http://127.0.0.1:8790/{shop}", "http://127.0.0.1:9999/"),
        ("http://127.0.0.1:8790/{shop}", "http://storage.example/"),
        # What is no address at all.
        ("https://{shop}", "https://[storage.example/"),
        ("https://{shop}", "https://storage.example:99999/"),
        ("https://{shop}", "https://" + "a" * 70_000),
        ("https://{shop}", "https://storage\n.example/"),
        ("https://{shop}", "https:///"),
        ("https://{shop}", "https://xn--a/"),
    ],
)
def test_bytes_go_to_https_only_or_to_the_laptops_own_simulator(base: str, url: str) -> None:
    admin = an_admin(lambda _: pytest.fail("it was called"), base=base)
    target = StagedTarget(filename="a.png", url=url, resource_url=url, parameters=())

    with pytest.raises(ShopRefusedError) as refused:
        admin.upload(target, b"PNG", "image/png")
    assert refused.value.code == "upload_address_refused"


def test_the_laptops_own_simulator_may_be_plain_http() -> None:
    admin = an_admin(lambda _: httpx.Response(201), base="http://127.0.0.1:8790/{shop}")
    url = "http://127.0.0.1:8790/staged/"
    admin.upload(
        StagedTarget(filename="a.png", url=url, resource_url=url, parameters=()), b"x", "image/png"
    )


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda _: httpx.Response(403), ShopRefusedError),
        (lambda _: httpx.Response(307, headers={"location": "https://x"}), ShopRefusedError),
        (lambda _: httpx.Response(503), ShopBusyError),
        (lambda _: httpx.Response(429), ShopBusyError),
        (raises(httpx.ReadTimeout), ShopBusyError),
        (raises(httpx.ConnectError), ShopBusyError),
    ],
)
def test_an_upload_that_fails_says_whether_it_may_heal(
    answer: Answer, error: type[Exception]
) -> None:
    with pytest.raises(error):
        an_admin(answer).upload(TARGET, b"PNG", "image/png")
