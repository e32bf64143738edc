"""The `Verifier`: functions/webhook, asked directly. It alone holds the signing secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import InvariantError, JobTrackerError, VerifierUnavailableError
from shared.usecases.quarantine_ports import KnownSecrets, Mark, Reverified

# What AWS Lambda says when asking again will not help: our template is wrong, or our request.
# Everything else (throttled, no capacity, an outage) may heal.
# Source: AWS Lambda API reference, "Invoke", errors, read 2026-11-26.
OUR_FAULT = frozenset(
    {
        "AccessDeniedException",
        "InvalidParameterValueException",
        "InvalidRequestContentException",
        "InvalidRuntimeException",
        "InvalidSecurityGroupIDException",
        "InvalidSubnetIDException",
        "InvalidZipFileException",
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
        "NoPublishedVersionException",
        "RecursiveInvocationException",
        "RequestTooLargeException",
        "ResourceNotFoundException",
        "SerializedRequestEntityTooLargeException",
        "UnsupportedMediaTypeException",
    }
)


class WebhookFunction:
    """Asks functions/webhook and waits for its answer.

    Parameters
        client: a botocore client of Lambda. arn: of the function's alias.
    """

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self._arn = arn

    def reverify(self, providers: Sequence[str], after: Mark | None) -> Reverified:
        """Check what is in quarantine again (see Verifier)."""
        mark = asdict(after) if after else None
        told = self._ask({"asked": "reverify", "providers": list(providers), "after": mark})
        ended = told.pop("mark")
        return Reverified(**told, mark=Mark(**ended) if ended else None)

    def fingerprints(self) -> KnownSecrets:
        """Return the fingerprints of the secrets (see Verifier)."""
        told = self._ask({"asked": "fingerprints"})
        return KnownSecrets(
            fingerprints=told["fingerprints"], placeholders=frozenset(told["placeholders"])
        )

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        try:
            reply = self._client.invoke(
                FunctionName=self._arn, Payload=json.dumps(question).encode()
            )
            answer = json.loads(reply["Payload"].read())
        except ClientError as error:
            raise _translated(error) from error
        except (BotoCoreError, ValueError) as error:
            raise VerifierUnavailableError("functions/webhook did not answer.") from error
        if "FunctionError" in reply:
            raise VerifierUnavailableError("functions/webhook failed; its own log says why.")
        if "unavailable" in answer:
            raise VerifierUnavailableError(f"functions/webhook could not: {answer['unavailable']}.")
        found: dict[str, Any] = answer
        return found


def _translated(error: ClientError) -> JobTrackerError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in OUR_FAULT:
        return InvariantError(f"Lambda refused our request ({code}).")
    return VerifierUnavailableError("functions/webhook cannot be asked at the moment.")
