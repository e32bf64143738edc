"""What the demo shows: live on a terminal, line by line elsewhere, and the tables at the end."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from local.demo.cases import CASES
from local.demo.proofs import Proof
from local.demo.screen import LiveScreen, PlainScreen, list_of, state_of, table, viewer_for
from tests.local.demo_world import a_sent, good_evidence


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_the_live_table_and_a_pipe_gets_lines() -> None:
    assert isinstance(viewer_for(Terminal()), LiveScreen)
    assert isinstance(viewer_for(io.StringIO()), PlainScreen)


def test_the_live_table_is_drawn_over_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    terminal = Terminal()
    screen = LiveScreen(terminal)
    sent = [a_sent(CASES[0], 1, status="pending", pushStatus="none"), a_sent(number=2)]
    screen.show(sent, 1.0)
    first = terminal.getvalue()
    assert "1 of 2" in first
    assert "\x1b" not in first
    assert all(len(line) < 60 for line in first.splitlines())
    screen.show([a_sent(CASES[0], 1), sent[1]], 2.0)
    assert terminal.getvalue()[len(first) :].startswith("\x1b[3F\x1b[J")


def test_the_live_table_is_not_drawn_again_when_nothing_has_changed() -> None:
    terminal = Terminal()
    screen = LiveScreen(terminal)
    screen.show([a_sent()], 1.1)
    before = terminal.getvalue()
    screen.show([a_sent()], 1.2)
    assert terminal.getvalue() == before


def test_a_pipe_gets_a_line_for_each_change_only() -> None:
    stream = io.StringIO()
    screen = PlainScreen(stream)
    pending = a_sent(CASES[0], 1, status="pending", pushStatus="none")
    for elapsed_s, sent in ((1.0, pending), (2.0, pending), (3.0, a_sent(CASES[0], 1))):
        screen.show([sent], elapsed_s)
    assert stream.getvalue().splitlines() == [
        "    1.0 s  Photo 1: pending, attempt 1  (webhooks lost)",
        "    3.0 s  Photo 1: on its product, attempt 1  (webhooks lost)",
    ]


@pytest.mark.parametrize(
    ("status", "push", "told"),
    [
        ("pending", "none", "pending"),
        ("processing", "none", "processing 100 %"),
        ("completed", "none", "completed"),
        ("completed", "queued", "completed, push queued"),
        ("completed", "failed", "completed, push failed"),
        ("completed", "pushed", "on its product"),
        ("failed", "none", "failed"),
    ],
)
def test_a_state_is_told_in_a_few_words(status: str, push: str, told: str) -> None:
    assert state_of(a_sent(status=status, pushStatus=push)) == told


def test_the_table_has_a_line_for_every_job_with_its_image_address() -> None:
    evidence = good_evidence()
    lines = table(evidence).splitlines()
    assert len(lines) == len(evidence.jobs) + 1
    for job, line in zip(evidence.jobs, lines[1:], strict=True):
        assert job.title in line
        assert job.sent.assignment.case.label in line
        assert job.fetched is not None
        assert line.endswith(job.fetched.url)


def test_the_table_says_when_a_job_has_no_image() -> None:
    evidence = good_evidence()
    bare = replace(evidence, jobs=[replace(evidence.jobs[0], fetched=None)])
    assert table(bare).splitlines()[1].endswith("none")


def test_what_speaks_against_a_proof_stands_below_it() -> None:
    shown = list_of([Proof("this holds", ()), Proof("this does not", ("a reason",))])
    assert shown.splitlines() == ["  ✓ this holds", "  ✗ this does not", "      a reason"]
