"""Letters on Amazon SNS: who is subscribed to what, and that shops are kept apart."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws

from shared.domain.errors import InvalidRequestError, InvariantError, RetryableError
from shared.domain.letters import Letter
from shared.domain.notice_types import NoticeType
from shared.domain.shop import Notifications
from shared.gateways.aws import AwsClients
from shared.gateways.sns_letters import SnsLetters
from shared.usecases.notice_ports import AddressState
from tests.builders import OTHER_SHOP, SHOP
from tests.unit.domain.test_endpoints import a_notice

PREFIX = "arn:aws:sns:us-east-1:123456789012:job-tracker-shop-"
TOPIC = f"{PREFIX}a-shop"
LETTER = Letter(subject="It has failed", text="Why: no face\n", short="failed")
ANNA, BEN, PHONE = "anna@example.com", "ben@example.com", "+4930123456"
WANTED = Notifications(emails=(ANNA,), phones=(PHONE,), types=(NoticeType.JOB_FAILED,))


@pytest.fixture
def sns() -> Iterator[Any]:
    with mock_aws():
        yield AwsClients().client("sns")


@pytest.fixture
def letters(sns: Any) -> SnsLetters:
    return SnsLetters(sns, PREFIX)


def subscriptions(sns: Any, topic: str = TOPIC) -> dict[str, Any]:
    """Return the filter policy of each address."""
    found = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    return {
        each["Endpoint"]: json.loads(
            sns.get_subscription_attributes(SubscriptionArn=each["SubscriptionArn"])["Attributes"][
                "FilterPolicy"
            ]
        )
        for each in found
    }


def test_every_address_is_subscribed_with_a_filter_of_its_shop_and_types(
    letters: SnsLetters, sns: Any
) -> None:
    letters.subscribe(SHOP, WANTED)
    policy = {"shop": [SHOP], "type": ["job.failed", "endpoint.disabled"]}
    assert subscriptions(sns) == {ANNA: policy, PHONE: policy}
    assert letters.states(SHOP) == dict.fromkeys((ANNA, PHONE), AddressState.CONFIRMED)
    topic = sns.get_topic_attributes(TopicArn=TOPIC)["Attributes"]
    assert topic["DisplayName"] == SHOP


def test_other_types_change_the_filter_of_those_who_stay(letters: SnsLetters, sns: Any) -> None:
    letters.subscribe(SHOP, WANTED)
    letters.subscribe(SHOP, Notifications(emails=(ANNA, BEN), types=(NoticeType.BATCH_FINISHED,)))
    policy = {"shop": [SHOP], "type": ["batch.finished", "endpoint.disabled"]}
    assert subscriptions(sns) == {ANNA: policy, BEN: policy}


def test_nobody_is_left_when_nobody_is_wanted(letters: SnsLetters, sns: Any) -> None:
    letters.subscribe(SHOP, WANTED)
    letters.subscribe(SHOP, None)
    assert sns.list_topics()["Topics"] == []
    assert letters.states(SHOP) == {}
    letters.subscribe(SHOP, None)
    assert letters.send(a_notice(), LETTER) is False


def test_an_address_of_two_shops_is_two_subscriptions_and_leaving_one_leaves_the_other(
    letters: SnsLetters, sns: Any
) -> None:
    letters.subscribe(SHOP, WANTED)
    letters.subscribe(OTHER_SHOP, replace(WANTED, phones=()))
    letters.subscribe(SHOP, replace(WANTED, emails=()))
    assert list(subscriptions(sns)) == [PHONE]
    other = subscriptions(sns, f"{PREFIX}other-shop")
    assert other == {ANNA: {"shop": [OTHER_SHOP], "type": ["job.failed", "endpoint.disabled"]}}


# --- what SNS is asked, word by word --------------------------------------------------

CLIENT = AwsClients().client("sns")


@pytest.fixture
def stub() -> Iterator[Stubber]:
    with Stubber(CLIENT) as stub:
        yield stub


def stubbed() -> SnsLetters:
    return SnsLetters(CLIENT, PREFIX)


def test_a_letter_has_a_text_for_mail_and_one_for_phones_and_attributes_for_filters(
    stub: Stubber,
) -> None:
    texts = {"default": LETTER.text, "email": LETTER.text, "sms": LETTER.short}
    told = {"shop": SHOP, "type": "job.failed", "batch": "b1"}
    expected = {
        "TopicArn": TOPIC,
        "Subject": LETTER.subject,
        "Message": json.dumps(texts),
        "MessageStructure": "json",
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in told.items()
        },
    }
    stub.add_response("publish", {"MessageId": "m"}, expected)
    assert stubbed().send(replace(a_notice(), batch_id="b1"), LETTER) is True
    stub.assert_no_pending_responses()


def listed(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {
        "Subscriptions": [
            {"Protocol": "email", "Endpoint": address, "SubscriptionArn": arn}
            for address, arn in pairs
        ]
    }


def test_who_waits_for_consent_is_asked_again_and_cannot_be_unsubscribed(stub: Stubber) -> None:
    stub.add_response("create_topic", {"TopicArn": TOPIC}, ANY_OF("Name", "Attributes"))
    stub.add_response(
        "list_subscriptions_by_topic",
        listed((ANNA, "PendingConfirmation"), (BEN, "PendingConfirmation"), ("x@y.z", "Deleted")),
        {"TopicArn": TOPIC},
    )
    policy = json.dumps({"shop": [SHOP], "type": ["job.failed", "endpoint.disabled"]})
    asked = {
        "TopicArn": TOPIC,
        "Protocol": "email",
        "Endpoint": ANNA,
        "Attributes": {"FilterPolicy": policy},
        "ReturnSubscriptionArn": True,
    }
    stub.add_response("subscribe", {"SubscriptionArn": f"{TOPIC}:1"}, asked)
    stubbed().subscribe(SHOP, replace(WANTED, phones=()))
    stub.assert_no_pending_responses()


def ANY_OF(*names: str) -> dict[str, Any]:  # noqa: N802 - reads like botocore's ANY
    return dict.fromkeys(names, ANY)


def test_consent_that_is_waited_for_is_told(stub: Stubber) -> None:
    page = listed((ANNA, "PendingConfirmation")) | {"NextToken": "more"}
    stub.add_response("list_subscriptions_by_topic", page, {"TopicArn": TOPIC})
    rest = {"TopicArn": TOPIC, "NextToken": "more"}
    stub.add_response("list_subscriptions_by_topic", listed((BEN, f"{TOPIC}:2")), rest)
    assert stubbed().states(SHOP) == {ANNA: AddressState.PENDING, BEN: AddressState.CONFIRMED}


def test_an_address_that_sns_refuses_is_the_callers_fault(stub: Stubber) -> None:
    stub.add_response("create_topic", {"TopicArn": TOPIC}, ANY_OF("Name", "Attributes"))
    stub.add_response("list_subscriptions_by_topic", listed(), {"TopicArn": TOPIC})
    stub.add_client_error("subscribe", "InvalidParameter", "Invalid parameter: Email address")
    with pytest.raises(InvalidRequestError):
        stubbed().subscribe(SHOP, WANTED)


def test_who_waits_with_an_older_filter_is_left_waiting(stub: Stubber) -> None:
    stub.add_response("create_topic", {"TopicArn": TOPIC}, ANY_OF("Name", "Attributes"))
    waiting = listed((ANNA, "PendingConfirmation"))
    stub.add_response("list_subscriptions_by_topic", waiting, {"TopicArn": TOPIC})
    sentence = "Invalid parameter: Subscription already exists with different attributes"
    stub.add_client_error("subscribe", "InvalidParameter", sentence)
    stubbed().subscribe(SHOP, replace(WANTED, phones=()))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("Throttled", RetryableError),
        ("InternalError", RetryableError),
        ("FilterPolicyLimitExceeded", RetryableError),
        ("KMSThrottling", RetryableError),
        ("AuthorizationError", InvariantError),
        ("InvalidParameter", InvariantError),
    ],
)
def test_what_may_heal_is_told_from_what_is_our_bug(
    stub: Stubber, code: str, error: type[Exception]
) -> None:
    stub.add_client_error("publish", code)
    with pytest.raises(error):
        stubbed().send(a_notice(), LETTER)
