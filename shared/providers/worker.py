"""Programs of the user's own that report on their jobs by webhook.

Source: Standard Webhooks 1.0.0, read 2026-11; the body is ours.

`WORKER_WEBHOOK_SECRET` is the operator's own: whoever has it may report on any shop's worker job.
It is `whsec_` and base64, or `whpk_` and the base64 of the public key of a program that signs with
ed25519.
"""

from collections.abc import Mapping
from datetime import datetime

from shared.domain.events import Proof
from shared.domain.job import WORKER
from shared.providers.base import Acks, Keys, Receiver, Verdict
from shared.providers.signatures import standard_key, verify_standard


class WorkerReceiver(Receiver):
    """Takes deliveries of workers. There is nobody to ask: what is not taken must be sent again."""

    name = WORKER
    proof = Proof.BODY_TIME
    # What the specification asks of senders: some 76 hours, ten tries.
    acks = Acks(tries=10, span_s=76 * 60 * 60)

    def verify(self, body: bytes, headers: Mapping[str, str], keys: Keys, now: datetime) -> Verdict:
        """Check the signature of Standard Webhooks."""
        return verify_standard(body, headers, [standard_key(each) for each in keys.texts], now)


WORKER_RECEIVER = WorkerReceiver()
