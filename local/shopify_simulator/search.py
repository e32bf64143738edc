"""Shopify's search syntax, as far as the simulated connections need it.

Terms side by side must all match, ``OR`` separates alternatives, ``-`` or ``NOT`` negates,
a value may be quoted and may end in ``*`` (prefix). Comparison ignores case.
"""

import re
from collections.abc import Callable, Mapping

from graphql import GraphQLError

_TERM = re.compile(r"""(-?)(?:(\w+):)?(?:"([^"]*)"|'([^']*)'|([^\s]+))""")

type Matcher = Callable[[str], bool]


def matches(query: str | None, fields: Mapping[str, Callable[[Matcher], bool]]) -> bool:
    """Tell whether an object fits a query.

    Parameters:
        fields: per search key, a function that applies the matcher to the object's value(s);
            the key ``""`` serves words without a key.

    Raises:
        GraphQLError: a key that the simulator does not know.
    """
    if not query or not query.strip():
        return True
    return any(
        all(_term_fits(match, fields) for match in _terms(alternative))
        for alternative in re.split(r"\s+OR\s+", query.strip())
    )


def _terms(text: str) -> list[tuple[bool, str, str]]:
    cleaned = (
        re.sub(r"\bNOT\s+", "-", re.sub(r"\s+AND\s+", " ", text)).replace("(", "").replace(")", "")
    )
    return [
        (sign == "-", key or "", double or single or bare)
        for sign, key, double, single, bare in _TERM.findall(cleaned)
    ]


def _term_fits(
    term: tuple[bool, str, str], fields: Mapping[str, Callable[[Matcher], bool]]
) -> bool:
    negated, key, wanted = term
    if key not in fields:
        raise GraphQLError(
            f"The simulator does not search by {key!r}.", extensions={"code": "NOT_SIMULATED"}
        )
    return fields[key](_matcher(wanted)) != negated


def _matcher(wanted: str) -> Matcher:
    lowered = wanted.lower()
    if lowered.endswith("*"):
        return lambda value: value.lower().startswith(lowered[:-1])
    return lambda value: value.lower() == lowered
