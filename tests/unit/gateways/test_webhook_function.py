"""functions/api asks functions/webhook: what goes there, and what may come back."""

import io
import json
from collections.abc import Mapping
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from shared.domain.errors import InvariantError, VerifierUnavailableError
from shared.gateways.webhook_function import OUR_FAULT, WebhookFunction
from shared.usecases.quarantine_ports import KnownSecrets, Mark, Reverified

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:webhook:live"
DONE = {"checked": 3, "accepted": 1, "refused": 0, "failing": 2, "remaining": 4}


class Lambda:
    """A client of Lambda. answer: what the function says, or what the call raises."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: Any = None
        self.more: dict[str, Any] = {}

    def invoke(self, **request: Any) -> Mapping[str, Any]:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        raw = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        return {"Payload": io.BytesIO(raw), **self.more}


@pytest.fixture
def client() -> Lambda:
    return Lambda()


@pytest.fixture
def function(client: Lambda) -> WebhookFunction:
    return WebhookFunction(client, ARN)


def test_a_question_goes_to_the_alias_and_its_answer_is_read(
    client: Lambda, function: WebhookFunction
) -> None:
    mark = Mark(provider="pikcel", place="2026-11-22T12:00:00.000000#001")
    client.answer = {**DONE, "mark": {"provider": "worker", "place": "p"}}
    done = function.reverify(("pikcel", "worker"), mark)
    assert done == Reverified(**DONE, mark=Mark(provider="worker", place="p"))
    (asked,) = client.asked
    assert asked["FunctionName"] == ARN
    assert json.loads(asked["Payload"]) == {
        "asked": "reverify",
        "providers": ["pikcel", "worker"],
        "after": {"provider": "pikcel", "place": mark.place},
    }


def test_the_end_has_no_mark(client: Lambda, function: WebhookFunction) -> None:
    client.answer = {**DONE, "mark": None}
    assert function.reverify(["pikcel"], None).mark is None


def test_fingerprints_are_passed_on(client: Lambda, function: WebhookFunction) -> None:
    known = {"NAME": [["ab"], ["cd"]]}
    client.answer = {"fingerprints": known, "placeholders": ["NAME"]}
    assert function.fingerprints() == KnownSecrets(
        fingerprints=known, placeholders=frozenset({"NAME"})
    )


@pytest.mark.parametrize(
    "answer",
    [
        {"unavailable": "secret_unavailable"},
        b"<html>",
        ReadTimeoutError(endpoint_url="https://lambda"),
    ],
)
def test_no_answer_is_one_that_may_come_later(
    client: Lambda, function: WebhookFunction, answer: Any
) -> None:
    client.answer = answer
    with pytest.raises(VerifierUnavailableError):
        function.fingerprints()


def test_a_function_that_crashed_may_do_better_later(
    client: Lambda, function: WebhookFunction
) -> None:
    client.answer, client.more = {"errorMessage": "boom"}, {"FunctionError": "Unhandled"}
    with pytest.raises(VerifierUnavailableError) as caught:
        function.fingerprints()
    assert "boom" not in caught.value.message


# What may heal by itself: throttled, no capacity, a network or a disk that is not there yet.
MAY_HEAL = {
    *("CodeArtifactUserDeletedException", "CodeArtifactUserFailedException"),
    *("CodeArtifactUserPendingException", "DurableExecutionAlreadyStartedException"),
    *("EC2AccessDeniedException", "EC2ThrottledException", "EC2UnexpectedException"),
    *("EFSIOException", "EFSMountConnectivityException", "EFSMountFailureException"),
    *("EFSMountTimeoutException", "ENILimitReachedException", "ENINotReadyException"),
    *("ModeNotSupportedException", "ResourceConflictException", "ResourceNotReadyException"),
    *("S3FilesMountConnectivityException", "S3FilesMountFailureException"),
    *("S3FilesMountTimeoutException", "ServiceException", "ServiceQuotaExceededException"),
    *("SnapStartException", "SnapStartNotReadyException", "SnapStartTimeoutException"),
    *("SnapStartRegenerationFailureException", "SubnetIPAddressLimitReachedException"),
    "TooManyRequestsException",
}


def test_every_error_that_lambda_documents_is_one_or_the_other() -> None:
    model = botocore.session.get_session().get_service_model("lambda")
    documented = {shape.name for shape in model.operation_model("Invoke").error_shapes}
    assert documented <= OUR_FAULT | MAY_HEAL
    assert not OUR_FAULT & MAY_HEAL
    # Of every operation, and so in no operation's list.
    assert OUR_FAULT - documented == {"AccessDeniedException"}


@pytest.mark.parametrize("code", sorted(OUR_FAULT | MAY_HEAL | {"Unheard"}))
def test_an_error_of_lambda_is_an_error_of_ours(
    client: Lambda, function: WebhookFunction, code: str
) -> None:
    client.answer = ClientError({"Error": {"Code": code, "Message": "m"}}, "Invoke")
    wanted = InvariantError if code in OUR_FAULT else VerifierUnavailableError
    with pytest.raises(wanted):
        function.fingerprints()
