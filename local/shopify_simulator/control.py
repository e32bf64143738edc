"""The simulator's own routes under ``/_simulator/``: change behaviour, look inside, play merchant.

| route | does |
| --- | --- |
| GET health | ``{ok, version}`` |
| GET, PUT config | read, change switches and faults (config.Config.update) |
| POST faults | add one fault |
| POST reset | forget everything, configuration included |
| GET calls (``?shop=``) | ``{calls, counts: {graphql, token, upload, refused}}`` |
| DELETE calls | forget them |
| POST id-token ``{shop}`` (+ claims to override) | ``{idToken}`` |
| PUT tokens ``{shop, state: live or dead, token?, scopes?}`` | one token, or all of the shop |
| POST webhooks ``{shop, topic}`` | signs and sends one (below) |
| POST products ``{shop, title, …}`` | create; a photo by ``imageUrl`` or ``imageBase64`` |
| GET shops, shops/{shop}/products, shops/{shop}/files | inspection |
| DELETE shops/{shop}/products/{n}, shops/{shop}/media/{n} | the merchant deletes |
| POST shops/{shop}/files ``{filename}`` | a stranger's file takes that name |

A webhook goes to the app's address (``--webhook-url``, or ``url``) and is answered with
``{status, answer, headers, body}``. ``body`` and ``headers`` override fields of what is sent
(null leaves one out); ``at`` is the instant of the trigger (epoch seconds); ``secret`` signs like
somebody else. Sending ``headers`` and ``body`` of an earlier answer is Shopify's next try.
``app/uninstalled`` also ends every token of the shop, as uninstalling does.
"""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from . import webhooks
from .config import ConfigError, parse_fault, to_json
from .files import create_stranger
from .images import MediaFailure, Picture, judge
from .messages import Request, Response
from .schema import API_VERSION
from .simulator_state import SimulatorState
from .sources import basename, process
from .state import Media, Product, Shop, Variant, with_uuid
from .tokens import SHOP_PATTERN, AccessToken, mint_id_token
from .views import cdn_url

_PRODUCT_KEYS = frozenset(
    {"shop", "title", "imageUrl", "imageBase64", "filename", "alt", "vendor", "status", "variants"}
)


class _RefusedError(Exception):
    """Answer 4xx with this sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Control:
    """Serves the routes in the table above."""

    def __init__(self, simulator: SimulatorState) -> None:
        self._simulator = simulator

    def handle(self, request: Request) -> Response:
        """Answer one control request; wrong input is a 400 with an ``error`` sentence."""
        parts = request.path.removeprefix("/_simulator/").strip("/").split("/")
        try:
            return self._route(request, parts)
        except _RefusedError as refused:
            return Response.of_json({"error": str(refused)}, refused.status)
        except (ConfigError, ValueError) as error:
            return Response.of_json({"error": str(error)}, 400)

    def _route(self, request: Request, parts: list[str]) -> Response:
        if parts[0] == "shops" and len(parts) > 1:
            return self._shop_route(request.method, self._shop(parts[1]), parts[2:], request)
        routes: dict[str, Callable[[Request], Response]] = {
            "GET health": lambda _: Response.of_json({"ok": True, "version": API_VERSION}),
            "GET config": lambda _: Response.of_json(to_json(self._simulator.config)),
            "PUT config": self._put_config,
            "POST faults": self._add_fault,
            "POST reset": self._reset,
            "GET calls": self._calls,
            "DELETE calls": self._forget_calls,
            "POST id-token": self._id_token,
            "PUT tokens": self._set_tokens,
            "POST webhooks": self._send_webhook,
            "POST products": self._create_product,
            "GET shops": lambda _: Response.of_json({"shops": sorted(self._simulator.world.shops)}),
        }
        route = routes.get(f"{request.method} {'/'.join(parts)}")
        if route is None:
            raise _RefusedError(404, "no such route")
        return route(request)

    def _put_config(self, request: Request) -> Response:
        self._simulator.config.update(request.json())
        return Response.of_json(to_json(self._simulator.config))

    def _add_fault(self, request: Request) -> Response:
        fault = parse_fault(request.json())
        self._simulator.config.add_fault(fault)
        return Response.of_json(to_json(fault), 201)

    def _reset(self, _: Request) -> Response:
        self._simulator.reset()
        return Response.of_json({"ok": True})

    def _forget_calls(self, _: Request) -> Response:
        self._simulator.calls.clear()
        return Response.of_json({"ok": True})

    def _shop_route(self, method: str, shop: Shop, rest: list[str], request: Request) -> Response:
        with shop.lock:
            shop.settle(self._simulator.clock())
            match (method, *rest):
                case ("GET", "products"):
                    held = [self._product_view(shop, p) for p in shop.products.values()]
                    return Response.of_json({"products": held})
                case ("GET", "files"):
                    media = [self._media_view(shop, m) for m in shop.media.values()]
                    return Response.of_json({"files": media})
                case ("POST", "files"):
                    merchant = AccessToken("", "merchant", frozenset())
                    call = self._simulator.call(shop, merchant)
                    stranger = create_stranger(call, str(_object(request)["filename"]))
                    return Response.of_json(self._media_view(shop, stranger), 201)
                case ("DELETE", "products", number) if number.isdigit():
                    if shop.products.pop(int(number), None) is None:
                        raise _RefusedError(404, "no such product")
                    return Response.of_json({"ok": True})
                case ("DELETE", "media", number) if number.isdigit():
                    if int(number) not in shop.media:
                        raise _RefusedError(404, "no such media")
                    shop.delete_media(int(number))
                    return Response.of_json({"ok": True})
        raise _RefusedError(404, "no such route")

    def _calls(self, request: Request) -> Response:
        domain = request.query.get("shop")
        shown = [c for c in list(self._simulator.calls) if domain is None or c.shop == domain]
        counts = {
            kind: sum(call.kind == kind for call in shown)
            for kind in ("graphql", "token", "upload", "refused")
        }
        return Response.of_json({"calls": [call.view() for call in shown], "counts": counts})

    def _id_token(self, request: Request) -> Response:
        body = _object(request)
        domain = _domain(body.pop("shop", None))
        office = self._simulator.tokens
        token = mint_id_token(
            domain, office.client_id, office.client_secret, self._simulator.clock(), **body
        )
        return Response.of_json({"idToken": token})

    def _set_tokens(self, request: Request) -> Response:
        body = _object(request)
        state, scopes = body.get("state"), body.get("scopes")
        if state not in ("live", "dead"):
            raise _RefusedError(400, "state must be live or dead")
        self._simulator.tokens.set_state(
            _domain(body.get("shop")),
            state,
            body.get("token"),
            None if scopes is None else frozenset(scopes),
        )
        return Response.of_json({"ok": True})

    def _send_webhook(self, request: Request) -> Response:
        told = _object(request)
        simulator, office = self._simulator, self._simulator.tokens
        domain, topic = _domain(told.get("shop")), told.get("topic")
        url = told.get("url") or simulator.webhook_url
        if not isinstance(topic, str) or not isinstance(url, str):
            raise _RefusedError(400, "topic and url must be texts")
        shop = simulator.world.shop(domain)
        at = float(told.get("at", simulator.clock()))
        said = webhooks.body_of(topic, shop, at, office.scopes) | told.get("body", {})
        body = webhooks.encode({k: v for k, v in said.items() if v is not None})
        signature = webhooks.sign(told.get("secret", office.client_secret), body)
        headers = webhooks.headers_of(topic, shop, at, signature) | told.get("headers", {})
        headers = {name: value for name, value in headers.items() if value is not None}
        if topic == "app/uninstalled":
            office.set_state(domain, "dead")
        answer = simulator.deliver(url, headers, body)
        shown = {"status": answer.status, "answer": answer.body, "headers": headers}
        return Response.of_json(shown | {"body": said})

    def _create_product(self, request: Request) -> Response:
        body = _object(request)
        unknown = sorted(body.keys() - _PRODUCT_KEYS)
        if unknown or not isinstance(body.get("title"), str):
            raise _RefusedError(
                400, f"unknown field {unknown[0]!r}" if unknown else "title is missing"
            )
        simulator = self._simulator
        shop = simulator.world.shop(_domain(body.get("shop")))
        picture = self._photo(body)
        with shop.lock:
            now = simulator.clock()
            number = next(simulator.world.product_numbers)
            handle = re.sub(r"[^a-z0-9]+", "-", body["title"].lower()).strip("-")
            product = Product(number, body["title"], handle, now, now)
            product.vendor = body.get("vendor", "")
            product.status = body.get("status", "ACTIVE")
            for title in body.get("variants") or ["Default Title"]:
                product.variants.append(
                    Variant(number * 1000 + len(product.variants) + 1, str(title))
                )
            shop.products[number] = product
            if picture is not None:
                media = self._add_photo(shop, picture, body, handle, now)
                product.media.append(media.number)
            return Response.of_json({"product": self._product_view(shop, product)}, 201)

    def _photo(self, body: dict[str, Any]) -> Picture | None:
        simulator = self._simulator
        if body.get("imageBase64") is not None:
            try:
                outcome = judge(base64.b64decode(body["imageBase64"], validate=True))
            except binascii.Error as error:
                raise _RefusedError(400, "imageBase64 is not base64") from error
        elif body.get("imageUrl") is not None:
            outcome = process(
                simulator.world, simulator.base_url, body["imageUrl"], simulator.fetch
            )
        else:
            return None
        if isinstance(outcome, MediaFailure):
            raise _RefusedError(400, f"the photo cannot be used: {outcome.code}")
        return outcome

    def _add_photo(
        self, shop: Shop, picture: Picture, body: dict[str, Any], handle: str, now: float
    ) -> Media:
        extension = picture.media_type.rpartition("/")[2].replace("jpeg", "jpg")
        filename = body.get("filename") or (
            basename(body["imageUrl"]) if body.get("imageUrl") else f"{handle}.{extension}"
        )
        if filename in shop.names:
            filename = with_uuid(filename)
        number = next(self._simulator.world.media_numbers)
        media = Media(
            number,
            filename,
            body.get("alt") or body["title"],
            now,
            now,
            now,
            now,
            picture,
            body.get("imageUrl") or "",
        )
        media.settle(now)
        shop.media[number] = media
        shop.names[filename] = number
        return media

    def _shop(self, domain: str) -> Shop:
        shop = self._simulator.world.shops.get(domain)
        if shop is None:
            raise _RefusedError(404, f"no shop {domain}")
        return shop

    def _product_view(self, shop: Shop, product: Product) -> dict[str, Any]:
        media = [self._media_view(shop, shop.media[n]) for n in product.media if n in shop.media]
        return {
            "id": product.gid,
            "number": product.number,
            "title": product.title,
            "imageUrl": media[0]["url"] if media else None,
            "media": media,
            "variants": [
                {"id": v.gid, "title": v.title, "mediaId": _media_gid(v.media)}
                for v in product.variants
            ],
        }

    def _media_view(self, shop: Shop, media: Media) -> dict[str, Any]:
        url = None
        if media.picture is not None:
            url = cdn_url(self._simulator.base_url, shop.domain, media)
        return {
            "id": media.gid,
            "number": media.number,
            "filename": media.filename,
            "url": url,
            "alt": media.alt,
            "status": media.status,
            "error": media.failure.code if media.failure else None,
            "productIds": [p.gid for p in shop.products.values() if media.number in p.media],
        }


def _media_gid(number: int | None) -> str | None:
    return None if number is None else f"gid://shopify/MediaImage/{number}"


def _object(request: Request) -> dict[str, Any]:
    body = request.json()
    if not isinstance(body, dict):
        raise _RefusedError(400, "the body must be an object")
    return body


def _domain(value: object) -> str:
    if not isinstance(value, str) or not SHOP_PATTERN.match(value):
        raise _RefusedError(400, "shop must be a *.myshopify.com domain")
    return value
