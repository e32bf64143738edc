"""functions/webhook for programs of the user's own: Standard Webhooks around a report."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.webhook.app import handler
from shared import wiring
from shared.bodies.reading import read_json, validate
from shared.bodies.work import ReportFields, report_of
from shared.bodies.worker import read_worker_report
from shared.domain import lifecycle
from shared.domain.errors import InvalidRequestError
from shared.domain.events import Proof, Source
from shared.domain.job import Job
from shared.domain.status import JobStatus
from shared.providers.registry import ADAPTERS
from shared.usecases.hold_delivery import Ward
from shared.usecases.receive_webhook import Seals
from shared.usecases.tracker import Tracker
from tests.builders import OTHER_SHOP, SHOP, a_dispatched_job, a_worker_job, later
from tests.fakes.clock import FakeClock
from tests.fakes.desk import FakeDesk
from tests.fakes.files import FakeFiles
from tests.fakes.key_sets import FakeKeySets
from tests.fakes.memory import InMemoryJobStore
from tests.fakes.memory_quarantine import InMemoryQuarantine
from tests.fakes.outbox import FakeOutbox
from tests.fakes.randomness import FakeRandomness
from tests.fakes.secrets import FakeSecrets
from tests.functional.test_dispatch import metrics_of
from tests.unit.providers.senders import SENDERS

WORKER = SENDERS["worker"]


class World:
    """The function with everything around it in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock(later(1))
        self.store = InMemoryJobStore(self.clock)
        self.secrets = FakeSecrets(signing__WORKER_WEBHOOK_SECRET=WORKER.key)
        self.files = FakeFiles()
        tracker = Tracker(
            store=self.store,
            outbox=FakeOutbox(),
            clock=self.clock,
            random=FakeRandomness(),
            adapters=ADAPTERS,
            secrets=self.secrets,
        )
        seals = Seals(secrets=self.secrets, key_sets=FakeKeySets())
        self.app = wiring.WebhookApp(
            tracker=tracker, seals=seals, desk=FakeDesk(self.files), clock=self.clock
        )

    def has(self, **changes: Any) -> Job:
        return self.store.create(a_worker_job(**changes))

    def say(self, kind: str, data: object, **more: Any) -> tuple[int, dict[str, Any]]:
        """Sign a report and send it; returns status and body of the answer."""
        body = {"type": kind, "timestamp": "2026-11-22T12:00:01Z", "data": data, **more}
        return self.send(json.dumps(body).encode())

    def send(self, body: bytes, **changes: str) -> tuple[int, dict[str, Any]]:
        letter = WORKER.letter(body, at=self.clock.now())
        headers = {name.title(): value for name, value in {**letter.headers, **changes}.items()}
        answer = handler(an_event(body, headers), None)
        return answer["statusCode"], json.loads(answer["body"])


def an_event(body: bytes, headers: dict[str, str]) -> dict[str, Any]:
    return {
        "pathParameters": {"provider": "worker"},
        "requestContext": {"requestId": "r"},
        "headers": headers,
        "body": body.decode(),
        "isBase64Encoded": False,
    }


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(wiring, "webhook_app", lambda: world.app)
    ward = Ward(quarantine=InMemoryQuarantine(), receivers=wiring.RECEIVERS)
    monkeypatch.setattr(wiring, "ward", lambda: ward)
    return world


def test_progress_is_told_and_then_the_end(world: World) -> None:
    job = world.has()
    counts = {"total": 10, "processed": 4, "successful": 3, "failed": 1, "message": "Page 1"}
    said = world.say("job.progress", {"jobId": job.job_id, **counts})
    assert said == (200, {"success": True, "outcome": "applied"})
    now = world.store.get(job.ref)
    assert (now.status, now.progress, now.message) == (JobStatus.PROCESSING, 40, "Page 1")
    said = world.say("job.completed", {"jobId": job.job_id, "result": {"pages": 3}})
    assert said[0] == 200
    now = world.store.get(job.ref)
    assert (now.status, now.native_status, now.result) == (
        JobStatus.COMPLETED,
        "completed",
        {"pages": 3},
    )
    [last, *_] = world.store.log(job.ref, limit=9).entries
    assert (last.source, last.proof, last.actor) == (Source.WORKER, Proof.BODY_TIME, "webhook")


def test_a_workers_word_says_nothing_about_providers(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counted with the providers' it would hide that one of them is silent."""
    job = world.has()
    world.say("job.completed", {"jobId": job.job_id})
    assert metrics_of(capsys) == {"WebhookApplied": 1}


def test_a_failure_brings_its_reason(world: World) -> None:
    job = world.has()
    world.say("job.failed", {"jobId": job.job_id, "error": "No route to the shop"})
    now = world.store.get(job.ref)
    assert (now.status, now.error_code) == (JobStatus.FAILED, "worker_failed")
    assert now.error_message == "No route to the shop"


def test_a_job_is_found_by_the_id_that_it_was_registered_with(world: World) -> None:
    attempt = {"provider_job_id": "sync-77", "linked_at": later(0)}
    job = world.has(attempt=attempt, shop=OTHER_SHOP)
    assert world.say("job.completed", {"jobId": "sync-77"})[0] == 200
    assert world.store.get(job.ref).status is JobStatus.COMPLETED


def test_a_repeated_and_a_late_report_are_acknowledged_and_change_nothing(world: World) -> None:
    job = world.has()
    world.say("job.completed", {"jobId": job.job_id})
    assert world.say("job.completed", {"jobId": job.job_id})[1]["outcome"] == "duplicate"
    late = world.say("job.progress", {"jobId": job.job_id, "processed": 1})
    assert (late[0], late[1]["outcome"]) == (200, "late")
    assert world.store.get(job.ref).status is JobStatus.COMPLETED


def test_after_a_cancel_the_worker_is_told_to_stop(world: World) -> None:
    job = world.has()
    world.store.save(job, lifecycle.cancel(job, later(1)))
    status, body = world.say("job.progress", {"jobId": job.job_id, "processed": 1})
    assert (status, body["cancelRequested"]) == (200, True)


def test_big_metadata_lie_in_the_bucket_as_they_do_by_the_api(world: World) -> None:
    job = world.has()
    world.say("job.progress", {"jobId": job.job_id, "metadata": {"notes": "x" * 5000}})
    assert world.store.get(job.ref).documents_key in world.files.stored


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        ({"jobId": "019aab7c-5e00-7000-8000-0000000000ff"}, 404, "not_found"),
        ({"jobId": "nobody"}, 404, "not_found"),
        ({}, 400, "invalid_request"),
        ({"jobId": 7}, 400, "invalid_request"),
        ({"jobId": "x" * 200}, 400, "invalid_request"),
        ({"jobId": "a", "procesed": 1}, 400, "invalid_request"),
        ({"jobId": "a", "processed": -1}, 400, "invalid_request"),
        ({"jobId": "a", "metadata": "text"}, 400, "invalid_request"),
        ("text", 400, "invalid_request"),
    ],
)
def test_what_names_no_job_or_is_no_report_is_refused_plainly(
    world: World, data: object, status: int, code: str
) -> None:
    answer = world.say("job.progress", data)
    assert (answer[0], answer[1]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("job.polished", {}),
        ("", {}),
        (None, {}),
        ("job.progress", {"status": "completed"}),
        ("job.completed", {"status": "failed"}),
        ("job.failed", {"status": "running"}),
        ("job.failed", {"status": "exploded"}),
    ],
)
def test_a_type_that_is_unknown_or_contradicted_is_refused(
    world: World, kind: Any, more: dict[str, str]
) -> None:
    job = world.has()
    assert world.say(kind, {"jobId": job.job_id, **more})[0] == 400
    assert world.store.get(job.ref).status is JobStatus.PENDING


def test_the_workers_own_word_for_the_end_is_kept(world: World) -> None:
    job = world.has()
    world.say("job.completed", {"jobId": job.job_id, "status": "SUCCESS"})
    assert world.store.get(job.ref).native_status == "SUCCESS"


def test_the_job_of_a_provider_is_not_a_workers_to_report_on(world: World) -> None:
    job = world.store.create(a_dispatched_job(shop=SHOP))
    answer = world.say("job.completed", {"jobId": job.job_id})
    assert (answer[0], answer[1]["code"]) == (409, "not_a_worker_job")
    assert world.store.get(job.ref).status is JobStatus.PROCESSING


def test_a_forged_report_is_401_and_not_read(world: World) -> None:
    job = world.has()
    body = json.dumps({"type": "job.completed", "data": {"jobId": job.job_id}}).encode()
    other = WORKER.letter(b"other").headers["webhook-signature"]
    for changes in ({"webhook-signature": other}, {"webhook-id": "another"}, {"webhook-id": ""}):
        status, answer = world.send(body, **changes)
        assert (status, answer["code"]) == (401, "unauthorized")
    assert world.store.get(job.ref).status is JobStatus.PENDING


@pytest.mark.parametrize(("seconds", "status"), [(300, 200), (-300, 200), (301, 400), (-301, 400)])
def test_a_report_of_another_time_must_be_signed_anew(
    world: World, seconds: int, status: int
) -> None:
    job = world.has()
    body = json.dumps({"type": "job.completed", "data": {"jobId": job.job_id}}).encode()
    letter = WORKER.letter(body, at=world.clock.now() + timedelta(seconds=seconds))
    assert handler(an_event(body, dict(letter.headers)), None)["statusCode"] == status
    assert (world.store.get(job.ref).status is JobStatus.COMPLETED) is (status == 200)


@pytest.mark.parametrize("secret", ["", "whsec_", "not base64!"])
def test_without_a_secret_of_ours_the_sender_tries_again(world: World, secret: str) -> None:
    world.secrets.values["signing", "WORKER_WEBHOOK_SECRET"] = secret
    assert world.say("job.completed", {"jobId": "a"})[0] == 503


def test_a_body_over_1_mib_is_413(world: World) -> None:
    job = world.has()
    data = {"jobId": job.job_id, "metadata": {"notes": "x" * 1024 * 1024}}
    assert world.say("job.progress", data)[0] == 413


_values = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
)
_fields = st.dictionaries(
    st.sampled_from(
        [
            *("status", "attempt", "total", "processed", "successful", "failed", "created"),
            *("updated", "skipped", "progress", "message", "metadata", "result", "error", "x"),
        ]
    ),
    _values | st.dictionaries(st.text(max_size=3), _values, max_size=2) | st.just("running"),
    max_size=4,
)


@given(_fields)
def test_a_report_by_webhook_is_read_by_the_same_rules_as_by_the_api(
    fields: dict[str, Any],
) -> None:
    raw = json.dumps({"type": "job.progress", "data": {"jobId": "j", **fields}}).encode()
    try:
        wanted = report_of(validate(ReportFields, read_json(json.dumps(fields).encode())))
    except InvalidRequestError:
        with pytest.raises(InvalidRequestError):
            read_worker_report(raw)
        return
    if wanted.status is not None and not wanted.status.is_active:
        return
    told = read_worker_report(raw)
    assert (told.job_id, told.report) == ("j", wanted)
