"""Notices in words: what Amazon SNS takes, and what people understand."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.endpoints import DisabledReason, disable, disabled_notice
from shared.domain.job import Push
from shared.domain.letters import Failure, write_letter
from shared.domain.notices import Notice, batch_notice, job_notices
from shared.domain.status import JobStatus, PushStatus
from tests.builders import SHOP, a_job, a_kept_job
from tests.fakes.clock import START
from tests.unit.domain.test_endpoints import an_endpoint
from tests.unit.domain.test_notices import a_view


def a_failure(**changes: Any) -> Notice:
    job = a_job(status=JobStatus.FAILED, error_message="No face was found.", **changes)
    (notice,) = job_notices(None, job)
    return notice


def test_a_failed_job_says_what_failed_and_why() -> None:
    letter = write_letter(a_failure())
    assert letter.subject == f'{SHOP}: "Blue mug" has failed'
    assert "Why: No face was found." in letter.text
    assert "Product: Blue mug" in letter.text
    assert letter.short == letter.subject


def test_a_failed_push_says_it_too() -> None:
    push = Push(status=PushStatus.FAILED, error="The product is gone.")
    notice = job_notices(a_kept_job(), a_kept_job(push=push))[0]
    letter = write_letter(notice)
    assert letter.subject.endswith('"Blue mug" could not be put on its product')
    assert "Why: The product is gone." in letter.text


def test_a_batch_is_one_digest_with_its_failures() -> None:
    notice = batch_notice(a_view(completed=1, failed=3), START)
    failures = [
        Failure(job_id="j1", name="Red mug", error="No face"),
        Failure(job_id="j2", name=None, error=None),
    ]
    letter = write_letter(notice, failures)
    assert letter.subject == (
        f'{SHOP}: batch "Spring chairs" is finished: 1 of 4 completed, 3 failed, 0 cancelled'
    )
    assert letter.text.splitlines()[-3:] == [
        "- Red mug: No face",
        "- j2: no reason given",
        "… and 1 more",
    ]


@pytest.mark.parametrize(
    ("reason", "words"),
    [(DisabledReason.GONE, "it answered 410 Gone"), (DisabledReason.FAILING, "three days")],
)
def test_a_disabled_endpoint_says_why(reason: DisabledReason, words: str) -> None:
    before = an_endpoint()
    notice = disabled_notice(before, disable(before, reason, START))
    assert notice is not None
    letter = write_letter(notice)
    assert "endpoint at shop.example was disabled" in letter.subject
    assert words in letter.text


@given(st.text(max_size=400))
def test_subjects_and_short_messages_are_what_sns_takes(name: str) -> None:
    notice = replace(a_failure(), data={**a_failure().data, "name": name})
    letter = write_letter(notice)
    for text, most in ((letter.subject, 100), (letter.short, 140)):
        assert 1 <= len(text) <= most
        assert text.isascii()
        assert text.isprintable()
        assert text == text.strip()
