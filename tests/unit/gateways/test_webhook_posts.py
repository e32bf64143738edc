"""Calls of the shops' endpoints: where they may go, and every way an endpoint can answer."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from shared.domain.endpoints import MAX_EXCERPT_BYTES
from shared.gateways.guarded_network import resolve
from shared.gateways.webhook_posts import CONNECT_S, DEADLINE_S, GuardedPosts
from shared.usecases.notice_ports import Posted
from tests.fakes.clock import FakeClock
from tests.unit.gateways.test_downloads import PUBLIC, TRUST, Network, answer

pytestmark = pytest.mark.promise("hostile", "addresses of shops' webhooks")

URL = "https://hooks.example.com/in?shop=1"
HEADERS = {"webhook-id": "e:1:job_failed", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
BODY = json.dumps({"type": "job.failed", "data": {"name": "Becher ü"}}, ensure_ascii=False).encode()


def post(
    network: Network, url: str = URL, headers: Mapping[str, str] = HEADERS, **options: Any
) -> Posted:
    posts = GuardedPosts(
        FakeClock(),
        backend=network,
        resolver=network.resolve,
        monotonic=lambda: network.time_s,
        ssl_context=TRUST,
        **options,
    )
    return posts.post(url, headers, BODY)


def test_the_body_goes_out_as_it_is_with_our_headers_and_none_of_our_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:8080")
    network = Network(answer(b"thanks"))
    found = post(network)
    assert (found.status, found.code, found.excerpt) == (200, None, "thanks")
    head, _, body = network.sent.partition(b"\r\n\r\n")
    assert body == BODY
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /in?shop=1 HTTP/1.1"
    sent = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines[1:]}
    assert sent["content-type"] == "application/json"
    assert sent["content-length"] == str(len(BODY))
    assert {name: sent[name] for name in HEADERS} == HEADERS
    assert not {"authorization", "cookie", "referer"} & set(sent)
    assert network.connected == [(PUBLIC, 443)]
    assert network.tls_names == ["hooks.example.com"]


@pytest.mark.parametrize("status", ["204 No Content", "410 Gone", "429 Slow", "500 Oh", "404 No"])
def test_any_status_is_an_answer(status: str) -> None:
    assert post(Network(answer(status=status))).status == int(status[:3])


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_an_answer_and_not_followed(status: str) -> None:
    network = Network(answer(status=status, headers={"Location": "https://hooks.example.com/2"}))
    assert post(network).status == int(status[:3])
    assert len(network.connected) == 1


def test_the_wait_that_is_asked_for_is_told() -> None:
    slow = {"Retry-After": "120"}
    assert post(Network(answer(status="429 Slow", headers=slow))).retry_after_s == 120.0
    at = {"Retry-After": "Sun, 22 Nov 2026 12:00:30 GMT"}
    assert post(Network(answer(status="503 Out", headers=at))).retry_after_s == 30.0
    assert (
        post(Network(answer(status="503 Out", headers={"Retry-After": "x"}))).retry_after_s is None
    )


def test_at_most_a_kilobyte_of_the_answer_is_kept_and_no_more_is_read() -> None:
    network = Network(answer(b"x" * 5_000_000))
    found = post(network)
    assert found.excerpt == "x" * MAX_EXCERPT_BYTES
    assert network.bytes_read < 200_000
    assert network.closed >= 1


@pytest.mark.parametrize(
    "body",
    [b"\xff" * 3000, "ü".encode() * 3000, b"\x00\x1b[31m red", b"", b"\xf0\x9f"],
)
def test_whatever_bytes_come_back_what_is_kept_is_text_of_a_kilobyte(body: bytes) -> None:
    kept = post(Network(answer(body))).excerpt
    assert len((kept or "").encode()) <= MAX_EXCERPT_BYTES
    assert "\x00" not in (kept or "")
    assert "\x1b" not in (kept or "")


def test_an_answer_that_breaks_off_after_its_status_counts() -> None:
    broken = answer(b"abc", headers={"Content-Length": "10"})
    assert post(Network(broken)).status == 200


# --- where it may not go --------------------------------------------------------------

PRIVATE = (
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "0.0.0.0", "::1",  # noqa: S104 - it must not be reached
    "fe80::1", "fe80::1%eth0", "fd00::1", "fd00:ec2::254", "::ffff:127.0.0.1", "::127.0.0.1",
    "::ffff:a9fe:a9fe", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::1", "ff02::1", "::",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_with_a_private_address_is_never_connected_to(address: str) -> None:
    network = Network(answer())
    network.names["hooks.example.com"] = [[PUBLIC, address]]
    assert post(network).code == "address_refused"
    assert network.connected == []


@pytest.mark.enable_socket  # of which it asks for numbers only, which no network knows
@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0"])
def test_an_address_in_disguise_is_seen_through_by_the_systems_own_resolver(host: str) -> None:
    network = Network(answer())
    posts = GuardedPosts(FakeClock(), backend=network, resolver=resolve, ssl_context=TRUST)
    assert posts.post(f"https://{host}/in", HEADERS, BODY).code == "address_refused"
    assert network.connected == []


def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_checked() -> None:
    network = Network(answer())
    network.names["hooks.example.com"] = [[PUBLIC], ["127.0.0.1"]]
    assert post(network).status == 200
    assert network.connected == [(PUBLIC, 443)]


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/in",
        "https://user:pass@hooks.example.com/in",
        "ftp://hooks.example.com/in",
        "https:///in",
        "/in",
        "",
        "https://hooks.example.com:99999/",
        # No name that can be read, which httpx tells only when it is asked for the host.
        "https://xn--a/in",
        "https://xn--0.example.com/in",
    ],
)
def test_what_is_no_plain_https_address_is_refused(url: str) -> None:
    network = Network(answer())
    assert post(network, url).code == "address_refused"
    assert network.connected == []


def test_a_laptops_own_host_may_be_plain_and_private() -> None:
    network = Network(answer())
    network.names["127.0.0.1"] = [["127.0.0.1"]]
    url = "http://127.0.0.1:9000/in"
    assert post(network, url, private_hosts=("127.0.0.1:9000",)).status == 200
    assert network.connected == [("127.0.0.1", 9000)]
    assert post(Network(answer()), url, private_hosts=("127.0.0.1:9001",)).code == "address_refused"


# --- silence --------------------------------------------------------------------------


def test_an_endpoint_that_drips_is_given_up_after_fifteen_seconds() -> None:
    network = Network([bytes([byte]) for byte in answer()[0]])
    network.read_takes_s = 1.0
    found = post(network)
    assert found.code == "timed_out"
    assert DEADLINE_S * 1000 <= found.duration_ms <= DEADLINE_S * 1000 + 1000


def test_a_connection_may_take_five_seconds() -> None:
    network = Network(answer())
    waits: list[float | None] = []
    connect = network.connect_tcp

    def watched(
        host: str, port: int, timeout: float | None = None, *more: Any, **named: Any
    ) -> Any:
        waits.append(timeout)
        return connect(host, port, timeout, *more, **named)

    network.connect_tcp = watched  # type: ignore[method-assign]
    post(network)
    assert waits == [CONNECT_S]


def test_a_host_that_does_not_answer_or_exist_is_unreachable() -> None:
    network = Network(answer())
    network.unreachable = {PUBLIC}
    assert post(network).code == "unreachable"

    def fail(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    posts = GuardedPosts(FakeClock(), backend=Network(), resolver=fail, ssl_context=TRUST)
    assert posts.post(URL, HEADERS, BODY).code == "unreachable"


@pytest.mark.parametrize(
    "raw", [b"", b"SSH-2.0-OpenSSH\r\n", b"\x00\xff" * 50, b"HTTP/1.1 huh\r\n"]
)
def test_what_does_not_speak_http_is_told_so(raw: bytes) -> None:
    assert post(Network([raw])).code == "not_http"


def test_a_name_that_is_no_name_is_refused() -> None:
    def fail(host: str, port: int) -> list[str]:
        raise UnicodeError("label too long")

    posts = GuardedPosts(FakeClock(), backend=Network(), resolver=fail, ssl_context=TRUST)
    assert posts.post(URL, HEADERS, BODY).code == "address_refused"
