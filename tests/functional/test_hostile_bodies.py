"""Bodies made to break whoever reads them: nested, huge, doubled, packed, or no text at all.

Sent to the API, and rightly signed to both webhooks: each is answered, and none with a 5xx.
"""

from __future__ import annotations

import base64
import gzip
import json
import time
import zlib
from collections.abc import Mapping
from typing import Any

import pytest

from functions.webhook.app import handler
from shared import wiring
from tests.api_world import World as ApiWorld
from tests.api_world import check_documented, request
from tests.builders import SHOP, a_worker_job
from tests.functional.test_webhook import World as ProviderWorld
from tests.functional.test_webhook import sample, signed
from tests.functional.test_webhook_worker import WORKER
from tests.functional.test_webhook_worker import World as WorkerWorld

pytestmark = pytest.mark.promise("hostile", "bombs for the API and both webhooks")

# No answer takes longer, on a machine that is busy with other things.
SLOWEST_S = 10

BODIES: Mapping[str, bytes] = {
    "arrays, 100,000 deep": b"[" * 100_000,
    "objects, 100,000 deep": b'{"a":' * 100_000,
    "deep inside a field": b'{"parameters":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    "a number of 100,000 digits": b'{"total":' + b"9" * 100_000 + b"}",
    "a float beyond all": b'{"progress":1e999}',
    "a float of 50,000 digits": b'{"progress":0.' + b"1" * 50_000 + b"}",
    "no number": b'{"progress":NaN,"total":Infinity}',
    "minus nothing": b'{"total":-0,"progress":-0.0}',
    "20,000 names": b"{" + b",".join(b'"n%d":1' % n for n in range(20_000)) + b"}",
    "a name twice": b'{"jobId":"a","jobId":"b","type":"job.progress","type":"job.failed"}',
    "a name of 100,000 letters": b'{"' + b"a" * 100_000 + b'":1}',
    "the same hash": json.dumps({str(n * (2**61 - 1)): n for n in range(3_000)}).encode(),
    "no UTF-8": b'{"name":"\xff\xfe"}',
    "overlong UTF-8": b'{"name":"\xc0\xaf"}',
    "half a pair": b'{"name":"\\ud800"}',
    "UTF-16": '{"name":"a"}'.encode("utf-16"),
    "a mark of bytes": b"\xef\xbb\xbf{}",
    "NUL": b'{"name":"a\\u0000b","type":"\x00"}',
    "packed": gzip.compress(b'{"name":"' + b"a" * 5_000_000 + b'"}'),
    "deflated": zlib.compress(b"[" * 5_000_000),
    "nothing": b"",
    "blanks": b" " * 200_000,
    "HTML": b"<script>alert(1)</script>",
    "a formula": b'{"name":"=HYPERLINK(\\"http://evil.example\\")"}',
    "a prototype": b'{"__proto__":{"isAdmin":true},"constructor":{"prototype":{}}}',
    "entities": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
}


@pytest.fixture(autouse=True)
def in_time() -> Any:
    """Fail a test that is answered too late: that is an outage, too."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SLOWEST_S


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_the_api_refuses_what_it_cannot_take(
    monkeypatch: pytest.MonkeyPatch, body: bytes, content_type: str
) -> None:
    world = ApiWorld()
    monkeypatch.setattr(wiring, "api_app", world.app)
    job = world.has(a_worker_job())
    for method, path in (
        ("POST", "/api/jobs"),
        ("PATCH", f"/api/jobs/{job.job_id}"),
        ("POST", "/api/jobs/retry"),
        ("POST", "/api/batches"),
        ("PUT", "/api/shop"),
    ):
        headers = {"authorization": "Bearer admin-key-1", "x-shop": SHOP}
        event = request(
            method,
            path,
            headers=headers | {"content-type": content_type, "content-encoding": "gzip"},
            body=base64.b64encode(body).decode(),
            is_base64=True,
        )
        reply = world.send(event)
        assert reply.status < 500, reply.text
        check_documented(method, path, reply)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_providers_webhook_is_answered_whatever_it_signed(
    monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    world = ProviderWorld()
    app = WorkerWorld().app
    monkeypatch.setattr(
        wiring,
        "webhook_app",
        lambda: wiring.WebhookApp(
            tracker=world.tracker, seals=_seals(world), desk=app.desk, clock=world.clock
        ),
    )
    answer = world.send(signed(sample("completed"), body))
    assert answer["statusCode"] in (200, 400), answer


def _seals(world: ProviderWorld) -> Any:
    from shared.usecases.receive_webhook import Seals
    from tests.fakes.key_sets import FakeKeySets

    return Seals(secrets=world.secrets, key_sets=FakeKeySets())


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_workers_webhook_is_answered_whatever_it_signed(
    monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    world = WorkerWorld()
    world.has()
    monkeypatch.setattr(wiring, "webhook_app", lambda: world.app)
    for said in (body, b'{"type":"job.progress","data":' + (body or b"0") + b"}"):
        letter = WORKER.letter(said, at=world.clock.now())
        event = {
            "pathParameters": {"provider": "worker"},
            "requestContext": {"requestId": "r"},
            "headers": dict(letter.headers),
            "body": base64.b64encode(said).decode(),
            "isBase64Encoded": True,
        }
        answer = handler(event, None)
        assert answer["statusCode"] in (400, 404), answer


@pytest.mark.parametrize("fields", [65, 20_000])
def test_a_form_of_too_many_fields_is_refused(monkeypatch: pytest.MonkeyPatch, fields: int) -> None:
    world = ApiWorld()
    monkeypatch.setattr(wiring, "api_app", world.app)
    for body, content_type in (
        ("&".join(f"a{n}=1" for n in range(fields)), "application/x-www-form-urlencoded"),
        (
            "".join(
                f'--b\r\nContent-Disposition: form-data; name="a{n}"\r\n\r\n1\r\n'
                for n in range(min(fields, 3_000))
            )
            + "--b--\r\n",
            "multipart/form-data; boundary=b",
        ),
    ):
        headers = {
            "authorization": "Bearer admin-key-1",
            "x-shop": SHOP,
            "content-type": content_type,
        }
        reply = world.send(request("POST", "/api/jobs/retry", headers=headers, body=body))
        assert reply.status in (400, 413), reply.text
