"""Our HTTP API as a shop's page calls it, and the two simulators from inside."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

# Of the minute that Shopify's ID tokens live (facts: App Bridge gets a new one for each call).
TOKEN_GOOD_FOR_S = 40.0
TRIES = 4


class DemoError(Exception):
    """The demo cannot go on; the message says what was asked and what was answered."""


class Web:
    """HTTP on the loopback; answers are JSON objects."""

    def __init__(
        self, client: httpx.Client, base_url: str, wait: Callable[[float], None] = time.sleep
    ) -> None:
        """Speak to `base_url`; `wait` is told how many seconds to let pass before trying again."""
        self._client = client
        self._base_url = base_url
        self._wait = wait

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send a request that may safely be repeated, and return the answer's JSON object.

        Raises DemoError when it is refused, or nobody answers properly at the last try.
        """
        trouble = ""
        for number in range(TRIES):
            if number:
                self._wait(float(number))
            try:
                answer = self._client.request(
                    method, self._base_url + path, json=body, headers=dict(headers or {})
                )
            except httpx.TransportError as error:
                trouble = f"{type(error).__name__}: {error}"
                continue
            if answer.status_code < 400:
                shown: dict[str, Any] = answer.json()
                return shown
            trouble = f"{answer.status_code} {answer.text[:300]}"
            if answer.status_code < 500 and answer.status_code != 429:
                break
        raise DemoError(f"{method} {self._base_url}{path} was answered: {trouble}")


class Provider(Web):
    """The control routes of a provider's simulator."""

    def configure(self, **changes: object) -> None:
        """Change settings."""
        self.ask("PUT", "/_simulator/config", changes)

    def read(self, name: str) -> dict[str, Any]:
        """Return what `jobs`, `webhooks` or `ledger` shows."""
        return self.ask("GET", f"/_simulator/{name}")


class Shopify(Web):
    """The Shopify simulator's control routes: where one is the merchant, and the page."""

    def configure(self, **parts: object) -> None:
        """Change switches and faults."""
        self.ask("PUT", "/_simulator/config", parts)

    def create_product(self, shop: str, title: str, image_base64: str, file_name: str) -> str:
        """Create a product with its photo; return its global id."""
        body = {"shop": shop, "title": title, "imageBase64": image_base64, "filename": file_name}
        return str(self.ask("POST", "/_simulator/products", body)["product"]["id"])

    def id_token(self, shop: str) -> str:
        """Return an ID token as App Bridge gives it to the app's page in a shop's admin."""
        return str(self.ask("POST", "/_simulator/id-token", {"shop": shop})["idToken"])

    def products(self, shop: str) -> list[dict[str, Any]]:
        """Return a shop's products with their media."""
        return list(self.ask("GET", f"/_simulator/shops/{shop}/products")["products"])

    def files(self, shop: str) -> list[dict[str, Any]]:
        """Return every file of a shop, on a product or not."""
        return list(self.ask("GET", f"/_simulator/shops/{shop}/files")["files"])

    def calls(self, shop: str) -> list[dict[str, Any]]:
        """Return the calls that came for a shop."""
        return list(self.ask("GET", f"/_simulator/calls?shop={shop}")["calls"])


class ShopPage:
    """A shop's page of the app: calls our API with an ID token of that shop."""

    def __init__(
        self,
        web: Web,
        mint: Callable[[], str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Call through `web`; `mint` gives a fresh ID token, `now` seconds."""
        self._web = web
        self._mint = mint
        self._now = now
        self._token = ""
        self._minted_at: float | None = None

    def create(self, wish: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Create a job; the same `key` never makes a second one. Returns the job."""
        answer = self._ask("POST", "/api/jobs", wish, {"Idempotency-Key": key})
        return dict(answer["job"])

    def retry(self, job_id: str) -> None:
        """Begin the next attempt of a failed job."""
        self._ask("POST", "/api/jobs/retry", {"jobId": job_id})

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Return the shop's jobs by id."""
        found: dict[str, dict[str, Any]] = {}
        query = "limit=100"
        while True:
            page = self._ask("GET", f"/api/jobs?{query}")
            found |= {job["id"]: job for job in page["jobs"]}
            if page["nextCursor"] is None:
                return found
            query = str(httpx.QueryParams({"limit": "100", "cursor": page["nextCursor"]}))

    def timeline(self, job_id: str) -> list[dict[str, Any]]:
        """Return a job's timeline, the oldest first."""
        return list(reversed(self._ask("GET", f"/api/jobs/{job_id}/logs?limit=100")["logs"]))

    def stats(self) -> dict[str, Any]:
        """Return the shop's statistics."""
        return dict(self._ask("GET", "/api/jobs/stats")["stats"])

    def _ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        bearer = {"Authorization": f"Bearer {self._fresh_token()}"}
        return self._web.ask(method, path, body, {**bearer, **(headers or {})})

    def _fresh_token(self) -> str:
        if self._minted_at is None or self._now() - self._minted_at > TOKEN_GOOD_FOR_S:
            self._token, self._minted_at = self._mint(), self._now()
        return self._token
