"""The simulator as a process: what only a real connection can show."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.photos import photo
from local.pikcel_simulator.dialect import sign

ROOT = Path(__file__).resolve().parents[2]
SECRET = "wire-secret"
FAST = {"pending_s": 0, "processing_min_s": 0, "processing_max_s": 0}


class Receiver:
    """A webhook receiver on loopback; `got` waits for so many deliveries."""

    def __init__(self) -> None:
        self.deliveries: list[tuple[str, bytes]] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.end_headers()
                receiver.add(self.headers["X-Pikcel-Signature"], body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhooks/pikcel"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def add(self, signature: str, body: bytes) -> None:
        with self._changed:
            self.deliveries.append((signature, body))
            self._changed.notify_all()

    def got(self, count: int) -> list[dict[str, Any]]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.deliveries) >= count, timeout=30)
            return [json.loads(body) for _, body in self.deliveries]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


@pytest.fixture(scope="module")
def process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "local.pikcel_simulator", "--port", "0"]
    command += ["--api-key", "sk_test_wire", "--webhook-secret", SECRET]
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        try:
            assert running.stdout is not None
            ready = running.stdout.readline()
            assert ready.startswith("PikcelAI simulator ready at http://127.0.0.1:")
            yield running, ready.split()[-1]
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=20)
            assert (out, err, running.returncode) == ("", "", 0)


@pytest.fixture
def client(process: tuple[subprocess.Popen[str], str]) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=process[1],
        headers={"Authorization": "Bearer sk_test_wire"},
        trust_env=False,
        timeout=20,
    ) as connected:
        connected.post("/_simulator/reset").raise_for_status()
        connected.put("/_simulator/config", json=FAST).raise_for_status()
        yield connected


def dispatch(client: httpx.Client, receiver: Receiver, **simulate: Any) -> httpx.Response:
    body = {
        "tool_id": "background-removal",
        "input_image_url": f"{client.base_url}/photos/cactus-terracotta-pot.jpg",
        "webhook_url": receiver.url,
        "metadata": {"ref": "a.myshopify.com:J1:1:token"},
        "parameters": {"simulate": simulate},
    }
    return client.post("/api/jobs/dispatch", json=body)


def test_real_photograph_goes_all_the_way(client: httpx.Client, receiver: Receiver) -> None:
    job_id = dispatch(client, receiver).json()["data"]["id"]
    told = receiver.got(2)[-1]
    assert (told["event"], told["job_id"]) == ("job.completed", job_id)
    assert all(signature == sign(SECRET, body) for signature, body in receiver.deliveries)
    result = httpx.get(told["job"]["output_image_url"], trust_env=False)
    assert result.headers["content-type"] == "image/png"
    assert result.content.startswith(b"\x89PNG")
    assert told["job"]["processing_time_ms"] > 0


def test_photographs_are_served_but_nothing_beside_them(client: httpx.Client) -> None:
    served = client.get("/photos/painted-stool.jpg")
    assert served.content == photo("painted-stool").read()
    for name in ("SOURCES.md", "__init__.py", "..%2f__init__.py", "none.jpg"):
        assert client.get(f"/photos/{name}").status_code == 404


def test_lost_answer_is_a_broken_connection_and_a_job_that_was_paid(
    client: httpx.Client, receiver: Receiver
) -> None:
    with pytest.raises(httpx.TransportError):
        dispatch(client, receiver, create="lost_answer")
    receiver.got(2)
    ledger = client.get("/_simulator/ledger").json()
    assert ledger["by_ref"] == {"a.myshopify.com:J1:1:token": 1}


def test_reset_before_execution_is_a_broken_connection_and_no_job(
    client: httpx.Client, receiver: Receiver
) -> None:
    with pytest.raises(httpx.TransportError):
        dispatch(client, receiver, create="reset_before")
    assert client.get("/_simulator/jobs").json() == {"jobs": []}


def test_late_answer_outlasts_a_clients_patience(client: httpx.Client, receiver: Receiver) -> None:
    client.timeout = httpx.Timeout(0.5)
    with pytest.raises(httpx.ReadTimeout):
        dispatch(client, receiver, create="late_answer", answer_delay_s=30)
    client.timeout = httpx.Timeout(20)
    assert receiver.got(2)[-1]["event"] == "job.completed"


def test_dropping_one_connection_leaves_the_others_alone(
    client: httpx.Client, receiver: Receiver
) -> None:
    with httpx.Client(base_url=client.base_url, trust_env=False) as other:
        other.get("/_simulator/health").raise_for_status()
        with pytest.raises(httpx.TransportError):
            dispatch(client, receiver, create="reset_before")
        other.get("/_simulator/health").raise_for_status()


def test_receiver_that_is_not_there_is_logged(client: httpx.Client, receiver: Receiver) -> None:
    client.put("/_simulator/config", json={"webhook_retry_delays_s": []}).raise_for_status()
    gone = receiver.url
    receiver.close()
    body = {
        "tool_id": "image-enhancement",
        "input_image_url": f"{client.base_url}/photos/pendant-lamp.jpg",
        "webhook_url": gone,
        "parameters": {"simulate": {"webhook_before_answer": True}},
    }
    client.post("/api/jobs/dispatch", json=body).raise_for_status()
    log = client.get("/_simulator/webhooks").json()["deliveries"]
    assert [line["status"] for line in log] == [None, None]
    assert all(line["error"].startswith("ConnectError") for line in log)
