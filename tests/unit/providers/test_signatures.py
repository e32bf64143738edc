"""The signature schemes, against every vector that is published, and its neighbours."""

import base64
import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.events import Proof
from shared.providers.base import Check, Keys, Verdict
from shared.providers.bfl import BflAdapter
from shared.providers.fal import FalAdapter
from shared.providers.openai import OpenaiAdapter
from shared.providers.replicate import ReplicateAdapter
from shared.providers.signatures import (
    fits_ed25519,
    public_key,
    standard_key,
    verify_hex,
    verify_standard,
)
from tests.unit.providers.senders import sign_standard

# --- 1 and 2: Standard Webhooks ----------------------------------------------------------
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
TIMESTAMP = "1614265330"
GOOD = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": TIMESTAMP,
    "webhook-signature": GOOD,
}
THEN = datetime.fromtimestamp(int(TIMESTAMP), UTC)
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
SIGNED_PUBLICLY = (
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)


def check(
    *,
    secrets: Sequence[str] = (SECRET,),
    body: bytes = BODY,
    now: datetime = THEN,
    **headers: str | None,
) -> Verdict:
    changed = {f"webhook-{name}": value for name, value in headers.items()}
    given = {name: value for name, value in {**HEADERS, **changed}.items() if value is not None}
    return verify_standard(body, given, [standard_key(each) for each in secrets], now)


def test_vector_1_standard_webhooks() -> None:
    assert check() == Verdict(Check.ACCEPTED, Proof.BODY_TIME, 0)
    replicate = ReplicateAdapter().verify(BODY, HEADERS, Keys(texts=(SECRET,)), THEN)
    assert replicate == Verdict(Check.ACCEPTED, Proof.BODY_TIME, 0)


def test_vector_2_standard_webhooks_with_a_public_key() -> None:
    assert check(secrets=(PUBLIC,), signature=SIGNED_PUBLICLY).is_accepted
    # Each kind of key reads its own kind of token only.
    assert check(secrets=(PUBLIC,), signature=GOOD).check is Check.WRONG
    assert check(signature=SIGNED_PUBLICLY).check is Check.WRONG
    both = f"{SIGNED_PUBLICLY} {GOOD}"
    assert check(secrets=(PUBLIC,), signature=both).is_accepted
    assert check(signature=both).is_accepted


def test_vector_3_openai() -> None:
    body = (
        b'{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", '
        b'"created_at": 1750861210, "type": "response.completed", "data": {"id": "resp_123"}}'
    )
    headers = {
        "webhook-id": "wh_685c059ae39c8190af8c71ed1022a24d",
        "webhook-timestamp": "1750861210",
        "webhook-signature": "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY=",
    }
    keys = Keys(texts=("whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=",))
    now = datetime.fromtimestamp(1750861210, UTC)
    adapter = OpenaiAdapter()
    assert adapter.verify(body, headers, keys, now).is_accepted
    event = adapter.parse(body, headers, now, Proof.BODY_TIME).event
    assert event.provider_job_id == "resp_123"
    # The delivery's own id is in the header; the body's is another.
    assert event.key == "wh_685c059ae39c8190af8c71ed1022a24d"


def test_vector_4_github_the_form_that_black_forest_labs_uses() -> None:
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    verdict = BflAdapter().verify(
        b"Hello, World!",
        {"x-bfl-signature": signature},
        Keys(texts=("It's a Secret to Everybody",)),
        THEN,
    )
    assert verdict == Verdict(Check.ACCEPTED, Proof.BODY, 0)


def test_vector_5_stripe_whose_secret_is_text_too() -> None:
    body = b'{"id":"evt_test_webhook","object":"event"}'
    digits = "88a022085c6bdb887b02cb26ff76dd681234d9675c0f22844059f55552a8883a"
    verdict = verify_hex(digits, b"1492774577." + body, ["whsec_test_secret"], Proof.BODY_TIME)
    assert verdict.is_accepted


FAL_BODY = (
    b'{"request_id": "123e4567-e89b-12d3-a456-426614174000", '
    b'"gateway_request_id": "123e4567-e89b-12d3-a456-426614174000", "status": "OK", '
    b'"payload": {"seed": 17454220438242315174}}'
)
FAL_HEADERS = {
    "x-fal-webhook-request-id": "123e4567-e89b-12d3-a456-426614174000",
    "x-fal-webhook-user-id": "user_test",
    "x-fal-webhook-timestamp": "1700000000",
    "x-fal-webhook-signature": (
        "6ac7bce6b0478a3e15e862bf867b23fc15496ffaaace6d5f9e18b32630619b58"
        "e0ca924cdba44e9d5565fe2dea7bc27b556867b9a9aabf9cc64d1433f3158d09"
    ),
}
FAL_KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
FAL_THEN = datetime.fromtimestamp(1700000000, UTC)


def test_vector_6_fal() -> None:
    adapter = FalAdapter()
    keys = Keys(texts=(FAL_KEY,))
    assert adapter.verify(FAL_BODY, FAL_HEADERS, keys, FAL_THEN).is_accepted
    ours = Keys(texts=(FAL_KEY,), account="user_test")
    assert adapter.verify(FAL_BODY, FAL_HEADERS, ours, FAL_THEN).is_accepted
    others = Keys(texts=(FAL_KEY,), account="user_other")
    assert adapter.verify(FAL_BODY, FAL_HEADERS, others, FAL_THEN).check is Check.FOREIGN
    # Spaces after separators: written anew, it would not be what was signed.
    again = json.dumps(json.loads(FAL_BODY), separators=(",", ":")).encode()
    assert adapter.verify(again, FAL_HEADERS, keys, FAL_THEN).check is Check.WRONG


def test_fal_may_sign_with_any_of_its_keys() -> None:
    other = "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"
    for texts, fitting in (((other, FAL_KEY), 1), ((FAL_KEY, other), 0), (("junk", FAL_KEY), 1)):
        verdict = FalAdapter().verify(FAL_BODY, FAL_HEADERS, Keys(texts=texts), FAL_THEN)
        assert verdict == Verdict(Check.ACCEPTED, Proof.BODY_TIME, fitting)
    assert FalAdapter().verify(FAL_BODY, FAL_HEADERS, Keys(texts=()), FAL_THEN).check is Check.WRONG


# --- 7: what is refused ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_header_that_is_missing_is_missed(name: str, value: str | None) -> None:
    headers = {key: each for key, each in HEADERS.items() if key != f"webhook-{name}"}
    if value is not None:
        headers[f"webhook-{name}"] = value
    assert verify_standard(BODY, headers, [standard_key(SECRET)], THEN).check is Check.MISSING


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%%", "not base64!", "whpk_AAAA", "ü"])
def test_a_secret_that_is_none_opens_nothing_and_is_our_fault(secret: str) -> None:
    assert check(secrets=(secret,)).check is Check.NO_KEY
    assert check(secrets=(secret, SECRET)).is_accepted


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=", Check.WRONG),
        (GOOD[:-5], Check.MALFORMED),
        (GOOD[:-1], Check.MALFORMED),
        ("v1,", Check.MALFORMED),
        (GOOD.removeprefix("v1,"), Check.MALFORMED),
        (GOOD.replace("v1,", "v9,"), Check.MALFORMED),
        (GOOD.replace("v1,", "v1,,"), Check.MALFORMED),
        (GOOD.replace("v1,", "V1,"), Check.MALFORMED),
        (GOOD.replace("v1,", "v1a,"), Check.MALFORMED),
        (GOOD.replace("v1,", "v1, "), Check.MALFORMED),
        # The same bytes in another spelling: the last character has bits to spare.
        (GOOD.replace("OE=", "OF="), Check.WRONG),
        (GOOD.replace("+", "-").replace("/", "_"), Check.MALFORMED),
        ("\ud800", Check.MALFORMED),
        ("é" * 47, Check.MALFORMED),
        # API Gateway joins two headers of one name with a comma.
        (f"{GOOD},{GOOD}", Check.MALFORMED),
    ],
)
def test_a_signature_that_is_not_just_so_is_refused(signature: str, expected: Check) -> None:
    assert check(signature=signature).check is expected


@pytest.mark.parametrize("seconds", [-301, 301, -(10**9), 300.001, -300.001])
def test_what_was_signed_at_another_time_is_not_accepted(seconds: float) -> None:
    verdict = check(now=THEN - timedelta(seconds=seconds))
    assert (verdict.check, verdict.is_accepted) == (Check.OUT_OF_WINDOW, False)
    assert verdict.is_genuine


@pytest.mark.parametrize(
    "timestamp",
    [
        *("soon", "1614265330.9", "1.6e9", " 1614265330", "1614265330\n", "+1614265330", "-1"),
        *("1_614_265_330", "0x60", "١٢٣", "9" * 13, "1614265330,1614265330"),
    ],
)
def test_a_time_in_any_other_form_is_refused(timestamp: str) -> None:
    assert check(timestamp=timestamp).check is Check.MALFORMED


@pytest.mark.parametrize("delivery_id", ["a.b", "a,b", "a b", "a\nb", "é", "x" * 257])
def test_an_id_that_could_blur_what_is_signed_is_refused(delivery_id: str) -> None:
    assert check(id=delivery_id).check is Check.MALFORMED


# --- 8: what is accepted -----------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-300, -1, 0, 1, 300])
def test_the_window_is_300_seconds_both_ways(seconds: int) -> None:
    assert check(now=THEN + timedelta(seconds=seconds)).is_accepted


@pytest.mark.parametrize(
    "signature",
    [
        f"{GOOD} v1,bm90IGl0",
        f"v1,bm90IGl0 {GOOD}",
        f"junk {GOOD}",
        f"\t{GOOD}\t",
        f"v9,AAAA\t{GOOD}",
        f"{GOOD}  \t v1a,AAAA",
        f"a,b,c \ud800 é {GOOD}",
    ],
)
def test_one_good_token_is_enough_whatever_is_beside_it(signature: str) -> None:
    assert check(signature=signature).is_accepted


@pytest.mark.parametrize("size", [24, 25, 26, 32, 64])
def test_a_secret_may_lack_its_padding_and_its_prefix(size: int) -> None:
    whole = base64.b64encode(bytes(range(size))).decode()
    key = standard_key(whole)
    assert key is not None
    for spelling in {whole, whole.rstrip("=")}:
        assert standard_key(spelling) == standard_key(f"whsec_{spelling}") == key


@pytest.mark.parametrize("secrets", [("bmV3IHNlY3JldA==", SECRET), (SECRET, "bmV3IHNlY3JldA==")])
def test_two_secrets_are_good_at_once_and_it_is_known_which_one_was(
    secrets: tuple[str, ...],
) -> None:
    verdict = check(secrets=secrets)
    assert verdict.is_accepted
    assert verdict.key == secrets.index(SECRET)


def test_an_empty_body_can_be_rightly_signed() -> None:
    headers = sign_standard(b"", HEADERS["webhook-id"], int(TIMESTAMP), SECRET)
    assert verify_standard(b"", headers, [standard_key(SECRET)], THEN).is_accepted


def test_a_body_need_not_be_text() -> None:
    body = bytes(range(256))
    headers = sign_standard(body, "id", int(TIMESTAMP), SECRET)
    assert verify_standard(body, headers, [standard_key(SECRET)], THEN).is_accepted


# --- 9: hygiene --------------------------------------------------------------------------


def test_nothing_that_is_checked_shows_in_logs_or_in_what_is_returned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        verdict = check(signature="v1,Zm9v secretword", body=b"bodyword")
    key = standard_key(SECRET)
    shown = f"{verdict!r} {key!r} {Keys(texts=(SECRET,))!r} {caplog.text}"
    for word in ("secretword", "bodyword", SECRET, repr(base64.b64decode(SECRET[6:]))):
        assert word not in shown


def test_every_token_and_every_key_is_compared_in_constant_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import hmac

    compared: list[bytes] = []
    compare = hmac.compare_digest

    def note(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", note)
    other = "v1," + base64.b64encode(bytes(32)).decode()
    assert check(secrets=(SECRET, "bmV3IHNlY3JldA=="), signature=f"{GOOD} {other}").is_accepted
    assert compared == [GOOD.encode(), other.encode()] * 2


@pytest.mark.parametrize(("key", "signature"), [(b"", b""), (bytes(32), bytes(64)), (b"x", b"y")])
def test_a_public_key_of_any_bytes_never_raises(key: bytes, signature: bytes) -> None:
    assert not fits_ed25519(key, b"message", signature)


def test_a_key_of_a_key_set_is_32_bytes_in_one_spelling() -> None:
    assert public_key(FAL_KEY) is not None
    for wrong in (FAL_KEY + "=", FAL_KEY[:-1], FAL_KEY[:-1] + "p", "ü" * 43, ""):
        assert public_key(wrong) is None
