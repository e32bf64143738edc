"""Tell administrators which secrets deliveries are verified with, and when an old one may go.

The secrets stay with the function that verifies; it tells their fingerprints only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.errors import SecretUnavailableError
from shared.domain.rotation import Judgement, KeyUse, Removal, fingerprint, judge, uses
from shared.providers.base import Receiver
from shared.usecases.ports import Secrets
from shared.usecases.quarantine_ports import SecretMatches, Verifier
from shared.usecases.receive_webhook import APP_SECRET, secret_name


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretState:
    """What a sender's deliveries are verified with. keys: the newest first."""

    provider: str
    name: str
    keys: Sequence[KeyUse]
    judgement: Judgement


def secret_names(receivers: Mapping[str, Receiver], **more: str) -> dict[str, str]:
    """Return the name of the secret behind each sender; those with public keys have none.

    more: of senders that are no receivers.
    """
    named = {sender: secret_name(receiver) for sender, receiver in receivers.items()}
    return {sender: name for sender, name in named.items() if name is not None} | more


def fingerprints(secrets: Secrets, names: Mapping[str, str]) -> dict[str, list[list[str]]]:
    """Return, by the name of a secret, each value's fingerprints: made with each APP_SECRET, so
    that what was counted before its rotation is still known.

    Raises SecretUnavailableError. The secrets are read anew first.
    """
    for audience in ("signing", "app"):
        secrets.refresh(audience, older_than_s=0)
    app_secrets = secrets.get("app", APP_SECRET)
    if not app_secrets:
        raise SecretUnavailableError("APP_SECRET is not set.")
    return {
        name: [
            [fingerprint(each, name, value) for each in app_secrets]
            for value in secrets.get("app" if name == APP_SECRET else "signing", name)
        ]
        for name in sorted(set(names.values()))
    }


def tell_secrets(
    verifier: Verifier, matches: SecretMatches, names: Mapping[str, str], now: datetime
) -> list[SecretState]:
    """Tell of each sender's secret. Raises VerifierUnavailableError, StoreUnavailableError."""
    known = verifier.fingerprints()
    hours = {name: matches.hours(name, now) for name in known}
    states = []
    for provider, name in sorted(names.items()):
        values, counted = known.get(name, ()), hours.get(name, [])
        judgement = judge(values, counted, now)
        if name == APP_SECRET and len(values) > 1:
            judgement = Judgement(removal=Removal.SEALS_MORE)
        states.append(
            SecretState(
                provider=provider, name=name, keys=uses(values, counted), judgement=judgement
            )
        )
    return states
