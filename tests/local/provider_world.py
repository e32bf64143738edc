"""Replicate, fal, RunPod, Black Forest Labs and OpenAI on one loopback port, as far as we use them.

Each has its API below its own name (`/replicate/v1/predictions` …), keeps its jobs in memory, and
does nothing by itself: the test says when a job ends and which webhooks go out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from local.stack.processes import LOOPBACK
from tests.local.pikcel_world import small_photo
from tests.unit.gateways.test_key_sets import a_set
from tests.unit.providers.senders import FAL_KEY, sign_fal, sign_standard

NAMES = ("replicate", "fal", "runpod", "bfl", "openai")
TOOLS = {
    "replicate": "an-owner/a-model",
    "fal": "an-owner/a-model/edit",
    "runpod": "endpoint1",
    "bfl": "flux-kontext-pro",
    "openai": "gpt-5",
}


@dataclass
class ProviderJob:
    """A job at a provider. state: running, done, failed or stopped."""

    provider: str
    job_id: str
    request: dict[str, Any]
    callback: str | None
    state: str = "running"
    polls: int = 0


@dataclass
class Providers:
    """All of them. refused: calls with a wrong key; `keys` are what each expects."""

    port: int
    keys: Mapping[str, str]
    picture: bytes
    jobs: dict[str, ProviderJob] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    dead_links: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def settings(self) -> dict[str, str]:
        """Return the settings that have the stack talk to these."""
        urls = {f"{name.upper()}_API_URL": f"http://{self.host}/{name}" for name in NAMES}
        keys = {f"{name.upper()}_API_KEY": key for name, key in self.keys.items()}
        return {
            **urls,
            **keys,
            "FAL_JWKS_URL": f"http://{self.host}/jwks.json",
            "FAL_USER_ID": "user_test",
            "RESULT_HOSTS": self.host,
        }

    def job_of(self, provider: str, job_id: str) -> ProviderJob:
        return self.jobs[job_id]

    def link(self, job_id: str) -> str:
        return f"http://{self.host}/results/{job_id}.png"

    # --- what a job looks like ---------------------------------------------------------

    def shown(self, job: ProviderJob) -> dict[str, Any]:
        """Return a job as its provider shows it to who asks."""
        link = self.link(job.job_id)
        words = {
            "replicate": ("processing", "succeeded", "failed", "canceled"),
            "fal": ("IN_PROGRESS", "COMPLETED", "COMPLETED", "COMPLETED"),
            "runpod": ("IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED"),
            "bfl": ("Pending", "Ready", "Error", "Ready"),
            "openai": ("in_progress", "completed", "failed", "cancelled"),
        }[job.provider]
        word = words[("running", "done", "failed", "stopped").index(job.state)]
        is_done = job.state == "done"
        image = base64.b64encode(self.picture).decode()
        call = {"type": "image_generation_call", "result": image, "output_format": "png"}
        more: dict[str, dict[str, Any]] = {
            "replicate": {
                "output": [link] if is_done else None,
                "error": "No." if job.state == "failed" else None,
                "webhook": job.callback,
                "metrics": {"predict_time": 1.25} if is_done else {},
            },
            "fal": {"error": "No." if job.state == "failed" else None, "request_id": job.job_id},
            "runpod": {
                "output": {"image_url": link} if is_done else None,
                "executionTime": 1250,
                "error": "No." if job.state == "failed" else None,
            },
            "bfl": {"result": {"sample": link} if is_done else None},
            "openai": {
                "output": [call] if is_done else [],
                "metadata": job.request.get("metadata", {}),
                "error": {"code": "x", "message": "No."} if job.state == "failed" else None,
            },
        }
        return {"id": job.job_id, "status": word, **more[job.provider]}

    # --- webhooks ----------------------------------------------------------------------

    def deliver(
        self, job: ProviderJob, api_url: str, secrets: Mapping[str, str], *, forged: bool = False
    ) -> httpx.Response:
        """Deliver what the job is now, signed as its provider signs."""
        now = int(time.time())
        body = json.dumps(self._told(job)).encode()
        address = job.callback or f"{api_url}/webhooks/{job.provider}"
        signed = b"other" if forged else body
        headers: dict[str, str] = {}
        if job.provider == "fal":
            headers = sign_fal(signed, job.job_id, now, "")
        elif job.provider == "bfl":
            secret = job.request["webhook_secret"]
            digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
            headers = {"x-bfl-signature": f"sha256={digest}"}
        elif job.provider != "runpod":
            secret = secrets[f"{job.provider.upper()}_WEBHOOK_SECRET"]
            headers = sign_standard(signed, f"msg_{job.job_id}_{job.state}", now, secret)
        elif forged:
            address = re.sub(r"ref=[^&]*", "ref=forged", address)
        return httpx.post(address, content=body, headers=headers, timeout=30)

    def _told(self, job: ProviderJob) -> dict[str, Any]:
        if job.provider == "fal":
            return {
                "request_id": job.job_id,
                "gateway_request_id": job.job_id,
                "status": "OK" if job.state == "done" else "ERROR",
                "payload": self._images(job),
                "error": None,
            }
        if job.provider == "openai":
            kind = {"done": "completed", "failed": "failed", "stopped": "cancelled"}[job.state]
            return {"id": "evt_1", "type": f"response.{kind}", "data": {"id": job.job_id}}
        return self.shown(job)

    def _images(self, job: ProviderJob) -> dict[str, Any]:
        names = [f"{job.job_id}-{n}" for n in range(job.request.get("num_images", 0))]
        links = [{"url": self.link(name)} for name in names or [job.job_id]]
        return {"images": links, "seed": 17454220438242315174}

    # --- calls -------------------------------------------------------------------------

    def answer(
        self, method: str, address: str, headers: Mapping[str, str], body: dict[str, Any]
    ) -> tuple[int, Any]:
        """Answer one call."""
        url = urlsplit(address)
        provider, _, path = url.path.lstrip("/").partition("/")
        if url.path == "/jwks.json":
            return 200, a_set(FAL_KEY)
        if provider == "results":
            job_id = path.removesuffix(".png")
            return (404, b"") if job_id in self.dead_links else (200, self.picture)
        key = headers.get("authorization", "").rpartition(" ")[2] or headers.get("x-key", "")
        if key != self.keys[provider]:
            self.refused.append(address)
            return 401, {"detail": "Who are you?"}
        with self.lock:
            return self._call(provider, method, path, parse_qs(url.query), body)

    def _call(
        self, provider: str, method: str, path: str, query: Mapping[str, list[str]], body: Any
    ) -> tuple[int, Any]:
        named = query.get("id") or [part for part in path.split("/") if part in self.jobs]
        if not named:
            assert method == "POST", path
            return self._create(provider, query, body)
        job = self.jobs[named[0]]
        if path.endswith("cancel") or "/cancel/" in path:
            job.state = "stopped" if job.state == "running" else job.state
            return 200, self.shown(job)
        job.polls += 1
        if provider == "fal" and not path.endswith("/status"):
            return 200, self._images(job)
        return 200, self.shown(job)

    def _create(
        self, provider: str, query: Mapping[str, list[str]], body: dict[str, Any]
    ) -> tuple[int, Any]:
        job_id = f"{provider}-{len(self.jobs) + 1}"
        callback = (
            body.get("webhook") or body.get("webhook_url") or query.get("fal_webhook", [None])[0]
        )
        job = self.jobs[job_id] = ProviderJob(provider, job_id, body, callback)
        created = {**self.shown(job), "id": job_id, "request_id": job_id}
        created["status"] = {"replicate": "starting", "openai": "queued"}.get(provider, "IN_QUEUE")
        if provider == "bfl":
            created["polling_url"] = f"http://{self.host}/bfl/v1/get_result?id={job_id}&region=eu"
        return 201 if provider == "replicate" else 200, created


@contextmanager
def running_providers(port: int) -> Iterator[Providers]:
    """Run all of them on a port."""
    keys = {name: f"{name}-key" for name in NAMES}
    providers = Providers(port, keys, small_photo())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = providers.answer(self.command, self.path, headers, body)
            raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer((LOOPBACK, port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield providers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
