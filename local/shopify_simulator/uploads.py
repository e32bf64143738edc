"""Staged uploads: targets for ``stagedUploadsCreate`` and the storage that takes the bytes.

Observed [L]: POST targets list Content-Type, success_action_status 201, acl, key, x-goog-date,
x-goog-credential, x-goog-algorithm, x-goog-signature, policy; the file comes last; 1..20,971,520
bytes; 24 h. PUT (the default) is a signed URL, 7 days, only the host signed, with the parameters
content_type and acl. A mime type that is no image → userErrors, url null.
"""

import base64
import json
import secrets
import uuid
from datetime import UTC, datetime
from urllib.parse import quote

from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from .images import MAX_BYTES
from .messages import Request, Response
from .state import StagedUpload, World

POST_LIFE_S = 86_400
PUT_LIFE_S = 604_800
IMAGE_MIME_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
IMAGE_RESOURCES = frozenset({"IMAGE", "PRODUCT_IMAGE", "SHOP_IMAGE", "COLLECTION_IMAGE"})


def create_target(
    world: World, shop_number: int, filename: str, mime_type: str, method: str, now: float
) -> StagedUpload:
    """Open a target for one file."""
    folder = "products" if method == "POST" else "files"
    key = f"tmp/{shop_number}/{folder}/{uuid.uuid4()}/{filename}"
    signature = secrets.token_hex(32)
    if method == "POST":
        parameters, life_s = _form_parameters(key, mime_type, signature, now), POST_LIFE_S
    else:
        parameters, life_s = [("content_type", mime_type), ("acl", "private")], PUT_LIFE_S
    target = StagedUpload(key, filename, mime_type, method, signature, parameters, now + life_s)
    world.staged[key] = target
    return target


def target_view(target: StagedUpload, base_url: str) -> dict[str, object]:
    """A target as the API shows it."""
    resource_url = f"{base_url}/staged/{quote(target.key)}"
    if target.method == "POST":
        url = f"{base_url}/staged/"
    else:
        url = (
            f"{resource_url}?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Expires={PUT_LIFE_S}"
            f"&X-Goog-SignedHeaders=host&X-Goog-Signature={target.signature}"
        )
    return {
        "url": url,
        "resourceUrl": resource_url,
        "parameters": [{"name": name, "value": value} for name, value in target.parameters],
    }


def receive_put(world: World, key: str, request: Request, now: float) -> Response:
    """Store the body of a signed PUT: 200, or the storage's XML error."""
    target = world.staged.get(key)
    if target is None or target.method != "PUT":
        return _storage_error(404, "NoSuchKey", "The specified key does not exist.")
    if request.query.get("X-Goog-Signature") != target.signature:
        return _storage_error(403, "SignatureDoesNotMatch", "Access denied.")
    if now >= target.expires_at:
        return _storage_error(400, "ExpiredToken", "Invalid argument: the URL has expired.")
    target.content = request.body
    return Response(200, b"", {"content-type": "text/html; charset=UTF-8"})


def receive_post(world: World, request: Request, now: float) -> Response:
    """Store the file of a policy form: 201, or the storage's XML error."""
    try:
        fields, content = _read_form(request)
    except MultipartError:
        return _storage_error(400, "MalformedPOSTRequest", "The body is not a valid form.")
    if content is None:
        return _storage_error(400, "InvalidArgument", "The form has no field named file.")
    target = world.staged.get(fields.get("key", ""))
    if target is None or target.method != "POST":
        return _storage_error(400, "InvalidArgument", "Cannot create a blob without its key.")
    if now >= target.expires_at:
        return _storage_error(400, "InvalidPolicyDocument", "The policy has expired.")
    for name, value in target.parameters:
        if fields.get(name) != value:
            return _storage_error(403, "AccessDenied", f"The policy does not allow {name}.")
    if len(content) < 1:
        return _storage_error(400, "EntityTooSmall", "Your proposed upload is too small.")
    if len(content) > MAX_BYTES:
        return _storage_error(400, "EntityTooLarge", "Your proposed upload is too large.")
    target.content = content
    body = (
        "<?xml version='1.0' encoding='UTF-8'?>"
        f"<PostResponse><Key>{target.key}</Key></PostResponse>"
    )
    return Response(201, body.encode(), {"content-type": "application/xml"})


def _read_form(request: Request) -> tuple[dict[str, str], bytes | None]:
    """The fields up to the file, and the file; what follows the file is ignored, as there."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data" or "boundary" not in options:
        raise MultipartError("not a multipart form")
    fields: dict[str, str] = {}
    content: bytes | None = None
    name, value = "", bytearray()
    with PushMultipartParser(options["boundary"]) as parser:
        for event in parser.parse(request.body):
            if isinstance(event, MultipartSegment):
                name, value = event.name, bytearray()
            elif event is not None:
                value += event
            elif content is None and name == "file":
                content = bytes(value)
            elif content is None:
                fields[name] = value.decode("utf-8", "replace")
    return fields, content


def _form_parameters(key: str, mime_type: str, signature: str, now: float) -> list[tuple[str, str]]:
    at = datetime.fromtimestamp(now, UTC)
    signed = [
        ("Content-Type", mime_type),
        ("success_action_status", "201"),
        ("acl", "private"),
        ("key", key),
        ("x-goog-date", at.strftime("%Y%m%dT%H%M%SZ")),
        ("x-goog-credential", f"simulator/{at:%Y%m%d}/auto/storage/goog4_request"),
        ("x-goog-algorithm", "GOOG4-RSA-SHA256"),
    ]
    expires = datetime.fromtimestamp(now + POST_LIFE_S, UTC)
    conditions: list[object] = [{name: value} for name, value in signed]
    policy = {
        "conditions": [*conditions, ["content-length-range", 1, MAX_BYTES]],
        "expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    encoded = base64.b64encode(json.dumps(policy).encode()).decode()
    return [*signed, ("x-goog-signature", signature), ("policy", encoded)]


def _storage_error(status: int, code: str, message: str) -> Response:
    body = (
        "<?xml version='1.0' encoding='UTF-8'?>"
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    return Response(status, body.encode(), {"content-type": "application/xml; charset=UTF-8"})
