"""Read what came in: query string, JSON or form data, into pydantic models.

Total: whatever the bytes are, the result is a model or an InvalidRequestError (TooLargeError)
with `details` that name what is wrong.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from io import BytesIO
from math import isfinite
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from shared.domain.errors import InvalidRequestError, TooLargeError

MAX_BODY_BYTES = 256 * 1024
MAX_DEPTH = 24  # of the whole body; objects inside it may have 20 levels
MAX_FIELDS = 64
MAX_DETAILS = 20
# Numbers that every store and every reader can hold: DynamoDB's range.
_LARGEST_INTEGER = 10**38 - 1
_MAX_FLOAT, _MIN_FLOAT = 1e125, 1e-130

JSON_TYPES = frozenset({"", "application/json", "text/plain"})
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


def read_query(event: Mapping[str, Any]) -> dict[str, str]:
    """Return the query parameters; empty ones count as not given.

    API Gateway joins repeated parameters with commas; the raw string tells them apart.
    """
    try:
        pairs = parse_qsl(
            event.get("rawQueryString") or "",
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise fault("query", "cannot be read: percent-encoded UTF-8 is expected") from None
    _check_text(text for pair in pairs for text in pair)
    return {name: value for name, value in _once(pairs).items() if value != ""}


def read_body(
    event: Mapping[str, Any],
    content_type: str,
    *,
    takes_forms: bool,
    max_bytes: int = MAX_BODY_BYTES,
) -> Any:
    """Return the body as JSON data; of form data, an object of strings."""
    raw = _bytes(event, max_bytes)
    media_type = content_type.partition(";")[0].strip().lower()
    if takes_forms and media_type == URLENCODED:
        return _read_urlencoded(raw)
    if takes_forms and media_type == MULTIPART:
        return _read_multipart(raw, content_type)
    if media_type not in JSON_TYPES and not media_type.endswith("+json"):
        wanted = "JSON or form data" if takes_forms else "JSON"
        raise fault("content-type", f"is not understood; send {wanted}")
    return read_json(raw)


def validate[Model: BaseModel](model: type[Model], data: Any) -> Model:
    """Return the data as a model. Raises InvalidRequestError naming every field at fault."""
    if not isinstance(data, dict):
        raise fault("body", "must be an object")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        details = [_detail(found) for found in error.errors(include_url=False)[:MAX_DETAILS]]
    sentences = "; ".join(f"{detail['field']} {detail['message']}" for detail in details[:3])
    more = " …" if len(details) > 3 else "."
    raise InvalidRequestError(f"This request is not valid: {sentences}{more}", details=details)


def _bytes(event: Mapping[str, Any], max_bytes: int) -> bytes:
    body = event.get("body") or ""
    if not isinstance(body, str):
        raise fault("body", "cannot be read")
    # Base64 takes four characters for three bytes.
    if len(body) > max_bytes * 4 // 3 + 4:
        raise TooLargeError(f"This body is larger than {max_bytes} bytes.")
    try:
        if event.get("isBase64Encoded"):
            raw = base64.b64decode(body, validate=True)
        else:
            raw = body.encode()
    except (binascii.Error, ValueError):
        raise fault("body", "cannot be read") from None
    if len(raw) > max_bytes:
        raise TooLargeError(f"This body is larger than {max_bytes} bytes.")
    return raw


def read_json(raw: bytes) -> Any:
    """Return JSON data. Raises InvalidRequestError."""
    try:
        data = json.loads(raw.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise fault("body", "is not UTF-8") from None
    except RecursionError:
        raise fault("body", "is nested too deeply") from None
    except ValueError:
        raise fault("body", "is not valid JSON") from None
    _check_json(data, MAX_DEPTH)
    return data


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _check_json(value: Any, depth: int) -> None:
    """Refuse what could not be stored, or not be answered with later."""
    if depth == 0:
        raise fault("body", "is nested too deeply")
    if isinstance(value, str):
        _check_text((value,))
    elif isinstance(value, dict):
        _check_text(value)
        for item in value.values():
            _check_json(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check_json(item, depth - 1)
    elif not _is_storable(value):
        raise fault("body", "holds a number that is too large, too small or too long")


def _is_storable(value: object) -> bool:
    if isinstance(value, float):
        return isfinite(value) and (value == 0 or _MIN_FLOAT <= abs(value) < _MAX_FLOAT)
    if isinstance(value, int):
        return abs(value) <= _LARGEST_INTEGER
    return True


def _check_text(texts: Iterable[str]) -> None:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise fault("body", "holds half a character (a lone surrogate)") from None


def _read_urlencoded(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise fault("body", "is not valid form data") from None
    return _once(pairs)


def _read_multipart(raw: bytes, content_type: str) -> dict[str, str]:
    # Only pages that send form data pay for the parser.
    from multipart import (  # type: ignore[import-untyped]
        MultipartError,
        MultipartParser,
        parse_options_header,
    )

    try:
        boundary = parse_options_header(content_type)[1].get("boundary", "")
        parser = MultipartParser(
            BytesIO(raw),
            boundary,
            len(raw),
            part_limit=MAX_FIELDS,
            spool_limit=MAX_BODY_BYTES,
            memory_limit=2 * MAX_BODY_BYTES,
            disk_limit=0,
        )
        pairs = [(part.name, part.raw.decode()) for part in parser]
    except (MultipartError, ValueError, LookupError, TypeError, AttributeError):
        raise fault("body", "is not valid form data") from None
    _check_text(name for name, _ in pairs)
    return _once(pairs)


def _once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise fault(_short(name), "is given more than once")
        found[name] = value
    return found


def _detail(found: Any) -> dict[str, str]:
    field = ".".join(str(part) for part in found["loc"]) or "body"
    if found["type"] == "extra_forbidden":
        message = "is not a field of this request"
    elif found["type"] == "missing":
        message = "is required"
    elif found["type"] in _JSON_WORDS:
        message = _JSON_WORDS[found["type"]]
    elif found["type"] in _LENGTHS:
        word, limit = _LENGTHS[found["type"]]
        number = found["ctx"][limit]
        message = f"must have {word} {number} item{'' if number == 1 else 's'}"
    else:
        message = found["msg"].removeprefix("Value error, ")
        message = message.replace("Input should be", "must be").replace("String should", "must")
    return {"field": _short(field), "message": message[:300]}


# Who sends JSON knows no dictionaries, nor the names of our models.
_JSON_WORDS = {
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "list_type": "must be a list",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
}

_LENGTHS = {"too_short": ("at least", "min_length"), "too_long": ("at most", "max_length")}


def _short(name: str) -> str:
    return name if len(name) <= 80 else name[:79] + "…"


def fault(field: str, message: str) -> InvalidRequestError:
    """Return the error that names one field at fault."""
    return InvalidRequestError(
        f"This request is not valid: {field} {message}.",
        details=[{"field": field, "message": message}],
    )
