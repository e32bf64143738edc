"""Public keys of providers: fetched once a day, the last good ones kept, never waited for twice."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3

from shared.domain.errors import SecretUnavailableError
from shared.gateways.key_sets import MAX_BYTES, HttpKeySets
from shared.providers.signatures import read_key_set
from tests.builders import later
from tests.fakes.clock import FakeClock

# Source: RFC 8032 section 7.1, tests 1 and 2.
X1 = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
X2 = "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"
URL = "https://rest.example/.well-known/jwks.json"
DAY_S = 24 * 3600


def a_set(*keys: str) -> bytes:
    rows = [{"kty": "OKP", "crv": "Ed25519", "x": key, "kid": str(n)} for n, key in enumerate(keys)]
    return json.dumps({"keys": rows}).encode()


class Pool:
    """urllib3's pool. answer: (status, body), or the error. asked: the requests."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] | Exception = (200, a_set(X1))
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.released = 0

    def request(self, method: str, url: str, **options: Any) -> Any:
        self.asked.append((method, url, options))
        if isinstance(self.answer, Exception):
            raise self.answer
        status, body = self.answer
        return SimpleNamespace(
            status=status, read=lambda limit: body[:limit], release_conn=self._release
        )

    def _release(self) -> None:
        self.released += 1


class World:
    def __init__(self) -> None:
        self.pool = Pool()
        self.clock = FakeClock(later(0))
        pool: Any = self.pool
        self.sets = HttpKeySets({"fal": URL}, read_key_set, self.clock, pool)

    def at(self, seconds: float) -> None:
        self.clock.set(later(seconds))


@pytest.fixture
def world() -> World:
    return World()


def test_keys_are_fetched_once_and_kept_for_a_day(world: World) -> None:
    assert world.sets.get("fal") == (X1,)
    world.at(DAY_S)
    assert world.sets.get("fal") == (X1,)
    assert len(world.pool.asked) == world.pool.released == 1
    world.at(DAY_S + 1)
    world.pool.answer = (200, a_set(X2, X1))
    assert world.sets.get("fal") == (X2, X1)
    assert len(world.pool.asked) == 2


def test_the_fetch_is_bounded_and_follows_nobody(world: World) -> None:
    world.sets.get("fal")
    [(method, url, options)] = world.pool.asked
    assert (method, url) == ("GET", URL)
    assert options["timeout"] <= 5
    assert options["retries"] is False
    assert options["redirect"] is False


FAILURES = [
    (500, a_set(X1)),
    (302, a_set(X1)),
    (200, b""),
    (200, b"<html>"),
    (200, b'{"keys": []}'),
    (200, a_set(X1) + b" " * MAX_BYTES),
    urllib3.exceptions.NewConnectionError(None, "no route"),  # type: ignore[arg-type]
    urllib3.exceptions.ReadTimeoutError(None, "", "slow"),  # type: ignore[arg-type]
    OSError("no network"),
]


@pytest.mark.parametrize("answer", FAILURES, ids=str)
def test_the_last_good_keys_outlive_an_outage(
    world: World, answer: tuple[int, bytes] | Exception
) -> None:
    world.sets.get("fal")
    world.pool.answer = answer
    world.at(3 * DAY_S)
    assert world.sets.get("fal") == (X1,)
    assert not world.sets.refresh("fal", older_than_s=30)
    # Asked once: the next callers do not wait for it again at once.
    assert len(world.pool.asked) == 2
    world.at(3 * DAY_S + 31)
    world.pool.answer = (200, a_set(X2))
    assert world.sets.get("fal") == (X2,)


@pytest.mark.parametrize("answer", FAILURES, ids=str)
def test_without_any_keys_it_is_nobodys_forgery_but_our_outage(
    world: World, answer: tuple[int, bytes] | Exception
) -> None:
    world.pool.answer = answer
    for _ in range(2):
        with pytest.raises(SecretUnavailableError) as caught:
            world.sets.get("fal")
        assert caught.value.code == "key_set_unavailable"
    assert len(world.pool.asked) == 1
    world.at(31)
    world.pool.answer = (200, a_set(X1))
    assert world.sets.get("fal") == (X1,)


def test_a_failed_check_fetches_keys_anew_that_are_older_than_asked(world: World) -> None:
    world.sets.get("fal")
    world.pool.answer = (200, a_set(X2))
    world.at(30)
    assert not world.sets.refresh("fal", older_than_s=30)
    world.at(30.001)
    assert world.sets.refresh("fal", older_than_s=30)
    assert world.sets.get("fal") == (X2,)


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row | {"kty": "RSA"},
        lambda row: row | {"crv": "X25519"},
        lambda row: row | {"x": X1[:-1]},
        lambda row: row | {"x": X1 + "="},
        lambda row: row | {"x": X1.replace("_", "/")},
        lambda row: row | {"x": X1[:-1] + "p"},  # the same bytes, written otherwise
        lambda row: row | {"x": None},
        lambda row: {},
        lambda row: [],
    ],
)
def test_what_is_no_ed25519_key_is_left_out(change: Callable[[Any], Any]) -> None:
    good = {"kty": "OKP", "crv": "Ed25519", "x": X1}
    document = json.dumps({"keys": [change(good), good]}).encode()
    assert read_key_set(document) == (X1,)
