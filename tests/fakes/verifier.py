"""Whoever holds the signing secrets, as a test has it."""

from collections.abc import Mapping, Sequence

from shared.domain.errors import VerifierUnavailableError
from shared.usecases.quarantine_ports import Mark, Reverified


class FakeVerifier:
    """Implements Verifier.

    asked: each (providers, after) it was asked to reverify. done: what it answers. known: the
    fingerprints by name. broken: it does not answer.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[str], Mark | None]] = []
        self.done = Reverified(checked=0, accepted=0, refused=0, failing=0, remaining=0, mark=None)
        self.known: dict[str, list[list[str]]] = {}
        self.broken = False

    def reverify(self, providers: Sequence[str], after: Mark | None) -> Reverified:
        """Answer as the test says."""
        self._check()
        self.asked.append((providers, after))
        return self.done

    def fingerprints(self) -> Mapping[str, Sequence[Sequence[str]]]:
        """Answer as the test says."""
        self._check()
        return self.known

    def _check(self) -> None:
        if self.broken:
            raise VerifierUnavailableError("It does not answer.")
