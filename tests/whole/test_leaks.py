"""Whoever listens for secrets in the log hears them wherever in a record they are."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from shared.domain.keys import write_key
from shared.observability import logger
from tests.whole.leaks import eavesdropping, values_of

SECRET = "a-secret-0123456789"


def raising() -> None:
    raise ValueError(f"no such {SECRET}")


@pytest.mark.parametrize(
    "said",
    [
        {"msg": f"sent {SECRET}"},
        {"msg": "sent %s", "args": (SECRET,)},
        {"msg": "sent", "extra": {"headers": {"authorization": f"Bearer {SECRET}"}}},
        {"msg": "sent", "extra": {"body": SECRET.encode()}},
    ],
    ids=["message", "arguments", "extras", "bytes"],
)
def test_a_secret_is_heard_wherever_it_is(said: dict[str, Any]) -> None:
    with eavesdropping([SECRET]) as ear:
        logging.getLogger("shared.usecases.some").warning(
            said["msg"], *said.get("args", ()), extra=said.get("extra")
        )
    assert (ear.heard, len(ear.leaks)) == (1, 1)


def test_a_secret_in_a_traceback_is_heard() -> None:
    with eavesdropping([SECRET]) as ear:
        try:
            raising()
        except ValueError:
            logging.getLogger("x").exception("broken")
    assert len(ear.leaks) == 1


def test_the_products_own_logger_is_heard_and_may_say_what_is_no_secret() -> None:
    with eavesdropping([SECRET]) as ear:
        logger.info("webhook", extra={"outcome": "applied"})
    assert (ear.heard, ear.leaks) == (1, [])


@pytest.mark.parametrize(
    "made",
    [
        *("shpat_" + "0a" * 16, "shprt_" + "0a" * 16, "whsec_" + "QUJD" * 8),
        *(write_key("jts", "0a" * 12, bytes(32)), "eyJh.eyJi." + "s" * 43),
    ],
)
def test_what_is_made_while_it_runs_is_a_secret_too(made: str) -> None:
    with eavesdropping([]) as ear:
        logger.info("asked", extra={"said": made})
    assert len(ear.leaks) == 1


def test_both_values_of_a_secret_count_and_words_do_not() -> None:
    held = {"signing": {"A": f"{SECRET},{SECRET}-old", "B": "demo"}}
    assert values_of(held) == [SECRET, f"{SECRET}-old"]
