"""What the README says of the providers is what their adapters declare; and its alarms are the
template's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.providers.base import ProviderAdapter, Receiver
from shared.providers.registry import ADAPTERS
from tests.template.stack import ids_of_type
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


def alarm_rows() -> dict[str, list[str]]:
    """Return what to do when an alarm rings: its name → meaning, first look, what then."""
    section = README.split("\n## When an alarm rings\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    found = {row[0].strip("` "): row[1:] for row in cells}
    assert len(found) == len(lines), "an alarm has two rows"
    return found


def test_every_alarm_of_the_template_has_its_row_and_no_other() -> None:
    assert set(alarm_rows()) == set(ids_of_type("AWS::CloudWatch::Alarm"))


@pytest.mark.parametrize("name", ids_of_type("AWS::CloudWatch::Alarm"))
def test_a_row_says_what_it_means_where_to_look_and_what_to_do(name: str) -> None:
    meaning, look, then = alarm_rows()[name]
    assert len(meaning.split()) >= 5
    assert look
    assert then
    assert "|" not in meaning + look + then
