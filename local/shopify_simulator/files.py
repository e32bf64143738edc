"""Files: stagedUploadsCreate, fileCreate, fileUpdate, fileDelete and the files connection.

Behaviour as in recorded answers of Shopify [L]; what nobody recorded [?] is a switch.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from graphql import GraphQLError

from .checks import present
from .connections import connection
from .execution import Call, access_denied, has_scope, resolver
from .images import MediaFailure, Picture
from .search import matches
from .sources import basename, process
from .state import PRODUCT_MEDIA_LIMIT, Media, Product, gid_number, with_uuid
from .uploads import IMAGE_MIME_TYPES, IMAGE_RESOURCES, create_target, target_view
from .views import media_view

MAX_INPUTS = 250
MAX_ALT = 512
MAX_SOURCE = 2048
MAX_REFERENCES = 10_000
ALT_TOO_LONG = "The alt value exceeds the maximum limit of 512 characters."


@dataclass(frozen=True)
class UserError:
    """One entry of userErrors; ``code`` is dropped where the schema has none."""

    field: tuple[str, ...]
    message: str
    code: str

    def view(self) -> dict[str, Any]:
        """The entry as it is answered."""
        return {"field": list(self.field), "message": self.message, "code": self.code}


def injected_error(call: Call, operation: str) -> UserError | None:
    """The userErrors entry that a fault asks for, if one does."""
    fault = call.take_fault("user_error", operations=frozenset({operation}))
    if fault is None:
        return None
    return UserError((), fault.message or "Injected error", fault.code or "INVALID")


def check_input_size(count: int, operation: str, argument: str) -> None:
    """Refuse arrays of more than 250 entries at the top level [L: MAX_INPUT_SIZE_EXCEEDED]."""
    if count > MAX_INPUTS:
        raise GraphQLError(
            f"The input array size of {count} is greater than the maximum allowed of {MAX_INPUTS}.",
            path=[operation, argument],
            extensions={"code": "MAX_INPUT_SIZE_EXCEEDED"},
        )


# --- staged uploads -----------------------------------------------------------------------------


@resolver("Mutation", "stagedUploadsCreate")
def staged_uploads_create(_: Any, call: Call, input_: list[dict[str, Any]]) -> dict[str, Any]:
    """Open upload targets; a wrong one answers an entry without url beside its userErrors [L]."""
    check_input_size(len(input_), "stagedUploadsCreate", "input")
    injected = injected_error(call, "stagedUploadsCreate")
    if injected is not None:
        return {"stagedTargets": [], "userErrors": [injected.view()]}
    targets: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for index, given in enumerate(input_):
        if given["resource"] not in IMAGE_RESOURCES:
            raise GraphQLError(
                f"The simulator does not stage uploads of {given['resource']}.",
                extensions={"code": "NOT_SIMULATED"},
            )
        filename, mime_type = given["filename"], given["mimeType"]
        if mime_type not in IMAGE_MIME_TYPES:
            message = f"{filename}: ({mime_type}) is not a recognized format"
            errors.append({"field": ["input", str(index), "mimeType"], "message": message})
            targets.append({"url": None, "resourceUrl": None, "parameters": []})
            continue
        target = create_target(
            call.world, call.shop.number, filename, mime_type, given["httpMethod"], call.now
        )
        targets.append(target_view(target, call.base_url))
    return {"stagedTargets": targets, "userErrors": errors}


# --- create -------------------------------------------------------------------------------------


@resolver("Mutation", "fileCreate")
def file_create(_: Any, call: Call, files: list[dict[str, Any]]) -> dict[str, Any]:
    """Create image files; they answer UPLOADED without an image whatever the source holds [L]."""
    check_input_size(len(files), "fileCreate", "files")
    _check_sources(files)
    injected = injected_error(call, "fileCreate")
    if injected is not None:
        return {"files": [], "userErrors": [injected.view()]}
    errors = {i: error for i, given in enumerate(files) if (error := _refusal(call, i, given))}
    _add_clashes(call, files, errors)
    if errors and call.switches.file_create_mixed == "reject_all":
        accepted: list[dict[str, Any]] = []
    else:
        accepted = [given for i, given in enumerate(files) if i not in errors]
    created = [create_file(call, given) for given in accepted]
    return {
        "files": [media_view(one, call.shop, call.base_url, fresh=True) for one in created],
        "userErrors": [errors[i].view() for i in sorted(errors)],
    }


def _check_sources(files: list[dict[str, Any]]) -> None:
    """Empty or over 2048 characters: top-level error and data null [L]."""
    for given in files:
        length = len(given["originalSource"])
        if not 1 <= length <= MAX_SOURCE:
            problem = "short (minimum is 1)" if length < 1 else f"long (maximum is {MAX_SOURCE})"
            raise GraphQLError(
                f"originalSource is too {problem}",
                extensions={"code": "INVALID_FIELD_ARGUMENTS"},
            )


def _refusal(call: Call, index: int, given: dict[str, Any]) -> UserError | None:
    """The first fault of one input: source, then filename, then duplicate mode, then alt [L]."""
    at = ("files", str(index))
    source, filename = given["originalSource"], given.get("filename")
    mode, kind = given["duplicateResolutionMode"], given.get("contentType")
    if not is_http_url(source):
        return UserError((*at, "originalSource"), "File URL is invalid", "INVALID_IMAGE_SOURCE_URL")
    if kind not in (None, "IMAGE"):
        raise GraphQLError(
            f"The simulator does not create files of {kind}.",
            extensions={"code": "NOT_SIMULATED"},
        )
    if filename is not None:
        refused = _filename_refusal(filename, basename(source))
        if refused is not None:
            return UserError((*at, "filename"), refused[1], refused[0])
    if mode == "REPLACE" and kind is None:
        return UserError(
            (*at, "duplicateResolutionMode"),
            "Duplicate resolution mode 'REPLACE' is not supported for 'MISSING' media type.",
            "INVALID_DUPLICATE_MODE_FOR_TYPE",
        )
    if mode == "REPLACE" and filename is None:
        return UserError(
            (*at, "filename"),
            "Missing filename argument when attempting to use REPLACE duplicate mode.",
            "MISSING_FILENAME_FOR_DUPLICATE_MODE_REPLACE",
        )
    if len(given.get("alt") or "") > MAX_ALT:
        return UserError((*at, "alt"), ALT_TOO_LONG, "ALT_VALUE_LIMIT_EXCEEDED")
    return None


def _filename_refusal(filename: str, source_name: str) -> tuple[str, str] | None:
    if not filename or "/" in filename or filename != filename.strip():
        return "INVALID_FILENAME", "The filename provided is invalid."
    if _extension(source_name) and _extension(filename) != _extension(source_name):
        return (
            "MISMATCHED_FILENAME_AND_ORIGINAL_SOURCE",
            "Provided filename extension must match original source.",
        )
    return None


def _add_clashes(call: Call, files: list[dict[str, Any]], errors: dict[int, UserError]) -> None:
    """RAISE_ERROR on a taken name, when the clash is told at once."""
    if call.switches.duplicate_name == "late":
        return
    taken: set[str] = set()
    for index, given in enumerate(files):
        filename = given.get("filename")
        if filename is None or index in errors:
            continue
        if given["duplicateResolutionMode"] == "RAISE_ERROR" and (
            filename in taken or _is_taken(call, filename)
        ):
            errors[index] = UserError(
                ("files", str(index), "filename"),
                "A file with the filename provided already exists.",
                "FILENAME_ALREADY_EXISTS",
            )
        taken.add(filename)


def _is_taken(call: Call, filename: str) -> bool:
    if filename not in call.shop.names and call.take_fault("name_taken", filename=filename):
        create_stranger(call, filename)
    return filename in call.shop.names


def create_stranger(call: Call, filename: str) -> Media:
    """Somebody else's file of that name: READY, but with other bytes and no alt text."""
    media = _new_media(call, filename, "", f"{call.base_url}/stranger/{filename}", _PIXEL, 0.0)
    media.settle(call.now)
    return media


def create_file(call: Call, given: dict[str, Any]) -> Media:
    """Make one file; its bytes are fetched now and their fate shows when processing is over."""
    source, alt, mode = (
        given["originalSource"],
        given.get("alt") or "",
        given["duplicateResolutionMode"],
    )
    filename = given.get("filename") or basename(source) or "image"
    outcome = _outcome(call, source, filename)
    if _is_taken(call, filename):
        if mode == "REPLACE":
            return _replace(call, filename, alt, source, outcome)
        if mode == "RAISE_ERROR" and given.get("filename") is not None:
            clash = MediaFailure("DUPLICATE_FILENAME_ERROR", "The filename already exists")
            return _new_media(call, filename, alt, source, clash, None, owns_name=False)
        filename = with_uuid(filename)
    return _new_media(call, filename, alt, source, outcome, None)


def _outcome(call: Call, source: str, filename: str) -> Picture | MediaFailure:
    fault = call.take_fault("media_failed", filename=filename)
    if fault is not None:
        return MediaFailure(
            fault.code or "IMAGE_DOWNLOAD_FAILURE", fault.message or "Media processing failed"
        )
    return process(call.world, call.base_url, source, call.fetch)


def _new_media(
    call: Call,
    filename: str,
    alt: str,
    source: str,
    outcome: Picture | MediaFailure,
    ready_after_s: float | None,
    *,
    owns_name: bool = True,
) -> Media:
    if isinstance(outcome, MediaFailure) and not call.switches.failed_keeps_name:
        owns_name = False
    number = next(call.world.media_numbers)
    media = Media(
        number, filename, alt, call.now, call.now, call.now, call.now, outcome, source, owns_name
    )
    _schedule(call, media, ready_after_s)
    call.shop.media[number] = media
    if owns_name:
        call.shop.names[filename] = number
    return media


def _schedule(call: Call, media: Media, ready_after_s: float | None) -> None:
    wait_s = call.switches.ready_after_s if ready_after_s is None else ready_after_s
    slow = call.take_fault("slow_ready", filename=media.filename)
    if slow is not None:
        wait_s += slow.seconds
    media.status = "UPLOADED"
    media.processing_at = call.now + min(call.switches.processing_after_s, wait_s)
    media.done_at = call.now + wait_s


def _replace(
    call: Call, filename: str, alt: str, source: str, outcome: Picture | MediaFailure
) -> Media:
    """REPLACE keeps the id and changes the bytes [?]."""
    media = call.shop.media[call.shop.names[filename]]
    media.outcome, media.source, media.updated_at = outcome, source, call.now
    media.alt = alt or media.alt
    _schedule(call, media, None)
    return media


_PIXEL = Picture(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360f8cf500f000301010018dd8db0"
        "0000000049454e44ae426082"
    ),
    "image/png",
    1,
    1,
)


# --- update and delete --------------------------------------------------------------------------


@resolver("Mutation", "fileUpdate")
def file_update(_: Any, call: Call, files: list[dict[str, Any]]) -> dict[str, Any]:
    """Change files and attach them to products.

    A problem of state or reference refuses the whole call; an alt text that is too long refuses
    only its own entry [L].
    """
    check_input_size(len(files), "fileUpdate", "files")
    _check_product_permission(call, files)
    refusal = injected_error(call, "fileUpdate") or _update_refusal(call, files)
    if refusal is not None:
        return {"files": [], "userErrors": [refusal.view()]}
    changed: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for index, given in enumerate(files):
        media = present(_media_of(call, given["id"]))
        if len(given.get("alt") or "") > MAX_ALT:
            field = ("files", str(index), "alt")
            errors.append(UserError(field, ALT_TOO_LONG, "ALT_VALUE_LIMIT_EXCEEDED").view())
            continue
        _apply_update(call, media, given)
        changed.append(media_view(media, call.shop, call.base_url))
    return {"files": changed, "userErrors": errors}


def _check_product_permission(call: Call, files: list[dict[str, Any]]) -> None:
    references = any(g.get("referencesToAdd") or g.get("referencesToRemove") for g in files)
    if references and not has_scope(call, "write_products"):
        raise access_denied("fileUpdate", "`write_products` access scope.")


def _update_refusal(call: Call, files: list[dict[str, Any]]) -> UserError | None:
    for given in files:
        if given.get("originalSource") or given.get("previewImageSource"):
            raise GraphQLError(
                "The simulator does not change a file's source.",
                extensions={"code": "NOT_SIMULATED"},
            )
    missing = [given["id"] for given in files if _media_of(call, given["id"]) is None]
    if missing:
        ids = ", ".join(f'"{gid}"' for gid in missing)
        word, verb = ("ids", "do") if len(missing) > 1 else ("id", "does")
        return UserError(
            ("files",), f"File {word} [{ids}] {verb} not exist.", "FILE_DOES_NOT_EXIST"
        )
    found = [(given, _media_of(call, given["id"])) for given in files]
    if any(media is not None and media.status != "READY" for _, media in found):
        return UserError(("files",), "Non-ready files cannot be updated.", "NON_READY_STATE")
    return (
        _rename_refusal(call, files)
        or _reference_refusal(call, files)
        or _limit_refusal(call, files)
    )


def _rename_refusal(call: Call, files: list[dict[str, Any]]) -> UserError | None:
    for given in files:
        media, filename = _media_of(call, given["id"]), given.get("filename")
        if filename is None or media is None or filename == media.filename:
            continue
        if _extension(filename) != _extension(media.filename):
            return UserError(
                ("files",),
                "The filename extension provided must match the original filename.",
                "INVALID_FILENAME_EXTENSION",
            )
        if filename in call.shop.names:
            return UserError(
                ("files",),
                "A file with the filename provided already exists.",
                "FILENAME_ALREADY_EXISTS",
            )
    return None


def _reference_refusal(call: Call, files: list[dict[str, Any]]) -> UserError | None:
    for given in files:
        named = [*(given.get("referencesToAdd") or ()), *(given.get("referencesToRemove") or ())]
        if len(named) > MAX_REFERENCES:
            return UserError(("files",), "Too many file references.", "TOO_MANY_FILE_REFERENCE")
        if any(product_of(call, gid) is None for gid in named):
            return UserError(
                ("files",),
                "The reference target does not exist",
                "REFERENCE_TARGET_DOES_NOT_EXIST",
            )
        if call.switches.add_reference_twice == "error" and any(
            _holds(call, gid, given["id"]) for gid in given.get("referencesToAdd") or ()
        ):
            return UserError(("files",), "The file is already referenced.", "INVALID")
    return None


def _limit_refusal(call: Call, files: list[dict[str, Any]]) -> UserError | None:
    added: dict[str, int] = {}
    for given in files:
        for gid in given.get("referencesToAdd") or ():
            if not _holds(call, gid, given["id"]):
                added[gid] = added.get(gid, 0) + 1
    for gid, count in added.items():
        product = present(product_of(call, gid))
        if len(product.media) + count > PRODUCT_MEDIA_LIMIT or call.take_fault(
            "media_limit", product_id=gid
        ):
            return UserError(
                ("files",),
                f"Exceeded {PRODUCT_MEDIA_LIMIT} media limit per product",
                "PRODUCT_MEDIA_LIMIT_EXCEEDED",
            )
    return None


def _apply_update(call: Call, media: Media, given: dict[str, Any]) -> None:
    if given.get("alt") is not None:
        media.alt = given["alt"]
    filename = given.get("filename")
    if filename is not None and filename != media.filename:
        call.shop.names.pop(media.filename, None)
        media.filename = filename
        call.shop.names[filename] = media.number
    for gid in given.get("referencesToAdd") or ():
        product = present(product_of(call, gid))
        if media.number not in product.media or call.switches.add_reference_twice == "duplicate":
            product.media.append(media.number)
            product.updated_at = call.now
    for gid in given.get("referencesToRemove") or ():
        product = present(product_of(call, gid))
        _detach(product, media.number, call.now)
    media.updated_at = call.now


def _detach(product: Product, number: int, now: float) -> None:
    product.media = [held for held in product.media if held != number]
    product.updated_at = now
    for variant in product.variants:
        if variant.media == number:
            variant.media = None


@resolver("Mutation", "fileDelete")
def file_delete(_: Any, call: Call, file_ids: list[str]) -> dict[str, Any]:
    """Delete files and take them off products and variants; one unknown id refuses all [L]."""
    check_input_size(len(file_ids), "fileDelete", "fileIds")
    refusal = injected_error(call, "fileDelete")
    missing = [gid for gid in file_ids if _media_of(call, gid) is None]
    if missing and refusal is None:
        word, verb = ("ids", "do") if len(missing) > 1 else ("id", "does")
        message = f"File {word} {','.join(missing)} {verb} not exist."
        refusal = UserError(("fileIds",), message, "FILE_DOES_NOT_EXIST")
    if refusal is not None:
        return {"deletedFileIds": None, "userErrors": [refusal.view()]}
    for gid in dict.fromkeys(file_ids):
        call.shop.delete_media(present(gid_number(gid, "MediaImage")))
    return {"deletedFileIds": file_ids, "userErrors": []}


# --- the files connection -----------------------------------------------------------------------

_SORT_KEYS: dict[str, Any] = {
    "ID": lambda media: media.number,
    "CREATED_AT": lambda media: (media.created_at, media.number),
    "UPDATED_AT": lambda media: (media.updated_at, media.number),
    "FILENAME": lambda media: (media.filename, media.number),
}


@resolver("QueryRoot", "files")
def files(
    _: Any, call: Call, query: str | None = None, sort_key: str = "ID", **page: Any
) -> dict[str, Any]:
    """The shop's files; a new one is found only after the index's lag [?]."""
    if sort_key not in _SORT_KEYS or page.pop("saved_search_id", None):
        raise GraphQLError(
            f"The simulator does not sort files by {sort_key} nor use saved searches.",
            extensions={"code": "NOT_SIMULATED"},
        )
    indexed = [
        media
        for media in call.shop.media.values()
        if media.created_at + call.switches.search_lag_s <= call.now
    ]
    found = [media for media in indexed if _fits(call, media, query)]
    nodes = [
        (str(media.number), media_view(media, call.shop, call.base_url))
        for media in sorted(found, key=_SORT_KEYS[sort_key])
    ]
    return connection(nodes, **page)


def _fits(call: Call, media: Media, query: str | None) -> bool:
    holders = [p for p in call.shop.products.values() if media.number in p.media]
    return matches(
        query,
        {
            "": lambda fits: fits(media.filename) or fits(media.alt),
            "filename": lambda fits: (
                fits(media.filename) or fits(media.filename.rpartition(".")[0])
            ),
            "id": lambda fits: fits(str(media.number)) or fits(media.gid),
            "ids": lambda fits: fits(str(media.number)) or fits(media.gid),
            "status": lambda fits: fits(media.status),
            "media_type": lambda fits: fits("IMAGE"),
            "product_id": lambda fits: any(fits(str(p.number)) or fits(p.gid) for p in holders),
            "used_in": lambda fits: fits("product" if holders else "none"),
        },
    )


# --- helpers ------------------------------------------------------------------------------------


def is_http_url(source: str) -> bool:
    """Tell whether a source is an http(s) URL with a host (data: and others are refused [L])."""
    try:
        parts = urlsplit(source)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def product_of(call: Call, gid: str) -> Product | None:
    """The product of an id, None if there is none or a fault makes it disappear."""
    number = gid_number(gid, "Product")
    product = None if number is None else call.shop.products.get(number)
    if product is None or call.is_gone(gid):
        return None
    return product


def _media_of(call: Call, gid: str) -> Media | None:
    number = gid_number(gid, "MediaImage")
    return None if number is None else call.shop.media.get(number)


def _holds(call: Call, product_gid: str, media_gid: str) -> bool:
    number, product = gid_number(media_gid, "MediaImage"), gid_number(product_gid, "Product")
    held = call.shop.products.get(product) if product is not None else None
    return held is not None and number in held.media


def _extension(filename: str) -> str:
    return filename.rpartition(".")[2].lower() if "." in filename else ""
