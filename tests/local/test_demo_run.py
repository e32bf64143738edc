"""`python -m local.demo` for real: the stack, the simulators, a dozen photos, every trouble."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.demo.cases import CASES
from local.photos import PHOTOS
from tests.local.demo_program import demo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(330)]


def test_every_photo_arrives_once_whatever_goes_wrong(tmp_path: Path) -> None:
    done = demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "✗" not in done.stdout
    assert done.stdout.count("✓") == 14
    shown = [line for line in done.stdout.splitlines() if "/cdn/" in line]
    assert len(shown) == len(PHOTOS)
    for photo, line in zip(PHOTOS, shown, strict=True):
        assert photo.title in line
    for case, line in zip(CASES, shown, strict=False):
        assert case.label in line
    assert not (tmp_path / "stack.json").exists()


def test_a_provider_without_a_simulator_is_told_before_anything_is_started(tmp_path: Path) -> None:
    done = demo(tmp_path, PROVIDER="midjourney")
    assert (done.returncode, done.stdout) == (1, "")
    assert "PROVIDER=midjourney: there is a simulator of pikcel, replicate, fal." in done.stderr
    assert not (tmp_path / "logs").exists()


def test_photos_that_cannot_be_used_are_told_before_anything_is_started(tmp_path: Path) -> None:
    done = demo(tmp_path, PHOTOS=str(tmp_path))
    assert done.returncode == 1
    assert f"There is no JPEG, PNG or WebP file in {tmp_path}" in done.stderr
    assert not (tmp_path / "logs").exists()
