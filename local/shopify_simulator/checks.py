"""Say out loud what must be so, where types alone cannot."""


def present[T](value: T | None) -> T:
    """Give the value, which an earlier check made sure is there.

    Raises:
        LookupError: it is not: a bug of the simulator.
    """
    if value is None:
        raise LookupError("a value that was checked before is missing")
    return value
