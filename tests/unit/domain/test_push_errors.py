"""The table of Shopify's refusals is complete, and speaks to merchants."""

import pytest
from graphql import GraphQLEnumType

from local.shopify_simulator.schema import admin_schema
from shared.domain import push_errors
from shared.domain.job import OUTPUT_EXPIRED, SHOP_NOT_INSTALLED, TOKEN_DEAD
from shared.domain.push_errors import (
    FILE_ERRORS,
    MEDIA_ERRORS,
    PUSH_SENTENCES,
    SHOP_SENTENCES,
    Remedy,
    judge_file,
    judge_media,
)


@pytest.mark.parametrize(
    ("enum", "table"), [("MediaErrorCode", MEDIA_ERRORS), ("FilesErrorCode", FILE_ERRORS)]
)
def test_every_word_of_the_schema_has_a_verdict_and_no_other(
    enum: str, table: dict[str, push_errors.Verdict]
) -> None:
    kind = admin_schema().type_map[enum]
    assert isinstance(kind, GraphQLEnumType)
    assert set(table) == set(kind.values)


def test_every_verdict_has_a_sentence() -> None:
    verdicts = [*MEDIA_ERRORS.values(), *FILE_ERRORS.values()]
    assert {verdict.code for verdict in verdicts} <= set(PUSH_SENTENCES)


def test_every_code_that_is_named_has_a_sentence() -> None:
    named = {
        value
        for name, value in vars(push_errors).items()
        if name.isupper() and isinstance(value, str)
    }
    assert named | {OUTPUT_EXPIRED, SHOP_NOT_INSTALLED, TOKEN_DEAD} == set(PUSH_SENTENCES)


def test_sentences_are_sentences() -> None:
    for sentence in PUSH_SENTENCES.values():
        assert sentence.endswith(".")
        assert sentence[0].isupper()
        assert not any(word in sentence for word in ("GraphQL", "API", "null", "_", "HTTP"))
    assert len(set(PUSH_SENTENCES.values())) == len(PUSH_SENTENCES)


def test_what_will_never_heal_goes_before_what_may() -> None:
    verdict = judge_media(("MEDIA_TIMEOUT_ERROR", "INVALID_IMAGE_ASPECT_RATIO"))
    assert verdict.remedy is Remedy.FAIL


def test_words_nobody_has_heard_of_are_judged_too() -> None:
    assert judge_media(("A_NEW_ONE",)).remedy is Remedy.RETRY
    assert judge_file("A_NEW_ONE").remedy is Remedy.FAIL


def test_trouble_of_the_shop_is_in_both_tables() -> None:
    assert SHOP_SENTENCES.items() <= PUSH_SENTENCES.items()
