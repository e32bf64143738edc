"""Hostile deliveries: whatever is in them, they are refused, kept or not, and never applied."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.webhook.app import handler
from shared import wiring
from shared.domain.quarantine import HeldDelivery, fits
from shared.gateways.dynamo_quarantine import DynamoQuarantine
from shared.providers.base import Check
from shared.providers.registry import ADAPTERS
from shared.usecases.hold_delivery import Ward
from shared.usecases.receive_report import receive_report
from shared.usecases.receive_webhook import Seals, receive_webhook
from shared.usecases.reverify_quarantine import ReverifyDesk, reverify
from shared.usecases.tracker import Tracker
from tests.builders import later
from tests.fakes.clock import FakeClock
from tests.fakes.desk import FakeDesk
from tests.fakes.files import FakeFiles
from tests.fakes.key_sets import FakeKeySets
from tests.fakes.memory import InMemoryJobStore
from tests.fakes.memory_quarantine import InMemoryQuarantine
from tests.fakes.outbox import FakeOutbox
from tests.fakes.randomness import FakeRandomness
from tests.fakes.secrets import FakeSecrets
from tests.fakes.table import embedded_client, make_table
from tests.unit.providers.senders import NOW, SENDERS, Letter

TABLE = "jobs"
ANY_TEXT = st.text(st.characters(), max_size=60)  # lone surrogates too
FORGED_REFERENCE = f"a.myshopify.com:019aab7c-5e00-7000-8000-000000000001:1:{'0' * 32}"
JUNK = ["", " ", ",", "v1,", "v1,AAAA", "é", "\ud800", "\x00", "sha256=", "0" * 64, "a" * 5000]


class World:
    """functions/webhook with everything around it in memory, for one sender after another."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOW)
        self.quarantine = InMemoryQuarantine()
        self.store = InMemoryJobStore(self.clock)
        self.secrets = FakeSecrets()
        for name, sender in SENDERS.items():
            self.secrets.values["signing", f"{name.upper()}_WEBHOOK_SECRET"] = sender.key
        self.tracker = Tracker(
            store=self.store,
            outbox=FakeOutbox(),
            clock=self.clock,
            random=FakeRandomness(),
            adapters=ADAPTERS,
            secrets=self.secrets,
        )
        self.seals = Seals(secrets=self.secrets, key_sets=FakeKeySets())
        self.app = wiring.WebhookApp(
            tracker=self.tracker,
            seals=self.seals,
            desk=FakeDesk(FakeFiles()),
            clock=self.clock,
        )
        self.ward = Ward(quarantine=self.quarantine, receivers=wiring.RECEIVERS)

    def receive(self, delivery: Any) -> object:
        if delivery.provider == "worker":
            return receive_report(self.tracker, self.seals, self.app.desk, delivery)
        return receive_webhook(self.tracker, self.seals, delivery)

    def reverify(self, provider: str) -> Any:
        desk = ReverifyDesk(
            quarantine=self.quarantine,
            secrets=self.secrets,
            clock=self.clock,
            receive=self.receive,
        )
        return reverify(desk, [provider], None)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(wiring, "webhook_app", lambda: made.app)
    monkeypatch.setattr(wiring, "ward", lambda: made.ward)
    return made


def touched(random: Random, letter: Letter) -> dict[str, str]:
    """Return a letter's headers with one of them spoilt, or one more."""
    headers = dict(letter.headers)
    name = random.choice([*headers, "x-more"])
    value = headers.get(name, "")
    place = random.randint(0, len(value))
    headers[name] = random.choice(
        [random.choice(JUNK), value[:place] + random.choice(JUNK) + value[place + 1 :]]
    )
    return headers


@pytest.mark.parametrize("name", SENDERS)
@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_is_answered_and_what_is_forged_is_never_applied(
    world: World, name: str, seed: int
) -> None:
    random, sender = Random(seed), SENDERS[name]
    answers = []
    for _ in range(60):
        body = random.choice([random.randbytes(random.randint(0, 300)), b"{}", b'{"id":"x"}'])
        letter = sender.letter(body)
        event = {
            "pathParameters": {"provider": name},
            "requestContext": {"requestId": "r"},
            "headers": touched(random, letter),
            # Another body than the one that was signed.
            "body": (body + b"!").decode("latin-1"),
            "queryStringParameters": random.choice(
                [None, {}, {"ref": random.choice(JUNK)}, {"ref": FORGED_REFERENCE}]
            ),
        }
        answers.append(handler(event, None)["statusCode"])
    assert set(answers) <= {401, 503}
    done = world.reverify(name)
    assert done.checked > 0
    assert (done.accepted, done.refused, done.failing) == (0, 0, done.checked)
    assert world.store.parked_on("2026-11-22", limit=9) == []


@pytest.fixture(scope="module")
def table() -> Iterator[DynamoQuarantine]:
    client = embedded_client()
    make_table(client, TABLE)
    yield DynamoQuarantine(client, TABLE, clock=FakeClock())
    client.delete_table(TableName=TABLE)


@given(
    body=st.binary(max_size=2000),
    headers=st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=5),
    reference=st.none() | st.from_regex(r"[a-z0-9.:-]{1,80}", fullmatch=True),
    reason=st.sampled_from(Check),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_the_table_gives_back_any_bytes_and_any_headers_as_they_came(
    table: DynamoQuarantine, body: bytes, headers: dict[str, str], reference: Any, reason: Check
) -> None:
    assert fits(body, headers)
    held = HeldDelivery(
        provider="pikcel",
        received_at=later(0),
        reason=reason.value,
        size_bytes=len(body),
        body=body,
        headers=headers,
        reference=reference,
    )
    if table.hold(held):
        found = table.take("pikcel", later(1), after=None)[-1]
        table.release("pikcel", found.place)
        assert (found.body, found.headers, found.reference, found.reason) == (
            body,
            json.loads(json.dumps(headers)),
            reference,
            reason.value,
        )
