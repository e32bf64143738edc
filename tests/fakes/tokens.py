"""Shopify's token endpoint, and a box that only looks locked."""

from collections.abc import Callable

from shared.domain.errors import JobTrackerError
from shared.usecases.ports import Grant


class FakeTokens:
    """Implements TokenService.

    exchanged: (shop, ID token) of every exchange. error: raised instead of an answer.
    during: called within an exchange, so that a test can let others happen meanwhile.
    """

    def __init__(self) -> None:
        self.exchanged: list[tuple[str, str]] = []
        self.error: JobTrackerError | None = None
        self.during: Callable[[], None] | None = None

    def exchange(self, shop: str, id_token: str) -> Grant:
        """Give an expiring offline token."""
        self.exchanged.append((shop, id_token))
        if self.during is not None:
            during, self.during = self.during, None
            during()
        if self.error is not None:
            raise self.error
        number = len(self.exchanged)
        return Grant(
            access_token=f"shpat_{number}",
            scopes="read_products,write_products",
            expires_in_s=3600,
            refresh_token=f"shprt_{number}",
            refresh_expires_in_s=90 * 86_400,
        )

    def refresh(self, shop: str, refresh_token: str) -> Grant:
        """Give the next pair."""
        return self.exchange(shop, refresh_token)


class FakeBox:
    """Implements TokenBox, readably."""

    def seal(self, text: str) -> str:
        """Mark as sealed."""
        return f"sealed({text})"

    def open(self, text: str) -> str:
        """Take the mark off."""
        return text.removeprefix("sealed(").removesuffix(")")
