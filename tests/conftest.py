"""What holds for every test: no network, no real account, no surprises from the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

TESTS: Final = Path(__file__).resolve().parent
LOOPBACK: Final = ["127.0.0.1", "::1", "localhost"]

# The tiers that start servers of their own. Everywhere else a socket is an error, so
# that a forgotten fake fails at once instead of timing out.
LOOPBACK_TIERS: Final = frozenset(
    {"bench", "browser", "contract", "integration", "local", "packaging"}
)

# What waits for processes, builds or a browser: slow whatever a test says of itself.
SLOW_TIERS: Final = frozenset({"bench", "browser", "integration", "packaging"})

# What takes minutes, the longest first: begun last, it would be waited for alone.
LONGEST: Final = (
    "test_demo_run.py",
    "test_shop_life_over_http.py",
    "test_every_provider_whole_way.py",
    "test_demo_of_replicate.py",
    "test_bulk_whole_way.py",
    "test_access_whole_way.py",
    "test_random_day.py",
    "test_notifications_whole_way.py",
    "test_image_jobs_over_http.py",
    "test_stack.py",
    "test_sam_build.py",
)

# Of the caller's settings, those that would send a test to a real account or emulator.
FOREIGN_SETTINGS: Final = ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN")

FAKE_ACCOUNT: Final = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "SAM_CLI_TELEMETRY": "0",
}

# What the template gives every function.
FUNCTION_SETTINGS: Final = {
    "POWERTOOLS_SERVICE_NAME": "tests",
    "POWERTOOLS_METRICS_NAMESPACE": "JobTracker",
}


# Hypothesis's deadline is a wall clock: a machine that is busy with other things misses it.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    """Put a fake account into the environment before any test module is imported."""
    for name in FOREIGN_SETTINGS:
        os.environ.pop(name, None)
    os.environ.update(FAKE_ACCOUNT | FUNCTION_SETTINGS)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the network of its tier; a test's own marker goes before it."""
    items.sort(key=_place_in_line)
    for item in items:
        if tier_of(item.path) in SLOW_TIERS:
            item.add_marker(pytest.mark.slow)
        if any(item.get_closest_marker(name) for name in ("allow_hosts", "enable_socket")):
            continue
        if tier_of(item.path) in LOOPBACK_TIERS:
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))
        else:
            item.add_marker(pytest.mark.disable_socket)


def _place_in_line(item: pytest.Item) -> int:
    name = item.path.name
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


def tier_of(path: Path) -> str:
    """Return the folder of tests/ that a test file lies in, or "" for a file elsewhere."""
    return path.relative_to(TESTS).parts[0] if path.is_relative_to(TESTS) else ""


@pytest.fixture(autouse=True)
def no_metrics_of_others() -> None:
    """Forget metrics that a killed invocation of an earlier test left behind."""
    observability = sys.modules.get("shared.observability")
    if observability is not None:
        observability.metrics.clear_metrics()
