"""Chance that can be foretold."""


class FakeRandomness:
    """Implements Randomness.

    Every call of `token_bytes` gives other bytes (a counter); `fraction` gives `chance`.
    """

    def __init__(self, chance: float = 0.5) -> None:
        self.chance = chance
        self._calls = 0

    def token_bytes(self, count: int) -> bytes:
        """Return bytes that no other call returned."""
        self._calls += 1
        return self._calls.to_bytes(count)

    def fraction(self) -> float:
        """Return the number that the test chose."""
        return self.chance
