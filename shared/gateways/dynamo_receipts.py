"""The `Receipts` on DynamoDB: pk `SHOP#{shop}`, sk `IDEM#{digest of the key}`, for 24 hours.

The item is put before the call is made (`until`: how long it may take) and gets its `answer`
after it. Jobs are created with an item of the same name, in their own transaction: a key that
made a job cannot be used for anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.domain.ids import milliseconds
from shared.gateways.dynamo_errors import ConditionFailedError
from shared.gateways.dynamo_items import expiry, idempotency_key, was_made_with
from shared.gateways.dynamo_table import Table, Terms, check_size, number, text, update_expression
from shared.gateways.store_rules import IDEMPOTENT_FOR, ONE_CALL_TAKES, answered_now

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from shared.usecases.ports import Clock, Idempotency


class DynamoReceipts:
    """What was answered to calls with an Idempotency-Key."""

    def __init__(self, client: DynamoDBClient, table_name: str, *, clock: Clock) -> None:
        self._table = Table(client, table_name, clock)
        self._clock = clock

    def begin(self, shop: str, idempotency: Idempotency) -> str | None:
        """Begin a call; or return the answer that it got before. See `Receipts.begin`."""
        now = self._clock.now()
        terms = Terms()
        expired = f"{terms.name('expires_at')} <= {terms.value(number(int(now.timestamp())))}"
        same = terms.equals("body_sha256", text(idempotency.body_sha256))
        died = f"{terms.name('until')} <= {terms.value(number(milliseconds(now)))}"
        item = idempotency_key(shop, idempotency.key) | {
            "body_sha256": text(idempotency.body_sha256),
            "until": number(milliseconds(now + ONE_CALL_TAKES)),
            "expires_at": expiry(now + IDEMPOTENT_FOR),
        }
        condition = (
            f"{terms.absent()} OR {expired} OR ({same} AND {died} AND {terms.absent('answer')})"
        )
        request = {
            "Item": item,
            "ConditionExpression": condition,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            self._table.put(terms.attach(request))
        except ConditionFailedError as failed:
            found = failed.item or self._table.get(idempotency_key(shop, idempotency.key))
        else:
            return None
        if found is None or not was_made_with(found, idempotency, now) or "answer" not in found:
            raise answered_now()
        return str(found["answer"]["S"])

    def finish(self, shop: str, idempotency: Idempotency, answer: str) -> None:
        """Keep the answer of a call that was begun."""
        item = idempotency_key(shop, idempotency.key)
        # From now on: it must outlive what says that the call has made something. Whoever found
        # that alone would take its key for one that nobody was told of.
        answered = {
            "answer": text(answer),
            "expires_at": expiry(self._clock.now() + IDEMPOTENT_FOR),
        }
        check_size(item | answered)
        terms = Terms()
        put = update_expression(terms, put=answered)
        request = {
            "Key": item,
            "UpdateExpression": put,
            "ConditionExpression": terms.equals("body_sha256", text(idempotency.body_sha256)),
        }
        self._table.update(terms.attach(request))

    def forget(self, shop: str, idempotency: Idempotency) -> None:
        """Let a call be made anew: it was refused, nothing was done."""
        self._table.delete(idempotency_key(shop, idempotency.key))
