"""What an examination finds, a line each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """A closed set. A skip is no failure: it says what was not looked at, and why."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "FAIL"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, and what was seen."""

    verdict: Verdict
    name: str
    says: str

    def line(self) -> str:
        """Return it as it is printed.

        >>> Finding(Verdict.PASS, "clock", "0.2 s apart").line()
        'pass  clock                      0.2 s apart'
        """
        return f"{self.verdict:<4}  {self.name:<26} {self.says}".rstrip()


def passed(name: str, says: str = "") -> Finding:
    """Make a line about something that is as it must be."""
    return Finding(Verdict.PASS, name, says)


def failed(name: str, says: str) -> Finding:
    """Make a line about something that is not."""
    return Finding(Verdict.FAIL, name, says)


def skipped(name: str, says: str) -> Finding:
    """Make a line about something that was not looked at."""
    return Finding(Verdict.SKIP, name, says)


def judged(is_right: bool, name: str, says: str, otherwise: str) -> Finding:
    """Make a line that passes or fails, with the sentence of each."""
    return passed(name, says) if is_right else failed(name, otherwise)


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed."""
    return all(finding.verdict is not Verdict.FAIL for finding in findings)


def redacted(text: str, secrets: Sequence[str]) -> str:
    """Return a text without any of the secrets, whoever put one into it.

    >>> redacted("no such key: abc-123", ["abc-123"])
    'no such key: (hidden)'
    """
    for secret in secrets:
        text = text.replace(secret, "(hidden)") if secret else text
    return text
