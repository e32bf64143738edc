"""The jobs page.

Trigger: `GET /` and `GET /page/{version}/{file}` (API Gateway HTTP API, payload format 2.0).
Samples: events/dashboard_index.json, events/dashboard_embedded.json, events/dashboard_file.json.

| answer | when |
| --- | --- |
| 200 | the page, or one of its files |
| 304 | the browser has it already |
| 404 `not_found` | no such file, or a file of another version than this one |

The page holds no data and no secret: it asks the HTTP API, as everybody does, with what the
reader signs in with. Its files are named after the version of all of them, so a browser keeps
them for good; only the page itself is asked for again.
"""

from collections.abc import Mapping
from typing import Any

from functions.dashboard.headers import Visit, headers_of
from functions.dashboard.pages import PAGES, File
from shared.domain.errors import NotFoundError
from shared.observability import logger
from shared.responses import HttpResponse, error_response
from shared.settings import DashboardSettings

INDEX = "GET /"
FOR_GOOD = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"


def handler(event: Mapping[str, Any], context: object) -> HttpResponse:
    """Answer with the page or one of its files."""
    visit = Visit.of(event)
    if event["routeKey"] == INDEX:
        key = DashboardSettings.load().shopify_api_key if visit.is_embedded else ""
        return _serve(PAGES.index(visit.language, key), visit, ASK_AGAIN)
    asked = event.get("pathParameters") or {}
    file = PAGES.files.get(asked.get("file", ""))
    if file is None or asked.get("version") != PAGES.version:
        logger.info("page", extra={"status": 404})
        missing = NotFoundError("There is no such file of this version of the page.")
        return error_response(missing, event["requestContext"]["requestId"])
    return _serve(file, visit, FOR_GOOD)


def _serve(file: File, visit: Visit, cache_control: str) -> HttpResponse:
    tag = file.tag(is_gzipped=visit.takes_gzip)
    headers = headers_of(visit, PAGES.script_hash) | {
        "cache-control": cache_control,
        "etag": tag,
        "vary": "accept-encoding",
    }
    has_it = visit.has_tag(tag)
    logger.info("page", extra={"status": 304 if has_it else 200, "file": file.name})
    if has_it:
        return {"statusCode": 304, "headers": headers, "body": ""}
    headers["content-type"] = file.media_type
    if visit.takes_gzip:
        headers["content-encoding"] = "gzip"
    body = file.body(is_gzipped=visit.takes_gzip)
    return {"statusCode": 200, "headers": headers, "body": body, "isBase64Encoded": True}
