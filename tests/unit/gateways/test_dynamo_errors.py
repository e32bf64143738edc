"""Everything that DynamoDB and botocore can say has a meaning here."""

from __future__ import annotations

import botocore.session
import pytest
from botocore import exceptions

from shared.domain.errors import (
    InvalidRequestError,
    InvariantError,
    JobTrackerError,
    StoreUnavailableError,
    VersionConflictError,
)
from shared.gateways.dynamo_errors import (
    CALL_ERRORS,
    CONDITION_FAILED,
    CONFLICT,
    REASON_ERRORS,
    ConditionFailedError,
    TransactionCancelledError,
    domain_errors,
    translate,
)
from tests.fakes.table import cancelled, error_answer

OPERATIONS = (
    "GetItem",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "Query",
    "BatchGetItem",
    "BatchWriteItem",
    "TransactWriteItems",
)
# Source: API reference, TransactWriteItems, "Cancellation reason codes" (None is no trouble).
REASON_CODES = {
    "ConditionalCheckFailed",
    "ItemCollectionSizeLimitExceeded",
    "TransactionConflict",
    "ProvisionedThroughputExceeded",
    "ThrottlingError",
    "ValidationError",
}
# Source: API reference, "Common Errors".
COMMON_CODES = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InternalFailure",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "ThrottlingException",
    "UnrecognizedClientException",
    "UnknownOperationException",
    "ValidationError",
    "ValidationException",
}


def codes_of_the_service_model() -> set[str]:
    model = botocore.session.get_session().get_service_model("dynamodb")
    return {
        shape.metadata.get("error", {}).get("code", shape.name)
        for name in OPERATIONS
        for shape in model.operation_model(name).error_shapes
    }


def test_every_error_of_the_calls_we_make_has_a_meaning() -> None:
    codes = codes_of_the_service_model()
    assert len(codes) >= 10
    assert codes | COMMON_CODES <= CALL_ERRORS.keys()


def test_every_reason_of_a_cancelled_transaction_has_a_meaning() -> None:
    assert REASON_ERRORS.keys() | {CONDITION_FAILED, CONFLICT} >= REASON_CODES


@pytest.mark.parametrize("code", sorted(CALL_ERRORS))
def test_every_code_becomes_one_of_our_errors(code: str) -> None:
    found = translate(error_answer(code))
    assert isinstance(found, CALL_ERRORS[code])
    assert found.message.endswith(".")


@pytest.mark.parametrize("code", sorted(REASON_ERRORS))
def test_every_reason_becomes_one_of_our_errors(code: str) -> None:
    assert type(translate(cancelled(["None", code]))) is REASON_ERRORS[code]


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, InvariantError), (429, StoreUnavailableError), (503, StoreUnavailableError)],
)
def test_an_unknown_code_is_judged_by_its_http_status(
    status: int, expected: type[JobTrackerError]
) -> None:
    assert type(translate(error_answer("BrandNewError", status=status))) is expected


def test_an_unknown_reason_may_heal() -> None:
    assert type(translate(cancelled(["BrandNewReason"]))) is StoreUnavailableError


@pytest.mark.parametrize(
    "message",
    [
        "Item size has exceeded the maximum allowed size",
        "Item size to update has exceeded the maximum allowed size",
    ],
)
def test_an_item_that_is_too_large_is_bad_input(message: str) -> None:
    answers = [
        error_answer("ValidationException", message=message),
        cancelled(["ValidationError"], Message=message),
    ]
    assert {type(translate(answer)) for answer in answers} == {InvalidRequestError}


def test_a_failed_condition_brings_the_item_that_was_in_the_way() -> None:
    item = {"version": {"N": "3"}}
    found = translate(error_answer("ConditionalCheckFailedException", Item=item))
    assert isinstance(found, ConditionFailedError)
    assert isinstance(found, VersionConflictError)
    assert found.item == item


def test_a_cancelled_transaction_keeps_its_reasons_in_order() -> None:
    found = translate(cancelled(["None", CONDITION_FAILED, CONFLICT]))
    assert isinstance(found, TransactionCancelledError)
    assert [reason.code for reason in found.reasons] == [None, CONDITION_FAILED, CONFLICT]


BOTOCORE_ERRORS = [
    kind
    for kind in vars(exceptions).values()
    if isinstance(kind, type) and issubclass(kind, exceptions.BotoCoreError)
]


@pytest.mark.parametrize("kind", BOTOCORE_ERRORS, ids=lambda kind: kind.__name__)
def test_every_exception_of_botocore_becomes_one_of_our_errors(
    kind: type[exceptions.BotoCoreError],
) -> None:
    error = kind.__new__(kind)
    with pytest.raises((StoreUnavailableError, InvariantError)), domain_errors():
        raise error


def test_a_bug_of_ours_is_not_dressed_up_as_trouble_of_the_table() -> None:
    with pytest.raises(KeyError), domain_errors():
        raise KeyError("bug")
