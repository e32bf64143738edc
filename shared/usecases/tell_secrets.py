"""Tell administrators which secrets deliveries are verified with, and when an old one may go.

The secrets stay with the function that verifies; it tells their fingerprints only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.errors import SecretUnavailableError
from shared.domain.placeholders import is_placeholder
from shared.domain.rotation import Judgement, KeyUse, Removal, fingerprint, judge, uses
from shared.providers.base import Receiver
from shared.usecases.ports import Secrets
from shared.usecases.quarantine_ports import KnownSecrets, SecretMatches, Verifier
from shared.usecases.receive_webhook import APP_SECRET, secret_name


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretState:
    """What a sender's deliveries are verified with.

    keys: the newest first. is_placeholder: one of them is none that anybody could not guess.
    """

    provider: str
    name: str
    keys: Sequence[KeyUse]
    is_placeholder: bool
    judgement: Judgement


def secret_names(receivers: Mapping[str, Receiver], **more: str) -> dict[str, str]:
    """Return the name of the secret behind each sender; those with public keys have none.

    more: of senders that are no receivers.
    """
    named = {sender: secret_name(receiver) for sender, receiver in receivers.items()}
    return {sender: name for sender, name in named.items() if name is not None} | more


def fingerprints(secrets: Secrets, names: Mapping[str, str]) -> KnownSecrets:
    """Tell of each secret the fingerprints of its values: made with each APP_SECRET, so that what
    was counted before its rotation is still known.

    Raises SecretUnavailableError. The secrets are read anew first.
    """
    for audience in ("signing", "app"):
        secrets.refresh(audience, older_than_s=0)
    app_secrets = secrets.get("app", APP_SECRET)
    if not app_secrets:
        raise SecretUnavailableError("APP_SECRET is not set.")
    values = {
        name: secrets.get("app" if name == APP_SECRET else "signing", name)
        for name in sorted(set(names.values()))
    }
    return KnownSecrets(
        fingerprints={
            name: [[fingerprint(each, name, value) for each in app_secrets] for value in held]
            for name, held in values.items()
        },
        placeholders=frozenset(
            name for name, held in values.items() if any(map(is_placeholder, held))
        ),
    )


def tell_secrets(
    verifier: Verifier, matches: SecretMatches, names: Mapping[str, str], now: datetime
) -> list[SecretState]:
    """Tell of each sender's secret. Raises VerifierUnavailableError, StoreUnavailableError."""
    told = verifier.fingerprints()
    known = told.fingerprints
    hours = {name: matches.hours(name, now) for name in known}
    states = []
    for provider, name in sorted(names.items()):
        values, counted = known.get(name, ()), hours.get(name, [])
        judgement = judge(values, counted, now)
        if name == APP_SECRET and len(values) > 1:
            judgement = Judgement(removal=Removal.SEALS_MORE)
        states.append(
            SecretState(
                provider=provider,
                name=name,
                keys=uses(values, counted),
                is_placeholder=name in told.placeholders,
                judgement=judgement,
            )
        )
    return states
