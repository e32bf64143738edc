"""Seeing that files can get onto their products, before anything is made for them."""

from collections import Counter
from collections.abc import Sequence

from shared.domain.ids import JobRef
from shared.domain.push_errors import MEDIA_LIMIT, PRODUCT_GONE
from shared.usecases import push_changes as changes
from shared.usecases.push_files import is_uploadable
from shared.usecases.push_run import Key, PushRun

# Source: Shopify's "Exceeded 250 media limit per product", recorded 2026.
MAX_MEDIA = 250


class ProductChecker:
    """Looks at the products of outputs that have no file yet."""

    def __init__(self, run: PushRun) -> None:
        self._run = run

    def look(self) -> None:
        """Read the products that this run has not seen, all in one call; none, no call."""
        missing = [
            product
            for ref in self._run.open_refs()
            if not self._run.jobs[ref].push.undo
            and any(
                output.media_id is None and is_uploadable(output)
                for output in changes.pending(self._run.jobs[ref])
            )
            and (product := self._run.product(ref)) not in self._run.products
        ]
        if missing:
            wanted = list(dict.fromkeys(missing))
            seen = self._run.ask(lambda: self._run.admin.outline(wanted))
            self._run.products |= {product: seen.get(product) for product in wanted}

    def admit(self, keys: Sequence[Key]) -> list[Key]:
        """Return the outputs that can get onto their products; end the others.

        A job of a product that is gone ends at once if it has no file yet; else it is left to
        the look at its files, which deletes them first.
        """
        self.look()
        planned: Counter[str] = Counter()
        admitted: list[Key] = []
        too_many: dict[JobRef, list[int]] = {}
        for ref, index in keys:
            if ref in self._run.outcomes:
                continue
            product = self._run.product(ref)
            if product not in self._run.products:
                continue  # nobody wants it there any more
            seen = self._run.products[product]
            if seen is None:
                if not any(output.media_id for output in changes.pending(self._run.jobs[ref])):
                    self._run.end(ref, PRODUCT_GONE)
            elif seen.media_count + planned[product] >= MAX_MEDIA:
                too_many.setdefault(ref, []).append(index)
            else:
                planned[product] += 1
                admitted.append((ref, index))
        for ref, indexes in too_many.items():
            self._run.refuse_outputs(ref, indexes, MEDIA_LIMIT)
        return [key for key in admitted if self._run.is_open(key)]
