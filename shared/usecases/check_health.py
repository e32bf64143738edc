"""Find out whether what the API stands on answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from shared.domain.errors import JobTrackerError
from shared.domain.ids import JobRef
from shared.domain.placeholders import is_placeholder
from shared.usecases.ports import JobStore, Secrets

# Nobody's job: reading it shows that the table answers.
_NOBODY = JobRef("health-check.myshopify.com", "00000000-0000-7000-8000-000000000000")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One thing that must answer. reason: why it does not, None if it does."""

    name: str
    reason: str | None


def check_health(
    store: JobStore,
    secrets: Secrets,
    needed_secrets: Mapping[str, str],
    queues: Mapping[str, Callable[[], None]],
) -> list[HealthCheck]:
    """Check table, queues and secrets, each for itself.

    Parameters
        needed_secrets: audience → a secret of it that must be set, and be no placeholder.
        queues: name → a call that raises QueueUnavailableError.
    """
    checks: dict[str, Callable[[], None]] = {"table": partial(_read_table, store)}
    checks |= {f"queue {name}": check for name, check in queues.items()}
    for audience, name in needed_secrets.items():
        checks[f"secret {audience}"] = partial(_read_secret, secrets, audience, name)
    return [HealthCheck(name, _reason(check)) for name, check in checks.items()]


def _reason(check: Callable[[], None]) -> str | None:
    try:
        check()
    except JobTrackerError as error:
        return error.message
    return None


def _read_table(store: JobStore) -> None:
    store.get_many([_NOBODY])


def _read_secret(secrets: Secrets, audience: str, name: str) -> None:
    secrets.refresh(audience, older_than_s=0)
    values = secrets.get(audience, name)
    if not values:
        raise JobTrackerError(f"{name} is not set.")
    if any(map(is_placeholder, values)):
        raise JobTrackerError(f"{name} is a placeholder.")
