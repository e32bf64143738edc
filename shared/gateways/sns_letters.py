"""`Letters` on Amazon SNS: a topic for each shop that wants letters, a subscription per address.

Every subscription has a filter policy on the attributes `shop` and `type`. A topic of its own
keeps shops apart where one topic could not: an address belongs to as many shops as name it, each
asks its owner's consent by itself, and leaving one leaves the others alone. (One topic takes 200
filter policies, besides.)

Source: Amazon SNS developer guide, "Amazon SNS subscription filter policies" and its constraints;
API reference of CreateTopic, Subscribe, ListSubscriptionsByTopic (read 2026-11).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import InvalidRequestError, InvariantError, RetryableError
from shared.domain.letters import Letter
from shared.domain.notices import Notice
from shared.domain.shop import Notifications
from shared.usecases.notice_ports import AddressState

_DOMAIN = ".myshopify.com"
_EMAIL, _SMS = "email", "sms"
# Everything else that is not in this table may heal: throttles, outages, quotas that are raised.
_OUR_FAULT = frozenset({"AuthorizationError", "AuthorizationErrorException", "AccessDenied"})
_GONE = frozenset({"NotFound", "NotFoundException"})
_WRONG = frozenset({"InvalidParameter", "InvalidParameterException"})


class SnsLetters:
    """Writes to people.

    Parameters
        topic_prefix: what the ARN of every shop's topic begins with; the shop's name follows.
    """

    def __init__(self, client: Any, topic_prefix: str) -> None:
        self._client = client
        self._topic_prefix = topic_prefix

    def send(self, notice: Notice, letter: Letter) -> bool:
        """Send to those of the shop who want to hear of it; False when the shop has nobody."""
        told = {"shop": notice.shop, "type": notice.type.value, "batch": notice.batch_id}
        texts = {"default": letter.text, _EMAIL: letter.text, _SMS: letter.short}
        try:
            with _our_errors():
                self._client.publish(
                    TopicArn=self._topic(notice.shop),
                    Subject=letter.subject,
                    Message=json.dumps(texts),
                    MessageStructure="json",
                    MessageAttributes={
                        name: {"DataType": "String", "StringValue": value}
                        for name, value in told.items()
                        if value is not None
                    },
                )
        except _NoTopicError:
            return False
        return True

    def subscribe(self, shop: str, wanted: Notifications | None) -> None:
        """Have exactly these people written to. E-mail addresses are asked for consent first.

        Guarantees
            Safe to repeat. An address that waits for consent is asked again. One that was taken
            away before it consented cannot be unsubscribed; it goes by itself after two days.
        """
        topic = self._topic(shop)
        if wanted is None or wanted.is_empty:
            with _our_errors():
                self._client.delete_topic(TopicArn=topic)
            return
        with _our_errors():
            name = topic.rpartition(":")[2]
            self._client.create_topic(Name=name, Attributes={"DisplayName": shop[:100]})
        known = self._known(topic)
        policy = json.dumps({"shop": [shop], "type": [each.value for each in wanted.all_types]})
        addresses = [(_EMAIL, each) for each in wanted.emails]
        addresses += [(_SMS, each) for each in wanted.phones]
        for protocol, address in addresses:
            self._add(topic, protocol, address, policy, known.pop((protocol, address), None))
        for subscription in known.values():
            if _is_confirmed(subscription):
                with _our_errors():
                    self._client.unsubscribe(SubscriptionArn=subscription)

    def states(self, shop: str) -> Mapping[str, AddressState]:
        """Return who is known, by address."""
        try:
            known = self._known(self._topic(shop))
        except _NoTopicError:
            return {}
        return {
            address: (
                AddressState.CONFIRMED if _is_confirmed(subscription) else AddressState.PENDING
            )
            for (_, address), subscription in known.items()
        }

    def _topic(self, shop: str) -> str:
        return self._topic_prefix + shop.removesuffix(_DOMAIN)

    def _known(self, topic: str) -> dict[tuple[str, str], str]:
        """Return the subscriptions of a topic by protocol and address."""
        found: dict[tuple[str, str], str] = {}
        more: dict[str, str] = {}
        while True:
            with _our_errors():
                page = self._client.list_subscriptions_by_topic(TopicArn=topic, **more)
            for each in page["Subscriptions"]:
                if each["SubscriptionArn"] != "Deleted":
                    found[each["Protocol"], each["Endpoint"]] = each["SubscriptionArn"]
            if not page.get("NextToken"):
                return found
            more = {"NextToken": page["NextToken"]}

    def _add(
        self, topic: str, protocol: str, address: str, policy: str, subscription: str | None
    ) -> None:
        if subscription is not None and _is_confirmed(subscription):
            with _our_errors():
                self._client.set_subscription_attributes(
                    SubscriptionArn=subscription,
                    AttributeName="FilterPolicy",
                    AttributeValue=policy,
                )
            return
        try:
            with _our_errors():
                self._client.subscribe(
                    TopicArn=topic,
                    Protocol=protocol,
                    Endpoint=address,
                    Attributes={"FilterPolicy": policy},
                    ReturnSubscriptionArn=True,
                )
        except _WrongParameterError as error:
            # It waits for consent with another policy; only what the shop wants is published.
            if "already exists" not in str(error):
                raise InvalidRequestError(
                    "This is no address that can be written to.",
                    details=[{"field": f"notifications.{protocol}", "message": "is refused"}],
                ) from None


def _is_confirmed(subscription: str) -> bool:
    """Tell by what a list calls its ARN: those that wait for consent have none."""
    return subscription.startswith("arn:")


class _NoTopicError(RetryableError):
    """The shop has no topic: nobody is written to."""


class _WrongParameterError(InvariantError):
    """SNS does not take what was given; the message is SNS's own."""


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _GONE:
            raise _NoTopicError("Amazon SNS knows no such topic.") from None
        if code in _WRONG:
            raise _WrongParameterError(error.response["Error"].get("Message", "")) from None
        if code in _OUR_FAULT:
            raise InvariantError(f"Amazon SNS refused our request ({code}).") from error
        raise RetryableError(f"Amazon SNS does not do it now ({code}).") from error
    except BotoCoreError as error:
        raise RetryableError(f"Amazon SNS does not answer ({type(error).__name__}).") from error
