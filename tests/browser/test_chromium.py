"""Who has no Chromium is told what to install; no test is skipped for it."""

from __future__ import annotations

import shutil
from typing import Any, cast

import pytest

from tests.browser.chromium import ChromiumMissingError, launch


def test_a_missing_browser_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(ChromiumMissingError, match="apt-get install chromium"):
        launch(cast("Any", None))
