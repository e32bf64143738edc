"""Products: reading them with their media, productUpdate, reordering, variant images."""

import secrets
from typing import Any

from graphql import GraphQLError

from .checks import present
from .connections import connection
from .execution import Call, resolver
from .files import (
    ALT_TOO_LONG,
    MAX_ALT,
    UserError,
    check_input_size,
    create_file,
    injected_error,
    is_http_url,
    product_of,
)
from .search import matches
from .state import PRODUCT_MEDIA_LIMIT, Media, Product, ReorderJob, Variant, gid_number
from .views import media_view, product_view, shop_view, variant_view

MAX_VARIANT_MEDIA_PAIRS = 100

# --- reading ------------------------------------------------------------------------------------


@resolver("QueryRoot", "product")
def product(_: Any, call: Call, id_: str) -> dict[str, Any] | None:
    """One product, null if there is none."""
    found = product_of(call, id_)
    return None if found is None else product_view(found)


@resolver("QueryRoot", "products")
def products(
    _: Any, call: Call, query: str | None = None, sort_key: str = "ID", **page: Any
) -> dict[str, Any]:
    """The catalogue, by id or title."""
    keys: dict[str, Any] = {
        "ID": lambda p: p.number,
        "TITLE": lambda p: (p.title.lower(), p.number),
        "CREATED_AT": lambda p: (p.created_at, p.number),
        "UPDATED_AT": lambda p: (p.updated_at, p.number),
    }
    if sort_key not in keys or page.pop("saved_search_id", None):
        raise GraphQLError(
            f"The simulator does not sort products by {sort_key} nor use saved searches.",
            extensions={"code": "NOT_SIMULATED"},
        )
    found = [p for p in call.shop.products.values() if _fits(p, query)]
    return connection(
        [(str(p.number), product_view(p)) for p in sorted(found, key=keys[sort_key])], **page
    )


@resolver("QueryRoot", "productsCount")
def products_count(_: Any, call: Call, query: str | None = None, **__: Any) -> dict[str, Any]:
    """How many products fit a query."""
    count = sum(_fits(p, query) for p in call.shop.products.values())
    return {"count": count, "precision": "EXACT"}


def _fits(product: Product, query: str | None) -> bool:
    words = product.title.lower().split()
    return matches(
        query,
        {
            "": lambda fits: any(fits(word) for word in words) or fits(product.title),
            "title": lambda fits: fits(product.title) or any(fits(word) for word in words),
            "id": lambda fits: fits(str(product.number)),
            "handle": lambda fits: fits(product.handle),
            "status": lambda fits: fits(product.status),
            "vendor": lambda fits: fits(product.vendor),
            "product_type": lambda fits: fits(product.product_type),
            "tag": lambda fits: any(fits(tag) for tag in product.tags),
        },
    )


@resolver("QueryRoot", "node")
def node(_: Any, call: Call, id_: str) -> dict[str, Any] | None:
    """Any object by id: MediaImage, Product, ProductVariant, Shop; null for others."""
    if not id_.startswith("gid://"):
        raise GraphQLError(
            f"Invalid global id '{id_}'", extensions={"code": "INVALID_FIELD_ARGUMENTS"}
        )
    media_number = gid_number(id_, "MediaImage")
    if media_number is not None:
        media = call.shop.media.get(media_number)
        return None if media is None else media_view(media, call.shop, call.base_url)
    if id_ == call.shop.gid:
        return shop_view(call.shop)
    variant_number = gid_number(id_, "ProductVariant")
    if variant_number is not None:
        return _variant_node(call, variant_number)
    found = product_of(call, id_)
    return None if found is None else product_view(found)


@resolver("QueryRoot", "nodes")
def nodes(_: Any, call: Call, ids: list[str]) -> list[dict[str, Any] | None]:
    """Objects in the order of their ids, null where there is none."""
    check_input_size(len(ids), "nodes", "ids")
    return [node(None, call, gid) for gid in ids]


def _variant_node(call: Call, number: int) -> dict[str, Any] | None:
    for held in call.shop.products.values():
        for variant in held.variants:
            if variant.number == number:
                return variant_view(variant, held)
    return None


@resolver("QueryRoot", "shop")
def shop(_: Any, call: Call) -> dict[str, Any]:
    """The shop itself."""
    return shop_view(call.shop)


@resolver("QueryRoot", "job")
def job(_: Any, call: Call, id_: str) -> dict[str, Any] | None:
    """A running or finished job."""
    found = call.shop.jobs.get(id_)
    return None if found is None else {"id": found.gid, "done": found.done}


@resolver("QueryRoot", "currentAppInstallation")
def current_app_installation(_: Any, call: Call) -> dict[str, Any]:
    """The app's installation with the scopes its token holds."""
    return {
        "id": f"gid://shopify/AppInstallation/{call.shop.number}",
        "accessScopes": [
            {"handle": scope, "description": scope.replace("_", " ").capitalize()}
            for scope in sorted(call.token.scopes)
        ],
    }


@resolver("Product", "media")
def product_media(
    source: dict[str, Any],
    call: Call,
    query: str | None = None,
    sort_key: str = "POSITION",
    **page: Any,
) -> dict[str, Any]:
    """A product's media by position (or id); ``query`` knows id and media_type."""
    numbers = [n for n in source["_product"].media if _media_fits(n, query)]
    if sort_key == "ID":
        numbers.sort()
    return connection([_media_entry(call, n) for n in numbers], **page)


def _media_fits(number: int, query: str | None) -> bool:
    return matches(
        query,
        {
            "id": lambda fits: fits(str(number)) or fits(f"gid://shopify/MediaImage/{number}"),
            "media_type": lambda fits: fits("IMAGE"),
        },
    )


def _media_entry(call: Call, number: int) -> tuple[str, dict[str, Any]]:
    return str(number), media_view(call.shop.media[number], call.shop, call.base_url)


@resolver("Product", "mediaCount")
def product_media_count(source: dict[str, Any], _: Call) -> dict[str, Any]:
    """How many media the product has."""
    return {"count": len(source["_product"].media), "precision": "EXACT"}


@resolver("Product", "featuredMedia")
def product_featured_media(source: dict[str, Any], call: Call) -> dict[str, Any] | None:
    """The first media."""
    held = source["_product"].media
    return _media_entry(call, held[0])[1] if held else None


@resolver("Product", "featuredImage")
def product_featured_image(source: dict[str, Any], call: Call) -> dict[str, Any] | None:
    """The first media's image (deprecated field)."""
    media = product_featured_media(source, call)
    return None if media is None else media["image"]


@resolver("Product", "variants")
def product_variants(source: dict[str, Any], _: Call, **page: Any) -> dict[str, Any]:
    """The product's variants by position."""
    page.pop("sort_key", None)
    held = source["_product"]
    return connection([(str(v.number), variant_view(v, held)) for v in held.variants], **page)


@resolver("Product", "variantsCount")
def product_variants_count(source: dict[str, Any], _: Call) -> dict[str, Any]:
    """How many variants the product has."""
    return {"count": len(source["_product"].variants), "precision": "EXACT"}


@resolver("ProductVariant", "media")
def variant_media(source: dict[str, Any], call: Call, **page: Any) -> dict[str, Any]:
    """The variant's image, at most one."""
    number = source["_variant"].media
    return connection([] if number is None else [_media_entry(call, number)], **page)


@resolver("ProductVariant", "image")
def variant_image(source: dict[str, Any], call: Call) -> dict[str, Any] | None:
    """The variant's image."""
    number = source["_variant"].media
    if number is None:
        return None
    image: dict[str, Any] | None = _media_entry(call, number)[1]["image"]
    return image


@resolver("ProductVariant", "product")
def variant_product(source: dict[str, Any], _: Call) -> dict[str, Any]:
    """The variant's product."""
    return product_view(source["_product"])


# --- changing -----------------------------------------------------------------------------------

_TEXT_FIELDS = {
    "title": "title",
    "handle": "handle",
    "descriptionHtml": "description_html",
    "status": "status",
    "vendor": "vendor",
    "productType": "product_type",
    "tags": "tags",
}


@resolver("Mutation", "productUpdate")
def product_update(
    _: Any,
    call: Call,
    product: dict[str, Any] | None = None,
    media: list[dict[str, Any]] | None = None,
    identifier: dict[str, Any] | None = None,
    input_: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Change a product and append media; one wrong medium refuses the whole mutation [L]."""
    changes = dict(product or input_ or {})
    gid = changes.pop("id", None) or (identifier or {}).get("id")
    # The schema's own defaults (false) ask for nothing.
    unknown = sorted(name for name in changes if name not in _TEXT_FIELDS and changes[name])
    if unknown or gid is None:
        raise GraphQLError(
            f"The simulator does not update {unknown[0] if unknown else 'without an id'}.",
            extensions={"code": "NOT_SIMULATED"},
        )
    found = product_of(call, gid)
    injected = injected_error(call, "productUpdate")
    if injected is not None:
        return {"product": None, "userErrors": [injected.view()]}
    if found is None:
        return {
            "product": None,
            "userErrors": [{"field": ["id"], "message": "Product does not exist"}],
        }
    errors = _media_refusals(call, found, gid, media or [])
    if errors:
        return {"product": None, "userErrors": errors}
    for name in changes.keys() & _TEXT_FIELDS.keys():
        setattr(found, _TEXT_FIELDS[name], changes[name])
    found.updated_at = call.now
    for given in media or ():
        created = create_file(call, {**given, "duplicateResolutionMode": "APPEND_UUID"})
        found.media.append(created.number)
    return {"product": product_view(found), "userErrors": []}


def _media_refusals(
    call: Call, found: Product, gid: str, media: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    errors = []
    for index, given in enumerate(media):
        at = ["media", str(index)]
        if given["mediaContentType"] != "IMAGE":
            raise GraphQLError(
                "The simulator knows images only.", extensions={"code": "NOT_SIMULATED"}
            )
        if not is_http_url(given["originalSource"]):
            errors.append({"field": [*at, "originalSource"], "message": "Image URL is invalid"})
        elif len(given.get("alt") or "") > MAX_ALT:
            errors.append({"field": [*at, "alt"], "message": ALT_TOO_LONG})
    if media and (
        len(found.media) + len(media) > PRODUCT_MEDIA_LIMIT
        or call.take_fault("media_limit", product_id=gid)
    ):
        message = f"Exceeded {PRODUCT_MEDIA_LIMIT} media limit per product"
        errors.append({"field": ["media"], "message": message})
    return errors


@resolver("Mutation", "productReorderMedia")
def product_reorder_media(
    _: Any, call: Call, id_: str, moves: list[dict[str, Any]]
) -> dict[str, Any]:
    """Queue the moves; the job does them later, unknown media give no error [L]."""
    injected = injected_error(call, "productReorderMedia")
    found = product_of(call, id_)
    if injected is None and found is None:
        injected = UserError(("id",), "Product does not exist", "PRODUCT_DOES_NOT_EXIST")
    if injected is not None or found is None:
        errors = [injected.view()] if injected else []
        return {"job": None, "mediaUserErrors": errors, "userErrors": errors}
    queued = ReorderJob(
        f"gid://shopify/Job/{secrets.token_hex(16)}",
        found.number,
        [(move["id"], move["newPosition"]) for move in moves],
        call.now + call.switches.reorder_after_s,
    )
    call.shop.jobs[queued.gid] = queued
    return {"job": {"id": queued.gid, "done": False}, "mediaUserErrors": [], "userErrors": []}


@resolver("Mutation", "productVariantAppendMedia")
def product_variant_append_media(
    _: Any, call: Call, product_id: str, variant_media: list[dict[str, Any]]
) -> dict[str, Any]:
    """Give variants their image: READY media of the product, variants without one [L]."""
    injected = injected_error(call, "productVariantAppendMedia")
    found = product_of(call, product_id)
    if injected is None and found is None:
        injected = UserError(("productId",), "Product does not exist", "PRODUCT_DOES_NOT_EXIST")
    if injected is not None or found is None:
        errors = [injected.view()] if injected else []
        return {"product": None, "productVariants": None, "userErrors": errors}
    refused = _append_refusals(call, found, variant_media)
    if refused:
        return {"product": None, "productVariants": None, "userErrors": refused}
    changed = []
    for pair in variant_media:
        variant = present(_variant_of(found, pair["variantId"]))
        variant.media = gid_number(pair["mediaIds"][0], "MediaImage")
        changed.append(variant_view(variant, found))
    return {"product": product_view(found), "productVariants": changed, "userErrors": []}


def _append_refusals(
    call: Call, found: Product, pairs: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    if len(pairs) > MAX_VARIANT_MEDIA_PAIRS:
        code = "MAXIMUM_VARIANT_MEDIA_PAIRS_EXCEEDED"
        return [UserError(("variantMedia",), "Too many pairs", code).view()]
    errors = []
    seen: set[str] = set()
    for index, pair in enumerate(pairs):
        refusal = _pair_refusal(call, found, pair, seen)
        seen.add(pair["variantId"])
        if refusal is not None:
            message = refusal.replace("_", " ").capitalize()
            errors.append(UserError(("variantMedia", str(index)), message, refusal).view())
    return errors


def _pair_refusal(call: Call, found: Product, pair: dict[str, Any], seen: set[str]) -> str | None:
    variant = _variant_of(found, pair["variantId"])
    if variant is None:
        return "PRODUCT_VARIANT_DOES_NOT_EXIST_ON_PRODUCT"
    if pair["variantId"] in seen:
        return "PRODUCT_VARIANT_SPECIFIED_MULTIPLE_TIMES"
    if len(pair["mediaIds"]) != 1:
        return "TOO_MANY_MEDIA_PER_INPUT_PAIR"
    media = _media(call, pair["mediaIds"][0])
    if media is None:
        return "MEDIA_DOES_NOT_EXIST"
    if media.number not in found.media:
        return "MEDIA_DOES_NOT_EXIST_ON_PRODUCT"
    if media.status != "READY":
        return "NON_READY_MEDIA"
    return "PRODUCT_VARIANT_ALREADY_HAS_MEDIA" if variant.media is not None else None


def _variant_of(found: Product, gid: str) -> Variant | None:
    number = gid_number(gid, "ProductVariant")
    return next((variant for variant in found.variants if variant.number == number), None)


def _media(call: Call, gid: str) -> Media | None:
    number = gid_number(gid, "MediaImage")
    return None if number is None else call.shop.media.get(number)
