"""What an answer of a provider's API proves, alike for all of them."""

from collections.abc import Mapping
from typing import Any

from shared.domain.errors import (
    JobTrackerError,
    ProviderBusyError,
    ProviderRefusedError,
    ProviderUnknownOutcomeError,
    ProviderUnreachableError,
    RetryableError,
)
from shared.domain.events import Proof, ProviderEvent, Source
from shared.domain.job import PROVIDER_JOB_NOT_FOUND
from shared.domain.status import JobEvent
from shared.providers.base import MalformedDeliveryError, Reply
from shared.providers.reading import error_code, read_object


def is_success(reply: Reply) -> bool:
    """Tell whether the call did what it was for."""
    return 200 <= reply.status < 300


def body_of(reply: Reply) -> Mapping[str, Any]:
    """Return the answer's JSON object, an empty one if it has none."""
    try:
        return read_object(reply.body)
    except MalformedDeliveryError:
        return {}


def failure(who: str, reply: Reply) -> RetryableError:
    """Return what an answer other than a success means.

    A rate limit, or a key that is not accepted, proves that the call was not executed; everything
    else proves nothing.
    """
    if reply.status == 429:
        return ProviderBusyError(f"{who} is busy.", retry_after_s=reply.retry_after_s)
    if reply.status in (401, 403):
        return ProviderUnreachableError(
            f"{who} does not accept our key.", code="provider_unauthorized"
        )
    return ProviderUnknownOutcomeError(f"{who} answered {reply.status}.")


def create_failure(
    who: str, reply: Reply, code: str | None, message: str | None
) -> JobTrackerError:
    """Return what an answer other than a success to a create call means.

    Parameters
        message: what the provider's own error body says; None if the answer has none. Only such
            a 4xx proves that nothing was executed: a proxy's would not.
    """
    found = failure(who, reply)
    is_unproven = isinstance(found, ProviderUnknownOutcomeError)
    if is_unproven and 400 <= reply.status < 500 and reply.status != 408 and message is not None:
        code = "insufficient_credits" if reply.status == 402 else error_code(code)
        return ProviderRefusedError(message, code=code)
    return found


def not_found(provider: str, who: str, provider_job_id: str) -> ProviderEvent:
    """Return what it means that a provider does not know a job: a guess, it may appear yet."""
    return failed_poll(
        provider,
        provider_job_id,
        native="not_found",
        code=PROVIDER_JOB_NOT_FOUND,
        message=f"{who} does not know this job.",
    )


def failed_poll(
    provider: str, provider_job_id: str, *, native: str, code: str, message: str
) -> ProviderEvent:
    """Return a failure that was learnt by asking."""
    return ProviderEvent(
        provider=provider,
        provider_job_id=provider_job_id,
        event=JobEvent.FAILED,
        native=native,
        key=f"{provider_job_id}:{native}",
        source=Source.POLL,
        proof=Proof.POLL,
        error_code=code,
        error_message=message,
    )
