"""What DynamoDB and botocore can say, in our own words: complete, and tested to be.

Source: "Error handling with DynamoDB" and the API reference of TransactWriteItems
(CancellationReasons) in the DynamoDB developer guide; botocore's service model.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from shared.domain.errors import (
    InvalidRequestError,
    InvariantError,
    JobTrackerError,
    StoreUnavailableError,
    VersionConflictError,
)

CONDITION_FAILED = "ConditionalCheckFailed"
CONFLICT = "TransactionConflict"

# Errors of a call. Whatever may heal by itself is "unavailable": the caller tries again.
CALL_ERRORS: Mapping[str, type[JobTrackerError]] = {
    "ConditionalCheckFailedException": VersionConflictError,
    "TransactionConflictException": VersionConflictError,
    "ReplicatedWriteConflictException": VersionConflictError,
    "TransactionCanceledException": StoreUnavailableError,
    "TransactionInProgressException": StoreUnavailableError,
    "ProvisionedThroughputExceededException": StoreUnavailableError,
    "RequestLimitExceeded": StoreUnavailableError,
    "ThrottlingException": StoreUnavailableError,
    "Throttling": StoreUnavailableError,
    "LimitExceededException": StoreUnavailableError,
    "InternalServerError": StoreUnavailableError,
    "InternalFailure": StoreUnavailableError,
    "ServiceUnavailable": StoreUnavailableError,
    "ServiceUnavailableException": StoreUnavailableError,
    "RequestTimeout": StoreUnavailableError,
    "RequestTimeoutException": StoreUnavailableError,
    "ExpiredToken": StoreUnavailableError,
    "ExpiredTokenException": StoreUnavailableError,
    "RequestExpired": StoreUnavailableError,
    "UnrecognizedClientException": StoreUnavailableError,
    "IdempotentParameterMismatchException": InvariantError,
    "ItemCollectionSizeLimitExceededException": InvariantError,
    "ResourceNotFoundException": InvariantError,
    "DuplicateItemException": InvariantError,
    "AccessDeniedException": InvariantError,
    "IncompleteSignatureException": InvariantError,
    "MissingAuthenticationTokenException": InvariantError,
    "MissingAuthenticationToken": InvariantError,
    "SerializationException": InvariantError,
    "UnknownOperationException": InvariantError,
    "ValidationException": InvariantError,
    "ValidationError": InvariantError,
}

# Reasons of a cancelled transaction, one per item. The two that are normal life
# (CONDITION_FAILED, CONFLICT) are for the store to judge: it depends on whose item it is.
REASON_ERRORS: Mapping[str, type[JobTrackerError]] = {
    "ThrottlingError": StoreUnavailableError,
    "ProvisionedThroughputExceeded": StoreUnavailableError,
    "RequestLimitExceeded": StoreUnavailableError,
    "InternalServerError": StoreUnavailableError,
    "ItemCollectionSizeLimitExceeded": InvariantError,
    "DuplicateItem": InvariantError,
    "AccessDenied": InvariantError,
    "ValidationError": InvariantError,
}

_SENTENCES: Mapping[type[JobTrackerError], str] = {
    VersionConflictError: "The item was changed meanwhile.",
    StoreUnavailableError: "The table is not available at the moment.",
    InvariantError: "The table refused our request",
    InvalidRequestError: "This is too large to be stored.",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one item of a transaction stood in its way.

    code: None when it did not. item: the item as stored, if it was asked for and exists.
    """

    code: str | None
    item: Mapping[str, Any] | None


class ConditionFailedError(VersionConflictError):
    """A condition did not hold. item: what is stored, if that was asked for and exists."""

    def __init__(self, item: Mapping[str, Any] | None) -> None:
        super().__init__(_SENTENCES[VersionConflictError])
        self.item = item


class TransactionCancelledError(StoreUnavailableError):
    """Nothing was written. reasons: one per item, in the order of the request."""

    def __init__(self, reasons: tuple[Reason, ...]) -> None:
        super().__init__(_SENTENCES[StoreUnavailableError])
        self.reasons = reasons


def too_busy() -> StoreUnavailableError:
    """Make the error of a write or a batch that has been tried often enough."""
    return StoreUnavailableError("The table is too busy at the moment.")


@contextmanager
def domain_errors() -> Iterator[None]:
    """Turn everything that a botocore call can raise into an error of ours."""
    try:
        yield
    except ClientError as error:
        raise translate(error) from error
    except ParamValidationError as error:
        raise InvariantError("A request to the table was malformed.") from error
    except BotoCoreError as error:
        # No connection, a time-out, a broken answer, no credentials yet: it may heal.
        raise StoreUnavailableError(_SENTENCES[StoreUnavailableError]) from error


def translate(error: ClientError) -> JobTrackerError:
    """Return our error for an error answer of DynamoDB.

    Codes that are not in the table are judged by the HTTP status: 5xx and 429 may heal.
    """
    response: Mapping[str, Any] = error.response
    details = response.get("Error", {})
    code = str(details.get("Code", ""))
    if code == "ConditionalCheckFailedException":
        return ConditionFailedError(response.get("Item"))
    if code == "TransactionCanceledException":
        return _cancelled(response)
    if code == "ValidationException" and is_about_size(str(details.get("Message", ""))):
        return make(InvalidRequestError, code)
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    may_heal = status >= 500 or status == 429
    return make(CALL_ERRORS.get(code, StoreUnavailableError if may_heal else InvariantError), code)


def _cancelled(response: Mapping[str, Any]) -> JobTrackerError:
    found = response.get("CancellationReasons", ())
    reasons = []
    for reason in found:
        code = reason.get("Code", "None")
        if code not in ("None", CONDITION_FAILED, CONFLICT):
            if code == "ValidationError" and is_about_size(str(reason.get("Message", ""))):
                return make(InvalidRequestError, code)
            return make(REASON_ERRORS.get(code, StoreUnavailableError), code)
        reasons.append(Reason(None if code == "None" else code, reason.get("Item") or None))
    return TransactionCancelledError(tuple(reasons))


def is_about_size(message: str) -> bool:
    """Tell whether a validation error says that an item (or a key) is too large."""
    text = message.lower()
    return "size" in text and ("exceeded" in text or "maximum" in text or "larger" in text)


def make(kind: type[JobTrackerError], code: str) -> JobTrackerError:
    """Make an error of that kind; DynamoDB's code is named in those that are our fault."""
    sentence = _SENTENCES[kind]
    return kind(f"{sentence} ({code}).") if kind is InvariantError else kind(sentence)
