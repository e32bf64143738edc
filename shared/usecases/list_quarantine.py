"""Show administrators what failed its check and is kept, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.cursors import make_cursor, read_cursor
from shared.domain.errors import InvalidRequestError
from shared.domain.quarantine import MAX_AN_HOUR, HeldNote
from shared.usecases.quarantine_ports import Mark, Quarantine, Reverified, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPage:
    """A page of what is kept.

    full: (sender, UTC hour) of the last day in which no more was kept, only counted.
    """

    notes: Sequence[HeldNote]
    next_cursor: str | None
    full: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whose deliveries are asked for (None: everybody's), and from where on.

    senders: all there are. secrets: what cursors are made with.
    """

    provider: str | None
    cursor: str | None
    senders: Sequence[str]
    secrets: Sequence[str]

    @property
    def names(self) -> Sequence[str]:
        """The senders that are meant. Raises InvalidRequestError for one that there is not."""
        if self.provider is None:
            return self.senders
        if self.provider not in self.senders:
            raise InvalidRequestError(
                "There is no such provider.",
                details=[{"field": "provider", "message": f"is none of {', '.join(self.senders)}"}],
            )
        return [self.provider]

    def mark(self, purpose: str) -> Mark | None:
        """Read where to go on. Raises InvalidRequestError."""
        if self.cursor is None:
            return None
        position = read_cursor(self._scope(purpose), self.cursor, self.secrets)
        place, _, provider = position.partition(" ")
        return Mark(provider=provider, place=place)

    def write(self, purpose: str, mark: Mark | None) -> str | None:
        """Write where to go on."""
        if mark is None:
            return None
        return make_cursor(self._scope(purpose), f"{mark.place} {mark.provider}", self.secrets)

    def _scope(self, purpose: str) -> str:
        return f"quarantine {purpose}\n{self.provider or ''}"


def list_quarantine(
    quarantine: Quarantine, question: Question, now: datetime, *, limit: int
) -> HeldPage:
    """List what is kept, newest first: two Queries a sender.

    Raises InvalidRequestError: no such provider, or a cursor of another question.
    """
    names, mark = question.names, question.mark("list")
    until = mark.place if mark else None
    found = [
        note for name in names for note in quarantine.held(name, now, until=until, limit=limit + 2)
    ]
    if mark is not None:
        found = [note for note in found if _order(note) < (mark.place, mark.provider)]
    found.sort(key=_order, reverse=True)
    notes, is_last = found[:limit], len(found) <= limit
    end = None if is_last else Mark(provider=notes[-1].provider, place=notes[-1].place)
    full = [
        (name, hour)
        for name in names
        for hour, count in sorted(quarantine.taken(name, now).items())
        if count >= MAX_AN_HOUR
    ]
    return HeldPage(notes=notes, next_cursor=question.write("list", end), full=full)


def ask_to_reverify(verifier: Verifier, question: Question) -> tuple[Reverified, str | None]:
    """Have what is kept checked again; returns what became of it, and the cursor to go on with.

    Raises InvalidRequestError, VerifierUnavailableError.
    """
    done = verifier.reverify(question.names, question.mark("reverify"))
    return done, question.write("reverify", done.mark)


def _order(note: HeldNote) -> tuple[str, str]:
    return note.place, note.provider
