"""Replicate's simulator, through Replicate's own Python client and its own verifier."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from PIL import Image

from local.replicate_simulator.app import create_app
from local.replicate_simulator.config import DEVELOPMENT_KEY, Config
from local.replicate_simulator.provider_routes import version_of
from local.replicate_simulator.service import Simulator
from tests.local.simulator_servers import (
    FAST,
    PHOTO,
    Heard,
    Receiver,
    original_size,
    served,
    wait_for,
)

# Imported, it reads the environment once.
os.environ.setdefault("REPLICATE_POLL_INTERVAL", "0.02")
from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError
from replicate.webhook import Webhooks

MODEL = "acme/upscale-4x"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(Simulator(Config(**FAST)), create_app) as running:
        yield running


@pytest.fixture
def url(address: str) -> str:
    httpx.post(f"{address}/_simulator/reset").raise_for_status()
    return address


@contextmanager
def a_client(url: str, key: str = DEVELOPMENT_KEY) -> Iterator[Client]:
    made = Client(api_token=key, base_url=url)
    try:
        yield made
    finally:
        made._client.close()


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with a_client(url) as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


def configure(url: str, **changes: Any) -> None:
    httpx.put(f"{url}/_simulator/config", json=changes).raise_for_status()


def wish(url: str, **more: Any) -> dict[str, Any]:
    return {"image": f"{url}/photos/{PHOTO}", **more}


def test_the_official_client_runs_a_model_and_reads_its_file(url: str, client: Client) -> None:
    output = client.run(MODEL, input=wish(url))
    # An address, because the library makes a file only of what comes over https.
    with Image.open(io.BytesIO(httpx.get(str(output)).content)) as picture:
        assert picture.size > original_size()


def test_the_official_client_creates_by_version_polls_and_lists(url: str, client: Client) -> None:
    version = version_of("lucataco/remove-bg")
    made = client.predictions.create(version=version, input=wish(url))
    assert (made.status, made.output) == ("starting", None)
    made.wait()
    assert (made.status, made.model, made.version) == ("succeeded", "lucataco/remove-bg", version)
    assert made.metrics is not None
    assert made.metrics["predict_time"] >= 0
    assert made.progress is not None
    assert made.progress.percentage == 1.0
    assert client.predictions.get(made.id).output == made.output
    assert [each.id for each in client.predictions.list().results] == [made.id]


def test_a_listing_of_more_than_a_page_is_walked_by_its_cursors(url: str, client: Client) -> None:
    configure(url, credits_balance=200, rules=[{"faults": {"stuck": True}}])
    for _ in range(101):
        client.models.predictions.create(MODEL, input=wish(url))
    first = client.predictions.list()
    assert (len(first.results), first.previous) == (100, None)
    second = client.predictions.list(first.next)
    assert (len(second.results), second.next) == (1, None)
    assert second.results[0].id not in {each.id for each in first.results}


def test_several_outputs_come_as_a_list(url: str, client: Client) -> None:
    made = client.models.predictions.create(MODEL, input=wish(url, num_outputs=3))
    made.wait()
    assert made.output is not None
    assert len(set(made.output)) == 3
    assert {httpx.get(link).status_code for link in made.output} == {200}


def test_the_official_client_cancels_once_and_for_all(url: str, client: Client) -> None:
    configure(url, rules=[{"faults": {"processing_s": 600}}])
    made = client.deployments.predictions.create("acme/upscale-4x", input=wish(url))
    made.cancel()
    assert made.status == "canceled"
    made.cancel()
    assert (made.status, made.output) == ("canceled", None)


def test_a_failed_model_says_so_to_the_official_client(url: str, client: Client) -> None:
    configure(url, rules=[{"faults": {"fail": {"message": "CUDA out of memory"}}}])
    with pytest.raises(ModelError, match="CUDA out of memory"):
        client.run(MODEL, input=wish(url), wait=False)


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda client, url: client.predictions.get("nobody"), 404),
        (lambda client, url: client.models.predictions.create("acme/poem", input=wish(url)), 404),
        (lambda client, url: client.models.predictions.create(MODEL, input={}), 422),
        (lambda client, url: client.predictions.create(version="0" * 64, input=wish(url)), 422),
    ],
)
def test_refusals_are_problems_that_the_official_client_reads(
    url: str, client: Client, ask: Any, status: int
) -> None:
    with pytest.raises(ReplicateError) as refused:
        ask(client, url)
    assert refused.value.status == status
    assert refused.value.detail


def test_an_unknown_key_is_refused(url: str) -> None:
    with a_client(url, "r8_no") as stranger, pytest.raises(ReplicateError) as refused:
        stranger.predictions.list()
    assert refused.value.status == 401


def test_too_many_calls_are_told_when_to_come_again(url: str) -> None:
    configure(url, rules=[{"times": 1, "faults": {"create": "rate_limited", "retry_after_s": 7}}])
    bearer = {"Authorization": f"Bearer {DEVELOPMENT_KEY}"}
    place = f"{url}/v1/models/{MODEL}/predictions"
    refused = httpx.post(place, json={"input": wish(url)}, headers=bearer)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert httpx.post(place, json={"input": wish(url)}, headers=bearer).status_code == 201


def test_a_lost_answer_leaves_a_prediction_behind(url: str, client: Client) -> None:
    configure(url, rules=[{"times": 1, "faults": {"create": "lost_answer"}}])
    with pytest.raises(httpx.TransportError):
        client.models.predictions.create(MODEL, input=wish(url))
    assert len(client.predictions.list().results) == 1


def test_a_result_dies_and_no_poll_brings_it_back(url: str, client: Client) -> None:
    made = client.models.predictions.create(MODEL, input=wish(url))
    made.wait()
    httpx.post(f"{url}/_simulator/expire").raise_for_status()
    assert httpx.get(str(made.output)).status_code == 404
    assert client.predictions.get(made.id).output == made.output


# ---- webhooks -----------------------------------------------------------------------------


def check(client: Client, heard: Heard) -> dict[str, Any]:
    """Have a delivery checked by Replicate's own library, and return what it says."""
    Webhooks.validate(
        headers=heard.headers,
        body=heard.body.decode(),
        secret=client.webhooks.default.secret(),
        tolerance=300,
    )
    said: dict[str, Any] = json.loads(heard.body)
    return said


def hooked(client: Client, url: str, receiver: Receiver, *events: str) -> Any:
    return client.models.predictions.create(
        MODEL, input=wish(url), webhook=receiver.url, webhook_events_filter=list(events)
    )


def test_webhooks_are_the_prediction_signed_as_the_official_library_wants(
    url: str, client: Client, receiver: Receiver
) -> None:
    made = hooked(client, url, receiver, "start", "logs", "completed")
    said = [check(client, heard) for heard in receiver.got(3)]
    assert [each["id"] for each in said] == [made.id] * 3
    assert [each["status"] for each in said] == ["processing", "processing", "succeeded"]
    assert "█" in said[1]["logs"]
    made.reload()
    assert said[2]["output"] == made.output
    assert len({heard.headers["webhook-id"] for heard in receiver.heard}) == 3


def test_only_what_the_filter_asks_for_is_told(
    url: str, client: Client, receiver: Receiver
) -> None:
    hooked(client, url, receiver, "completed").wait()
    (heard,) = receiver.got(1)
    assert check(client, heard)["status"] == "succeeded"
    deliveries = httpx.get(f"{url}/_simulator/webhooks").json()["deliveries"]
    assert [each["event"] for each in deliveries] == ["job.completed"]


def test_a_cancelled_prediction_is_announced(url: str, client: Client, receiver: Receiver) -> None:
    configure(url, rules=[{"faults": {"processing_s": 600}}])
    hooked(client, url, receiver, "completed").cancel()
    assert check(client, receiver.got(1)[0])["status"] == "canceled"


def test_only_the_end_is_told_again_under_the_same_id_with_a_signature_of_its_own(
    url: str, client: Client, receiver: Receiver
) -> None:
    configure(url, webhook_retry_delays_s=[0.01, 0.01])
    receiver.answers[:] = [500, 503, 404]
    hooked(client, url, receiver, "start", "completed")
    start, *ends = receiver.got(4)
    assert check(client, start)["status"] == "processing"
    assert [check(client, end)["status"] for end in ends] == ["succeeded"] * 3
    assert len({end.headers["webhook-id"] for end in ends}) == 1


def test_a_forged_webhook_is_refused_by_the_official_library(
    url: str, client: Client, receiver: Receiver
) -> None:
    configure(url, rules=[{"faults": {"webhook_forged": "also", "webhook_copies": 2}}])
    hooked(client, url, receiver, "completed")
    forged, *genuine = receiver.got(3)
    with pytest.raises(ValueError, match="signature"):
        check(client, forged)
    assert [check(client, each)["status"] for each in genuine] == ["succeeded"] * 2


def test_the_start_may_come_after_the_end_or_never(
    url: str, client: Client, receiver: Receiver
) -> None:
    configure(url, rules=[{"faults": {"webhook_out_of_order": True}}])
    hooked(client, url, receiver, "start", "completed")
    said = [check(client, heard)["status"] for heard in receiver.got(2)]
    assert said == ["succeeded", "processing"]
    configure(url, rules=[{"faults": {"webhook_lost": "all"}}])
    hooked(client, url, receiver, "start", "completed").wait()
    wait_for(
        lambda: (
            [
                each["kind"]
                for each in httpx.get(f"{url}/_simulator/webhooks").json()["deliveries"]
                if each["kind"] == "lost"
            ]
            == ["lost", "lost"]
        )
    )
    assert len(receiver.heard) == 2
