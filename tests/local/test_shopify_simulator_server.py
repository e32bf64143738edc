"""The simulator as a process: it says when it is ready, answers on loopback, cuts connections."""

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from local.stack.processes import free_ports
from tests.local.shopify_world import SHOP, STAGE, picture

TOKEN = {"X-Shopify-Access-Token": "shpat_tour"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "local.shopify_simulator", "--port", str(port)),
            *("--access-token", "shpat_tour"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line == f"Shopify simulator ready on http://127.0.0.1:{port}"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def ask(server: str, query: str, variables: object = None) -> httpx.Response:
    return httpx.post(
        f"{server}/{SHOP}/admin/api/2026-10/graphql.json",
        json={"query": query, "variables": variables},
        headers=TOKEN,
    )


def test_it_answers_over_http(server: str) -> None:
    assert httpx.get(f"{server}/_simulator/health").json()["ok"] is True
    assert ask(server, "{ shop { name } }").json()["data"] == {"shop": {"name": "mugs"}}


def test_uploads_go_to_this_server(server: str) -> None:
    given = {"filename": "a.png", "mimeType": "image/png", "resource": "IMAGE"}
    answer = ask(server, STAGE, {"input": [given]}).json()
    target = answer["data"]["stagedUploadsCreate"]["stagedTargets"][0]
    assert target["url"].startswith(f"{server}/staged/")
    assert httpx.put(target["url"], content=picture()).status_code == 200


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_dropped_connection_has_no_answer(server: str, kind: str) -> None:
    httpx.post(f"{server}/_simulator/faults", json={"kind": kind, "operation": "shop"})
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        ask(server, "{ shop { name } }")
    assert ask(server, "{ shop { name } }").status_code == 200


def test_a_foreign_source_is_really_downloaded(server: str) -> None:
    made = httpx.post(
        f"{server}/_simulator/products",
        json={"shop": SHOP, "title": "Mug", "imageUrl": f"{server}/_simulator/health"},
    )
    assert made.status_code == 400
    assert "UNSUPPORTED_IMAGE_FILE_TYPE" in made.json()["error"]
