"""fal's simulator, through fal's own Python client; webhooks as its documents verify them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import fal_client
import httpx
import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from PIL import Image

from local.fal_simulator.app import create_app
from local.fal_simulator.config import DEVELOPMENT_KEY, Config
from local.fal_simulator.service import Simulator
from tests.local.simulator_servers import (
    FAST,
    PHOTO,
    Heard,
    Receiver,
    original_size,
    served,
    wait_for,
)

MODEL = "fal-ai/clarity-upscaler"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(Simulator(Config(**FAST)), create_app) as running:
        yield running


@pytest.fixture
def url(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    # The client takes only a host's name from the environment, and only https.
    monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", f"{address}/")
    httpx.post(f"{address}/_simulator/reset").raise_for_status()
    return address


@pytest.fixture
def client(url: str) -> Iterator[fal_client.SyncClient]:
    made = fal_client.SyncClient(key=DEVELOPMENT_KEY)
    yield made
    made._client.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


def configure(url: str, **changes: Any) -> None:
    httpx.put(f"{url}/_simulator/config", json=changes).raise_for_status()


def wish(url: str, **more: Any) -> dict[str, Any]:
    return {"image_url": f"{url}/photos/{PHOTO}", **more}


def test_the_official_client_submits_follows_and_gets_the_result(
    url: str, client: fal_client.SyncClient
) -> None:
    handle = client.submit(MODEL, wish(url))
    told = list(handle.iter_events(interval=0.01))
    assert isinstance(told[-1], fal_client.Completed)
    assert told[-1].error is None
    result = handle.get()
    with Image.open(io.BytesIO(httpx.get(result["image"]["url"]).content)) as picture:
        assert picture.size == (result["image"]["width"], result["image"]["height"])
        assert picture.size > original_size()
    assert client.result(MODEL, handle.request_id) == result
    assert result["seed"] > 2**53


def test_the_path_inside_an_app_is_no_part_of_a_requests_address(
    url: str, client: fal_client.SyncClient
) -> None:
    model = "fal-ai/bria/background/replace"
    handle = client.submit(model, wish(url, num_images=2))
    assert handle.status_url == f"{url}/fal-ai/bria/requests/{handle.request_id}/status"
    assert len(client.get_handle(model, handle.request_id).get(interval=0.01)["images"]) == 2


def test_the_official_client_cancels(url: str, client: fal_client.SyncClient) -> None:
    configure(url, rules=[{"faults": {"pending_s": 600}}])
    handle = client.submit(MODEL, wish(url))
    assert handle.status() == fal_client.Queued(position=0)
    handle.cancel()
    ended = handle.status()
    assert isinstance(ended, fal_client.Completed)
    assert ended.error_type == "request_cancelled"
    again = httpx.put(handle.cancel_url, headers={"Authorization": f"Key {DEVELOPMENT_KEY}"})
    assert (again.status_code, again.json()) == (400, {"status": "ALREADY_COMPLETED"})


def test_a_failed_request_says_why_in_its_result(url: str, client: fal_client.SyncClient) -> None:
    configure(url, rules=[{"faults": {"fail": {"message": "No product in the picture"}}}])
    handle = client.submit(MODEL, wish(url))
    with pytest.raises(fal_client.FalClientHTTPError) as refused:
        handle.get(interval=0.01)
    assert refused.value.status_code == 422
    assert "No product in the picture" in str(refused.value.message)


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda client, url: client.status(MODEL, "nobody"), 404),
        (lambda client, url: client.submit("fal-ai/poem", wish(url)), 404),
        (lambda client, url: client.submit(MODEL, {}), 422),
    ],
)
def test_refusals_are_what_the_official_client_reads(
    url: str, client: fal_client.SyncClient, ask: Any, status: int
) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as refused:
        ask(client, url)
    assert refused.value.status_code == status
    assert refused.value.message


def test_an_unknown_key_is_refused(url: str) -> None:
    refused = httpx.post(f"{url}/{MODEL}", json=wish(url), headers={"Authorization": "Key no:key"})
    assert refused.status_code == 401
    assert refused.json()["detail"]


def test_a_result_that_is_not_there_yet_is_refused(url: str, client: fal_client.SyncClient) -> None:
    configure(url, rules=[{"faults": {"stuck": True}}])
    handle = client.submit(MODEL, wish(url))
    early = httpx.get(handle.response_url, headers={"Authorization": f"Key {DEVELOPMENT_KEY}"})
    assert (early.status_code, early.json()) == (400, {"detail": "Request is still in progress"})


def test_too_many_submits_are_told_when_to_come_again(url: str) -> None:
    configure(url, rules=[{"times": 1, "faults": {"create": "rate_limited", "retry_after_s": 7}}])
    key = {"Authorization": f"Key {DEVELOPMENT_KEY}"}
    refused = httpx.post(f"{url}/{MODEL}", json=wish(url), headers=key)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert httpx.post(f"{url}/{MODEL}", json=wish(url), headers=key).status_code == 200


# ---- the webhook --------------------------------------------------------------------------


def check(url: str, heard: Heard) -> dict[str, Any]:
    """Check a delivery with the published keys, as fal's documents do; return what it says."""
    names = ("request-id", "user-id", "timestamp")
    told = [heard.headers[f"x-fal-webhook-{name}"] for name in names]
    message = "\n".join([*told, hashlib.sha256(heard.body).hexdigest()]).encode()
    signature = bytes.fromhex(heard.headers["x-fal-webhook-signature"])
    for key in httpx.get(f"{url}/.well-known/jwks.json").raise_for_status().json()["keys"]:
        raw = base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
        VerifyKey(raw).verify(message, signature)
    said: dict[str, Any] = json.loads(heard.body)
    assert said["request_id"] == told[0]
    return said


def test_the_webhook_has_the_result_signed_with_the_published_key(
    url: str, client: fal_client.SyncClient, receiver: Receiver
) -> None:
    handle = client.submit(MODEL, wish(url), webhook_url=receiver.url)
    said = check(url, receiver.got(1)[0])
    assert (said["status"], said["request_id"]) == ("OK", handle.request_id)
    assert said["payload"] == handle.get(interval=0.01)
    assert b'": ' in receiver.heard[0].body


def test_a_failure_is_told_with_what_is_wrong_with_which_field(
    url: str, client: fal_client.SyncClient, receiver: Receiver
) -> None:
    configure(url, rules=[{"faults": {"fail": {"message": "Too dark"}}}])
    client.submit(MODEL, wish(url), webhook_url=receiver.url)
    said = check(url, receiver.got(1)[0])
    assert said["status"] == "ERROR"
    assert said["payload"]["detail"][0]["msg"] == "Too dark"


def test_a_refused_webhook_comes_again_and_a_forged_one_has_no_such_key(
    url: str, client: fal_client.SyncClient, receiver: Receiver
) -> None:
    configure(
        url,
        webhook_retry_delays_s=[0.01],
        rules=[{"faults": {"webhook_forged": "also", "webhook_copies": 2}}],
    )
    receiver.answers[:] = [401, 503, 503]
    client.submit(MODEL, wish(url), webhook_url=receiver.url)
    forged, *genuine = receiver.got(4)
    with pytest.raises(BadSignatureError):
        check(url, forged)
    assert [check(url, each)["status"] for each in genuine] == ["OK"] * 3

    def kinds() -> list[str]:
        deliveries = httpx.get(f"{url}/_simulator/webhooks").json()["deliveries"]
        return [each["kind"] for each in deliveries]

    wait_for(lambda: kinds() == ["forged", "genuine", "duplicate", "retry"])
