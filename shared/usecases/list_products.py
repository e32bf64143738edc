"""Show a shop's products, to choose photos from."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.cursors import make_cursor, read_cursor
from shared.domain.errors import (
    ConflictError,
    InvalidRequestError,
    JobTrackerError,
    ShopBusyError,
    ShopRefusedError,
)
from shared.domain.job import TOKEN_DEAD
from shared.domain.push_errors import CATALOGUE_SENTENCES
from shared.usecases.ports import INVALID_CURSOR, CatalogueProduct, ProductPage, ShopAdmins
from shared.usecases.shop_access import ShopAccess

_WORD = re.compile(r"[^\W_]+")
MAX_WORDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Storefront:
    """What is needed to look into shops."""

    access: ShopAccess
    admins: ShopAdmins


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductList:
    """A page of products, by title."""

    products: tuple[CatalogueProduct, ...]
    next_cursor: str | None


def list_products(
    storefront: Storefront,
    shop: str,
    text: str | None,
    *,
    limit: int,
    cursor: str | None,
    cursor_secrets: Sequence[str],
) -> ProductList:
    """Return a page of at most 50 products; the end is `next_cursor` None.

    Parameters
        text: words that begin like these must be in a product (Shopify searches titles and more).

    Raises ConflictError with the code of what is wrong with the shop (`shop_not_installed`,
    `token_dead`, …); ShopBusyError (throttled, out: try again); InvalidRequestError for a cursor
    of another shop or search, or one that Shopify no longer knows.
    """
    scope = "products\n" + json.dumps([shop, text])
    position = read_cursor(scope, cursor, cursor_secrets) if cursor is not None else None
    search = None if text is None else search_words(text)
    if search == "":
        return ProductList(products=(), next_cursor=None)  # nothing that could be found
    try:
        page = _read(storefront, shop, search, limit, position)
    except ShopRefusedError as error:
        raise _refusal(error) from error
    more = make_cursor(scope, page.position, cursor_secrets) if page.position else None
    return ProductList(products=page.products, next_cursor=more)


def search_words(text: str) -> str:
    """Write what somebody typed as words of Shopify's search, without its operators.

    >>> search_words("Blue mu"), search_words('status:DRAFT OR "t-shirt"'), search_words("!?")
    ('blue* mu*', 'status* draft* or* t* shirt*', '')
    """
    return " ".join(f"{word.lower()}*" for word in _WORD.findall(text)[:MAX_WORDS])


def _read(
    storefront: Storefront, shop: str, search: str | None, limit: int, position: str | None
) -> ProductPage:
    access = storefront.access.token(shop)
    admin = storefront.admins.open(shop, access.token)
    try:
        return admin.list_products(search, first=limit, after=position)
    except ShopRefusedError as error:
        if error.code == TOKEN_DEAD:
            # Unless somebody has just stored another one: then the caller tries again.
            storefront.access.refuse(shop, access)
        raise


def _refusal(error: ShopRefusedError) -> JobTrackerError:
    if error.code == INVALID_CURSOR:
        return InvalidRequestError(
            "Shopify no longer knows this page. Start again without the cursor.",
            details=[{"field": "cursor", "message": "is no longer known"}],
        )
    if error.code in CATALOGUE_SENTENCES:
        return ConflictError(CATALOGUE_SENTENCES[error.code], code=error.code)
    return ShopBusyError(error.message)
