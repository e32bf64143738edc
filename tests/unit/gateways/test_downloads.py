"""Fetching results: what may be fetched, and every way we know to be led astray."""

import base64
import gzip
import ssl
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpcore
import pytest

from shared.domain.addresses import is_public
from shared.domain.errors import OutputExpiredError, OutputRefusedError, RetryableError
from shared.gateways.downloads import (
    DEADLINE_S,
    MAX_BYTES,
    GuardedDownloads,
    measure,
    sniff,
)
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.promise("hostile", "addresses, redirects and bombs of results")

HOSTS = ("cdn.example.com", ".pikcel.ai")
URL = "https://cdn.example.com/1.png"
PUBLIC = "93.184.216.34"
TRUST = ssl.create_default_context()


def png(width: int = 3, height: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


def answer(
    body: bytes = b"", status: str = "200 OK", headers: Mapping[str, str] | None = None
) -> list[bytes]:
    """Return the bytes of an HTTP response."""
    lines = {"Content-Length": str(len(body)), **(headers or {})}
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
    return [head.encode() + b"\r\n", body] if body else [head.encode() + b"\r\n"]


class Wire(httpcore.NetworkStream):
    """One connection that answers with given bytes. sent: what was written to it."""

    def __init__(self, network: "Network", chunks: Sequence[bytes]) -> None:
        self._network = network
        self._chunks = list(chunks)
        self._rest = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._network.pass_time()
        if not self._rest and self._chunks:
            self._rest = self._chunks.pop(0)
        piece, self._rest = self._rest[:max_bytes], self._rest[max_bytes:]
        self._network.bytes_read += len(piece)
        return piece

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._network.sent += buffer

    def close(self) -> None:
        self._network.closed += 1

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        assert ssl_context.check_hostname
        assert ssl_context.verify_mode is ssl.CERT_REQUIRED
        self._network.tls_names.append(server_hostname)
        return self

    def get_extra_info(self, info: str) -> Any:
        return None


class Network(httpcore.NetworkBackend):
    """A name service and hosts.

    names: host → the addresses told at the first, second, … question (the last one stays).
    answers: what the hosts answer, connection by connection.
    """

    def __init__(self, *answers: Sequence[bytes]) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.answers = list(answers)
        self.connected: list[tuple[str, int]] = []
        self.tls_names: list[str | None] = []
        self.sent = b""
        self.closed = 0
        self.bytes_read = 0
        self.time_s = 0.0
        self.read_takes_s = 0.0
        self.unreachable: set[str] = set()

    def resolve(self, host: str, port: int) -> list[str]:
        told = self.names.get(host, [[PUBLIC]])
        return told.pop(0) if len(told) > 1 else told[0]

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        self.connected.append((host, port))
        if host in self.unreachable:
            raise httpcore.ConnectError("unreachable")
        return Wire(self, self.answers.pop(0))

    def pass_time(self) -> None:
        self.time_s += self.read_takes_s

    def downloads(self, **options: Any) -> GuardedDownloads:
        return GuardedDownloads(
            FakeClock(),
            backend=self,
            resolver=self.resolve,
            monotonic=lambda: self.time_s,
            ssl_context=TRUST,
            **options,
        )


def refuse(network: Network, url: str, **options: Any) -> str:
    with pytest.raises(OutputRefusedError) as caught:
        network.downloads(**options).fetch(url, HOSTS)
    return caught.value.message


# --- the good case -------------------------------------------------------------------


def test_an_image_is_fetched_and_measured() -> None:
    network = Network(answer(png(640, 480), headers={"Content-Type": "text/html"}))
    found = network.downloads().fetch(URL, HOSTS)
    assert (found.body, found.content_type, found.extension) == (png(640, 480), "image/png", "png")
    assert (found.width, found.height) == (640, 480)
    assert network.connected == [(PUBLIC, 443)]
    assert network.tls_names == ["cdn.example.com"]
    assert network.closed >= 1


def test_the_request_carries_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:8080")
    network = Network(answer(png()))
    network.downloads().fetch("https://cdn.example.com/a%20b.png?sig=x%2Fy", HOSTS)
    head = network.sent.decode()
    assert head.startswith("GET /a%20b.png?sig=x%2Fy HTTP/1.1\r\n")
    names = {line.partition(":")[0].lower() for line in head.split("\r\n")[1:] if line}
    assert names == {"host", "accept", "accept-encoding", "user-agent"}
    assert network.connected == [(PUBLIC, 443)]


def test_extra_hosts_are_allowed_besides_the_providers() -> None:
    network = Network(answer(png()))
    network.downloads(extra_hosts=("img.example.net:8443",)).fetch(
        "https://img.example.net:8443/1.png", ()
    )
    assert network.connected == [(PUBLIC, 8443)]


def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    network = Network(answer(png()))
    network.names["cdn.example.com"] = [["93.184.216.35", PUBLIC]]
    network.unreachable = {"93.184.216.35"}
    network.downloads().fetch(URL, HOSTS)
    assert [host for host, _ in network.connected] == ["93.184.216.35", PUBLIC]


def test_redirects_are_followed_within_the_allowed_hosts() -> None:
    network = Network(
        answer(status="302 Found", headers={"Location": "/moved.png"}),
        answer(status="307 Temporary", headers={"Location": "https://eu.cdn.pikcel.ai/2.png"}),
        answer(png()),
    )
    network.downloads().fetch(URL, HOSTS)
    assert network.tls_names == ["cdn.example.com", "cdn.example.com", "eu.cdn.pikcel.ai"]


# --- attacks on the address ----------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.example.com/1.png",
        "ftp://cdn.example.com/1.png",
        "file:///etc/passwd",
        "gopher://cdn.example.com/",
        "data:image/png;base64,AAAA",
        "//cdn.example.com/1.png",
        "cdn.example.com/1.png",
        "",
        " ",
        "https://",
        "https:///1.png",
        "https://[::1",
        "https://xn--a/1.png",
        "https://cdn.example.com:99999/1.png",
        "https://cdn.example.com:port/1.png",
        "https://cdn.example.com\x00.evil.com/",
        "https://user@cdn.example.com/1.png",
        "https://user:pass@cdn.example.com/1.png",
        "https://cdn.example.com@evil.com/1.png",
        "https://cdn.example.com:443@evil.com/1.png",
        "https://evil.com/1.png",
        "https://evil.com#cdn.example.com",
        "https://evil.com\\@cdn.example.com/1.png",
        "https://evil.com?.pikcel.ai",
        "https://cdn.example.com.evil.com/1.png",
        "https://notcdn.example.com/1.png",
        "https://evilpikcel.ai/1.png",
        "https://pikcel.ai/1.png",  # a suffix means the hosts below it
        "https://cdn.example.com:22/1.png",
        "https://cdn.example.com:80/1.png",
        "https://cdn.example.com./1.png",
        "https://127.0.0.1/1.png",
        "https://2130706433/1.png",
        "https://0x7f.1/1.png",
        "https://0177.0.0.1/1.png",
        "https://[::1]/1.png",
        "https://[::ffff:127.0.0.1]/1.png",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/latest/meta-data/",
        "https://localhost/1.png",
        "https://１２７.０.０.１/1.png",
        "https://cdn。example.com.evil.com/1.png",
    ],
)
def test_an_address_that_is_not_allowed_is_never_connected_to(url: str) -> None:
    network = Network()
    refuse(network, url)
    assert network.connected == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",  # noqa: S104
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "169.254.170.2",
        "192.0.0.192",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "::127.0.0.1",
        "::7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2001::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "not an address",
    ],
)
def test_a_name_with_a_private_address_is_never_connected_to(address: str) -> None:
    network = Network()
    network.names["cdn.example.com"] = [[PUBLIC, address]]
    refuse(network, URL)
    assert network.connected == []


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


def test_a_name_that_changes_its_mind_gains_nothing() -> None:
    # DNS rebinding: public when checked, private when asked again.
    network = Network(answer(png()))
    network.names["cdn.example.com"] = [[PUBLIC], ["127.0.0.1"]]
    network.downloads().fetch(URL, HOSTS)
    assert network.connected == [(PUBLIC, 443)]


def test_a_name_that_changes_its_mind_between_redirects_gains_nothing() -> None:
    network = Network(answer(status="302 Found", headers={"Location": URL}))
    network.names["cdn.example.com"] = [[PUBLIC], ["169.254.169.254"]]
    refuse(network, URL)
    assert network.connected == [(PUBLIC, 443)]


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/meta-data/",
        "http://cdn.example.com/1.png",
        "https://evil.com/1.png",
        "https://user:pass@cdn.example.com/1.png",
        "https://cdn.example.com:8443/1.png",
        "//evil.com/1.png",
        "file:///etc/passwd",
        "https://[::1",
        "https://xn--a/1.png",
    ],
)
def test_a_redirect_is_checked_like_the_link_itself(target: str) -> None:
    network = Network(answer(status="302 Found", headers={"Location": target}))
    refuse(network, URL)
    assert len(network.connected) == 1


def test_redirects_end_after_three() -> None:
    network = Network(*[answer(status="302 Found", headers={"Location": "/again"})] * 9)
    refuse(network, URL)
    assert len(network.connected) == 4


def test_a_redirect_to_nowhere_is_refused() -> None:
    network = Network(*[answer(status="302 Found")] * 9)
    refuse(network, URL)


# --- attacks with the body -----------------------------------------------------------


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    network = Network(answer(headers={"Content-Length": str(MAX_BYTES + 1)}))
    assert "20 MiB" in refuse(network, URL)
    assert network.bytes_read < 1000


def test_a_body_that_is_too_large_is_left_as_soon_as_it_is() -> None:
    endless = [b"10000\r\n" + bytes(65536) + b"\r\n"] * 2000
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    network = Network([head, *endless])
    assert "20 MiB" in refuse(network, URL)
    assert network.bytes_read < MAX_BYTES + 200_000


def test_a_body_of_exactly_the_limit_is_kept() -> None:
    body = png() + bytes(MAX_BYTES - len(png()))
    network = Network(answer(body))
    assert len(network.downloads().fetch(URL, HOSTS).body) == MAX_BYTES


def test_a_packed_body_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    network = Network(answer(bomb, headers={"Content-Encoding": "gzip"}))
    refuse(network, URL)
    assert network.bytes_read < 100_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<html>Your link has expired</html>",
        b"%PDF-1.7",
        b"MZ\x90\x00",
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
        b"\x89PNG",
        b"\xff\xd8",
        gzip.compress(png(), mtime=0),
    ],
)
def test_what_is_no_image_is_refused_whatever_it_is_called(body: bytes) -> None:
    network = Network(answer(body, headers={"Content-Type": "image/png"}))
    assert "JPEG" in refuse(network, URL)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xff\xd8\xff\xe0rest", ("image/jpeg", "jpg")),
        (png(), ("image/png", "png")),
        (b"GIF87a", ("image/gif", "gif")),
        (b"GIF89a", ("image/gif", "gif")),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", ("image/webp", "webp")),
    ],
)
def test_the_four_image_types_are_known_by_their_bytes(body: bytes, kind: tuple[str, str]) -> None:
    assert sniff(body) == kind


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\x00",
        b"\xff\xd8\xff\xc0\x00\x11\x08",
        b"GIF89a",
        b"GIF89a\x01",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x00\x00\x00\x00WEBPVP8X",
        b"RIFF\xff\xff\xff\xffWEBPVP8L\x00",
    ],
)
def test_an_image_with_a_broken_header_has_no_measures(body: bytes) -> None:
    assert measure(body) is None


# --- answers that are no image -------------------------------------------------------


@pytest.mark.parametrize(
    "status", ["400 Bad", "401 No", "403 Forbidden", "404 Not Found", "410 Gone"]
)
def test_a_dead_link_is_an_expired_one(status: str) -> None:
    network = Network(answer(b"<Error/>", status))
    with pytest.raises(OutputExpiredError):
        network.downloads().fetch(URL, HOSTS)


@pytest.mark.parametrize("status", ["408 Slow", "425 Early", "429 Many", "500 Oops", "503 Busy"])
def test_a_host_in_trouble_is_asked_again_later(status: str) -> None:
    network = Network(answer(status=status, headers={"Retry-After": "7"}))
    with pytest.raises(RetryableError) as caught:
        network.downloads().fetch(URL, HOSTS)
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("status", ["204 No Content", "206 Partial", "304 Not Modified"])
def test_any_other_answer_is_refused(status: str) -> None:
    refuse(Network(answer(status=status)), URL)


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [b"garbage\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", png()],
    ],
)
def test_a_broken_answer_is_asked_for_again_later(chunks: list[bytes]) -> None:
    with pytest.raises(RetryableError):
        Network(chunks).downloads().fetch(URL, HOSTS)


def test_a_host_without_connection_is_asked_again_later() -> None:
    network = Network()
    network.unreachable = {PUBLIC}
    with pytest.raises(RetryableError):
        network.downloads().fetch(URL, HOSTS)


def test_a_name_that_cannot_be_resolved_is_asked_again_later() -> None:
    def fail(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(RetryableError):
        GuardedDownloads(FakeClock(), backend=Network(), resolver=fail).fetch(URL, HOSTS)


def test_a_name_that_is_none_is_refused() -> None:
    def fail(host: str, port: int) -> list[str]:
        raise UnicodeError("label too long")

    with pytest.raises(OutputRefusedError):
        GuardedDownloads(FakeClock(), backend=Network(), resolver=fail).fetch(URL, HOSTS)


@pytest.mark.parametrize("slow", ["head", "body"])
def test_a_host_that_drips_is_left_at_the_deadline(slow: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    dripped = [bytes([byte]) for byte in head] if slow == "head" else [head, *[b"x"] * 5000]
    network = Network(dripped)
    network.read_takes_s = 1
    with pytest.raises(RetryableError):
        network.downloads().fetch(URL, HOSTS)
    assert network.time_s == DEADLINE_S


def test_an_error_quotes_neither_the_link_nor_the_answer() -> None:
    secret_url = f"{URL}?X-Amz-Signature=secret"
    for network in (
        Network(answer(b"secret", "404 Not Found")),
        Network(answer(b"secret", "500 Oops")),
        Network(answer(b"secret")),
        Network([b"secret"]),
    ):
        with pytest.raises((OutputExpiredError, OutputRefusedError, RetryableError)) as caught:
            network.downloads().fetch(secret_url, HOSTS)
        assert "secret" not in str(caught.value)


# --- a laptop ------------------------------------------------------------------------


def test_on_a_laptop_a_named_host_may_be_plain_and_private() -> None:
    network = Network(answer(png()))
    network.names["127.0.0.1"] = [["127.0.0.1"]]
    downloads = network.downloads(private_hosts=("127.0.0.1:8790",))
    downloads.fetch("http://127.0.0.1:8790/1.png", HOSTS)
    assert network.connected == [("127.0.0.1", 8790)]
    assert network.tls_names == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8791/1.png", "http://127.0.0.1/1.png", "http://cdn.example.com/1.png"]
)
def test_on_a_laptop_other_hosts_and_ports_may_not(url: str) -> None:
    network = Network()
    refuse(network, url, private_hosts=("127.0.0.1:8790",))
    assert network.connected == []


def test_on_aws_a_named_host_may_be_neither() -> None:
    network = Network()
    network.names["127.0.0.1"] = [["127.0.0.1"]]
    for url in ("http://127.0.0.1:8790/1.png", "https://127.0.0.1:8790/1.png"):
        refuse(network, url, extra_hosts=("127.0.0.1:8790",))
    assert network.connected == []


def test_a_link_that_holds_the_image_is_read_without_any_network() -> None:
    network = Network()
    image = base64.b64encode(png()).decode()
    download = network.downloads().fetch(f"data:image/png;base64,{image}", HOSTS)
    assert (download.body, download.content_type) == (png(), "image/png")
    assert (download.width, download.height) == (3, 2)
    assert network.connected == []


@pytest.mark.parametrize(
    "link",
    [
        "data:",
        "data:,",
        "data:image/png;base64,",
        "data:image/png;base64,%%%",
        "data:image/png;base64,Zm9v\n",
        "data:image/png;base64," + "\u0661" * 4,
        "data:image/png,plain",
        "data:image/png;base64," + base64.b64encode(b"<svg onload=x>").decode(),
        "data:image/png;base64," + "A" * (MAX_BYTES * 4 // 3 + 8),
    ],
    ids=lambda link: link[:40],
)
def test_a_link_that_holds_anything_else_is_refused(link: str) -> None:
    with pytest.raises(OutputRefusedError):
        Network().downloads().fetch(link, HOSTS)
