"""Whatever is sent to whatever route: one of the documented answers, never a 5xx."""

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared import wiring
from shared.bodies.contract import ROUTES
from tests.api_world import World, check_documented, path_of, request
from tests.builders import SHOP, a_completed_job, a_dispatched_job, a_kept_job, a_worker_job
from tests.promises import scaled

pytestmark = pytest.mark.promise("hostile", "any request for every route")

ANY_TEXT = st.text(st.characters(codec=None), max_size=40)  # lone surrogates and controls too
NAMES = [
    *("jobId", "toolId", "inputImageUrl", "parameters", "metadata", "priority", "provider"),
    *("providerJobId", "pikcelJobId", "type", "productId", "variantId", "scheduledAt", "autoPush"),
    *("costMicros", "name", "description", "altText", "exclusive", "batchId", "limit", "cursor"),
    *("status", "pushStatus", "from", "to", "q", "ids", "sort", "days", "groupBy", "index", "shop"),
    *("deep", "jobIds", "filter", "dryRun", "images"),
    *("processed", "total", "successful", "failed", "progress", "message", "result", "error"),
    *("attempt", "all", "page", "level", "source", "search", "templateId", "format"),
]
WORDS = st.sampled_from(
    [
        *("pending", "RUNNING", "pikcel", "worker", "image", "high", "1", "-1", "0", "100", "1e9"),
        *("NaN", "2026-11-22", "2026-11-22T12:00:00Z", "0001-01-01T00:00:00+14:00", "-createdAt"),
        *("tool", "project", "https://a.example/x", "http://127.0.0.1/", "https://[", "true"),
        *("gid://shopify/Product/1", SHOP, "other-shop.myshopify.com", "9" * 400, "\x00", "\ud800"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**53 + 1, -(2**53) - 1, 10**40, -(10**400)])
    | st.floats()
    | ANY_TEXT
    | WORDS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES) | ANY_TEXT, VALUES, max_size=6)
CREATABLE = st.fixed_dictionaries(
    {"toolId": st.just("t"), "inputImageUrl": st.just("https://a.example/x")},
    optional=dict.fromkeys(NAMES[3:22], VALUES),
)
BODIES = (
    st.builds(json.dumps, VALUES | OBJECTS | CREATABLE, ensure_ascii=st.booleans())
    | ANY_TEXT
    | st.sampled_from(["[" * 100_000, '{"a":' * 100_000, "1" * 5000, '{"jobId": NaN}', "1e999"])
)
CONTENT_TYPES = st.sampled_from(
    [
        "application/json",
        "application/json; charset=latin-1",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="',
        "multipart/form-data; charset=nonsense; boundary=b",
        "text/plain",
        "image/png",
        "",
    ]
)
QUERIES = (
    st.dictionaries(st.sampled_from(NAMES), WORDS | st.text(max_size=20), max_size=3).map(
        lambda d: "&".join(f"{k}={v}" for k, v in d.items())
    )
    | st.text(max_size=40)
    | st.sampled_from(["%FF", "%ED%A0%80=1", "a&a&a", "=" * 200, "&".join("a" * 200), "status=%00"])
)
HEADERS = st.dictionaries(
    st.sampled_from(["idempotency-key", "if-none-match", "accept", "origin"]), ANY_TEXT, max_size=2
)
# Pieces of multipart bodies, put together anyhow.
MULTIPART = st.lists(
    st.sampled_from(
        [
            *("--b\r\n", "--b--\r\n", "\r\n", 'Content-Disposition: form-data; name="jobId"\r\n'),
            *('Content-Disposition: form-data; name="jobId"; filename="x"\r\n', "\xff", "x"),
            *(
                "Content-Disposition: form-data\r\n",
                "Content-Length: -1\r\n",
                "Content-Type: :\r\n",
            ),
            *("Content-Transfer-Encoding: base64\r\n", "--b", "-", ":", "a: b\r\n" * 20),
        ]
    ),
    max_size=12,
).map("".join)

JOBS = (
    a_kept_job(attempt={"provider_job_id": "k"}),
    a_dispatched_job(),
    a_completed_job(attempt={"provider_job_id": "c"}),
)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make() -> World:
        made = World()
        made.has(*JOBS)
        # What nobody ever said is answered with 503.
        made.provider_said(balance=1000, upscale_4x=2)
        monkeypatch.setattr(wiring, "api_app", made.app)
        return made

    return make


def is_answered(world: World, method: str, path: str, event: dict[str, Any]) -> None:
    reply = world.send(event)
    assert reply.status < 500, reply.text
    reply.text.encode()
    check_documented(method, path, reply)


@settings(
    max_examples=scaled(400),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    route=st.sampled_from(ROUTES),
    job_id=st.sampled_from([*(job.job_id for job in JOBS), "x", "%00", "null", "a b"]),
    raw_query=QUERIES,
    headers=HEADERS,
    content_type=CONTENT_TYPES,
    body=BODIES | MULTIPART,
    form=st.sampled_from(["plain", "base64", "broken base64"]),
)
@example(
    route=ROUTES[2],
    job_id="x",
    raw_query="",
    headers={},
    content_type="multipart/form-data; boundary=b",
    body='--b\r\nContent-Disposition: form-data; name="jobId"\r\n\r\n\xff\r\n--b--',
    form="plain",
)
def test_no_request_of_an_administrator_breaks_a_route(
    fresh: Any,
    route: Any,
    job_id: str,
    raw_query: str,
    headers: dict[str, str],
    content_type: str,
    body: str,
    form: str,
) -> None:
    world = fresh()
    path = path_of(route, job_id)
    known = {
        "authorization": "Bearer admin-key-1",
        "x-shop": SHOP,
        "content-type": content_type,
    }
    if form == "base64":
        body = base64.b64encode(body.encode("utf-8", "surrogatepass")).decode()
    event = request(
        route.method,
        path,
        raw_query=raw_query,
        headers=known | headers,
        body=body,
        is_base64=form != "plain",
    )
    is_answered(world, route.method, path, event)


@settings(
    max_examples=scaled(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=CREATABLE, key=st.none() | ANY_TEXT)
def test_no_job_that_can_be_asked_for_breaks_creating_reading_or_listing(
    fresh: Any, body: dict[str, Any], key: str | None
) -> None:
    world = fresh()
    more = {} if key is None else {"headers": {"idempotency-key": key}}
    reply = world.post("/api/jobs", body, **more)
    assert reply.status in (202, 400)
    assert world.get("/api/jobs").status == 200
    if reply.status == 202:
        assert world.get(f"/api/jobs/{reply.job['id']}").status == 200


@settings(
    max_examples=scaled(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    authorization=ANY_TEXT
    | st.builds("Bearer {}".format, ANY_TEXT)
    | st.builds("Bearer eyJ{}.{}.{}".format, ANY_TEXT, ANY_TEXT, ANY_TEXT)
    | st.builds(
        lambda claims, head: f"Bearer {_token(claims, head)}",
        VALUES,
        st.just({"alg": "HS256"}) | VALUES,
    ),
    shop=ANY_TEXT,
)
def test_no_credential_that_we_did_not_give_is_let_in(
    fresh: Any, authorization: str, shop: str
) -> None:
    world = fresh()
    headers = {"authorization": authorization, "x-shop": shop}
    event = request("GET", "/api/jobs", headers=headers)
    reply = world.send(event)
    assert reply.status == 401
    assert world.tokens.exchanged == []


def _token(claims: Any, head: Any) -> str:
    """Sign with the right secret: the claims alone must be refused."""
    from tests.api_world import jwt

    return jwt(claims, header=head)


@settings(
    max_examples=scaled(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "", "\n"]),
    path=st.builds("/{}".format, ANY_TEXT) | ANY_TEXT,
)
def test_no_path_breaks_the_router(fresh: Any, method: str, path: str) -> None:
    world = fresh()
    event = request(method, path)
    assert world.send(event).status in (401, 404)


REPORTS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["RUNNING", "queued", "success", "failed", "canceled"]) | VALUES,
        "processed": st.integers(0, 2**53) | VALUES,
        "total": st.integers(0, 2**53) | VALUES,
        "progress": st.floats(allow_nan=False) | VALUES,
        "metadata": st.dictionaries(ANY_TEXT, VALUES, max_size=2),
        "error": ANY_TEXT,
        "message": ANY_TEXT,
        "attempt": st.integers(1, 3),
        "name": ANY_TEXT,
    },
)


@settings(
    max_examples=scaled(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(reports=st.lists(st.tuples(REPORTS, st.integers(0, 600)), max_size=5))
def test_no_story_of_reports_breaks_any_shape_of_a_job(fresh: Any, reports: Any) -> None:
    world = fresh()
    job = world.has(a_worker_job())
    for report, wait_s in reports:
        world.clock.advance(wait_s)
        path = f"/api/jobs/{job.job_id}"
        reply = world.call("PATCH", path, json_body=report)
        assert reply.status in (200, 400, 409, 413)
        assert world.get(path).status == 200
    for path, query in (
        ("/api/sync/job-progress", {"jobId": job.job_id}),
        ("/api/sync/job-progress", {"all": "true"}),
        ("/api/sync/job-progress", {"type": job.type}),
        ("/api/export/jobs", {}),
        ("/api/logs", {"search": "c"}),
    ):
        assert world.get(path, query=query).status == 200
