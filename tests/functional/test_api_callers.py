"""functions/api: who calls, and how a shop is installed by its first login."""

import base64
import json
from typing import Any

import pytest

from shared.domain.errors import ShopBusyError, ShopRefusedError, VersionConflictError
from shared.domain.ids import iso
from shared.domain.shop import Shop
from tests.api_world import ADMIN, CLIENT_ID, Reply, World, b64, digest, jwt, logged, world
from tests.builders import OTHER_SHOP, SHOP, a_job, later

__all__ = ["world"]

RETRY = "x-shopify-retry-invalid-session-request"


def login(world: World, token: str | None = None, path: str = "/api/jobs", **more: Any) -> Reply:
    return world.call("GET", path, key=token or world.id_token(), shop=None, **more)


def refused(reply: Reply) -> bool:
    return (reply.status, reply.code) == (401, "unauthorized")


# --- ID tokens -------------------------------------------------------------------------


def test_an_id_token_shows_the_jobs_of_its_own_shop(world: World) -> None:
    mine = world.has(a_job(shop=OTHER_SHOP), a_job())
    reply = login(world)
    assert reply.status == 200
    assert [job["id"] for job in reply.json["jobs"]] == [mine.job_id]


@pytest.mark.parametrize(
    "claims",
    [
        *({name: None} for name in ("exp", "nbf", "aud", "dest", "sub", "iss")),
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": 10**400},
        {"nbf": []},
        {"aud": [CLIENT_ID]},
        {"aud": "another-app"},
        {"sub": 42},
        {"sub": ""},
        {"dest": SHOP},
        {"dest": f"http://{SHOP}", "iss": f"http://{SHOP}/admin"},
        {"dest": f"https://{SHOP}:443"},
        {"dest": f"https://x@{SHOP}"},
        {"dest": f"https://{SHOP}.evil.example", "iss": f"https://{SHOP}.evil.example"},
        {"dest": "https://[", "iss": "https://["},
        {"dest": f"https://{SHOP.upper()}"},
        {"iss": f"https://{OTHER_SHOP}/admin"},
        {"iss": 7},
    ],
)
def test_a_token_with_a_claim_missing_or_wrong_is_refused(
    world: World, claims: dict[str, Any]
) -> None:
    reply = login(world, world.id_token(**claims))
    assert refused(reply)
    assert reply.headers[RETRY] == "1"


@pytest.mark.parametrize(
    ("seconds", "is_good"), [(-11, False), (-10, True), (0, True), (69.9, True), (70, False)]
)
def test_ten_seconds_of_leeway_and_no_more(world: World, seconds: float, is_good: bool) -> None:
    token = world.id_token()
    world.clock.advance(seconds)
    assert login(world, token).status == (200 if is_good else 401)


@pytest.mark.parametrize(
    ("secret", "header", "method"),
    [
        ("wrong-secret", None, "sha256"),
        ("client-secret", {"alg": "HS512"}, "sha512"),
        ("client-secret", {"alg": "none"}, "sha256"),
        ("client-secret", {"alg": "HS256", "crit": ["x"]}, "sha256"),
        ("client-secret", {"alg": ["HS256"]}, "sha256"),
        ("client-secret", {}, "sha256"),
        ("client-secret", [], "sha256"),
    ],
)
def test_only_hs256_with_our_secret_is_believed(
    world: World, secret: str, header: Any, method: str
) -> None:
    claims = json.loads(_decoded(world.id_token()))
    assert refused(login(world, jwt(claims, secret, header, method)))


def test_a_token_without_a_signature_is_refused(world: World) -> None:
    head, claims, _ = world.id_token().split(".")
    for text in (f"{head}.{claims}.", f"eyJ.{claims}.x", "eyJ..", f"{head}.{b64(b'[]')}.x"):
        assert refused(login(world, text))


def _decoded(token: str) -> bytes:
    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_the_old_secret_is_good_while_it_is_being_replaced(world: World) -> None:
    world.secrets.values["shopify", "SHOPIFY_API_SECRET"] = "new-secret,client-secret"
    assert login(world).status == 200


def test_a_secret_that_was_just_rotated_is_read_again_once(world: World) -> None:
    world.secrets.values["shopify", "SHOPIFY_API_SECRET"] = "old-secret"
    world.secrets.newer["shopify", "SHOPIFY_API_SECRET"] = "client-secret"
    assert login(world).status == 200
    assert world.secrets.refreshes == 1


def test_a_login_cannot_act_for_another_shop(world: World) -> None:
    reply = login(world, query={"shop": OTHER_SHOP})
    assert (reply.status, reply.code) == (403, "forbidden")
    assert login(world, query={"shop": SHOP}).status == 200


# --- administrators --------------------------------------------------------------------


@pytest.mark.parametrize("key", ["admin-key-1", "admin-key-2"])
def test_every_administrators_key_is_good(world: World, key: str) -> None:
    assert world.get("/api/jobs", key=key).status == 200


def test_the_shop_may_be_named_in_the_query_too(world: World) -> None:
    job = world.has(a_job())
    reply = world.get(f"/api/jobs/{job.job_id}", shop=None, query={"shop": SHOP})
    assert reply.status == 200


def test_an_administrator_must_name_a_shop(world: World) -> None:
    reply = world.get("/api/jobs", shop=None)
    assert (reply.status, reply.json["details"][0]["field"]) == (400, "shop")


@pytest.mark.parametrize("shop", ["evil.example", f"{SHOP}/x", "A.myshopify.com", "ü"])
def test_what_is_not_a_shop_is_refused(world: World, shop: str) -> None:
    assert world.get("/api/jobs", shop=shop).status == 400


def test_header_and_query_must_not_name_two_shops(world: World) -> None:
    assert world.get("/api/jobs", query={"shop": OTHER_SHOP}).status == 400


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "admin-key-1",
        "Bearer admin-key-3",
        "Bearer admin-key-1,admin-key-2",
        "Bearer \udcff",
        "Bearer " + "x" * 9000,
    ],
)
def test_nobody_else_is_let_in(world: World, authorization: str) -> None:
    reply = world.get("/api/jobs", key=None, headers={"authorization": authorization})
    assert refused(reply)
    assert RETRY not in reply.headers


def test_without_keys_nobody_is_an_administrator(world: World) -> None:
    world.secrets.values["admin", "ADMIN_API_KEYS"] = ""
    assert refused(world.get("/api/jobs"))


@pytest.mark.promise("hostile", "no secret and no body in any log")
def test_a_key_is_never_logged_but_by_its_fingerprint(
    world: World, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    world.get("/api/jobs")
    world.get("/api/jobs", key="admin-key-wrong")
    login(world, token := world.id_token())
    written = capsys.readouterr().out + logged(caplog)
    assert "admin-key" not in written
    assert token not in written
    assert f"'actor': 'admin:{digest(ADMIN)[:8]}'" in written


@pytest.mark.promise("silence", "what the alarms watch, as functions tell it")
@pytest.mark.parametrize("key", ["admin-key-1", None])
def test_a_secret_that_cannot_be_read_is_our_fault(
    world: World, key: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    token = key or world.id_token()
    world.secrets.broken = True
    reply = world.get("/api/jobs", key=token)
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "5")
    assert "SecretUnavailable" in capsys.readouterr().out


def test_a_login_where_the_apps_secret_is_not_set_is_our_fault(world: World) -> None:
    world.secrets.values["shopify", "SHOPIFY_API_SECRET"] = ""
    assert login(world).status == 503


# --- installing ------------------------------------------------------------------------


def test_the_first_login_installs_the_shop_and_resumes_its_pushes(world: World) -> None:
    token = world.id_token()
    assert login(world, token).status == 200
    shop = world.shops.get_shop(SHOP)
    assert shop is not None
    assert (shop.token, shop.refresh_token) == ("sealed(shpat_1)", "sealed(shprt_1)")
    assert (shop.token_expires_at, shop.refresh_expires_at) == (later(3600), later(90 * 86_400))
    assert (shop.installed_at, shop.scopes) == (later(0), "read_products,write_products")
    assert shop.exchange_until is None
    assert world.tokens.exchanged == [(SHOP, token)]
    (job,) = login(world, token, query={"type": "bulk.resume"}).json["jobs"]
    assert (job["status"], job["scheduledAt"]) == ("pending", iso(later(30)))
    assert login(world, token).json["jobs"] == []


def test_a_known_shop_is_not_even_read_again_for_a_minute(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    login(world)
    reads: list[str] = []
    read = world.shops.get_shop

    def counted(shop: str) -> Shop | None:
        reads.append(shop)
        return read(shop)

    monkeypatch.setattr(world.shops, "get_shop", counted)
    world.clock.advance(59)
    login(world)
    assert reads == []
    world.clock.advance(2)
    login(world)
    assert (reads, len(world.tokens.exchanged)) == ([SHOP], 1)


def test_of_two_first_logins_at_once_one_exchanges_and_the_other_does_not_wait(
    world: World,
) -> None:
    others: list[Reply] = []
    world.tokens.during = lambda: others.append(login(world))
    assert login(world).status == 200
    assert [reply.status for reply in others] == [200]
    assert len(world.tokens.exchanged) == 1


def test_who_loses_the_claim_goes_on_without_a_token(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(before: Shop | None, after: Shop) -> Shop:
        raise VersionConflictError("somebody was faster")

    monkeypatch.setattr(world.shops, "save_shop", lose)
    assert login(world).status == 200
    assert world.tokens.exchanged == []


@pytest.mark.parametrize(
    "error",
    [
        ShopBusyError("Shopify is out."),
        ShopRefusedError("no", code="invalid_subject_token"),
        ShopRefusedError("no", code="invalid_client"),
    ],
)
def test_a_failed_exchange_does_not_fail_the_callers_request(
    world: World,
    error: Any,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    world.tokens.error = error
    assert login(world).status == 200
    assert "ShopInstallFailed" in capsys.readouterr().out
    assert error.code in logged(caplog)
    login(world)
    assert len(world.tokens.exchanged) == 1  # nobody hammers Shopify
    world.tokens.error = None
    world.clock.advance(31)
    login(world)
    shop = world.shops.get_shop(SHOP)
    assert shop is not None
    assert shop.token == "sealed(shpat_2)"


@pytest.mark.parametrize(
    "changes",
    [
        {"token_dead": True},
        {"token": None},
        {"token_expires_at": later(-1), "refresh_token": None},
        {"token_expires_at": later(-1), "refresh_expires_at": later(0)},
    ],
)
def test_a_token_that_is_dead_or_gone_is_exchanged_anew_and_settings_stay(
    world: World, changes: dict[str, Any]
) -> None:
    values: dict[str, Any] = {
        "token": "sealed(old)",
        "refresh_token": "sealed(r)",
        "installed_at": later(-100),
        "auto_push": True,
    }
    world.shops.save_shop(None, Shop(shop=SHOP, **values | changes))
    login(world)
    shop = world.shops.get_shop(SHOP)
    assert shop is not None
    assert (shop.token, shop.token_dead, shop.auto_push) == ("sealed(shpat_1)", False, True)
    assert shop.installed_at == later(-100)


def test_a_token_that_can_be_refreshed_is_left_to_those_who_use_it(world: World) -> None:
    world.shops.save_shop(
        None,
        Shop(
            shop=SHOP,
            token="sealed(old)",
            token_expires_at=later(-1),
            refresh_token="sealed(r)",
            refresh_expires_at=later(1),
        ),
    )
    login(world)
    assert world.tokens.exchanged == []


def test_a_setting_changed_during_the_exchange_is_not_lost(world: World) -> None:
    def change() -> None:
        shop = world.shops.get_shop(SHOP)
        assert shop is not None
        world.shops.save_shop(shop, Shop(shop=SHOP, auto_push=True))

    world.tokens.during = change
    login(world)
    shop = world.shops.get_shop(SHOP)
    assert shop is not None
    assert (shop.token, shop.auto_push) == ("sealed(shpat_1)", True)


def test_a_login_installs_while_the_queues_are_out(world: World) -> None:
    world.outbox.broken = True
    assert login(world).status == 200
    assert len(world.tokens.exchanged) == 1


def test_an_app_of_one_merchant_has_its_token_already(world: World) -> None:
    world.secrets.values["shopify", "SHOPIFY_ACCESS_TOKEN"] = "shpat_given"
    assert login(world).status == 200
    assert world.tokens.exchanged == []


def test_administrators_install_nothing(world: World) -> None:
    world.get("/api/jobs")
    assert world.shops.get_shop(SHOP) is None
