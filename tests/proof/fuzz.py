"""Coverage-guided fuzzing of what reads foreign bytes: `python -m tests.proof.fuzz TARGET …`.

It runs in an environment of its own (`.tools/proof`), under Atheris, which changes inputs so that
lines are reached that none reached before. Options after the target are libFuzzer's
(`-max_total_time=60 -seed=7`). Whatever comes, a target returns, or raises what its description
says; anything else ends the program with a file that repeats it.

Source: Atheris 3.1, README; LLVM, libFuzzer, "Options", read 2026-11-26.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import atheris

with atheris.instrument_imports(include=["shared", "imagesize", "multipart"]):
    from shared.bodies.reading import read_body, read_query, validate
    from shared.bodies.requests import CreateBody
    from shared.bodies.worker import read_worker_report
    from shared.domain.addresses import is_numeric, is_public
    from shared.domain.cursors import read_cursor
    from shared.domain.errors import InvalidRequestError, JobTrackerError, OutputRefusedError
    from shared.domain.references import read_reference
    from shared.domain.retry import read_retry_after
    from shared.gateways.downloads import _inline, _parse, measure, sniff
    from shared.providers.base import (
        Keys,
        MalformedDeliveryError,
        Reply,
        UnrelatedDeliveryError,
    )
    from shared.providers.registry import ADAPTERS
    from shared.providers.shopify import ShopifyWebhooks
    from shared.providers.worker import WORKER_RECEIVER

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
RECEIVERS = {**ADAPTERS, WORKER_RECEIVER.name: WORKER_RECEIVER}
HEADERS = (
    *("x-pikcel-signature", "x-pikcelai-signature", "x-webhook-signature", "x-bfl-signature"),
    *("webhook-id", "webhook-timestamp", "webhook-signature", "x-fal-webhook-signature"),
    *("x-fal-webhook-request-id", "x-fal-webhook-user-id", "x-fal-webhook-timestamp"),
    *("x-shopify-hmac-sha256", "x-shopify-topic", "x-shopify-shop-domain", "content-type"),
)
CONTENT_TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
)


def verify(data: atheris.FuzzedDataProvider) -> None:
    """Verifiers are total: a verdict, whatever the headers, the body and the secret are."""
    names = sorted(RECEIVERS)
    receiver = RECEIVERS[names[data.ConsumeIntInRange(0, len(names) - 1)]]
    headers = _headers(data)
    keys = Keys(texts=(data.ConsumeUnicode(40),))
    verdict = receiver.verify(data.ConsumeBytes(200), headers, keys, NOW)
    assert isinstance(verdict.is_accepted, bool)


def _headers(data: atheris.FuzzedDataProvider) -> dict[str, str]:
    count = data.ConsumeIntInRange(0, 4)
    last = len(HEADERS) - 1
    return {HEADERS[data.ConsumeIntInRange(0, last)]: data.ConsumeUnicode(60) for _ in range(count)}


def deliver(data: atheris.FuzzedDataProvider) -> None:
    """A genuine body is read, or refused as malformed or none of ours, by every adapter."""
    raw = data.ConsumeBytes(data.remaining_bytes())
    for adapter in ADAPTERS.values():
        try:
            event = adapter.parse(raw, {}, NOW, adapter.proof).event
        except (MalformedDeliveryError, UnrelatedDeliveryError):
            continue
        assert event.provider_job_id
        assert event.progress is None or event.progress >= 0


def answer(data: atheris.FuzzedDataProvider) -> None:
    """What a provider answers to a create call is read, or refused, by every adapter."""
    raw = data.ConsumeBytes(data.remaining_bytes())
    for status in (200, 402, 429, 500):
        for adapter in ADAPTERS.values():
            try:
                adapter.read_created(Reply(status=status, body=raw))
            except JobTrackerError:
                continue


def body(data: atheris.FuzzedDataProvider) -> None:
    """A body of the API becomes a model, or an InvalidRequestError."""
    content_type = CONTENT_TYPES[data.ConsumeIntInRange(0, len(CONTENT_TYPES) - 1)]
    event = {
        "rawQueryString": data.ConsumeUnicode(60),
        "isBase64Encoded": False,
        "body": data.ConsumeUnicode(4000),
    }
    for read in (
        lambda: read_query(event),
        lambda: validate(CreateBody, read_body(event, content_type, takes_forms=True)),
    ):
        try:
            read()
        except InvalidRequestError as error:
            assert error.message  # noqa: PT017 - this is no test of pytest's
    _tell_whether_it_is_refused(read_worker_report, data.ConsumeBytes(2000))


def _tell_whether_it_is_refused(read: Callable[[bytes], object], raw: bytes) -> bool:
    try:
        read(raw)
    except InvalidRequestError:
        return True
    return False


def token(data: atheris.FuzzedDataProvider) -> None:
    """No cursor and no reference but ours is taken; waits and addresses are read or not."""
    text = data.ConsumeUnicode(300)
    try:
        read_cursor("jobs", text, ["secret"])
    except InvalidRequestError:
        pass
    else:
        raise AssertionError("a forged cursor was taken")
    assert read_reference("pikcel", text, ["secret"]) is None
    wait = read_retry_after(text, NOW)
    assert wait is None or wait >= 0
    is_public(text)
    is_numeric(text)
    receiver = ShopifyWebhooks()
    assert not receiver.verify(text.encode("utf-8", "replace"), _headers(data), ["k"]).is_accepted


def image(data: atheris.FuzzedDataProvider) -> None:
    """A result's link and bytes are understood, or refused."""
    raw = data.ConsumeBytes(3000)
    sniff(raw)
    found = measure(raw)
    assert found is None or min(found) > 0
    link = data.ConsumeUnicode(200)
    for read in (lambda: _parse(link), lambda: _inline(f"data:image/png;base64,{link}")):
        try:
            read()
        except OutputRefusedError:
            continue


TARGETS: Mapping[str, Callable[[atheris.FuzzedDataProvider], None]] = {
    target.__name__: target for target in (verify, deliver, answer, body, token, image)
}


def main() -> None:
    """Fuzz one target until libFuzzer's options end it."""
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, lambda raw: target(atheris.FuzzedDataProvider(raw)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
