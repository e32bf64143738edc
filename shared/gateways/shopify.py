"""Shopify's Admin API over GraphQL, one shop at a time.

The documents lie in graphql/*.graphql; tests validate each against Shopify's own schema.
Answers are matched with what was asked by name or id, never by position.

Sources: facts of Shopify's Admin API, version 2026-10 (shopify.dev "API limits", "Response
status and error codes", read 2026-10; recorded answers of a development store, 2026).
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

import httpx

from shared.domain.errors import (
    InvariantError,
    ShopBusyError,
    ShopRefusedError,
    ShopUnknownOutcomeError,
)
from shared.domain.job import TOKEN_DEAD
from shared.domain.push_errors import (
    MISSING_SCOPE,
    PUSH_SENTENCES,
    SHOP_FROZEN,
    SHOP_GONE,
    SHOP_INACTIVE,
    SHOP_LOCKED,
    SHOP_SENTENCES,
    UPLOAD_ADDRESS,
)
from shared.gateways.guarded_network import ForbiddenAddressError, read_place
from shared.gateways.shopify_http import NOT_SENT, busy, shop_address
from shared.usecases.ports import (
    INVALID_CURSOR,
    CatalogueImage,
    CatalogueProduct,
    Clock,
    FileChange,
    FileRefusal,
    FilesAnswer,
    FileToCreate,
    FileToStage,
    MediaFile,
    ProductMedia,
    ProductOutline,
    ProductPage,
    ShopLook,
    StagedAnswer,
    StagedTarget,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Document:
    """One GraphQL document. cost: what it asked for when last recorded, in points."""

    name: str
    text: str
    is_mutation: bool
    cost: float


def _load(name: str, cost: float) -> Document:
    text = (Path(__file__).parent / "graphql" / f"{name}.graphql").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    short = "\n".join(line.strip() for line in lines)
    return Document(name, short, short.startswith("mutation"), cost)


# Read at import, that is in Lambda's init: the first invocation opens no file.
OUTLINE_PRODUCTS = _load("outline_products", 2)
LIST_PRODUCTS = _load("list_products", 86)
STAGE_FILES = _load("stage_files", 11)
CREATE_FILES = _load("create_files", 20)
LOOK = _load("look", 20)
FIND_FILE = _load("find_file", 60)
UPDATE_FILES = _load("update_files", 10)
DELETE_FILES = _load("delete_files", 10)
DOCUMENTS = (
    OUTLINE_PRODUCTS,
    LIST_PRODUCTS,
    STAGE_FILES,
    CREATE_FILES,
    LOOK,
    FIND_FILE,
    UPDATE_FILES,
    DELETE_FILES,
)

_STATUS_CODES = {
    401: TOKEN_DEAD,
    402: SHOP_FROZEN,
    403: MISSING_SCOPE,
    404: SHOP_GONE,
    423: SHOP_LOCKED,
}
_ERROR_CODES = {"ACCESS_DENIED": MISSING_SCOPE, "SHOP_INACTIVE": SHOP_INACTIVE}
_NO_SUCH_FILE = "FILE_DOES_NOT_EXIST"
_SECURITY_REJECTION = 430
_SECURITY_WAIT_S = 60.0
# On top of a computed wait: two clocks round differently, and one more throttle costs a call.
_MARGIN_S = 0.05


class _Bucket:
    """What is left of a shop's cost bucket, as far as the last answer told."""

    def __init__(self) -> None:
        self._available: float | None = None
        self._maximum = 0.0
        self._rate = 0.0
        self._at: datetime | None = None

    def learn(self, status: object, now: datetime) -> None:
        """Take over a `throttleStatus`; anything else is ignored."""
        if not isinstance(status, Mapping):
            return
        available, maximum = (
            _number(status, "currentlyAvailable"),
            _number(status, "maximumAvailable"),
        )
        rate = _number(status, "restoreRate")
        if available is None or maximum is None or not rate or rate <= 0:
            return
        self._available, self._maximum, self._rate, self._at = available, maximum, rate, now

    def wait_s(self, cost: float, now: datetime) -> float:
        """Return how long until a call of that requested cost fits; 0 if it does, or unknown.

        Source: wait max(0, requested - currentlyAvailable) / restoreRate.
        """
        if self._available is None or self._at is None:
            return 0.0
        passed_s = max((now - self._at) / timedelta(seconds=1), 0.0)
        available = min(self._available + passed_s * self._rate, self._maximum)
        lacking = min(cost, self._maximum) - available
        return lacking / self._rate + _MARGIN_S if lacking > 0 else 0.0


class ShopifyAdmins:
    """Implements ShopAdmins. Kept for a process's life: it remembers each shop's bucket.

    Parameters
        base_url: `https://{shop}`, or a simulator's address.
        version: the API version we were written for, e.g. 2026-10.
    """

    def __init__(self, http: httpx.Client, base_url: str, version: str, clock: Clock) -> None:
        self._http = http
        self._base_url = base_url
        self._version = version
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        # What documents were seen to ask for; their estimates until then.
        self._costs = {document.name: document.cost for document in DOCUMENTS}

    def open(self, shop: str, token: str) -> "ShopifyAdmin":
        """Return the shop's API. Raises InvariantError for a text that is no shop."""
        address = shop_address(self._base_url, shop)
        return ShopifyAdmin(
            http=self._http,
            address=address,
            version=self._version,
            token=token,
            clock=self._clock,
            bucket=self._buckets.setdefault(shop, _Bucket()),
            costs=self._costs,
        )


class ShopifyAdmin:
    """Implements ShopAdmin over HTTP."""

    def __init__(
        self,
        *,
        http: httpx.Client,
        address: str,
        version: str,
        token: str,
        clock: Clock,
        bucket: _Bucket,
        costs: dict[str, float],
    ) -> None:
        self._http = http
        self._address = address
        self._version = version
        self._token = token
        self._clock = clock
        self._bucket = bucket
        self._costs = costs
        self.calls = 0
        self.points = 0.0

    def outline(self, product_ids: Sequence[str]) -> dict[str, ProductOutline]:
        """Read products by id, cheaply (see ShopAdmin)."""
        data = self._execute(OUTLINE_PRODUCTS, {"products": list(product_ids)})
        read = [_read_outline(node) for node in _objects(data, "products")]
        return {product.product_id: product for product in read if product is not None}

    def list_products(self, search: str | None, *, first: int, after: str | None) -> ProductPage:
        """Read a page of the catalogue (see ShopAdmin)."""
        variables = {"first": first, "after": after, "search": search}
        found = _object(self._execute(LIST_PRODUCTS, variables), "products")
        products = [_read_catalogue_product(node) for node in _objects(found, "nodes")]
        page = _object(found, "pageInfo")
        position = page.get("endCursor") if page.get("hasNextPage") is True else None
        return ProductPage(
            products=tuple(product for product in products if product is not None),
            position=position if isinstance(position, str) else None,
        )

    def stage(self, files: Sequence[FileToStage]) -> StagedAnswer:
        """Open upload targets (see ShopAdmin). A target is recognised by its file's name."""
        wanted = [
            {
                "filename": file.filename,
                "mimeType": file.content_type,
                "resource": "IMAGE",
                "httpMethod": "POST",
            }
            for file in files
        ]
        payload = self._run(STAGE_FILES, {"input": wanted}, "stagedUploadsCreate")
        by_name = {
            target.filename: target
            for node in _objects(payload, "stagedTargets")
            if (target := _read_target(node)) is not None
        }
        targets = tuple(by_name[file.filename] for file in files if file.filename in by_name)
        return StagedAnswer(targets=targets, refusals=_read_refusals(payload))

    def upload(self, target: StagedTarget, body: bytes, content_type: str) -> None:
        """Send the bytes as a form, the file last, without our token (see ShopAdmin)."""
        if not self._may_send_to(target.url):
            raise ShopRefusedError(PUSH_SENTENCES[UPLOAD_ADDRESS], code=UPLOAD_ADDRESS)
        try:
            response = self._http.post(
                target.url,
                data=dict(target.parameters),
                files={"file": (target.filename, body, content_type)},
            )
        except httpx.HTTPError as error:
            raise ShopBusyError(
                f"Shopify's storage does not answer ({type(error).__name__})."
            ) from None
        if response.status_code in (200, 201, 204):
            return
        if response.status_code == 429 or response.status_code >= 500:
            raise busy(response, self._clock.now())
        raise ShopRefusedError(f"Shopify's storage answered {response.status_code}.")

    def create(self, files: Sequence[FileToCreate]) -> FilesAnswer:
        """Make files (see ShopAdmin)."""
        wanted = [
            {
                "originalSource": file.source,
                "filename": file.filename,
                "alt": file.alt,
                "contentType": "IMAGE",
                "duplicateResolutionMode": "RAISE_ERROR",
            }
            for file in files
        ]
        return self._change(CREATE_FILES, wanted, "fileCreate")

    def look(self, media_ids: Sequence[str], product_ids: Sequence[str]) -> ShopLook:
        """Read files and products by id (see ShopAdmin)."""
        data = self._execute(LOOK, {"media": list(media_ids), "products": list(product_ids)})
        media = [_read_media(node) for node in _objects(data, "media")]
        products = [_read_product(node) for node in _objects(data, "products")]
        return ShopLook(
            media={file.media_id: file for file in media if file is not None},
            products={product.product_id: product for product in products if product is not None},
        )

    def find(self, filename: str, product_id: str) -> tuple[MediaFile, ...]:
        """Search files by name (see ShopAdmin): what is READY under another name is left out."""
        data = self._execute(FIND_FILE, {"search": f'filename:"{filename}"', "product": product_id})
        in_index = _objects(_object(data, "files"), "nodes")
        on_product = _objects(_object(_object(data, "product"), "media"), "nodes")
        found = {
            file.media_id: file
            for node in in_index
            if (file := _read_media(node)) is not None and file.filename in (None, filename)
        }
        for node in on_product:
            file = _read_media(node)
            if file is not None and file.filename == filename:
                found[file.media_id] = file
        return tuple(found.values())

    def update(self, changes: Sequence[FileChange]) -> FilesAnswer:
        """Put files on products or take them off (see ShopAdmin)."""
        wanted: list[dict[str, Any]] = []
        for change in changes:
            entry: dict[str, Any] = {"id": change.media_id}
            if change.add_to is not None:
                entry["referencesToAdd"] = [change.add_to]
            if change.remove_from is not None:
                entry["referencesToRemove"] = [change.remove_from]
            if change.alt is not None:
                entry["alt"] = change.alt
            wanted.append(entry)
        return self._change(UPDATE_FILES, wanted, "fileUpdate")

    def delete(self, media_id: str) -> str | None:
        """Delete a file (see ShopAdmin). One at a time: one unknown id refuses a whole call."""
        payload = self._run(DELETE_FILES, {"ids": [media_id]}, "fileDelete")
        codes = [refusal.code for refusal in _read_refusals(payload)]
        return next((code for code in codes if code != _NO_SUCH_FILE), None)

    def _change(self, document: Document, files: list[dict[str, Any]], field: str) -> FilesAnswer:
        payload = self._run(document, {"files": files}, field)
        read = [_read_media(node) for node in _objects(payload, "files")]
        return FilesAnswer(
            files=tuple(file for file in read if file is not None),
            refusals=_read_refusals(payload),
        )

    def _run(
        self, document: Document, variables: Mapping[str, Any], field: str
    ) -> Mapping[str, Any]:
        """Execute a mutation; returns its payload."""
        payload = self._execute(document, variables).get(field)
        if not isinstance(payload, Mapping):
            raise ShopUnknownOutcomeError("Shopify's answer to a change cannot be read.")
        return payload

    def _execute(self, document: Document, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make one call; returns `data`. Raises as ShopAdmin says."""
        cost = self._costs[document.name]
        wait_s = self._bucket.wait_s(cost, self._clock.now())
        if wait_s > 0:
            raise ShopBusyError("The shop's share of calls is used up.", retry_after_s=wait_s)
        try:
            response = self._http.post(
                f"{self._address}/admin/api/{self._version}/graphql.json",
                json={"query": document.text, "variables": variables},
                headers={"X-Shopify-Access-Token": self._token},
            )
        except NOT_SENT as error:
            raise ShopBusyError(f"Shopify cannot be reached ({type(error).__name__}).") from None
        except httpx.HTTPError as error:
            raise _lost(document, f"Shopify does not answer ({type(error).__name__}).") from None
        self._check_status(document, response)
        self._check_version(response)
        return self._read(document, response)

    def _check_status(self, document: Document, response: httpx.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        if status == 429:
            raise busy(response, self._clock.now())
        if status == _SECURITY_REJECTION:
            raise ShopBusyError(
                "Shopify turned the call away as suspicious.", retry_after_s=_SECURITY_WAIT_S
            )
        if status in _STATUS_CODES:
            _refuse(_STATUS_CODES[status])
        if status >= 500:
            raise _lost(document, f"Shopify answered {status}.")
        raise InvariantError(f"Shopify answered {status} to {document.name}.")

    def _check_version(self, response: httpx.Response) -> None:
        served = response.headers.get("x-shopify-api-version")
        if served is not None and served != self._version:
            log.warning(
                "Shopify serves another version of its API than we were written for",
                extra={"wanted": self._version, "served": served[:20]},
            )

    def _read(self, document: Document, response: httpx.Response) -> Mapping[str, Any]:
        try:
            body = response.json()
        except (ValueError, RecursionError):
            raise _lost(document, "Shopify's answer cannot be read.") from None
        if not isinstance(body, Mapping):
            raise _lost(document, "Shopify's answer cannot be read.")
        requested = self._account(document, body)
        errors = body.get("errors")
        if errors:
            self._raise(document, errors, requested)
        data = body.get("data")
        if not isinstance(data, Mapping):
            raise _lost(document, "Shopify's answer has no data.")
        return data

    def _account(self, document: Document, body: Mapping[str, Any]) -> float:
        """Remember what the call cost; returns what it asked for."""
        cost = _object(_object(body, "extensions"), "cost")
        requested, actual = _number(cost, "requestedQueryCost"), _number(cost, "actualQueryCost")
        self._bucket.learn(cost.get("throttleStatus"), self._clock.now())
        self.calls += 1
        self.points += actual or 0.0
        if requested is not None:
            self._costs[document.name] = requested
        return self._costs[document.name]

    def _raise(self, document: Document, errors: object, requested: float) -> NoReturn:
        codes = _error_codes(errors)
        if "THROTTLED" in codes:
            wait_s = self._bucket.wait_s(requested, self._clock.now())
            raise ShopBusyError("Shopify throttles this shop.", retry_after_s=wait_s)
        for code in codes:
            if code in _ERROR_CODES:
                _refuse(_ERROR_CODES[code])
        if "INVALID_CURSOR" in codes:
            raise ShopRefusedError("Shopify does not know this page.", code=INVALID_CURSOR)
        if not codes or "INTERNAL_SERVER_ERROR" in codes or "TIMEOUT" in codes:
            raise _lost(document, "Shopify had an internal error.")
        raise InvariantError(f"Shopify refused {document.name} ({', '.join(sorted(codes))}).")

    def _may_send_to(self, url: str) -> bool:
        """Allow https only, or the very host of a laptop's plain http base address."""
        try:
            target, base = urlsplit(url), urlsplit(self._address)
            is_named = bool(target.hostname) and target.port != 0  # reading it checks it
            read_place(url)  # as the client will
        except (ValueError, ForbiddenAddressError):
            return False
        is_own = target.scheme == base.scheme == "http" and target.netloc == base.netloc
        return is_own or (target.scheme == "https" and is_named)


def _refuse(code: str) -> NoReturn:
    raise ShopRefusedError(SHOP_SENTENCES[code], code=code)


def _lost(document: Document, message: str) -> ShopBusyError | ShopUnknownOutcomeError:
    """What a missing answer means: a change may have been executed, a question is only late."""
    return ShopUnknownOutcomeError(message) if document.is_mutation else ShopBusyError(message)


def _error_codes(errors: object) -> list[str]:
    if not isinstance(errors, list):
        return []
    codes = [_object(error, "extensions").get("code") for error in errors]
    return [code[:60] for code in codes if isinstance(code, str)]


def _read_target(node: Mapping[str, Any]) -> StagedTarget | None:
    url, resource_url = node.get("url"), node.get("resourceUrl")
    if not isinstance(url, str) or not isinstance(resource_url, str):
        return None
    parameters = tuple(
        (str(pair["name"]), str(pair["value"]))
        for pair in _objects(node, "parameters")
        if "name" in pair and "value" in pair
    )
    return StagedTarget(
        filename=_basename(resource_url),
        url=url,
        resource_url=resource_url,
        parameters=parameters,
    )


def _read_refusals(payload: Mapping[str, Any]) -> tuple[FileRefusal, ...]:
    return tuple(
        FileRefusal(code=str(error.get("code") or "INVALID"), index=_index(error.get("field")))
        for error in _objects(payload, "userErrors")
    )


def _index(field: object) -> int | None:
    """Read which input `["files", "2", "alt"]` is about."""
    if isinstance(field, list) and len(field) > 1:
        text = str(field[1])
        if text.isascii() and text.isdigit():
            return int(text)
    return None


def _read_media(node: Mapping[str, Any]) -> MediaFile | None:
    media_id, status = node.get("id"), node.get("fileStatus")
    if not isinstance(media_id, str) or not isinstance(status, str):
        return None
    image = _object(node, "image")
    url = image.get("url")
    return MediaFile(
        media_id=media_id,
        status=status,
        alt=str(node.get("alt") or ""),
        filename=_basename(url) if isinstance(url, str) else None,
        errors=tuple(str(error.get("code")) for error in _objects(node, "mediaErrors")),
        size_bytes=_integer(_object(node, "originalSource"), "fileSize"),
        width=_integer(image, "width"),
        height=_integer(image, "height"),
    )


def _read_product(node: Mapping[str, Any]) -> ProductMedia | None:
    product_id, media = node.get("id"), node.get("media")
    if not isinstance(product_id, str) or not isinstance(media, Mapping):
        return None
    return ProductMedia(
        product_id=product_id,
        title=str(node.get("title") or ""),
        media_ids=frozenset(str(one.get("id")) for one in _objects(media, "nodes")),
    )


def _read_outline(node: Mapping[str, Any]) -> ProductOutline | None:
    product_id, title = node.get("id"), node.get("title")
    if not isinstance(product_id, str) or not isinstance(title, str):
        return None  # an id of something else
    count = _integer(_object(node, "mediaCount"), "count")
    return ProductOutline(product_id=product_id, title=title, media_count=count or 0)


def _read_catalogue_product(node: Mapping[str, Any]) -> CatalogueProduct | None:
    outline = _read_outline(node)
    if outline is None:
        return None
    images = [_read_image(media) for media in _objects(_object(node, "media"), "nodes")]
    return CatalogueProduct(
        product_id=outline.product_id,
        title=outline.title,
        handle=_text(node, "handle"),
        status=_text(node, "status"),
        media_count=outline.media_count,
        images=tuple(image for image in images if image is not None),
    )


def _read_image(node: Mapping[str, Any]) -> CatalogueImage | None:
    """Read an image; None for one that Shopify has not finished."""
    image = _object(node, "image")
    media_id, url = _text(node, "id"), _text(image, "url")
    if media_id is None or url is None:
        return None
    return CatalogueImage(
        media_id=media_id,
        url=url,
        alt=_text(node, "alt"),
        width=_integer(image, "width"),
        height=_integer(image, "height"),
    )


def _text(value: Mapping[str, Any], name: str) -> str | None:
    member = value.get(name)
    return member if isinstance(member, str) and member else None


def _basename(url: str) -> str:
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return unquote(path.rpartition("/")[2])


def _object(value: object, name: str) -> Mapping[str, Any]:
    """Return a member that is an object, {} if it is missing or anything else."""
    member = value.get(name) if isinstance(value, Mapping) else None
    return member if isinstance(member, Mapping) else {}


def _objects(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return a member's entries that are objects (what does not exist is null among `nodes`)."""
    member = value.get(name)
    return [one for one in member if isinstance(one, Mapping)] if isinstance(member, list) else []


def _number(value: Mapping[str, Any], name: str) -> float | None:
    member = value.get(name)
    is_number = isinstance(member, int | float) and not isinstance(member, bool)
    return float(member) if is_number else None  # type: ignore[arg-type]


def _integer(value: Mapping[str, Any], name: str) -> int | None:
    number = _number(value, name)
    return None if number is None else int(number)
