"""The browser that drives the page: the system's own Chromium, not a download."""

from __future__ import annotations

import os
import shutil

from playwright.sync_api import Browser, Playwright, expect

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "Chromium is missing, and the page's tests need it. Debian and Ubuntu: apt-get install "
    "chromium. macOS: brew install --cask chromium. Elsewhere: set CHROMIUM to its program."
)
# Nothing but the page itself may use the network, and nothing of the machine's graphics is needed.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A site may show a page of this machine, as a test of the framing does.
    "--disable-features=LocalNetworkAccessChecks",
]
# On a busy machine a cold function takes seconds; a test that fails for that proves nothing.
PATIENCE_MS = 45_000


class ChromiumMissingError(Exception):
    """There is no browser; the message says what to install."""


def launch(playwright: Playwright) -> Browser:
    """Start it, with a profile of its own that nothing is kept of. Raises ChromiumMissingError."""
    found = (os.environ.get("CHROMIUM"), *map(shutil.which, PROGRAMS))
    program = next(filter(None, found), None)
    if program is None:
        raise ChromiumMissingError(MISSING)
    expect.set_options(timeout=PATIENCE_MS)
    return playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
