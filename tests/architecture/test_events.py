"""Every sample in events/ is a real trigger payload, and some test stands on it."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "events").glob("*.json"))
TESTS = "\n".join(
    path.read_text() for path in (ROOT / "tests").rglob("*.py") if path.name != Path(__file__).name
)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_used_by_a_test(sample: Path) -> None:
    """By its whole name, or by what follows the name of its family."""
    words = sample.stem.split("_")
    names = {"_".join(words[first:]) for first in range(len(words))}
    assert any(f'"{name}"' in TESTS or f'"{name}.json"' in TESTS for name in names)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_has_the_form_of_its_trigger(sample: Path) -> None:
    """`sam local invoke -e` takes the file as it is."""
    event = json.loads(sample.read_text())
    kind = sample.stem.partition("_")[0]
    if kind in ("webhook", "api", "dashboard"):
        assert event["version"] == "2.0"
        assert event["requestContext"]["http"]["method"]
    elif kind == "asked":
        # A direct invocation: nothing that API Gateway could send.
        assert event["asked"]
        assert "version" not in event
    elif kind in ("audit", "sweep"):
        assert event["detail-type"] == "Scheduled Event"
    elif kind == "stream":
        assert {record["eventSource"] for record in event["Records"]} == {"aws:dynamodb"}
    else:
        assert {record["eventSource"] for record in event["Records"]} == {"aws:sqs"}
