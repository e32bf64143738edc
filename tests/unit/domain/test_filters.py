"""Which jobs a search finds."""

import pytest

from shared.domain.filters import JobFilter
from tests.builders import SHOP, a_job


@pytest.mark.parametrize("text", ["ÖLKANNE", "o\u0308lkanne", "O\u0308L", "öl", "öl "])
@pytest.mark.parametrize("title", ["Ölkanne aus Straßburg", "O\u0308lkanne aus Straßburg"])
def test_a_search_takes_letters_for_the_same_however_they_are_composed(
    title: str, text: str
) -> None:
    # As keyboards write them, and as files are named that come from a Mac.
    assert JobFilter(shop=SHOP, text=text).matches(a_job(product_title=title))


def test_a_search_does_not_drop_what_a_letter_wears() -> None:
    assert not JobFilter(shop=SHOP, text="olkanne").matches(a_job(product_title="Ölkanne"))
