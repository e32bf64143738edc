"""A reference counts only with the token that we made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.references import Reference, make_reference, read_reference
from tests.builders import OTHER_SHOP, SHOP, a_job

REF = a_job().ref
TRUE = make_reference("pikcel", REF, 2, "secret")


def test_our_own_reference_is_read_with_the_new_and_the_old_secret() -> None:
    assert read_reference("pikcel", TRUE, ("secret",)) == Reference(REF, 2)
    assert read_reference("pikcel", TRUE, ("newer", "secret")) == Reference(REF, 2)


@pytest.mark.parametrize(
    ("provider", "text"),
    [
        ("fal", TRUE),
        ("pikcel", TRUE.replace(SHOP, OTHER_SHOP)),
        ("pikcel", TRUE.replace(":2:", ":1:")),
        ("pikcel", TRUE.replace(":2:", ":02:")),
        ("pikcel", TRUE[:-1] + ("0" if TRUE[-1] != "0" else "1")),
        ("pikcel", TRUE.upper()),
        ("pikcel", TRUE + "\n"),
        ("pikcel", ""),
        ("pikcel", None),
    ],
)
def test_nothing_else_is(provider: str, text: str | None) -> None:
    assert read_reference(provider, text, ("secret",)) is None


def test_without_a_secret_no_reference_counts() -> None:
    assert read_reference("pikcel", TRUE, ()) is None


@given(st.text())
def test_any_text_is_read_or_not_never_an_exception(text: str) -> None:
    assert read_reference("pikcel", text, ("secret",)) is None
