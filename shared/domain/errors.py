"""The one tree of errors.

    JobTrackerError
    ├── RejectedError      the caller's fault; answered with `status` and `code`
    │   ├── InvalidRequestError 400 · UnauthorizedError 401
    │   ├── BudgetExceededError · InsufficientCreditsError 402
    │   ├── ForbiddenError 403
    │   ├── NotFoundError 404 · TooLargeError 413
    │   ├── ConflictError 409      wrong_status, job_active, provider_job_taken, already_running, …
    │   └── IdempotencyKeyReusedError 422
    ├── RetryableError     may heal by itself; `retry_after_s` says when to try again
    │   ├── VersionConflictError   somebody else changed the item first: read again
    │   ├── StoreUnavailableError · QueueUnavailableError · SecretUnavailableError
    │   ├── VerifierUnavailableError
    │   ├── ProviderBusyError · ProviderUnreachableError · ProviderUnknownOutcomeError
    │   └── ShopBusyError · ShopUnknownOutcomeError · ShopClosedError
    ├── PermanentError     never will; `code` says why, the message is for people
    │   ├── ProviderRefusedError · OutputExpiredError · OutputRefusedError · DocumentsLostError
    │   └── ShopRefusedError · UploadLostError
    └── InvariantError     our bug

Messages are sentences for people. They never carry a secret, a header or a body.
"""

from collections.abc import Sequence


class JobTrackerError(Exception):
    """Anything this product raises on purpose.

    Parameters
        message: a sentence for people.
        code: the stable snake_case word that clients and tests rely on.
    """

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class RejectedError(JobTrackerError):
    """The caller asked for something that cannot be done as asked."""

    status = 400
    code = "invalid_request"

    def __init__(
        self, message: str, *, code: str | None = None, details: Sequence[object] = ()
    ) -> None:
        super().__init__(message, code=code)
        self.details = tuple(details)


class InvalidRequestError(RejectedError):
    """Bad input of any kind."""


class UnauthorizedError(RejectedError):
    """Nobody we know."""

    status = 401
    code = "unauthorized"


class BudgetExceededError(RejectedError):
    """The shop's budget of the month does not allow it."""

    status = 402
    code = "budget_exceeded"


class InsufficientCreditsError(RejectedError):
    """The account at the provider cannot pay for it."""

    status = 402
    code = "insufficient_credits"


class ForbiddenError(RejectedError):
    """Somebody we know, who may not do this."""

    status = 403
    code = "forbidden"


class NotFoundError(RejectedError):
    """No such thing, or not the caller's: the answer is the same."""

    status = 404
    code = "not_found"


class ConflictError(RejectedError):
    """The thing is there, but not in a state that allows this."""

    status = 409
    code = "wrong_status"


class LinkTakenError(ConflictError):
    """The provider's job id already belongs to a job (whose, is not said)."""

    code = "provider_job_taken"


class TooLargeError(RejectedError):
    """More bytes than we take."""

    status = 413
    code = "too_large"


class IdempotencyKeyReusedError(RejectedError):
    """The same Idempotency-Key came with another body."""

    status = 422
    code = "idempotency_key_reused"


class RetryableError(JobTrackerError):
    """It may work later.

    `retry_after_s` is the wait in seconds that the other side asked for, or None.
    """

    code = "unavailable"

    def __init__(
        self, message: str, *, code: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class VersionConflictError(RetryableError):
    """The item is no longer as it was read. Read it again and decide again."""

    code = "version_conflict"


class StoreUnavailableError(RetryableError):
    """The table did not answer, or was too busy."""


class QueueUnavailableError(RetryableError):
    """A message could not be sent. What it stands for is in the table and due."""


class SecretUnavailableError(RetryableError):
    """Our own secret is missing or unreadable. Nothing may be accepted meanwhile."""

    code = "secret_unavailable"


class VerifierUnavailableError(RetryableError):
    """The function that holds what deliveries are verified with did not do what it was asked."""


class ProviderBusyError(RetryableError):
    """The provider's rate limit, or our share of it, is used up. Nothing was executed."""

    code = "provider_busy"


class ProviderUnreachableError(RetryableError):
    """No connection was made. Nothing was executed."""

    code = "provider_unreachable"


class ProviderUnknownOutcomeError(RetryableError):
    """The call may have been executed: a 5xx, a time-out, a broken connection."""

    code = "provider_unknown_outcome"


class ShopBusyError(RetryableError):
    """Shopify throttles or is out: the whole shop waits `retry_after_s`."""

    code = "shop_busy"


class ShopUnknownOutcomeError(RetryableError):
    """A change at Shopify may have been executed: a 5xx, a time-out, a broken connection."""

    code = "shop_unknown_outcome"


class ShopClosedError(RetryableError):
    """Everything of the shop is being erased: nothing new begins before that has ended."""

    code = "shop_closed"


class PermanentError(JobTrackerError):
    """It will never work as it stands."""

    code = "failed"


class ProviderRefusedError(PermanentError):
    """The provider answered that it will not do it (a 4xx with its error body)."""

    code = "provider_refused"


class OutputExpiredError(PermanentError):
    """The result's link is dead."""

    code = "output_expired"


class OutputRefusedError(PermanentError):
    """The result may not or cannot be kept: wrong host, type or size."""

    code = "output_refused"


class DocumentsLostError(PermanentError):
    """The job's parameters and metadata are no longer in the bucket."""

    code = "documents_lost"


class ShopRefusedError(PermanentError):
    """Shopify will not take it (product gone, media limit, dead token, …)."""

    code = "shop_refused"


class UploadLostError(PermanentError):
    """A file that is written part by part cannot be finished: it must be begun anew."""

    code = "upload_lost"


class InvariantError(JobTrackerError):
    """A promise of our own code is broken."""

    code = "internal_error"
