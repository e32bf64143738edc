"""`Erasures` without a table, over the other stores in memory."""

from collections import defaultdict
from collections.abc import Sequence

from shared.domain.erasure import ErasureReport, shop_digest
from shared.domain.errors import VersionConflictError
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.usecases.ports import Belongings
from tests.fakes.memory import InMemoryJobStore, InMemoryShopStore, InMemoryWorkStore
from tests.fakes.memory_keys import InMemoryKeyStore


class InMemoryErasures:
    """What the stores in memory have of a shop besides its jobs."""

    def __init__(
        self,
        jobs: InMemoryJobStore,
        shops: InMemoryShopStore,
        works: InMemoryWorkStore,
        keys: InMemoryKeyStore,
    ) -> None:
        self._jobs = jobs
        self._shops = shops
        self._works = works
        self._keys = keys
        self._reports: defaultdict[str, dict[str, ErasureReport]] = defaultdict(dict)

    def find(self, shop: str, part: Belongings, *, limit: int) -> Sequence[str]:
        """Name some of what is left of a part; see `Erasures.find`."""
        finders = {
            Belongings.KEYS: self._key_names,
            Belongings.TOMBSTONES: self._tombstones,
            Belongings.ITEMS: self._items,
            Belongings.COUNTERS: self._counters,
        }
        return sorted(finders[part](shop))[:limit]

    def erase(self, shop: str, part: Belongings, names: Sequence[str]) -> None:
        """Delete what was found; what is gone already is no error."""
        for name in names:
            kind, _, rest = name.partition("#")
            if part is Belongings.KEYS:
                self._erase_key(shop, kind, rest)
            elif part is Belongings.TOMBSTONES:
                self._jobs._links.pop((kind, rest), None)
                self._jobs._parked.pop((kind, rest), None)
            elif part is Belongings.COUNTERS:
                self._jobs._spent.pop((shop, rest), None)
            elif kind == "PRICE":
                provider, _, tool = rest.partition("#")
                self._jobs._prices.pop((shop, provider, tool), None)
            elif kind == "IDEM":
                self._jobs._made.pop((shop, rest), None)
                self._keys._made.pop((shop, rest), None)
            else:
                works = self._works._batches if kind == "BATCH" else self._works._works
                works.pop(JobRef(shop, rest), None)

    def finish(self, job: Job, report: ErasureReport) -> None:
        """Delete the shop's item and the job, and keep the report."""
        shop = self._shops.get_shop(job.shop)
        stored = self._jobs.get_many([job.ref])
        if shop is None or shop.erasing != job.job_id or stored != [job]:
            raise VersionConflictError("The shop or the job was changed meanwhile.")
        del self._shops._shops[job.shop]
        del self._jobs._jobs[job.ref]
        self._jobs._timelines.pop(job.ref, None)
        self._reports[shop_digest(job.shop)][report.erasure_id] = report

    def put_report(self, shop: str, report: ErasureReport) -> None:
        """Keep a report."""
        self._reports[shop_digest(shop)][report.erasure_id] = report

    def reports(self, shop: str) -> list[ErasureReport]:
        """Read the reports about a shop, the newest first."""
        found = self._reports[shop_digest(shop)]
        return [found[name] for name in sorted(found, reverse=True)]

    def _key_names(self, shop: str) -> list[str]:
        keys = [f"KEY#{key_id}" for of, key_id in self._keys._keys if of == shop]
        return keys + [f"AGENT#{agent_id}" for of, agent_id in self._keys._agents if of == shop]

    def _erase_key(self, shop: str, kind: str, name: str) -> None:
        if kind == "KEY":
            self._keys.remove_key(shop, name)
            return
        agent = self._keys._agents.pop((shop, name), None)
        if agent is not None:
            self._keys._holders.pop(agent.key_id, None)

    def _tombstones(self, shop: str) -> list[str]:
        return [
            f"{provider}#{name}"
            for (provider, name), link in self._jobs._links.items()
            if link.is_tombstone and link.ref.shop == shop
        ]

    def _items(self, shop: str) -> list[str]:
        works = [f"BULK#{ref.job_id}" for ref in self._works._works if ref.shop == shop]
        works += [f"BATCH#{ref.job_id}" for ref in self._works._batches if ref.shop == shop]
        made = {*self._jobs._made, *self._keys._made}
        works += [f"IDEM#{name}" for of, name in made if of == shop]
        return works + [
            f"PRICE#{provider}#{tool}" for of, provider, tool in self._jobs._prices if of == shop
        ]

    def _counters(self, shop: str) -> list[str]:
        return [f"BUDGET#{month}" for of, month in self._jobs._spent if of == shop]
