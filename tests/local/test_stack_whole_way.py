"""The real functions on the laptop's stack, with the template's policies enforced."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from local.stack import running_stack

pytestmark = pytest.mark.slow

SHOP = "whole-way.myshopify.com"


@pytest.mark.feature("create jobs")
def test_a_photo_reaches_its_product_once_within_the_policies_of_the_template() -> None:
    with running_stack(auth=True) as stack:
        # The sweep runs one at a time; here it runs when the test says so.
        stack.set_schedule(enabled=False)
        info = stack.info
        shopify = info.shopify_url.removesuffix("/{shop}")
        wanted = {"shop": SHOP, "title": "Armchair"}
        created = httpx.post(f"{shopify}/_simulator/products", json=wanted, timeout=30)
        product = created.raise_for_status().json()["product"]
        headers = {"Authorization": f"Bearer {info.admin_key}", "X-Shop": SHOP}
        with httpx.Client(base_url=info.api_url, headers=headers, timeout=30) as api:
            # The first call with an ID token installs the shop.
            login = httpx.post(f"{shopify}/_simulator/id-token", json={"shop": SHOP}, timeout=30)
            bearer = {"Authorization": f"Bearer {login.raise_for_status().json()['idToken']}"}
            api.get("/api/jobs/pending-count", headers=bearer).raise_for_status()
            request = {
                "toolId": "background-removal",
                "inputImageUrl": f"{info.pikcel_url}/photos/blue-armchair.jpg",
                "productId": product["id"],
                "autoPush": True,
            }
            job = api.post("/api/jobs", json=request).raise_for_status().json()["job"]

            def pushed() -> dict[str, Any] | None:
                now = api.get(f"/api/jobs/{job['id']}").raise_for_status().json()["job"]
                assert now["status"] != "failed", now
                assert now["pushStatus"] != "failed", now
                return now if now["pushStatus"] == "pushed" else None

            done = stack.wait_until(pushed, 60, "the push")
            assert done is not None
            kept = httpx.get(done["outputImageUrl"]).raise_for_status()
            assert kept.headers["content-type"] == "image/png"
        (shown,) = httpx.get(f"{shopify}/_simulator/shops/{SHOP}/products").json()["products"]
        assert [media["id"] for media in shown["media"]] == [done["shopifyMediaId"]]
        stack.invoke("sweep")
        refusals = [
            line
            for name in info.functions
            for line in stack.function_logs(name)
            if "AccessDenied" in line
        ]
        assert refusals == []
