"""Whoever holds the signing secrets, as a test has it."""

from collections.abc import Sequence

from shared.domain.errors import VerifierUnavailableError
from shared.usecases.quarantine_ports import KnownSecrets, Mark, Reverified


class FakeVerifier:
    """Implements Verifier.

    asked: each (providers, after) it was asked to reverify. done: what it answers. known: the
    fingerprints by name. placeholders: names of those that are none. broken: it does not answer.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[str], Mark | None]] = []
        self.done = Reverified(checked=0, accepted=0, refused=0, failing=0, remaining=0, mark=None)
        self.known: dict[str, list[list[str]]] = {}
        self.placeholders: frozenset[str] = frozenset()
        self.broken = False

    def reverify(self, providers: Sequence[str], after: Mark | None) -> Reverified:
        """Answer as the test says."""
        self._check()
        self.asked.append((providers, after))
        return self.done

    def fingerprints(self) -> KnownSecrets:
        """Answer as the test says."""
        self._check()
        return KnownSecrets(fingerprints=self.known, placeholders=self.placeholders)

    def _check(self) -> None:
        if self.broken:
            raise VerifierUnavailableError("It does not answer.")
