"""Webhooks, events and letters on the laptop's stack, its policies enforced: what a shop's own
server really gets, signed, and what becomes of it when it answers badly or not at all."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import standardwebhooks

from local.stack import Stack, running_stack
from shared.domain.addresses import is_public
from tests.local.receiver import Received, Receiver, Reply, running_receiver

pytestmark = pytest.mark.slow

SHOP, OTHER_SHOP = "notes.myshopify.com", "others.myshopify.com"


class Notes:
    """A running stack, its API as an administrator, and a shop's own server."""

    def __init__(self, stack: Stack, receiver: Receiver) -> None:
        self.stack = stack
        self.receiver = receiver
        headers = {"Authorization": f"Bearer {stack.info.admin_key}"}
        self.api = httpx.Client(base_url=stack.info.api_url, headers=headers, timeout=30)

    def call(self, method: str, path: str, body: Any = None, shop: str = SHOP, **more: Any) -> Any:
        reply = self.api.request(method, path, json=body, headers={"X-Shop": shop}, **more)
        assert reply.status_code < 300, reply.text
        return reply.json()

    def endpoint(self, path: str, *types: str, shop: str = SHOP) -> Any:
        wish: dict[str, Any] = {"url": self.receiver.url(path)}
        if types:
            wish["types"] = list(types)
        return self.call("POST", "/api/shop/webhooks", wish, shop)

    def remove(self, made: Any, shop: str = SHOP) -> None:
        self.call("DELETE", f"/api/shop/webhooks/{made['endpoint']['id']}", shop=shop)

    def job(self, shop: str = SHOP, **more: Any) -> str:
        """Make a job that a program of the shop does; returns its id."""
        body = {"name": "Nightly pull", "type": "pull", **more}
        return str(self.call("POST", "/api/jobs", body, shop)["job"]["id"])

    def complete(self, job_id: str, shop: str = SHOP) -> None:
        self.call("PATCH", f"/api/jobs/{job_id}", {"status": "completed"}, shop)

    def completed(self, shop: str = SHOP, **more: Any) -> str:
        job_id = self.job(shop, **more)
        self.complete(job_id, shop)
        return job_id

    def wait(self, path: str, count: int = 1) -> list[Received]:
        """Wait until a path was called so often."""

        def look() -> list[Received]:
            found = self.receiver.at(path)
            return found if len(found) >= count else []

        return self.stack.wait_until(look, 60, f"{count} webhooks at {path}")

    def deliveries(self, made: Any, shop: str = SHOP) -> Any:
        path = f"/api/shop/webhooks/{made['endpoint']['id']}/deliveries"
        return self.call("GET", path, shop=shop)["deliveries"]

    def settled(self, made: Any, *, tries: int = 1) -> Any:
        """Wait until the newest delivery to an endpoint was tried so often."""

        def look() -> Any:
            found = self.deliveries(made)
            return found[0] if found and found[0]["tryCount"] >= tries else None

        return self.stack.wait_until(look, 60, f"try {tries}")


@pytest.fixture(scope="module")
def notes() -> Iterator[Notes]:
    with (
        running_receiver() as receiver,
        running_stack(auth=True, settings={"RESULT_HOSTS": receiver.host}) as stack,
    ):
        stack.set_schedule(enabled=False)
        made = Notes(stack, receiver)
        yield made
        made.api.close()
        lines = [line for name in stack.info.functions for line in stack.function_logs(name)]
        assert [line for line in lines if "AccessDenied" in line] == []
        assert [line for line in lines if "whsec_" in line] == []
        for queue in ("deliver-dlq", "notify-dlq"):
            found = stack.client("sqs").get_queue_attributes(
                QueueUrl=stack.info.queues[queue], AttributeNames=["ApproximateNumberOfMessages"]
            )
            assert found["Attributes"]["ApproximateNumberOfMessages"] == "0"


@pytest.mark.feature("the shop's own webhooks")
def test_a_completed_job_reaches_the_shops_server_signed_and_the_other_shop_hears_nothing(
    notes: Notes,
) -> None:
    made = notes.endpoint("/signed", "job.completed", "job.failed")
    other = notes.endpoint("/signed-other", shop=OTHER_SHOP)
    job_id = notes.completed()
    (received,) = notes.wait("/signed")
    received.verify(made["secret"])
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        received.verify(other["secret"])
    assert received.told["type"] == "job.completed"
    data = received.told["data"]
    assert (data["id"], data["shop"], data["status"]) == (job_id, SHOP, "completed")
    assert received.webhook_id.startswith(f"{job_id}:")
    assert len(received.body) < 20_000
    assert received.headers["content-type"] == "application/json"
    done = notes.settled(made)
    assert (done["status"], done["webhookId"]) == ("delivered", received.webhook_id)
    assert (done["tries"][0]["status"], done["answer"]) == (200, "thanks")
    assert done["payload"] == received.told
    # The other shop's job is the other shop's news.
    others_job = notes.completed(OTHER_SHOP)
    (news,) = notes.wait("/signed-other")
    assert news.told["data"]["id"] == others_job
    news.verify(other["secret"])
    assert len(notes.receiver.at("/signed")) == 1
    reply = notes.api.get(
        f"/api/shop/webhooks/{made['endpoint']['id']}/deliveries", headers={"X-Shop": OTHER_SHOP}
    )
    assert reply.status_code == 404
    notes.remove(made)
    notes.remove(other, OTHER_SHOP)


def test_what_fails_is_tried_again_under_the_same_id(notes: Notes) -> None:
    made = notes.endpoint("/flaky", "job.completed")
    notes.receiver.reply("/flaky", Reply(status=500, body=b"x" * 5000))
    notes.completed()
    first, second = notes.wait("/flaky", 2)
    for received in (first, second):
        received.verify(made["secret"])
    assert first.webhook_id == second.webhook_id
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"])
    done = notes.settled(made, tries=2)
    assert done["status"] == "delivered"
    assert [one["status"] for one in done["tries"]] == [500, 200]
    shown = notes.call("GET", f"/api/shop/webhooks/{made['endpoint']['id']}")["endpoint"]
    assert (shown["isEnabled"], shown["failingSince"]) == (True, None)
    notes.remove(made)


def test_410_disables_an_endpoint_and_the_others_are_told(notes: Notes) -> None:
    dead = notes.endpoint("/gone", "job.completed")
    alive = notes.endpoint("/told", "endpoint.disabled")
    notes.receiver.reply("/gone", Reply(status=410, body=b"never again"))
    notes.completed()
    (news,) = notes.wait("/told")
    assert (news.told["type"], news.told["data"]["id"]) == (
        "endpoint.disabled",
        dead["endpoint"]["id"],
    )
    path = f"/api/shop/webhooks/{dead['endpoint']['id']}"
    shown = notes.call("GET", path)["endpoint"]
    assert (shown["isEnabled"], shown["disabledReason"]) == (False, "gone")
    assert notes.deliveries(dead)[0]["status"] == "failed"
    notes.completed()
    assert notes.api.post(f"{path}/test", headers={"X-Shop": SHOP}).status_code == 409
    assert len(notes.receiver.at("/gone")) == 1
    notes.call("PATCH", path, {"isEnabled": True})
    notes.completed()
    notes.wait("/gone", 2)
    for made in (dead, alive):
        notes.remove(made)


@pytest.mark.feature("webhook secrets")
def test_two_secrets_sign_during_a_rotation_and_a_leaked_one_no_more(notes: Notes) -> None:
    made = notes.endpoint("/rotated", "job.completed")
    path = f"/api/shop/webhooks/{made['endpoint']['id']}"
    rotated = notes.call("POST", f"{path}/rotate")
    notes.call("POST", f"{path}/test")
    (received,) = notes.wait("/rotated")
    assert received.told["type"] == "endpoint.test"
    assert len(received.headers["webhook-signature"].split(" ")) == 2
    for secret in (made["secret"], rotated["secret"]):
        received.verify(secret)
    newest = notes.call("POST", f"{path}/rotate", params={"keepOld": "0"})
    notes.call("POST", f"{path}/test")
    received = notes.wait("/rotated", 2)[1]
    received.verify(newest["secret"])
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        received.verify(rotated["secret"])
    notes.remove(made)


@pytest.mark.feature("delivery log")
def test_a_delivery_is_sent_once_more_by_hand(notes: Notes) -> None:
    made = notes.endpoint("/again", "job.completed")
    notes.completed()
    (first,) = notes.wait("/again")
    done = notes.settled(made)
    path = f"/api/shop/webhooks/{made['endpoint']['id']}/deliveries/{done['id']}/redeliver"
    assert notes.call("POST", path)["delivery"]["status"] == "pending"
    second = notes.wait("/again", 2)[1]
    second.verify(made["secret"])
    assert (second.webhook_id, second.body) == (first.webhook_id, first.body)
    assert notes.settled(made, tries=2)["status"] == "delivered"
    assert len(notes.deliveries(made)) == 1
    notes.remove(made)


def test_a_redirect_is_a_failure_and_is_not_followed(notes: Notes) -> None:
    made = notes.endpoint("/moved", "job.completed")
    elsewhere = (("Location", notes.receiver.url("/elsewhere")),)
    notes.receiver.reply("/moved", Reply(status=307, headers=elsewhere))
    notes.completed()
    tried = notes.settled(made)
    assert tried["tries"][0]["status"] == 307
    notes.wait("/moved", 2)
    assert notes.receiver.at("/elsewhere") == []
    notes.remove(made)


def test_an_address_of_our_own_network_is_refused_when_made_and_when_connected_to(
    notes: Notes,
) -> None:
    port = int(notes.receiver.host.partition(":")[2])
    for url in (
        f"http://127.0.0.1:{port + 1}/",
        f"https://127.0.0.1:{port}/",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/",
        "https://[::1]/",
        f"http://shop.example:{port}/",
    ):
        reply = notes.api.post("/api/shop/webhooks", json={"url": url}, headers={"X-Shop": SHOP})
        accepted = url.startswith(f"https://127.0.0.1:{port}/")  # the laptop's own, named so
        assert reply.status_code == (201 if accepted else 400), url
        if accepted:
            notes.remove(reply.json())
    # A name says nothing of where it leads: that is looked at when connecting.
    name = private_name()
    made = notes.call("POST", "/api/shop/webhooks", {"url": f"https://{name}:{port}/inside"})
    notes.call("POST", f"/api/shop/webhooks/{made['endpoint']['id']}/test")
    tried = notes.settled(made)
    assert (tried["tries"][0]["status"], tried["tries"][0]["code"]) == (None, "address_refused")
    assert notes.receiver.at("/inside") == []
    notes.remove(made)


def private_name() -> str:
    """Return a name of this machine that leads to a private address, and looks harmless."""
    for name in (socket.gethostname(), "ip6-localhost", "ip6-loopback"):
        try:
            found = {str(entry[4][0]) for entry in socket.getaddrinfo(name, 443)}
        except OSError:
            continue
        if not any(map(is_public, found)) and not name.endswith(("localhost", ".local")):
            return name
    pytest.skip("no name of this machine leads to a private address")


def test_a_slow_endpoint_of_one_shop_holds_up_nobody_else(notes: Notes) -> None:
    quick_came = threading.Event()
    slow, quick = notes.endpoint("/slow"), notes.endpoint("/quick", shop=OTHER_SHOP)
    waited: list[bool] = []

    def wait() -> None:
        waited.append(quick_came.wait(14))

    notes.receiver.reply("/slow", Reply(during=wait), Reply(during=wait))
    notes.receiver.reply("/quick", Reply(during=quick_came.set))
    for _ in range(2):
        notes.completed()
    notes.wait("/slow")
    notes.completed(OTHER_SHOP)
    notes.wait("/quick")
    notes.wait("/slow", 2)
    notes.stack.wait_until(lambda: len(waited) == 2, 30, "the slow answers")
    # It answered only after the other shop's webhook had come: both were under way at once.
    assert waited == [True, True]
    notes.remove(slow)
    notes.remove(quick, OTHER_SHOP)


def test_the_sweep_delivers_what_lost_its_message(notes: Notes) -> None:
    made = notes.endpoint("/lost", "job.completed")
    sqs, queue = notes.stack.client("sqs"), notes.stack.info.queues["deliver"]
    notes.stack.set_event_source("deliver", enabled=False)
    notes.completed()
    notes.stack.wait_until(lambda: notes.deliveries(made), 60, "the delivery")
    sqs.purge_queue(QueueUrl=queue)
    # Its time: somebody must look at it ten minutes after its message was sent.
    table, dynamodb = notes.stack.info.table_name, notes.stack.client("dynamodb")
    key = {
        "pk": {"S": f"SHOP#{SHOP}"},
        "sk": {"S": f"DELIVERY#{made['endpoint']['id']}#{notes.deliveries(made)[0]['id']}"},
    }
    dynamodb.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET due_at = :past",
        ExpressionAttributeValues={":past": {"N": "1"}},
    )
    notes.stack.set_event_source("deliver", enabled=True)
    notes.stack.invoke("sweep")
    notes.wait("/lost")
    assert notes.settled(made)["status"] == "delivered"
    notes.remove(made)


# --- batches, people, programs --------------------------------------------------------


def queue_for(notes: Notes, name: str) -> tuple[str, str]:
    """Make a queue of the test's own; returns its address and its ARN."""
    sqs = notes.stack.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn = found["Attributes"]["QueueArn"]
    let_in = {
        "Effect": "Allow",
        "Principal": {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [let_in]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return url, arn


def messages(notes: Notes, url: str, count: int) -> list[Any]:
    """Wait for so many messages."""
    sqs, found = notes.stack.client("sqs"), []

    def look() -> bool:
        reply = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        for message in reply.get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
        return len(found) >= count

    notes.stack.wait_until(look, 60, f"{count} messages")
    return found


@pytest.mark.feature("letters")
def test_a_batch_is_told_of_once_and_its_people_get_one_digest(notes: Notes) -> None:
    shop = "batches.myshopify.com"
    made = notes.endpoint("/batch", "batch.finished", "job.completed", shop=shop)
    wish = {
        "notifications": {
            "emails": ["anna@example.com"],
            "types": ["batch.finished", "job.completed", "job.failed"],
        }
    }
    shown = notes.call("PUT", "/api/shop", wish, shop)["shop"]["notifications"]
    assert shown["emails"] == [{"address": "anna@example.com", "state": "confirmed"}]
    sns = notes.stack.client("sns")
    (topic,) = [
        t["TopicArn"] for t in sns.list_topics()["Topics"] if "-shop-batches" in t["TopicArn"]
    ]
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    policy = sns.get_subscription_attributes(SubscriptionArn=subscription["SubscriptionArn"])
    assert json.loads(policy["Attributes"]["FilterPolicy"]) == {
        "shop": [shop],
        "type": ["batch.finished", "job.completed", "job.failed", "endpoint.disabled"],
    }
    # A mailbox that we can read, subscribed as Anna is.
    url, arn = queue_for(notes, "letters")
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"FilterPolicy": policy["Attributes"]["FilterPolicy"]},
    )
    photo = f"{notes.stack.info.pikcel_url}/photos/blue-armchair.jpg"
    body = {
        "name": "Chairs",
        "toolId": "background-removal",
        "images": [{"inputImageUrl": photo} for _ in range(3)],
    }
    batch_id = notes.call("POST", "/api/batches", body, shop)["batch"]["id"]
    received = notes.wait("/batch", 4)
    kinds = sorted(each.told["type"] for each in received)
    assert kinds == ["batch.finished", *["job.completed"] * 3]
    (end,) = [each for each in received if each.told["type"] == "batch.finished"]
    end.verify(made["secret"])
    assert end.told["data"]["id"] == batch_id
    assert (end.told["data"]["status"], end.told["data"]["completedJobs"]) == ("completed", 3)
    (letter,) = messages(notes, url, 1)
    assert letter["Subject"].startswith(f'{shop}: batch "Chairs" is finished: 3 of 3 completed')
    assert letter["MessageAttributes"]["batch"]["Value"] == batch_id
    notes.call("PUT", "/api/shop", {"notifications": None}, shop)
    assert [t for t in sns.list_topics()["Topics"] if t["TopicArn"] == topic] == []
    notes.remove(made, shop)


@pytest.mark.feature("event bus")
def test_programs_of_the_same_account_listen_on_the_event_bus(notes: Notes) -> None:
    events = notes.stack.client("events")
    (bus,) = [b["Name"] for b in events.list_event_buses()["EventBuses"] if b["Name"] != "default"]
    url, arn = queue_for(notes, "events")
    pattern = json.dumps({"source": ["job-tracker"], "detail-type": ["job.failed"]})
    events.put_rule(Name="failures", EventBusName=bus, EventPattern=pattern)
    events.put_targets(Rule="failures", EventBusName=bus, Targets=[{"Id": "q", "Arn": arn}])
    notes.completed()
    job_id = notes.job()
    notes.call("PATCH", f"/api/jobs/{job_id}", {"status": "failed", "error": "Nhanh is down"})
    (event,) = messages(notes, url, 1)
    assert (event["detail-type"], event["detail"]["shop"]) == ("job.failed", SHOP)
    assert event["detail"]["id"].startswith(f"{job_id}:")
    assert event["detail"]["data"]["errorMessage"] == "Nhanh is down"
