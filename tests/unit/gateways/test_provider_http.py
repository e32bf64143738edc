"""HTTP towards a provider: what an answer, and what each kind of error, proves."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from shared.domain.errors import (
    ProviderUnknownOutcomeError,
    ProviderUnreachableError,
    SecretUnavailableError,
)
from shared.gateways.provider_http import (
    TIMEOUT_S,
    HttpProviderApi,
    base_address,
    provider_client,
)
from shared.providers.base import Access, Reply, Request
from tests.fakes.clock import FakeClock
from tests.fakes.secrets import FakeSecrets

BASE = "https://app.pikcel.ai"
ACCESS = Access(
    url=BASE,
    prefix="/api",
    headers={"X-Client-Name": "job-tracker", "X-Client-Version": "0.1.0"},
    hosts=(".pikcel.ai",),
)
GET = Request(method="GET", path="/api/jobs", query={"limit": "100"})
POST = Request(method="POST", path="/api/jobs/dispatch", body={"tool_id": "x"})

type Handle = Callable[[httpx.Request], httpx.Response]


class Wire:
    """One provider behind httpx. seen: the requests that arrived."""

    def __init__(
        self, handle: Handle | None = None, base: str | None = None, access: Access = ACCESS
    ) -> None:
        self.seen: list[httpx.Request] = []
        self.secrets = FakeSecrets()
        self.time_s = 0.0
        self._handle = handle or (lambda request: httpx.Response(200, text="{}"))
        self.api = HttpProviderApi(
            provider_client(httpx.MockTransport(self._answer)),
            access,
            base,
            secrets=self.secrets,
            key_name="PIKCEL_API_KEY",
            clock=FakeClock(),
            monotonic=lambda: self.time_s,
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        return self._handle(request)


def answering(status: int, text: str = "{}", **headers: str) -> Handle:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: httpx.Response(status, text=text, headers=names)


def failing(error: type[httpx.HTTPError]) -> Handle:
    def handle(request: httpx.Request) -> httpx.Response:
        raise error("secret words of a library")

    return handle


def test_a_call_carries_key_client_and_body() -> None:
    wire = Wire()
    wire.api.call(POST)
    [request] = wire.seen
    assert str(request.url) == f"{BASE}/api/jobs/dispatch"
    assert request.headers["authorization"] == "Bearer sk_test_1"
    assert request.headers["x-client-name"] == "job-tracker"
    assert request.headers["x-client-version"] == "0.1.0"
    assert request.headers["content-type"] == "application/json"
    assert request.content == b'{"tool_id":"x"}'


def test_a_query_is_encoded() -> None:
    wire = Wire()
    wire.api.call(Request(method="GET", path="/api/jobs", query={"from_date": "2026-11-22T1:0Z"}))
    assert wire.seen[0].url.params["from_date"] == "2026-11-22T1:0Z"


def test_of_several_keys_the_first_is_used() -> None:
    wire = Wire()
    wire.secrets.values["providers", "PIKCEL_API_KEY"] = "new, old"
    wire.api.call(GET)
    assert wire.seen[0].headers["authorization"] == "Bearer new"


@pytest.mark.parametrize(
    "key", ["sk_test\u200b_1", "“sk_test_1”", "sk test", "sk_test\n1", "sk_\x7f"]
)
def test_a_key_that_no_header_can_carry_counts_as_none(key: str) -> None:
    # Pasted from a document, with what nobody sees in it. Nothing was sent, and an alarm names it.
    wire = Wire()
    wire.secrets.values["providers", "PIKCEL_API_KEY"] = key
    with pytest.raises(SecretUnavailableError, match="PIKCEL_API_KEY") as raised:
        wire.api.call(POST)
    assert wire.seen == []
    assert "sk" not in raised.value.message


def test_without_a_key_nothing_is_sent() -> None:
    wire = Wire()
    wire.secrets.values["providers", "PIKCEL_API_KEY"] = ""
    with pytest.raises(SecretUnavailableError):
        wire.api.call(GET)
    assert not wire.seen


def test_after_a_refused_key_the_secret_is_read_anew() -> None:
    wire = Wire(answering(401))
    wire.api.call(GET)
    assert wire.secrets.refreshes == 0
    wire.secrets.newer = {("providers", "PIKCEL_API_KEY"): "rotated"}
    wire.api.call(GET)
    assert wire.seen[1].headers["authorization"] == "Bearer rotated"


@pytest.mark.parametrize(
    "setting",
    [
        "https://app.pikcel.ai",
        "https://app.pikcel.ai/",
        "https://app.pikcel.ai/api",
        "https://app.pikcel.ai/api/",
        " https://app.pikcel.ai/ ",
    ],
)
def test_every_form_of_the_base_gives_the_same_address(setting: str) -> None:
    wire = Wire(base=setting)
    wire.api.call(POST)
    assert str(wire.seen[0].url) == "https://app.pikcel.ai/api/jobs/dispatch"


def test_a_base_may_have_a_path_of_its_own() -> None:
    assert (
        base_address("https://proxy.example/pikcel/api/", "/api") == "https://proxy.example/pikcel"
    )


@pytest.mark.parametrize("status", [200, 201, 302, 400, 401, 402, 404, 429, 500, 503])
def test_any_status_is_an_answer(status: int) -> None:
    wire = Wire(answering(status, '{"a": 1}', location="https://evil.example/"))
    assert wire.api.call(GET) == Reply(status=status, body=b'{"a": 1}')
    assert len(wire.seen) == 1  # neither retried nor redirected


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [("7", 7.0), ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0), ("soon", None), ("-3", None)],
)
def test_both_forms_of_retry_after_are_read(text: str, wait_s: float | None) -> None:
    wire = Wire(answering(429, retry_after=text))
    assert wire.api.call(GET).retry_after_s == wait_s


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.UnsupportedProtocol,
        httpx.LocalProtocolError,
        httpx.ProxyError,
    ],
)
def test_without_a_connection_nothing_was_executed(error: type[httpx.HTTPError]) -> None:
    with pytest.raises(ProviderUnreachableError) as caught:
        Wire(failing(error)).api.call(POST)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadError,
        httpx.ReadTimeout,
        httpx.WriteError,
        httpx.WriteTimeout,
        httpx.CloseError,
        httpx.RemoteProtocolError,
        httpx.DecodingError,
    ],
)
def test_after_the_connection_everything_is_possible(error: type[httpx.HTTPError]) -> None:
    with pytest.raises(ProviderUnknownOutcomeError) as caught:
        Wire(failing(error)).api.call(POST)
    assert "secret" not in str(caught.value)


def test_every_error_of_the_library_is_mapped() -> None:
    def leaves(error: type[httpx.HTTPError]) -> Iterator[type[httpx.HTTPError]]:
        below = error.__subclasses__()
        yield from [error] if not below else [leaf for cls in below for leaf in leaves(cls)]

    for error in leaves(httpx.TransportError):
        with pytest.raises((ProviderUnreachableError, ProviderUnknownOutcomeError)):
            Wire(failing(error)).api.call(POST)


def test_an_answer_that_never_ends_is_given_up() -> None:
    wire = Wire(lambda request: httpx.Response(200, content=iter([b"x" * 1024 * 1024] * 20)))
    with pytest.raises(ProviderUnknownOutcomeError):
        wire.api.call(GET)


def test_the_largest_answer_is_read() -> None:
    wire = Wire(answering(200, "x" * ACCESS.max_reply_bytes))
    assert len(wire.api.call(GET).body) == ACCESS.max_reply_bytes


def test_an_answer_that_drips_is_given_up_at_the_time_out() -> None:
    wire = Wire(lambda request: httpx.Response(200, content=drips()))

    def drips() -> Iterator[bytes]:
        for _ in range(1000):
            wire.time_s += 1
            yield b"x"

    with pytest.raises(ProviderUnknownOutcomeError):
        wire.api.call(GET)
    assert wire.time_s <= TIMEOUT_S + 1


def test_the_environment_takes_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:8080")
    client = provider_client()
    assert not client.trust_env
    assert not client.follow_redirects
    assert client.timeout.read == TIMEOUT_S
    client.close()


@pytest.mark.parametrize(
    "address",
    [
        "https://eu.pikcel.ai/api/jobs/1?x=2",
        "https://app.pikcel.ai/api/jobs/1",
        "https://app.pikcel.ai:443/other",
    ],
)
def test_an_address_of_the_providers_own_is_used_as_it_is(address: str) -> None:
    wire = Wire()
    wire.api.call(Request(method="GET", path="/api/jobs/1", url=address))
    assert str(wire.seen[0].url) == address.replace(":443", "")


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/api/jobs/1",
        "https://pikcel.ai.evil.example/",
        "https://evilpikcel.ai/",
        "http://eu.pikcel.ai/api/jobs/1",
        "https://eu.pikcel.ai:8443/",
        "https://user:word@eu.pikcel.ai/",
        "https://eu.pikcel.ai@evil.example/",
        "https://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:80/",
        "file:///etc/passwd",
        "//evil.example/",
        "/api/other",
        "",
        "https://",
        "https://[::1",
        "https://xn--a/api/jobs/1",
        "https://eu.pikcel.ai\\@evil.example/",
        "\ud800",
    ],
)
def test_our_key_goes_nowhere_else_whatever_an_answer_says(address: str) -> None:
    wire = Wire()
    wire.api.call(Request(method="GET", path="/api/jobs/1", url=address))
    assert str(wire.seen[0].url) == f"{BASE}/api/jobs/1"


def test_a_simulator_may_name_its_own_address_without_tls() -> None:
    wire = Wire(base="http://127.0.0.1:9000")
    wire.api.call(Request(method="GET", path="/a", url="http://127.0.0.1:9000/b?id=1"))
    wire.api.call(Request(method="GET", path="/a", url="http://127.0.0.1:9001/b"))
    assert [str(request.url) for request in wire.seen] == [
        "http://127.0.0.1:9000/b?id=1",
        "http://127.0.0.1:9000/a",
    ]


def test_the_key_goes_where_the_provider_wants_it() -> None:
    access = Access(url="https://api.example", header="x-key", scheme="")
    wire = Wire(access=access)
    wire.api.call(GET)
    assert wire.seen[0].headers["x-key"] == "sk_test_1"
    assert "authorization" not in wire.seen[0].headers
