"""Tell a secret from what somebody wrote in its place, meaning to come back."""

import re

_WORDS = frozenset(
    {
        *("changeme", "dummy", "example", "fixme", "insert", "none", "null", "password"),
        *("placeholder", "replaceme", "sample", "secret", "tbd", "test", "todo", "undefined"),
    }
)
_BEGINNINGS = ("changeme", "enteryour", "inserty", "placeholder", "replaceme", "your")


def is_placeholder(value: str) -> bool:
    """Whether a text is surely not a secret, whatever it is for.

    >>> [is_placeholder(text) for text in ("change-me", "<your secret>", "whsec_...", "xxxxxxxx")]
    [True, True, True, True]
    >>> is_placeholder("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), is_placeholder("shpss_0af3")
    (False, False)
    """
    bare = re.sub(r"^(whsec|whpk|shpss|sk|r8)_", "", value.strip().casefold())
    letters = re.sub(r"[^a-z0-9]", "", bare)
    is_one_letter = len(set(letters)) <= 1
    return is_one_letter or letters in _WORDS or letters.startswith(_BEGINNINGS)
