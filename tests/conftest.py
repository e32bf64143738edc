"""What holds for every test: no network, no real account, no surprises from the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings

from tests.promises import CASES, MARK, PROMISES, PROOF_ONLY, is_proof

TESTS: Final = Path(__file__).resolve().parent
LOOPBACK: Final = ["127.0.0.1", "::1", "localhost"]

# The tiers that start servers of their own. Everywhere else a socket is an error, so
# that a forgotten fake fails at once instead of timing out.
LOOPBACK_TIERS: Final = frozenset(
    {"bench", "browser", "contract", "integration", "local", "packaging", "proof"}
)

# What waits for processes, builds or a browser: slow whatever a test says of itself.
SLOW_TIERS: Final = frozenset({"bench", "browser", "integration", "packaging"})

# What takes minutes, the longest first: begun last, it would be waited for alone.
LONGEST: Final = (
    "test_crash_kills.py",
    "test_crash_failures.py",
    "test_growth.py",
    "test_demo_run.py",
    "test_shop_life_over_http.py",
    "test_every_provider_whole_way.py",
    "test_demo_of_replicate.py",
    "test_crash_elsewhere.py",
    "test_bulk_whole_way.py",
    "test_access_whole_way.py",
    "test_random_day.py",
    "test_notifications_whole_way.py",
    "test_image_jobs_over_http.py",
    "test_stack.py",
    "test_sam_build.py",
    "test_scale.py",
    "test_away.py",
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
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each test the network of its tier (a test's own marker goes before it), and have it
    tell the report which promises it shows. Some are `make proof`'s alone."""
    if not is_proof():
        left_out = [item for item in items if item.get_closest_marker(PROOF_ONLY)]
        items[:] = [item for item in items if not item.get_closest_marker(PROOF_ONLY)]
        config.hook.pytest_deselected(items=left_out)
    items.sort(key=_place_in_line)
    for item in items:
        if tier_of(item.path) in SLOW_TIERS:
            item.add_marker(pytest.mark.slow)
        for mark in item.iter_markers(MARK):
            if mark.args[0] not in PROMISES:
                raise pytest.UsageError(f"{item.nodeid}: there is no promise {mark.args[0]!r}")
            item.user_properties.append((MARK, mark.args))
        if any(item.get_closest_marker(name) for name in ("allow_hosts", "enable_socket")):
            continue
        if tier_of(item.path) in LOOPBACK_TIERS:
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))
        else:
            item.add_marker(pytest.mark.disable_socket)


def _place_in_line(item: pytest.Item) -> int:
    name = item.path.name
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """Tell the report how many cases Hypothesis drew for a test that shows a promise."""
    drawn = _count_drawn(item) if item.get_closest_marker(MARK) else None
    try:
        return (yield)
    finally:
        if drawn is not None:
            item.user_properties.append((CASES, drawn()))


def _count_drawn(item: pytest.Item) -> Callable[[], int] | None:
    """Count the calls of a test that Hypothesis draws for; returns what tells their number."""
    handle = getattr(getattr(item, "obj", None), "hypothesis", None)
    if handle is None:
        return None
    inner, calls = handle.inner_test, [0]

    @wraps(inner)
    def counting(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        return inner(*args, **kwargs)

    handle.inner_test = counting

    def total() -> int:
        handle.inner_test = inner
        return calls[0]

    return total


def tier_of(path: Path) -> str:
    """Return the folder of tests/ that a test file lies in, or "" for a file elsewhere."""
    return path.relative_to(TESTS).parts[0] if path.is_relative_to(TESTS) else ""


@pytest.fixture(autouse=True)
def no_metrics_of_others() -> None:
    """Forget metrics that a killed invocation of an earlier test left behind."""
    observability = sys.modules.get("shared.observability")
    if observability is not None:
        observability.metrics.clear_metrics()
