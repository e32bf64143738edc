"""Jobs at random, in memory, for tests."""

from collections.abc import Sequence
from datetime import datetime

from shared.domain.ids import JobRef
from shared.usecases.ports import JobStore, Sighting


class InMemorySamples:
    """`Samples` over any store of jobs.

    misplaced, unreadable: what a test has go wrong with the items, which there are none of here.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self.misplaced: dict[JobRef, tuple[str, ...]] = {}
        self.unreadable: set[JobRef] = set()

    def draw(self, day: datetime, place: float, *, limit: int) -> list[JobRef]:
        """Name jobs of a day, from some place on and round again."""
        refs: list[JobRef] = []
        position = None
        while True:
            page = self._store.list_day(f"{day:%Y-%m-%d}", limit=100, position=position)
            refs += [job.ref for job in page.jobs]
            position = page.position
            if position is None:
                first = int(place * len(refs))
                return (refs[first:] + refs[:first])[:limit]

    def look(self, refs: Sequence[JobRef]) -> list[Sighting]:
        """Read jobs, with what a test says of their items."""
        return [
            Sighting(
                ref=job.ref,
                job=None if job.ref in self.unreadable else job,
                misplaced=self.misplaced.get(job.ref, ()),
            )
            for job in self._store.get_many(refs)
        ]
