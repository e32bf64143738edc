"""A wrong secret of ours loses nothing: on the laptop's stack, with the template's policies."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.pikcel_simulator.dialect import sign
from local.stack import Stack
from tests.local.test_image_jobs_over_http import Page

pytestmark = pytest.mark.slow

NAME = "PIKCEL_WEBHOOK_SECRET"


class Rotation:
    """PikcelAI signs with another secret than the one that we have."""

    def __init__(self, page: Page) -> None:
        self.page, self.stack = page, page.stack
        self.theirs = f"whsec_{secrets.token_hex(16)}"
        self.ours = self.stack.info.secrets[NAME]
        self._control = f"{self.stack.info.pikcel_url}/_simulator"

    def begin(self) -> None:
        """Let PikcelAI sign with the other one, and send nothing twice."""
        self._configure(webhook_secrets=[self.theirs], webhook_retry_delays_s=[])

    def put(self, *values: str) -> None:
        """Store other values of our secret, the newest first."""
        self.stack.put_secret(NAME, ",".join(values))

    def end(self) -> None:
        """Let everything be as it was."""
        self.put(self.ours)
        delays = [1.0, 5.0, 30.0]
        self._configure(webhook_secrets=[self.ours], webhook_retry_delays_s=delays)

    def answers(self, provider_job_id: str) -> list[int]:
        """Return how PikcelAI's webhooks about a job were answered."""
        log = httpx.get(f"{self._control}/webhooks", timeout=30).json()["deliveries"]
        return [each["status"] for each in log if each["job_id"] == provider_job_id]

    def _configure(self, **changes: Any) -> None:
        httpx.put(f"{self._control}/config", json=changes, timeout=30).raise_for_status()

    def deliver(self, told: dict[str, Any], secret: str) -> httpx.Response:
        """Send a webhook that is signed with one of the two."""
        return self.page.deliver(told, sign(secret, json.dumps(told).encode()))

    def until_taken(self, told: dict[str, Any], secret: str) -> None:
        """Send it until it is taken: a process that has read our secret just now does not do so
        again for half a minute."""

        def is_taken() -> bool:
            return self.deliver(told, secret).status_code == 200

        self.stack.wait_until(is_taken, 60, "the secret to be known")

    def reverify(self) -> dict[str, int]:
        """Have all of PikcelAI's checked again; returns the sums of all answers."""
        sums = {"checked": 0, "accepted": 0, "refused": 0, "failing": 0}
        cursor: str | None = None
        while True:
            body = {"provider": "pikcel"} | ({"cursor": cursor} if cursor else {})
            done = self.page.post("/api/admin/quarantine/reverify", body)
            sums = {name: count + done[name] for name, count in sums.items()}
            cursor = done["nextCursor"]
            if cursor is None:
                return sums

    def held(self) -> int:
        """Return how many of PikcelAI's are kept."""
        found = self.page.get("/api/admin/quarantine", provider="pikcel", limit="100")
        return len(found["quarantine"])


@pytest.fixture(scope="module")
def page(shared_stack: Stack) -> Iterator[Page]:
    info = shared_stack.info
    headers = {"Authorization": f"Bearer {info.admin_key}"}
    with httpx.Client(base_url=info.api_url, headers=headers, timeout=30) as http:
        yield Page(shared_stack, http, "held-back.myshopify.com")


@pytest.fixture
def rotation(page: Page) -> Iterator[Rotation]:
    made = Rotation(page)
    made.begin()
    yield made
    made.end()


@pytest.mark.feature("quarantine")
def test_what_failed_because_our_secret_was_wrong_is_recovered_by_fixing_it(
    page: Page, rotation: Rotation
) -> None:
    product = page.product("Armchair")
    before = rotation.held()
    job = page.edit_photo(productId=product, autoPush=True)

    def refused() -> bool:
        name = page.job(job["id"])["providerJobId"]
        return name is not None and rotation.answers(name) == [401, 401]

    page.stack.wait_until(refused, 60, "PikcelAI's webhooks to be refused")
    assert page.job(job["id"])["status"] == "pending"
    assert rotation.held() == before + 2
    # As long as the secret is wrong, checking again changes nothing.
    assert rotation.reverify()["accepted"] == 0
    assert rotation.held() == before + 2
    rotation.put(rotation.theirs)
    assert rotation.reverify()["accepted"] == 2
    pushed = page.until(job["id"], status="completed", pushStatus="pushed")
    assert page.shown(product) == [pushed["shopifyMediaId"]]
    assert rotation.reverify()["accepted"] == 0
    assert rotation.held() == before
    moved = [entry for entry in page.timeline(job["id"]) if entry["source"] == "webhook"]
    assert [entry["outcome"] for entry in moved] == ["applied", "applied"]
    page.stack.invoke("sweep")
    assert page.shown(product) == [pushed["shopifyMediaId"]]


@pytest.mark.feature("quarantine")
def test_a_registered_foreign_job_is_recovered_too(page: Page, rotation: Rotation) -> None:
    name = page.made_at_pikcel(simulate={"stuck": True})
    job = page.create(pikcelJobId=name, toolId="background-removal")
    told = {"jobId": name, "status": "failed", "error": "Too dark", "creditsUsed": 2}
    assert rotation.deliver(told, rotation.theirs).status_code == 401
    rotation.put(rotation.theirs, rotation.ours)
    assert rotation.reverify()["accepted"] == 1
    failed = page.job(job["id"])
    assert (failed["status"], failed["errorMessage"], failed["creditsUsed"]) == (
        "failed",
        "Too dark",
        2,
    )
    assert rotation.reverify()["accepted"] == 0
    assert page.job(job["id"]) == failed


@pytest.mark.feature("rotation of secrets")
def test_it_is_told_which_of_two_secrets_fitted_and_when_the_older_one_may_go(
    page: Page, rotation: Rotation
) -> None:
    def state() -> dict[str, Any]:
        answer = page.get("/api/admin/secrets")
        assert rotation.theirs not in json.dumps(answer)
        (found,) = (row for row in answer["secrets"] if row["provider"] == "pikcel")
        return dict(found)

    assert (state()["reason"], len(state()["keys"])) == ("only_one", 1)
    rotation.put(rotation.theirs, rotation.ours)
    assert state()["reason"] == "unproven"
    name = page.made_at_pikcel(simulate={"stuck": True})
    told = {"jobId": name, "status": "processing"}
    for secret in (rotation.theirs, rotation.ours):
        rotation.until_taken(told, secret)
    found = state()
    assert [key["isCurrent"] for key in found["keys"]] == [True, False]
    assert [key["hours"][0]["deliveries"] for key in found["keys"]] == [1, 1]
    assert (found["safeToRemove"], found["reason"]) == (False, "in_use")
    assert found["safeAt"] > found["keys"][1]["lastMatchAt"]


@pytest.mark.feature("quarantine", "rotation of secrets")
def test_nobody_but_administrators_sees_any_of_it(page: Page) -> None:
    key = page.post("/api/shop/keys", {"name": "program"}, 201)["secret"]
    bearer = {"Authorization": f"Bearer {key}"}
    for path in ("/api/admin/quarantine", "/api/admin/secrets"):
        assert page.ask("GET", path, headers=bearer).status_code == 403
    refused = page.ask("POST", "/api/admin/quarantine/reverify", headers=bearer, json={})
    assert refused.status_code == 403
