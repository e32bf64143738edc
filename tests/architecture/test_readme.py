"""What the README says of the providers is what their adapters declare; and its alarms are the
template's."""

from __future__ import annotations

import re

import pytest

from shared.providers.base import ProviderAdapter, Receiver
from shared.providers.registry import ADAPTERS
from tests.template.emitted import PER_PROVIDER, emitted_by
from tests.template.stack import FUNCTIONS, ROOT, ids_of_type, properties, template
from tests.unit.providers.senders import RECEIVERS

README = (ROOT / "README.md").read_text(encoding="utf-8")
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
def test_how_long_a_provider_delivers_again_is_said(name: str) -> None:
    again = rows()[name][4].replace("about a minute", "for 60 s")
    told = re.search(r"(?:in|for) (\d+) (h|s)$", again)
    span_s = int(told[1]) * {"h": 3600, "s": 1}[told[2]] if told else None
    assert ADAPTERS[name].acks.span_s == span_s


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


NIGHT = README.split("\n## When an alarm rings\n")[1].split("\n## ")[0]
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for folder in ("functions", "shared")
    for path in sorted((ROOT / folder).rglob("*.py"))
)


def test_what_is_typed_at_night_is_there() -> None:
    wanted = re.findall(r"output (\w+)\)", NIGHT)
    assert {"SweepFunctionName", "DispatchDeadLetterQueueUrl"} <= set(wanted)
    assert set(wanted) | {"BulkFunctionName", "DashboardUrl"} <= template()["Outputs"].keys()
    for name in re.findall(r"events/\w+\.json", README):
        assert (ROOT / name).is_file()
    assert template()["Globals"]["Function"]["AutoPublishAlias"] == "live"
    assert 'stack_name = "job-tracker"' in (ROOT / "samconfig.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_logs_where_the_readme_says(name: str) -> None:
    group = properties(f"{name.capitalize()}Logs")["LogGroupName"]["Fn::Sub"]
    assert group == f"/aws/lambda/${{AWS::StackName}}-{name}"


@pytest.mark.parametrize("line", sorted(set(re.findall(r"`([a-z ]+)` lines", NIGHT))))
def test_a_line_to_look_for_is_one_that_is_logged(line: str) -> None:
    assert re.search(rf'\(\s*"{line}"', SOURCES)


def test_a_name_that_is_told_at_night_is_one_of_ours() -> None:
    """Metrics, alarms, secrets, parameters: whatever is written in one word of several."""
    told = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`", NIGHT))
    metrics = {name for service in FUNCTIONS for name in emitted_by(service)} | PER_PROVIDER
    known = metrics | template()["Resources"].keys() | template()["Parameters"].keys()
    assert told - known - template()["Outputs"].keys() == {"IteratorAge"}  # AWS Lambda's own
