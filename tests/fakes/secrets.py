"""Secrets that a test sets."""

from shared.domain.errors import SecretUnavailableError


class FakeSecrets:
    """Implements Secrets.

    values: (audience, name) → comma-separated text. newer: what a refresh brings, if it is
    allowed. broken: nothing can be read. refreshes: how often one was asked for.
    """

    def __init__(self, **values: str) -> None:
        self.values = {
            ("signing", "PIKCEL_WEBHOOK_SECRET"): "test-secret",
            ("signing", "SHOPIFY_API_SECRET"): "test-secret",
            ("app", "APP_SECRET"): "test-app-secret",
            ("providers", "PIKCEL_API_KEY"): "sk_test_1",
            ("shopify", "SHOPIFY_API_KEY"): "client-id",
            ("shopify", "SHOPIFY_API_SECRET"): "client-secret",
            ("admin", "ADMIN_API_KEYS"): "admin-key-1,admin-key-2",
        }
        for name, value in values.items():
            audience, _, variable = name.partition("__")
            self.values[audience, variable] = value
        self.newer: dict[tuple[str, str], str] = {}
        self.broken = False
        self.refreshes = 0

    def get(self, audience: str, name: str) -> tuple[str, ...]:
        """Return the values of a secret."""
        if self.broken:
            raise SecretUnavailableError("The secret cannot be read.")
        text = self.values.get((audience, name), "")
        return tuple(part.strip() for part in text.split(",") if part.strip())

    def refresh(self, audience: str, *, older_than_s: float) -> bool:
        """Take over what is newer."""
        self.refreshes += 1
        if not self.newer:
            return False
        self.values |= self.newer
        return True
