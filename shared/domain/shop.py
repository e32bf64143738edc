"""One shop: the tenant, and how its life at Shopify goes."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.errors import ShopClosedError
from shared.domain.notice_types import NoticeType

# Shopify asks for a shop's erasure so long after the app was uninstalled.
REDACTED_AFTER = timedelta(hours=48)

MAX_EMAILS = 5
MAX_PHONES = 3
# What a shop is told of that does not say: trouble, and the ends of batches.
USUAL_NOTICES = (
    NoticeType.JOB_FAILED,
    NoticeType.JOB_PUSH_FAILED,
    NoticeType.BATCH_FINISHED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifications:
    """Whom of a shop we write to, and of what.

    emails, phones (E.164): whom. types: of what; that an endpoint of theirs was disabled, they
    are told in any case.
    """

    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    types: tuple[NoticeType, ...] = USUAL_NOTICES

    @property
    def is_empty(self) -> bool:
        """Whether there is nobody to write to."""
        return not self.emails and not self.phones

    @property
    def all_types(self) -> tuple[NoticeType, ...]:
        """What they are told of."""
        return tuple(dict.fromkeys((*self.types, NoticeType.ENDPOINT_DISABLED)))

    def covers(self, kind: NoticeType) -> bool:
        """Whether somebody is to be told of such things."""
        return not self.is_empty and kind in self.all_types


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """What is known of a shop.

    installed_at: since when; None when it is not (any more). exchanged_at: when a login last
        brought a token. uninstalled_at: when Shopify said so; None while it is installed.
    scopes: comma-separated; scopes_at: when Shopify told them, None if they came with the token.
    token: the offline access token, encrypted (never readable here), None when there is
        none; token_expires_at: None for a token that does not expire; refresh_token:
        encrypted too. token_dead: Shopify refused it.
    exchange_until: somebody is exchanging tokens until then (single flight).
    auto_push: push kept outputs without being asked.
    budget_credits, budget_cost_micros: the most to be spent in a UTC month; None: no limit.
    retention_days: how long ended jobs are kept; None: until somebody deletes them.
        retention_job: the bulk job that sees to it.
    erasing: the bulk job that erases everything of the shop; nothing begins meanwhile.
    notifications: whom we write to; None: nobody. subscriptions_owed: they were changed, and
        Amazon SNS may not know yet.
    """

    shop: str
    version: int = 0
    installed_at: datetime | None = None
    exchanged_at: datetime | None = None
    uninstalled_at: datetime | None = None
    scopes: str | None = None
    scopes_at: datetime | None = None
    token: str | None = None
    token_expires_at: datetime | None = None
    refresh_token: str | None = None
    refresh_expires_at: datetime | None = None
    token_dead: bool = False
    exchange_until: datetime | None = None
    auto_push: bool = False
    budget_credits: int | None = None
    budget_cost_micros: int | None = None
    retention_days: int | None = None
    retention_job: str | None = None
    erasing: str | None = None
    notifications: Notifications | None = None
    subscriptions_owed: bool = False

    @property
    def known_installed_at(self) -> datetime | None:
        """The newest instant at which the app was certainly installed; None if it is not."""
        known = (self.installed_at, self.exchanged_at)
        return max((at for at in known if at is not None), default=None)


class Redaction(StrEnum):
    """What to think of Shopify's request to erase a shop: a closed set."""

    DUE = "due"  # the app is not installed: erase
    DOUBTFUL = "doubtful"  # nobody told us that it was uninstalled: wait for a sign of life
    OUTDATED = "outdated"  # it was installed again since: erase nothing


def judge_redaction(shop: Shop | None, triggered_at: datetime) -> Redaction:
    """Tell what a request to erase the shop means now.

    Parameters
        triggered_at: when Shopify made the request, two days after the app was uninstalled.
            Whoever got a token since then uses the app again.
    """
    since = shop.known_installed_at if shop is not None else None
    if since is None:
        return Redaction.DUE
    is_newer = since > triggered_at - REDACTED_AFTER
    return Redaction.OUTDATED if is_newer else Redaction.DOUBTFUL


def check_is_open(shop: Shop | None) -> None:
    """Raise ShopClosedError while everything of the shop is being erased."""
    if shop is not None and shop.erasing is not None:
        raise ShopClosedError("Everything of this shop is being erased.")


def is_older_than_installation(shop: Shop | None, triggered_at: datetime) -> bool:
    """Whether what happened then happened to an earlier installation than the present one."""
    since = shop.known_installed_at if shop is not None else None
    return since is not None and triggered_at < since


def uninstall(shop: Shop, at: datetime) -> Shop:
    """Return the shop without its token. What it has set stays, until it is erased."""
    return replace(
        shop,
        installed_at=None,
        exchanged_at=None,
        uninstalled_at=at,
        scopes=None,
        scopes_at=None,
        token=None,
        token_expires_at=None,
        refresh_token=None,
        refresh_expires_at=None,
        token_dead=False,
        exchange_until=None,
    )
