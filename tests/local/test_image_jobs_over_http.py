"""Image jobs over HTTP, on the laptop's stack with the template's policies enforced: what a
shop's page, PikcelAI and Shopify see of each feature."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.pikcel_simulator.delivery import sign
from local.stack import Stack

pytestmark = pytest.mark.slow

SHOP, OTHER_SHOP = "images.myshopify.com", "images-too.myshopify.com"


class Page:
    """One shop's page of the app: our API as an administrator acting for it."""

    def __init__(self, stack: Stack, http: httpx.Client, shop: str) -> None:
        self.stack, self.http, self.shop = stack, http, shop
        self.photo = f"{stack.info.pikcel_url}/photos/blue-armchair.jpg"
        self.shopify = stack.info.shopify_url.removesuffix("/{shop}")

    def of(self, shop: str) -> Page:
        """Return another shop's page."""
        return Page(self.stack, self.http, shop)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"X-Shop": self.shop} | more.pop("headers", {})
        return self.http.request(method, path, headers=headers, **more)

    def get(self, path: str, code: int = 200, **query: str) -> Any:
        return _sent(self.ask("GET", path, params=query), code)

    def post(self, path: str, body: Any, code: int = 200) -> Any:
        return _sent(self.ask("POST", path, json=body), code)

    def create(self, **wish: Any) -> Any:
        return self.post("/api/jobs", wish, 202)["job"]

    def edit_photo(self, **wish: Any) -> Any:
        return self.create(toolId="background-removal", inputImageUrl=self.photo, **wish)

    def job(self, job_id: str) -> Any:
        return self.get(f"/api/jobs/{job_id}")["job"]

    def until(self, job_id: str, **wanted: Any) -> Any:
        """Wait until the job is as wanted."""

        def look() -> Any:
            job = self.job(job_id)
            return job if all(job[name] == value for name, value in wanted.items()) else None

        return self.stack.wait_until(look, 60, f"the job to be {wanted}")

    def kept(self, job_id: str) -> Any:
        """Wait until the result is in our bucket."""

        def look() -> Any:
            job = self.job(job_id)
            return job if job["outputs"] and job["outputs"][0]["kept"] else None

        return self.stack.wait_until(look, 60, "the result")

    def timeline(self, job_id: str) -> list[Any]:
        """Return it, the oldest entry first."""
        entries: list[Any] = self.get(f"/api/jobs/{job_id}/logs")["logs"]
        return entries[::-1]

    def product(self, title: str) -> str:
        """Make a product of the shop, which the first call with an ID token installs."""
        wanted = {"shop": self.shop, "title": title}
        made = httpx.post(f"{self.shopify}/_simulator/products", json=wanted, timeout=30)
        login = httpx.post(
            f"{self.shopify}/_simulator/id-token", json={"shop": self.shop}, timeout=30
        )
        bearer = {"Authorization": f"Bearer {login.raise_for_status().json()['idToken']}"}
        self.ask("GET", "/api/jobs/pending-count", headers=bearer).raise_for_status()
        return str(made.raise_for_status().json()["product"]["id"])

    def shown(self, product_id: str) -> list[str]:
        """Return the media that a product shows."""
        url = f"{self.shopify}/_simulator/shops/{self.shop}/products"
        products = httpx.get(url, timeout=30).json()["products"]
        (found,) = (each for each in products if each["id"] == product_id)
        return [media["id"] for media in found["media"]]

    def made_at_pikcel(self, **parameters: Any) -> str:
        """Have PikcelAI make a job that we know nothing of; return its id."""
        bearer = {"Authorization": f"Bearer {self.stack.info.secrets['PIKCEL_API_KEY']}"}
        wish = {
            "tool_id": "background-removal",
            "input_image_url": self.photo,
            "parameters": parameters,
        }
        url = f"{self.stack.info.pikcel_url}/api/jobs/dispatch"
        made = httpx.post(url, json=wish, headers=bearer, timeout=30).raise_for_status()
        return str(made.json()["data"]["id"])

    def deliver(self, told: dict[str, Any], signature: str | None = None) -> httpx.Response:
        """Send a webhook, rightly signed unless a signature is given."""
        body = json.dumps(told).encode()
        secret = self.stack.info.secrets["PIKCEL_WEBHOOK_SECRET"].split(",")[0]
        headers = {"X-Pikcel-Signature": signature or sign(secret, body)}
        return self.http.post("/webhooks/pikcel", content=body, headers=headers)


def _sent(answer: httpx.Response, code: int) -> Any:
    assert answer.status_code == code, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def page(shared_stack: Stack) -> Iterator[Page]:
    info = shared_stack.info
    headers = {"Authorization": f"Bearer {info.admin_key}"}
    with httpx.Client(base_url=info.api_url, headers=headers, timeout=30) as http:
        yield Page(shared_stack, http, SHOP)


@pytest.mark.feature("create jobs", "results")
def test_a_job_without_a_product_is_made_and_its_result_kept(page: Page) -> None:
    job = page.edit_photo()
    assert (job["status"], job["provider"]) == ("pending", "pikcel")
    done = page.kept(job["id"])
    assert (done["status"], done["pushStatus"], done["progress"]) == ("completed", "none", 100)
    found = page.ask("GET", f"/api/jobs/{job['id']}/output", follow_redirects=True)
    assert found.headers["content-type"] == "image/png"
    assert found.headers["content-disposition"].startswith("attachment")
    assert len(found.content) == done["outputs"][0]["bytes"]
    assert httpx.get(done["outputImageUrl"]).content == found.content


@pytest.mark.feature("push", "undo a push")
def test_a_kept_result_goes_onto_the_product_once_and_off_again(page: Page) -> None:
    product = page.product("Armchair")
    job = page.kept(page.edit_photo(productId=product)["id"])
    ask = {"jobId": job["id"]}
    page.post("/api/jobs/push-to-shopify", ask)
    pushed = page.until(job["id"], pushStatus="pushed")
    assert page.shown(product) == [pushed["shopifyMediaId"]]
    page.post("/api/jobs/push-to-shopify", ask)
    page.until(job["id"], pushStatus="pushed")
    assert page.shown(product) == [pushed["shopifyMediaId"]]
    page.post("/api/jobs/undo-push", ask)
    page.until(job["id"], pushStatus="none", pushedToShopify=False)
    assert page.shown(product) == []


@pytest.mark.feature("jobs made elsewhere", "sync")
def test_a_job_made_elsewhere_is_followed_from_its_registration_on(page: Page) -> None:
    provider_job_id = page.made_at_pikcel()
    job = page.create(pikcelJobId=provider_job_id, toolId="background-removal")
    assert (job["providerJobId"], job["provider"]) == (provider_job_id, "pikcel")
    again = page.post("/api/jobs", {"pikcelJobId": provider_job_id}, 409)
    assert again["code"] == "provider_job_taken"
    (named,) = page.get("/api/jobs", providerJobId=provider_job_id)["jobs"]
    assert named["id"] == job["id"]

    def completed() -> bool:
        # PikcelAI was told of no webhook: only asking tells. It is asked once in ten seconds.
        synced = page.post("/api/jobs/sync", {"jobId": job["id"]})["job"]
        return bool(synced["status"] == "completed")

    page.stack.wait_until(completed, 60, "the job to be completed")
    assert "poll" in {entry["source"] for entry in page.timeline(job["id"])}


@pytest.mark.feature("webhooks", "timeline")
def test_webhooks_move_a_job_once_and_forged_ones_never(page: Page) -> None:
    name = page.made_at_pikcel(simulate={"stuck": True})
    told = {"jobId": name, "status": "failed", "error": "Too dark", "creditsUsed": 2}
    job = page.create(pikcelJobId=name, toolId="background-removal")
    forged = page.deliver(told, "0" * 64)
    assert (forged.status_code, forged.json()["code"]) == (401, "unauthorized")
    assert page.job(job["id"])["status"] in ("pending", "processing")
    assert [page.deliver(told).status_code for _ in range(2)] == [200, 200]
    failed = page.job(job["id"])
    assert (failed["status"], failed["errorMessage"]) == ("failed", "Too dark")
    assert failed["creditsUsed"] == 2
    timeline = page.timeline(job["id"])
    made = timeline[0]
    assert (made["source"], made["actor"].partition(":")[0]) == ("admin", "admin")
    moved, repeated = (entry for entry in timeline if entry["source"] == "webhook")
    assert (moved["proof"], moved["to"], moved["outcome"]) == ("body", "failed", "applied")
    assert repeated["outcome"] == "duplicate"


@pytest.mark.feature("retry", "cost")
def test_a_retry_is_a_new_attempt_with_a_price_of_its_own(page: Page) -> None:
    shop = page.of("retries.myshopify.com")
    job = shop.edit_photo(parameters={"simulate": {"fail": {"message": "No object"}, "times": 1}})
    failed = shop.until(job["id"], status="failed")
    assert failed["errorMessage"] == "No object"
    shop.post("/api/jobs/retry", {"jobId": job["id"]})
    done = shop.until(job["id"], status="completed")
    assert (done["attempt"], done["retryCount"], done["errorMessage"]) == (2, 1, None)
    assert done["providerJobId"] != failed["providerJobId"]
    assert done["creditsUsed"] > failed["creditsUsed"]
    answer = shop.get("/api/jobs/stats", groupBy="status")
    stats = answer["stats"]
    assert (stats["completed"], stats["totalCreditsUsed"]) == (1, done["creditsUsed"])
    spent = {group["key"]: group["totalCreditsUsed"] for group in answer["groups"]}
    assert (spent["completed"], spent["failed"]) == (done["creditsUsed"], 0)


@pytest.mark.feature("cancel", "delete")
def test_a_cancelled_job_ends_here_and_can_be_deleted(page: Page) -> None:
    job = page.edit_photo(parameters={"simulate": {"stuck": True}})
    page.until(job["id"], status="processing")
    refused = page.ask("DELETE", f"/api/jobs/{job['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "job_active")
    cancelled = page.post("/api/jobs/cancel", {"jobId": job["id"]})
    assert cancelled["job"]["status"] == "cancelled"
    assert "charge" in cancelled["notice"]
    assert page.ask("DELETE", f"/api/jobs/{job['id']}").json() == {"success": True}
    page.get(f"/api/jobs/{job['id']}", 404)
    page.get(f"/api/jobs/{job['id']}/logs", 404)


@pytest.mark.feature("list and search", "projects, modes, input assets", "statistics")
def test_a_project_is_listed_searched_and_summed_up(page: Page) -> None:
    shop = page.of("projects.myshopify.com")
    what = {"projectId": "spring", "mode": "lifestyle", "inputAssetId": "asset-7"}
    spring = [shop.create(name=f"spring {n}", costMicros=2_000, **what) for n in range(3)]
    other = shop.create(name="autumn", projectId="autumn", type="report")
    first, second, _ = (job["id"] for job in spring)
    for job_id, status in ((first, "completed"), (second, "failed"), (other["id"], "completed")):
        shop.ask("PATCH", f"/api/jobs/{job_id}", json={"status": status}).raise_for_status()

    def listed(**query: str) -> list[str]:
        answer = shop.ask("GET", "/api/jobs", params=query).raise_for_status()
        return [job["name"] for job in answer.json()["jobs"]]

    assert listed(projectId="spring") == ["spring 2", "spring 1", "spring 0"]
    assert listed(projectId="spring", sort="createdAt", limit="1") == ["spring 0"]
    assert listed(projectId="spring", status="failed") == ["spring 1"]
    assert listed(q="AUTUMN") == ["autumn"]
    assert listed(type="report", to=other["createdAt"]) == []
    assert (spring[0]["mode"], spring[0]["inputAssetId"]) == ("lifestyle", "asset-7")
    answer = shop.get("/api/jobs/stats", groupBy="project", days="1")
    sums = answer["stats"]
    assert [sums[name] for name in ("total", "pending", "completed", "failed")] == [4, 1, 2, 1]
    assert sums["successRate"] == pytest.approx(200 / 3)
    assert sums["timeSavedHours"] == 0.2
    groups = {group["key"]: group for group in answer["groups"]}
    spring_costs = groups["spring"]["totalCostMicros"], groups["spring"]["averageCostMicros"]
    assert spring_costs == (2_000, 1_000)
    assert groups["autumn"]["completed"] == 1
    assert [day["completed"] for day in answer["days"]] == [2]


@pytest.mark.feature("isolation", "pending count")
def test_one_shop_never_meets_anothers_jobs(page: Page) -> None:
    mine, theirs = page.of("mine.myshopify.com"), page.of(OTHER_SHOP)
    job = mine.create(name="mine")
    theirs.get(f"/api/jobs/{job['id']}", 404)
    theirs.get(f"/api/jobs/{job['id']}/logs", 404)
    theirs.post("/api/jobs/cancel", {"jobId": job["id"]}, 404)
    assert theirs.ask("DELETE", f"/api/jobs/{job['id']}").status_code == 404
    assert theirs.get("/api/jobs", ids=job["id"])["jobs"] == []
    assert theirs.get("/api/jobs/pending-count")["total"] == 0
    counts = mine.get("/api/jobs/pending-count")
    assert (counts["pending"], counts["processing"], counts["total"]) == (1, 0, 1)


@pytest.mark.feature("contract")
def test_the_api_describes_itself(page: Page) -> None:
    document = httpx.get(f"{page.stack.info.api_url}/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert "post" in document["paths"]["/api/jobs"]
    health = httpx.get(f"{page.stack.info.api_url}/health").json()
    assert (health["status"], health["checks"]) == ("ok", None)
    checks = page.get("/health", deep="1")["checks"]
    assert all(check["ok"] for check in checks)
