"""Public keys that a test sets."""

from shared.domain.errors import SecretUnavailableError


class FakeKeySets:
    """Implements KeySets.

    keys: by provider. newer: what a refresh brings, if it is allowed. refreshes: how often one
    was asked for. A provider without keys cannot be reached.
    """

    def __init__(self, **keys: tuple[str, ...]) -> None:
        self.keys = dict(keys)
        self.newer: dict[str, tuple[str, ...]] = {}
        self.refreshes = 0

    def get(self, provider: str) -> tuple[str, ...]:
        """Return the provider's keys."""
        if provider not in self.keys:
            raise SecretUnavailableError("They cannot be had.", code="key_set_unavailable")
        return self.keys[provider]

    def refresh(self, provider: str, *, older_than_s: float) -> bool:
        """Take over what is newer."""
        self.refreshes += 1
        if provider not in self.newer:
            return False
        self.keys[provider] = self.newer[provider]
        return True
