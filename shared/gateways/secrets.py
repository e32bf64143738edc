"""Secrets from AWS Secrets Manager: read once per container, again every five minutes."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import SecretUnavailableError
from shared.usecases.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

KEPT_FOR = timedelta(minutes=5)
# A service that is out is not asked by every call: each would wait for it, and be late itself.
ASKED_AGAIN_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class _Copy:
    values: Mapping[str, str]
    read_at: datetime


class SecretsManagerSecrets:
    """The secrets of one function's audiences.

    Parameters
        secret_ids: audience → id of the secret, a flat JSON object of strings, e.g.
            `{"PIKCEL_WEBHOOK_SECRET": "new,old"}`.
    """

    def __init__(
        self, client: "SecretsManagerClient", secret_ids: Mapping[str, str], clock: Clock
    ) -> None:
        self._client = client
        self._secret_ids = secret_ids
        self._clock = clock
        self._copies: dict[str, _Copy] = {}
        self._failed_at: dict[str, datetime] = {}

    def get(self, audience: str, name: str) -> tuple[str, ...]:
        """Return the values of a secret (several: comma-separated); () if it is not set.

        Raises SecretUnavailableError when it cannot be read and was never read before: a
        copy that is merely old is better than an outage of ours.
        """
        copy = self._copies.get(audience)
        if copy is None:
            copy = self._read(audience)
        elif self._clock.now() - copy.read_at > KEPT_FOR and not self._has_just_failed(audience):
            with suppress(SecretUnavailableError):
                copy = self._read(audience)
        text = copy.values.get(name, "")
        return tuple(part.strip() for part in text.split(",") if part.strip())

    def refresh(self, audience: str, *, older_than_s: float) -> bool:
        """Read it anew if the copy is older than that; True if it was.

        False as well when it cannot be read just now: the copy stays.
        """
        copy = self._copies.get(audience)
        if copy and self._clock.now() - copy.read_at <= timedelta(seconds=older_than_s):
            return False
        if copy and self._has_just_failed(audience):
            return False
        try:
            self._read(audience)
        except SecretUnavailableError:
            return False
        return True

    def _has_just_failed(self, audience: str) -> bool:
        failed_at = self._failed_at.get(audience)
        return failed_at is not None and self._clock.now() - failed_at <= ASKED_AGAIN_AFTER

    def _read(self, audience: str) -> _Copy:
        try:
            reply = self._client.get_secret_value(SecretId=self._secret_ids[audience])
            values = json.loads(reply["SecretString"])
        except (ClientError, BotoCoreError, KeyError, ValueError) as error:
            self._failed_at[audience] = self._clock.now()
            # The class says enough; its text might quote the secret.
            raise SecretUnavailableError(
                f"The secret of '{audience}' cannot be read ({type(error).__name__})."
            ) from None
        if not isinstance(values, dict):
            self._failed_at[audience] = self._clock.now()
            raise SecretUnavailableError(f"The secret of '{audience}' is not a JSON object.")
        texts = {name: value for name, value in values.items() if isinstance(value, str)}
        copy = _Copy(texts, self._clock.now())
        self._copies[audience] = copy
        return copy
