"""`PROVIDER=replicate python -m local.demo` for real: the same story through another provider.

In a file of its own, to be run beside the other one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.local.demo_program import demo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(330)]


def test_the_story_runs_through_another_provider_too(tmp_path: Path) -> None:
    done = demo(tmp_path, PROVIDER="replicate")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "✗" not in done.stdout
    assert done.stdout.count("✓") == 13
    assert "Sending 12 photos through Replicate.\n  Left out, “result link dead”" in done.stdout
