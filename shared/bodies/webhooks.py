"""What is sent about a shop's webhook endpoints, and about whom of it we write to."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from shared.bodies.requests import CursorQuery, Input, PageSize, ShopQuery, Title, Url
from shared.domain.shop import MAX_EMAILS, MAX_PHONES

# Source: RFC 5321 section 4.5.3.1 for the lengths; whether it exists, its owner confirms.
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f\"(),:;<>\[\\\]]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
# Source: ITU-T E.164.
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)

NoticeWord = Literal[
    "job.completed",
    "job.failed",
    "job.pushed",
    "job.push_failed",
    "batch.finished",
    "endpoint.disabled",
]


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        raise ValueError("must be an e-mail address")
    return text


def _phone(text: str) -> str:
    if not _PHONE.fullmatch(text):
        raise ValueError("must be a phone number like +4930123456")
    return text


def _without_repeats[T](values: list[T]) -> list[T]:
    if len(set(values)) != len(values):
        raise ValueError("must not hold anything twice")
    return values


NoticeWords = Annotated[list[NoticeWord], Field(min_length=1), AfterValidator(_without_repeats)]
Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(_email)]
Phone = Annotated[str, StringConstraints(max_length=16), AfterValidator(_phone)]


class NotificationsBody(Input):
    """Whom to write to, and of what. An e-mail address must be confirmed by its owner."""

    model_config = ConfigDict(strict=True)

    emails: Annotated[list[Email], AfterValidator(_without_repeats)] = Field(
        default_factory=list, max_length=MAX_EMAILS
    )
    phones: Annotated[list[Phone], AfterValidator(_without_repeats)] = Field(
        default_factory=list, max_length=MAX_PHONES
    )
    types: NoticeWords | None = Field(
        None, description="Failures, failed pushes and ends of batches if not given."
    )


class NewEndpointBody(Input):
    """A webhook endpoint to make."""

    model_config = ConfigDict(strict=True)

    url: Url = Field(description="A public https address. Redirects are not followed.")
    types: NoticeWords | None = Field(None, description="All if not given.")
    description: Title | None = None


class EndpointBody(Input):
    """What to change of an endpoint; what is left out stays."""

    model_config = ConfigDict(strict=True)

    url: Url | None = None
    types: NoticeWords | None = None
    description: Title | None = Field(None, description="null clears it.")
    is_enabled: bool | None = Field(None, description="true also enables what we disabled.")


class RotateQuery(ShopQuery):
    """What becomes of the old secret."""

    keep_old: Literal["0", "1"] = Field(
        "1", description="1: it signs beside the new one for 24 hours. 0: it is void at once."
    )


class DeliveriesQuery(CursorQuery):
    """Which part of the list."""

    limit: PageSize = 20
