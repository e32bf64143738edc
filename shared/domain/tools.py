"""What a provider offers, what it asks for it, and how much of our account there is left."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.domain.job import Priority

MAX_TOOLS_BYTES = 300 * 1024

# Source: the credit rule of the tracker that this replaces: ceil(base x quantity x m).
_TENTHS = {Priority.LOW: 8, Priority.NORMAL: 10, Priority.HIGH: 15, Priority.URGENT: 20}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool of a provider's.

    credits: what a job of normal priority is quoted at, None where the provider does not say;
    what is charged is known only afterwards. base_price: as the provider writes it.
    """

    tool_id: str
    name: str
    description: str | None = None
    category: str | None = None
    credits: float | None = None
    base_price: str | None = None
    default_parameters: Mapping[str, Any] = field(default_factory=dict)
    is_active: bool = True

    def quote(self, priority: Priority, count: int = 1) -> int | None:
        """Return the credits that so many jobs are quoted at; None where nobody says.

        >>> tool = Tool(tool_id="t", name="T", credits=10)
        >>> [tool.quote(priority) for priority in Priority], tool.quote(Priority.NORMAL, 5)
        ([8, 10, 15, 20], 50)
        >>> Tool(tool_id="t", name="T", credits=0.1).quote(Priority.NORMAL, 30)
        3
        """
        if self.credits is None:
            return None
        # In whole thousandths, which no rounding of fractions blurs.
        return -(-round(self.credits * 1000) * count * _TENTHS[priority] // 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Our account at a provider, which all shops share. balance: credits left."""

    balance: float
    plan: str | None = None
    plan_status: str | None = None
    credits_included: float | None = None
    renews_at: datetime | None = None


class FactKind(StrEnum):
    """What a provider is asked for beside jobs."""

    TOOLS = "tools"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What a provider said last, and how we stand with asking it.

    value: JSON, None until it said something, at `fetched_at`. asked_at: when somebody last had
    it asked. failed_at: when that last came to nothing.
    """

    value: Any = None
    fetched_at: datetime | None = None
    asked_at: datetime | None = None
    failed_at: datetime | None = None


def tools_value(tools: Mapping[str, Tool]) -> list[dict[str, Any]]:
    """Write tools as a fact's value: as many of them as one item of the table holds."""
    written, size = [], 0
    for tool in tools.values():
        value = asdict(tool)
        size += len(json.dumps(value, ensure_ascii=False).encode())
        if size > MAX_TOOLS_BYTES:
            break
        written.append(value)
    return written


def read_tools_value(value: Any) -> dict[str, Tool]:
    """Read tools from a fact's value; {} when there is none.

    >>> tools = {"t": Tool(tool_id="t", name="T", credits=1.5)}
    >>> read_tools_value(tools_value(tools)) == tools
    True
    """
    return {each["tool_id"]: Tool(**each) for each in value or ()}


def account_value(account: Account) -> dict[str, Any]:
    """Write an account as a fact's value."""
    renews_at = account.renews_at.isoformat() if account.renews_at else None
    return asdict(account) | {"renews_at": renews_at}


def read_account_value(value: Any) -> Account | None:
    """Read an account from a fact's value.

    >>> account = Account(balance=7, renews_at=datetime.fromisoformat("2026-12-01T00:00:00+00:00"))
    >>> read_account_value(account_value(account)) == account
    True
    """
    if value is None:
        return None
    renews_at = value["renews_at"]
    return Account(
        **dict(value) | {"renews_at": datetime.fromisoformat(renews_at) if renews_at else None}
    )
