"""What the README says of the providers is what their adapters declare."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.providers.base import ProviderAdapter, Receiver
from shared.providers.registry import ADAPTERS
from tests.unit.providers.senders import RECEIVERS

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
HEAD = "| provider | `toolId` is |"


def rows() -> dict[str, list[str]]:
    """Return the table of providers: name → its cells."""
    table = README[README.index(HEAD) :].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]
    return {row[0].strip("` "): row for row in cells}


def test_every_provider_is_in_the_table() -> None:
    assert set(rows()) == set(RECEIVERS)


@pytest.mark.parametrize("name", RECEIVERS)
def test_a_provider_is_shown_at_its_true_strength(name: str) -> None:
    receiver: Receiver = RECEIVERS[name]
    _, _, _, proof, again, content, *_ = rows()[name]
    assert proof == receiver.proof.value
    assert content == ("200" if receiver.acks.accepted == frozenset({200}) else "2xx")
    if receiver.acks.tries is not None and name in ADAPTERS:
        assert again.startswith(f"{receiver.acks.tries} times")


@pytest.mark.parametrize("name", ADAPTERS)
def test_how_long_a_result_lives_and_whether_a_job_can_be_stopped_are_said(name: str) -> None:
    adapter: ProviderAdapter = ADAPTERS[name]
    *_, life, cancel = rows()[name]
    assert cancel.startswith("yes" if adapter.can_cancel else "no")
    told = re.fullmatch(r"(\d+) (h|min)", life)
    life_s = int(told[1]) * (3600 if told[2] == "h" else 60) if told else None
    assert adapter.patience.result_life_s == life_s


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_settings_of_a_provider_are_listed(name: str) -> None:
    assert f"`{name.upper()}_API_URL`" in README
    assert f"`{name.upper()}_API_KEY`" in README
