"""A small world around the Shopify simulator: a clock to turn, shops to call, pictures to send."""

import io
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
from PIL import Image

from local.shopify_simulator import Simulator
from local.shopify_simulator.simulator_state import DEFAULT_STATIC_TOKEN
from local.shopify_simulator.sources import DownloadFailedError

BASE_URL = "http://127.0.0.1:8790"
SHOP = "mugs.myshopify.com"
OTHER_SHOP = "lamps.myshopify.com"
START = 1_790_000_000.0

FILE_CREATE = """
mutation Create($files: [FileCreateInput!]!) {
  fileCreate(files: $files) {
    files { id alt fileStatus ... on MediaImage { image { url } } }
    userErrors { code field message }
  }
}"""

FILE_UPDATE = """
mutation Update($files: [FileUpdateInput!]!) {
  fileUpdate(files: $files) {
    files { id alt fileStatus }
    userErrors { code field message }
  }
}"""

NODE = """
query Node($id: ID!) {
  node(id: $id) {
    ... on MediaImage {
      id alt status fileStatus mimeType
      image { url width height }
      mediaErrors { code message }
    }
  }
}"""

STATUS = "query Status($id: ID!) { node(id: $id) { ... on MediaImage { status fileStatus } } }"

STAGE = """
mutation Stage($input: [StagedUploadInput!]!) {
  stagedUploadsCreate(input: $input) {
    stagedTargets { url resourceUrl parameters { name value } }
    userErrors { field message }
  }
}"""

PRODUCT_MEDIA = """
query Media($id: ID!) {
  product(id: $id) { id title media(first: 250) { nodes { id alt status } } }
}"""


def picture(width: int = 8, height: int = 6, kind: str = "PNG") -> bytes:
    """A real image file."""
    written = io.BytesIO()
    Image.new("RGB", (width, height), (200, 60, 20)).save(written, kind)
    return written.getvalue()


@dataclass
class ShopifyWorld:
    """The simulator on a hand-turned clock; foreign URLs are served from ``internet``."""

    now: float = START
    internet: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.simulator = Simulator(BASE_URL, clock=lambda: self.now, fetch=self._fetch)
        self.http = httpx.Client(transport=self.simulator.transport(), base_url=BASE_URL)

    def _fetch(self, url: str) -> bytes:
        if url not in self.internet:
            raise DownloadFailedError("HTTP 404")
        return self.internet[url]

    def configure(self, **parts: Any) -> None:
        """PUT /_simulator/config; must be accepted."""
        assert self.http.put("/_simulator/config", json=parts).status_code == 200

    def fault(self, kind: str, **about: Any) -> None:
        """POST /_simulator/faults; must be accepted."""
        answer = self.http.post("/_simulator/faults", json={"kind": kind, **about})
        assert answer.status_code == 201, answer.text

    def post(
        self,
        query: str,
        variables: dict[str, Any] | None = None,
        *,
        shop: str = SHOP,
        token: str = DEFAULT_STATIC_TOKEN,
        version: str = "2026-10",
    ) -> httpx.Response:
        """Send one GraphQL call."""
        return self.http.post(
            f"/{shop}/admin/api/{version}/graphql.json",
            json={"query": query, "variables": variables or {}},
            headers={"X-Shopify-Access-Token": token},
        )

    def ask(self, query: str, /, *, shop: str = SHOP, **variables: Any) -> dict[str, Any]:
        """Send one GraphQL call that must succeed; gives ``data``."""
        answer = self.post(query, variables, shop=shop).json()
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    def stage(self, content: bytes, filename: str, mime_type: str = "image/png") -> str:
        """Upload bytes by PUT; gives the resource URL."""
        given = {"filename": filename, "mimeType": mime_type, "resource": "IMAGE"}
        target = self.ask(STAGE, input=[given])["stagedUploadsCreate"]["stagedTargets"][0]
        assert self.http.put(target["url"], content=content).status_code == 200
        return str(target["resourceUrl"])

    def create(self, filename: str | None = "mug.png", **given: Any) -> dict[str, Any]:
        """Stage a picture and create one file of it; gives the whole payload."""
        if "originalSource" not in given:
            given["originalSource"] = self.stage(picture(), filename or "mug.png")
        made = {"filename": filename, "contentType": "IMAGE", **given}
        payload: dict[str, Any] = self.ask(FILE_CREATE, files=[made])["fileCreate"]
        return payload

    def ready_file(self, filename: str = "mug.png", **given: Any) -> str:
        """Create a file and wait until it is READY; gives its id."""
        created = str(self.create(filename, **given)["files"][0]["id"])
        self.now += 5
        assert self.node(created)["status"] == "READY"
        return created

    def node(self, gid: str) -> dict[str, Any]:
        """Read one file."""
        found: dict[str, Any] = self.ask(NODE, id=gid)["node"]
        return found

    def update(self, *files: dict[str, Any]) -> dict[str, Any]:
        """fileUpdate; gives its payload."""
        payload: dict[str, Any] = self.ask(FILE_UPDATE, files=list(files))["fileUpdate"]
        return payload

    def product(self, title: str = "Blue mug", shop: str = SHOP, **given: Any) -> str:
        """Create a product through the simulator's own route; gives its id."""
        answer = self.http.post(
            "/_simulator/products", json={"shop": shop, "title": title, **given}
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["product"]["id"])

    def media_of(self, product: str) -> list[str]:
        """The media ids of a product, by position, read through the API."""
        nodes = self.ask(PRODUCT_MEDIA, id=product)["product"]["media"]["nodes"]
        return [node["id"] for node in nodes]

    def calls(self) -> list[dict[str, Any]]:
        """The recorded calls."""
        recorded: list[dict[str, Any]] = self.http.get("/_simulator/calls").json()["calls"]
        return recorded


def codes(payload: dict[str, Any]) -> list[str]:
    """The codes of a payload's userErrors."""
    return [error["code"] for error in payload["userErrors"]]


def error_code(answer: httpx.Response) -> str:
    """The code of the only top-level error."""
    (error,) = json.loads(answer.content)["errors"]
    return str(error["extensions"]["code"])
