"""What providers said last, in memory, for tests."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain.tools import Fact, FactKind


class InMemoryFactStore:
    """A `FactStore` without a table."""

    def __init__(self) -> None:
        self._facts: dict[tuple[str, FactKind], Fact] = {}

    def facts(self, provider: str) -> Mapping[FactKind, Fact]:
        """Read what is known of a provider."""
        return {kind: fact for (name, kind), fact in self._facts.items() if name == provider}

    def claim_fact(self, provider: str, kind: FactKind, now: datetime, *, for_s: float) -> bool:
        """Note that somebody has the provider asked now; False when somebody did just now."""
        fact = self._of(provider, kind)
        if fact.asked_at is not None and fact.asked_at > now - timedelta(seconds=for_s):
            return False
        self._facts[provider, kind] = replace(fact, asked_at=now)
        return True

    def put_fact(self, provider: str, kind: FactKind, value: Any, at: datetime) -> None:
        """Store what a provider said; nothing happens when something newer is there."""
        fact = self._of(provider, kind)
        if fact.fetched_at is None or fact.fetched_at <= at:
            value = json.loads(json.dumps(value))
            self._facts[provider, kind] = replace(fact, value=value, fetched_at=at)

    def fail_fact(self, provider: str, kind: FactKind, at: datetime) -> None:
        """Note that asking came to nothing; what was said before stays."""
        self._facts[provider, kind] = replace(self._of(provider, kind), failed_at=at)

    def _of(self, provider: str, kind: FactKind) -> Fact:
        return self._facts.get((provider, kind), Fact())
