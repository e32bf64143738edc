"""Who visits, and the headers that keep the page to itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qs

from shared.domain.ids import is_shop

APP_BRIDGE = "https://cdn.shopify.com/shopifycloud/app-bridge.js"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request, as far as the answer depends on it.

    shop: the store in whose admin the page is shown, or None. language: as Shopify's admin
    names it. is_plain_http: only on a laptop; API Gateway has no plain http.
    """

    shop: str | None
    language: str
    takes_gzip: bool
    is_plain_http: bool
    known_tags: str

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Self:
        """Read API Gateway's event. Nothing in it can make this fail."""
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        query = parse_qs(event.get("rawQueryString") or "", errors="replace")
        shop = query.get("shop", [""])[0]
        # Shopify's admin names the store and itself (`host`); a person's bookmark does not.
        is_embedded = is_shop(shop) and "host" in query
        return cls(
            shop=shop if is_embedded else None,
            language=query.get("locale", [""])[0][:2].lower(),
            takes_gzip=_takes_gzip(headers.get("accept-encoding", "")),
            is_plain_http=headers.get("x-forwarded-proto") == "http",
            known_tags=headers.get("if-none-match", ""),
        )

    @property
    def is_embedded(self) -> bool:
        """Whether the page is shown in Shopify's admin."""
        return self.shop is not None

    def has_tag(self, tag: str) -> bool:
        """Compare weakly, as If-None-Match wants it (RFC 9110 section 13.1.2)."""
        tags = [part.strip().removeprefix("W/") for part in self.known_tags.split(",")]
        return "*" in tags or tag in tags


def headers_of(visit: Visit, script_hash: str) -> dict[str, str]:
    """Return the headers of every answer.

    Parameters
        script_hash: the source expression of the script that lies in the page itself.

    Source: the Content Security Policy and Trusted Types specifications; Shopify, "Set up
    iframe protection", read 2026-11-26: only the store and the admin may show the page.
    """
    return {
        "content-security-policy": _policy(visit, script_hash),
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
        "cross-origin-resource-policy": "same-origin",
        **({} if visit.is_plain_http else {"strict-transport-security": "max-age=31536000"}),
        **({} if visit.is_embedded else {"x-frame-options": "DENY"}),
    }


def _policy(visit: Visit, script_hash: str) -> str:
    directives = {
        "default-src": "'none'",
        "script-src": f"'self' {script_hash}",
        "style-src": "'self'",
        # Results are in the bucket (presigned), originals wherever the shop has them.
        "img-src": "'self' data: https:" + (" http:" if visit.is_plain_http else ""),
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        # No string becomes markup, whatever a payload holds: the browser refuses it.
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    if visit.is_embedded:
        directives["script-src"] += f" {APP_BRIDGE}"
        directives["frame-ancestors"] = f"https://{visit.shop} https://admin.shopify.com"
        # App Bridge is Shopify's, and not written for this.
        del directives["require-trusted-types-for"], directives["trusted-types"]
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def _takes_gzip(header: str) -> bool:
    """Tell whether a client takes gzip (RFC 9110 section 12.5.3)."""
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return not re.fullmatch(r"\s*q=0(\.0{0,3})?\s*", weight)
    return False
