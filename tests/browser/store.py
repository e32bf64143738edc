"""A store and its products, jobs and keys, as they are behind the page."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Any

import httpx

from local.photos import PHOTOS, photo
from local.pikcel_simulator.dialect import sign
from local.stack import Stack
from shared.domain.status import JobStatus
from shared.gateways.dynamo_items import job_item
from tests.builders import a_worker_job


class Store:
    """One shop on the running stack. Calls go over HTTP, as everybody's do."""

    def __init__(self, stack: Stack, client: httpx.Client, name: str) -> None:
        self.stack = stack
        self.name = name
        self._client = client
        self._shopify = stack.info.shopify_url.removesuffix("/{shop}")

    # ---- the API

    def call(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """Call the API for this shop, as an administrator; returns the answer's JSON."""
        headers = {"Authorization": f"Bearer {self.stack.info.admin_key}", "X-Shop": self.name}
        url = self.stack.info.api_url + path
        answer = self._client.request(method, url, json=body, headers=headers, params=query)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def key(self) -> str:
        """Issue a key of the shop."""
        return str(self.call("POST", "/api/shop/keys", {"name": "reader"})["secret"])

    def create(self, **wish: Any) -> dict[str, Any]:
        """Create a job."""
        job: dict[str, Any] = self.call("POST", "/api/jobs", wish)["job"]
        return job

    def create_work(self, name: str, **wish: Any) -> dict[str, Any]:
        """Create a job that the test itself works on, so that it moves when the test says so."""
        return self.create(**{"type": "CATALOG_PULL", "name": name} | wish)

    def report(self, job_id: str, **report: Any) -> dict[str, Any]:
        """Report progress of such a job."""
        job: dict[str, Any] = self.call("PATCH", f"/api/jobs/{job_id}", report)["job"]
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        """Read a job."""
        found: dict[str, Any] = self.call("GET", f"/api/jobs/{job_id}")["job"]
        return found

    def fill(self, count: int) -> None:
        """Put so many ended jobs into the table at once, and count them."""
        table = self.stack.client("dynamodb")
        name = self.stack.info.table_name
        now = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
        jobs = [
            a_worker_job(
                shop=self.name,
                created_at=now + timedelta(seconds=number),
                name=f"Task {number}",
                status=JobStatus.COMPLETED,
                progress=100,
                started_at=now + timedelta(seconds=number),
                completed_at=now + timedelta(seconds=number + 5),
                due_at=None,
            )
            for number in range(count)
        ]
        for chunk in batched(jobs, 25, strict=False):
            puts = [{"PutRequest": {"Item": job_item(job)}} for job in chunk]
            left = table.batch_write_item(RequestItems={name: puts})["UnprocessedItems"]
            assert not left
        counter = {"pk": {"S": f"COUNT#SHOP#{self.name}"}, "sk": {"S": "ALL#0"}}
        table.put_item(TableName=name, Item=counter | {"completed": {"N": str(count)}})

    # ---- Shopify and PikcelAI

    def id_token(self, **claims: Any) -> str:
        """Return an ID token as App Bridge gives it."""
        return str(self._ask("id-token", {"shop": self.name} | claims)["idToken"])

    def install(self) -> None:
        """Open the app once, which installs it."""
        headers = {"Authorization": f"Bearer {self.id_token()}"}
        url = f"{self.stack.info.api_url}/api/jobs/pending-count"
        self._client.get(url, headers=headers).raise_for_status()

    def product(self, name: str = "blue-armchair") -> dict[str, Any]:
        """Create a product with one of the photos."""
        picture = photo(name)
        body = {
            "shop": self.name,
            "title": picture.title,
            "imageBase64": base64.b64encode(picture.read()).decode(),
            "filename": f"{name}.jpg",
        }
        product: dict[str, Any] = self._ask("products", body)["product"]
        return product

    def media_of(self, product_id: str) -> list[dict[str, Any]]:
        """Return what is on a product."""
        url = f"{self._shopify}/_simulator/shops/{self.name}/products"
        products = self._client.get(url).raise_for_status().json()["products"]
        media: list[dict[str, Any]] = next(p["media"] for p in products if p["id"] == product_id)
        return media

    def photo_url(self, name: str) -> str:
        """Return the address at which the provider finds a photo."""
        return f"{self.stack.info.pikcel_url}/photos/{name}.jpg"

    def create_image(self, name: str = "blue-armchair", **wish: Any) -> dict[str, Any]:
        """Create a job for a photo, at the provider's simulator."""
        picture = photo(name)
        asked = {
            "toolId": picture.tool_id,
            "inputImageUrl": self.photo_url(name),
            "productTitle": picture.title,
        }
        return self.create(**asked | wish)

    def wait_for(
        self, job_id: str, holds: Callable[[dict[str, Any]], bool], what: str
    ) -> dict[str, Any]:
        """Wait until something holds of a job."""

        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if holds(job) else None

        found = self.stack.wait_until(look, 90, what)
        assert found is not None
        return found

    def done(self, *job_ids: str) -> None:
        """Wait until jobs are completed and their images kept."""
        for job_id in job_ids:
            self.wait_for(
                job_id,
                lambda job: job["status"] == "completed" and all(o["kept"] for o in job["outputs"]),
                "the image",
            )

    def deliver_unknown(self, provider_job_id: str, **said: Any) -> None:
        """Let PikcelAI send a signed webhook about a job that nobody here knows."""
        secret = self.stack.info.secrets["PIKCEL_WEBHOOK_SECRET"].split(",")[0]
        assert self.deliver_signed(secret, provider_job_id, **said) == 200

    def deliver_signed(self, secret: str, provider_job_id: str, **said: Any) -> int:
        """Send such a webhook, signed with any secret; returns the status of the answer."""
        told = {"jobId": provider_job_id, "status": "failed", "error": "No product"} | said
        body = json.dumps(told).encode()
        headers = {"X-Pikcel-Signature": sign(secret, body), "Content-Type": "application/json"}
        url = f"{self.stack.info.api_url}/webhooks/pikcel"
        return self._client.post(url, content=body, headers=headers).status_code

    def _ask(self, path: str, body: object) -> Any:
        answer = self._client.post(f"{self._shopify}/_simulator/{path}", json=body)
        return answer.raise_for_status().json()


ALL_PHOTOS = tuple(each.name for each in PHOTOS)
