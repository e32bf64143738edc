"""Verifiers are total: any bytes in any header, body or secret give accept or reject.

`VERIFIER_CASES=100000` tries as many deliveries per scheme; CI tries 10,000.
"""

import base64
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.events import Proof
from shared.providers.base import Check, Keys, MalformedDeliveryError, UnrelatedDeliveryError
from shared.providers.registry import ADAPTERS
from tests.promises import scaled
from tests.unit.providers.senders import NOW, RECEIVERS, SENDERS, Letter, Sender

pytestmark = pytest.mark.promise("hostile", "any bytes for every verifier")

CASES = int(os.environ.get("VERIFIER_CASES", scaled(10_000)))
# Hypothesis draws seeds; each gives so many deliveries. It would need minutes to draw them itself.
CASES_OF_A_SEED = 200
MOST_EXAMPLES = max(1, CASES // CASES_OF_A_SEED)

STRONG = [name for name, receiver in RECEIVERS.items() if receiver.proof is Proof.BODY_TIME]
SIGNED = [name for name in SENDERS if SENDERS[name].signature_header is not None]

ANY_TEXT = st.text(st.characters(), max_size=60)  # lone surrogates too
ID_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-:!~"
HOSTILE = [
    *("", " ", "\t", ",", ".", "v1,", "v1a,", "whsec_", "=", "==", "é", "\ud800", "\x00", "\n"),
    *("٣", "v1,AAAA", "1e5", "-1", "NaN", "0" * 13, "a" * 5000, "\u2028", "sha256=", "0x"),
]


def test_every_provider_that_can_be_received_from_has_a_sender_here() -> None:
    assert set(SENDERS) == set(RECEIVERS)
    assert set(STRONG) == {"replicate", "fal", "openai", "worker"}


# --- any bytes ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", SENDERS)
@given(data=st.data(), body=st.binary(max_size=100), secret=ANY_TEXT)
def test_any_text_in_any_header_gives_a_verdict(
    name: str, data: st.DataObject, body: bytes, secret: str
) -> None:
    genuine = SENDERS[name].letter(body)
    headers = {
        header: data.draw(st.just(value) | ANY_TEXT, header)
        for header, value in genuine.headers.items()
    }
    verdict = replace(genuine, headers=headers).check()
    assert isinstance(verdict.check, Check)
    if headers != genuine.headers:
        assert not verdict.is_accepted
    other = replace(genuine, key=secret).check()
    assert isinstance(other.check, Check)


@pytest.mark.parametrize("name", SENDERS)
@settings(max_examples=MOST_EXAMPLES)
@given(seed=st.integers(0, 2**63))
def test_what_is_genuine_is_accepted_and_what_was_touched_is_not(name: str, seed: int) -> None:
    random, sender = Random(seed), SENDERS[name]
    for _ in range(CASES_OF_A_SEED // 4):
        letter = _genuine(random, sender)
        assert letter.check().is_accepted, letter
        if sender.signature_header is None:
            continue
        for touch in (_flip, _replace_by_junk, _sprinkle):
            touched = touch(random, sender, letter)
            if not _has_same_key_in_other_words(touched, letter):
                assert not touched.check().is_accepted, touched


def _has_same_key_in_other_words(touched: Letter, letter: Letter) -> bool:
    """HMAC fills a short key up with zeros: a secret that only gained some is the same key."""
    return touched.key != letter.key and _hmac_key(touched.key) == _hmac_key(letter.key)


def _hmac_key(secret: str) -> bytes:
    try:
        bare = secret.removeprefix("whsec_").rstrip("=")
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True).rstrip(b"\0")
    except ValueError:
        return secret.encode("utf-8", "surrogatepass")


def _genuine(random: Random, sender: Sender) -> Letter:
    return sender.letter(
        body=random.randbytes(random.choice((0, 1, 20, 300))),
        delivery_id="".join(random.choices(ID_LETTERS, k=random.randint(1, 60))),
        at=NOW + timedelta(seconds=random.randint(-300, 300)),
        key=random.choice((sender.key, *sender.other_keys)),
    )


def _flip(random: Random, sender: Sender, letter: Letter) -> Letter:
    """Change one byte of what is signed, of the signature or of the key."""
    return random.choice(list(_parts(sender, letter)))(_other_byte(random))


def _parts(sender: Sender, letter: Letter) -> Iterator[Callable[[Callable[[str], str]], Letter]]:
    if letter.body:
        yield lambda change: replace(
            letter, body=change(letter.body.decode("latin-1")).encode("latin-1")
        )
    yield lambda change: replace(letter, key=change(letter.key))
    for header in (sender.signature_header, sender.id_header, sender.time_header):
        if header is not None:
            yield lambda change, header=header: letter.with_header(  # type: ignore[misc]
                header, change(letter.headers[header])
            )


def _other_byte(random: Random) -> Callable[[str], str]:
    def change(text: str) -> str:
        place = random.randrange(len(text))
        other = chr((ord(text[place]) + random.randint(1, 255)) % 256)
        return text[:place] + other + text[place + 1 :]

    return change


def _replace_by_junk(random: Random, sender: Sender, letter: Letter) -> Letter:
    header = random.choice(list(letter.headers))
    return letter.with_header(header, random.choice(HOSTILE))


def _sprinkle(random: Random, sender: Sender, letter: Letter) -> Letter:
    """Put something into the middle of a header (whatever stands beside a token is no harm)."""
    assert sender.signature_header is not None
    value = letter.headers[sender.signature_header]
    place = random.randint(len(value) // 4, len(value) - 1)
    return letter.with_header(
        sender.signature_header, value[:place] + random.choice(HOSTILE[1:]) + value[place:]
    )


# --- one byte ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRONG)
def test_no_changed_byte_is_ever_accepted_where_body_and_time_are_proven(name: str) -> None:
    """Every byte of the id, the time, the body, the key and the only signature, to every other."""
    sender = SENDERS[name]
    letter = sender.letter(b'{"id":1}')
    assert letter.check().is_accepted
    step = 17 if name == "fal" else 1  # ed25519 takes a hundred times as long
    for part in _parts(sender, letter):
        for number in range(1, 256, step):
            _try_every_place(part, number)


def _try_every_place(part: Callable[[Callable[[str], str]], Letter], number: int) -> None:
    length = 0

    def measure(text: str) -> str:
        nonlocal length
        length = len(text)
        return text

    assert part(measure).check().is_accepted
    for place in range(length):
        touched = part(lambda text, place=place: _moved(text, place, number))  # type: ignore[misc]
        if not _has_same_key_in_other_words(touched, part(lambda text: text)):
            assert not touched.check().is_accepted, touched


def _moved(text: str, place: int, number: int) -> str:
    return text[:place] + chr((ord(text[place]) + number) % 256) + text[place + 1 :]


@pytest.mark.parametrize("name", STRONG)
def test_a_replay_at_another_time_is_not_accepted_where_time_is_proven(name: str) -> None:
    for seconds in (301, -301, 86_400):
        letter = SENDERS[name].letter(now=NOW + timedelta(seconds=seconds))
        assert letter.check().check is Check.OUT_OF_WINDOW


@pytest.mark.parametrize("name", SIGNED)
def test_without_a_key_nothing_is_accepted(name: str) -> None:
    assert not replace(SENDERS[name].letter(), key="").check().is_accepted


# --- the official libraries ---------------------------------------------------------------

# What each says of hostile input instead of its own error; a caller that knows only that answers
# 500, and has it sent again.
Judge = Callable[[Letter], bool | None]


@contextmanager
def _frozen() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def _standardwebhooks(letter: Letter) -> bool | None:
    from standardwebhooks import Webhook, WebhookVerificationError

    try:
        Webhook(letter.key).verify(letter.body, dict(letter.headers), json_parse=False)
    except WebhookVerificationError:
        return False
    except Exception:  # noqa: BLE001 - whatever it crashes with
        return None
    return True


def _svix(letter: Letter) -> bool | None:
    from svix.webhooks import Webhook, WebhookVerificationError

    try:
        Webhook(letter.key).verify(letter.body, dict(letter.headers))
    except WebhookVerificationError:
        return False
    except Exception:  # noqa: BLE001
        return None
    return True


def _replicate(letter: Letter) -> bool | None:
    from replicate.webhook import Webhooks, WebhookSigningSecret, WebhookValidationError

    try:
        Webhooks.validate(
            headers=dict(letter.headers),
            body=letter.body.decode(),
            secret=WebhookSigningSecret(key=letter.key),
            tolerance=300,
        )
    except WebhookValidationError:
        return False
    except Exception:  # noqa: BLE001
        return None
    return True


_openai_client: list[Any] = []


def _openai(letter: Letter) -> bool | None:
    from openai import InvalidWebhookSignatureError, OpenAI

    if not _openai_client:
        _openai_client.append(OpenAI(api_key="none"))
    try:
        _openai_client[0].webhooks.verify_signature(
            letter.body, dict(letter.headers), secret=letter.key
        )
    except InvalidWebhookSignatureError:
        return False
    except Exception:  # noqa: BLE001
        return None
    return True


JUDGES: list[tuple[str, Judge]] = [
    ("worker", _standardwebhooks),
    ("worker", _svix),
    ("replicate", _replicate),
    ("openai", _openai),
]


@pytest.mark.parametrize(("name", "judge"), JUDGES, ids=lambda each: getattr(each, "__name__", ""))
@settings(max_examples=max(1, MOST_EXAMPLES // 5))
@given(seed=st.integers(0, 2**63))
def test_on_canonical_deliveries_we_agree_with_the_official_library(
    name: str, judge: Judge, seed: int
) -> None:
    random, sender = Random(seed), SENDERS[name]
    with _frozen():
        for _ in range(CASES_OF_A_SEED // 4):
            letter = sender.letter(
                body=random.choice((b"{}", b'{"a": "\xc3\xa9"}', b" " * random.randint(1, 200))),
                delivery_id="msg_" + "".join(random.choices(ID_LETTERS, k=20)),
                at=NOW + timedelta(seconds=random.randint(-330, 330)),
                key=sender.key,
            )
            if random.random() < 0.3:
                wrong = sender.letter(b"other").headers
                letter = replace(letter, headers={**letter.headers, **_only(sender, wrong)})
            assert letter.check().is_accepted is judge(letter), letter


def _only(sender: Sender, headers: Any) -> dict[str, str]:
    assert sender.signature_header is not None
    return {sender.signature_header: headers[sender.signature_header]}


@pytest.mark.parametrize(("name", "judge"), JUDGES, ids=lambda each: getattr(each, "__name__", ""))
@settings(max_examples=max(1, MOST_EXAMPLES // 5))
@given(seed=st.integers(0, 2**63))
def test_where_the_official_library_crashes_or_refuses_we_refuse(
    name: str, judge: Judge, seed: int
) -> None:
    random, sender = Random(seed), SENDERS[name]
    with _frozen():
        for _ in range(CASES_OF_A_SEED // 4):
            letter = _genuine(random, sender)
            touch = random.choice((_flip, _replace_by_junk, _sprinkle))
            touched = touch(random, sender, letter)
            if judge(touched) is not True:
                assert not touched.check().is_accepted, touched


# --- what was checked is read ---------------------------------------------------------------

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("id", "request_id", "status", "output", "payload", "error", "data", "type"),
                    *("webhook", "logs", "metrics", "predict_time", "result", "sample", "url"),
                    *("polling_url", "executionTime", "detail", "metadata", "ref", "job_id"),
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("name", ADAPTERS)
@given(value=_json, raw=st.binary(max_size=60), is_raw=st.booleans())
def test_any_body_is_read_or_refused(name: str, value: Any, raw: bytes, is_raw: bool) -> None:
    adapter = ADAPTERS[name]
    body = raw if is_raw else json.dumps(value).encode()
    try:
        parsed = adapter.parse(body, {}, NOW, adapter.proof)
    except (MalformedDeliveryError, UnrelatedDeliveryError):
        return
    event = parsed.event
    assert event.provider_job_id
    assert event.key
    assert all(isinstance(link, str) for link in event.output_urls)
    for count in (event.credits, event.cost_micros, event.processing_ms, event.progress):
        assert count is None or count >= 0


def test_no_key_is_ever_shown() -> None:
    assert "secretword" not in repr(Keys(texts=["secretword"]))
