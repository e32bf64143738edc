"""What a process writes into its log, searched for what belongs in none."""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

# A shorter one is a word.
SHORTEST = 12
# What is made while it runs: Shopify's tokens, secrets of endpoints, keys of ours, ID tokens.
MADE = re.compile(
    r"shp[a-z]{2}_[0-9a-f]{32}|whsec_[A-Za-z0-9+/]{16}|jt[as]_[0-9a-f]{24}_|"
    r"eyJ[\w-]+\.[\w-]+\.[\w-]{20}"
)


def values_of(secrets: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return every value that any of our secrets holds."""
    whole = [value for held in secrets.values() for value in held.values()]
    return [part for value in whole for part in value.split(",") if len(part) >= SHORTEST]


class Eavesdropper(logging.Handler):
    """Hears every record of ours, as it is before anybody formats it. leaks: what it should not."""

    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__()
        self.secrets = list(secrets)
        self.heard = 0
        self.leaks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Search one record, its extras and its traceback."""
        self.heard += 1
        said = json.dumps(vars(record), default=repr, ensure_ascii=False)
        said += record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            said += "".join(traceback.format_exception(record.exc_info[1]))
        if MADE.search(said) or any(secret in said for secret in self.secrets):
            self.leaks.append(f"{record.pathname}:{record.lineno} logs a secret")


@contextmanager
def eavesdropping(secrets: Sequence[str]) -> Iterator[Eavesdropper]:
    """Hear all that is logged meanwhile."""
    ear = Eavesdropper(secrets)
    root = logging.getLogger()
    root.addHandler(ear)
    try:
        yield ear
    finally:
        root.removeHandler(ear)
