"""A bus, a postman and the shops' endpoints that remember what they were given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.errors import JobTrackerError
from shared.domain.letters import Letter
from shared.domain.notices import Notice
from shared.domain.shop import Notifications
from shared.usecases.notice_ports import AddressState, Posted


class FakeBus:
    """Implements NoticeBus. notices: what was put on it. error: raised instead."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.error: JobTrackerError | None = None

    def put(self, notices: Sequence[Notice]) -> None:
        """Keep what is put."""
        if self.error is not None:
            raise self.error
        self.notices += notices


class FakeLetters:
    """Implements Letters.

    sent: (notice, letter). subscribed: what each shop wants. confirmed: who has agreed. error:
    raised by every call. refused: an address that is none.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[Notice, Letter]] = []
        self.subscribed: dict[str, Notifications] = {}
        self.confirmed: set[str] = set()
        self.refused: dict[str, JobTrackerError] = {}
        self.error: JobTrackerError | None = None
        self.during: Callable[[], None] | None = None

    def send(self, notice: Notice, letter: Letter) -> bool:
        """Keep what is sent to a shop that has somebody."""
        self._check()
        if notice.shop not in self.subscribed:
            return False
        self.sent.append((notice, letter))
        return True

    def subscribe(self, shop: str, wanted: Notifications | None) -> None:
        """Take over what the shop wants."""
        self._check()
        if self.during is not None:
            during, self.during = self.during, None
            during()
        for address in (*wanted.emails, *wanted.phones) if wanted else ():
            if address in self.refused:
                raise self.refused[address]
        if wanted is None or wanted.is_empty:
            self.subscribed.pop(shop, None)
        else:
            self.subscribed[shop] = wanted

    def states(self, shop: str) -> Mapping[str, AddressState]:
        """Tell who has agreed."""
        self._check()
        wanted = self.subscribed.get(shop, Notifications())
        return {
            address: (AddressState.CONFIRMED if address in self.confirmed else AddressState.PENDING)
            for address in (*wanted.emails, *wanted.phones)
        }

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an endpoint."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class FakePosts:
    """Implements Posts.

    answers: what the endpoints answer, one call each, in order; 204 when none is left. during:
    called within the next call.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers: list[Posted] = []
        self.during: Callable[[], None] | None = None

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Posted:
        """Answer what the test chose."""
        self.calls.append(Call(url, dict(headers), body))
        if self.during is not None:
            during, self.during = self.during, None
            during()
        return self.answers.pop(0) if self.answers else answered(204)

    def answer(self, *statuses: int) -> None:
        """Choose what is answered next."""
        self.answers += map(answered, statuses)


def answered(status: int, **more: object) -> Posted:
    """Return an answer of an endpoint."""
    return Posted(status=status, code=None, duration_ms=12, **more)  # type: ignore[arg-type]


def silent(code: str) -> Posted:
    """Return what a call without an answer gives."""
    return Posted(status=None, code=code, duration_ms=15_000)
