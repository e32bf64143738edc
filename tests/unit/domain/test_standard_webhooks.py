"""Signing as Standard Webhooks has it, held against the specification's own library."""

from datetime import UTC, datetime

import pytest
import standardwebhooks
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.standard_webhooks import signed_headers, write_secret
from tests.fakes.clock import START

# Source: the test vector that Svix and Standard Webhooks publish.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE, TIMESTAMP = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
BODY = b'{"test": 2432232314}'


def test_the_published_vector_is_signed_as_published() -> None:
    headers = signed_headers([SECRET], MESSAGE, datetime.fromtimestamp(TIMESTAMP, UTC), BODY)
    assert headers == {
        "webhook-id": MESSAGE,
        "webhook-timestamp": str(TIMESTAMP),
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(st.binary(min_size=24, max_size=64), st.text(max_size=200))
def test_the_official_library_takes_what_we_sign(key: bytes, text: str) -> None:
    body = ('{"text": "' + text.encode("ascii", "xmlcharrefreplace").hex() + '"}').encode()
    secret = write_secret(key)
    headers = signed_headers([secret], "e:1:job_failed", START, body)
    with time_machine.travel(START, tick=False):
        standardwebhooks.Webhook(secret).verify(body, headers)


def test_both_secrets_of_a_rotation_are_accepted_and_no_third() -> None:
    new, old, other = (write_secret(bytes([n]) * 32) for n in (1, 2, 3))
    headers = signed_headers([new, old], "e:1:job_failed", START, BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    with time_machine.travel(START, tick=False):
        for secret in (new, old):
            standardwebhooks.Webhook(secret).verify(BODY, headers)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(other).verify(BODY, headers)


def test_another_body_id_or_time_is_another_signature() -> None:
    secret = write_secret(bytes(32))
    signed = {
        signed_headers([secret], name, at, body)["webhook-signature"]
        for name in ("a", "b")
        for at in (START, START.replace(second=1))
        for body in (b"{}", b"{} ")
    }
    assert len(signed) == 8
