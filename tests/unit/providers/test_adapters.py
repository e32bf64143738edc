"""What every adapter must keep to, and what each asks its provider for."""

import contextlib
import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import (
    JobTrackerError,
    ProviderBusyError,
    ProviderRefusedError,
    ProviderUnknownOutcomeError,
    ProviderUnreachableError,
)
from shared.domain.events import Proof, ProviderEvent
from shared.domain.ids import JobRef
from shared.domain.job import Job
from shared.domain.plan import EXPIRY_MARGIN_S
from shared.domain.references import has_form_of_reference, make_reference
from shared.domain.status import JobEvent
from shared.providers.base import (
    Callback,
    KeySource,
    ProviderAdapter,
    ProviderJob,
    Receiver,
    Reply,
    Request,
)
from shared.providers.registry import ADAPTERS
from shared.providers.replicate import ReplicateAdapter
from tests.builders import a_job
from tests.unit.providers.senders import RECEIVERS
from tests.unit.providers.stories import TOOLS

CALLBACK = Callback(
    url="https://us.example/webhooks/x?ref=a.myshopify.com%3A1",
    reference="the-ref",
    secret="s" * 64,
)
IMAGE = "https://shop.example/photos/mug.jpg"


def a_job_at(provider: str, **changes: Any) -> Job:
    values = {"tool_id": TOOLS[provider], "parameters": {}, **changes}
    return a_job(provider=provider, **values)


def created(provider: str, **changes: Any) -> Request:
    return ADAPTERS[provider].create_request(a_job_at(provider, **changes), CALLBACK)


def body_of(request: Request) -> dict[str, Any]:
    return json.loads(json.dumps(dict(request.body or {})))  # type: ignore[no-any-return]


# --- all of them -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_declares_everything(name: str) -> None:
    adapter = ADAPTERS[name]
    assert adapter.name == name
    assert urlsplit(adapter.access.url).scheme == "https"
    assert not adapter.access.url.endswith("/")
    life_s = adapter.patience.result_life_s
    assert life_s is None or adapter.patience.max_poll_s <= life_s - EXPIRY_MARGIN_S
    assert adapter.create_ceiling > 0
    assert adapter.poll_ceiling > 0
    assert (adapter.key_set_url is not None) is (adapter.key_source is KeySource.KEY_SET)
    asked = ProviderJob(job_id="j", tool_id=TOOLS[name])
    assert (adapter.cancel_request(asked) is not None) is adapter.can_cancel
    can_list = adapter.list_request(a_job().created_at, 0) is not None
    assert can_list is (adapter.patience.list_gap_s is not None)
    # Whose a job is, is asked by its id alone.
    assert not (adapter.tells_owner and adapter.asks_by_tool)


PROOFS = {
    "pikcel": Proof.BODY,
    "replicate": Proof.BODY_TIME,
    "fal": Proof.BODY_TIME,
    "runpod": Proof.NONE,
    "bfl": Proof.BODY,
    "openai": Proof.BODY_TIME,
    "worker": Proof.BODY_TIME,
}


@pytest.mark.parametrize("name", RECEIVERS)
def test_what_a_check_proves_is_what_is_known_of_the_scheme(name: str) -> None:
    assert RECEIVERS[name].proof is PROOFS[name]


def test_only_pikcel_is_taken_at_its_word_below_body_and_time() -> None:
    assert [name for name, adapter in ADAPTERS.items() if adapter.trusts_deliveries] == ["pikcel"]


@pytest.mark.parametrize("name", RECEIVERS)
def test_what_we_answer_is_what_makes_a_sender_content(name: str) -> None:
    receiver: Receiver = RECEIVERS[name]
    assert 200 in receiver.acks.accepted
    # None of our refusals is mistaken for success.
    assert not any(status in receiver.acks.accepted for status in (400, 401, 413, 503))


def test_runpod_wants_exactly_200() -> None:
    assert ADAPTERS["runpod"].acks.accepted == frozenset({200})


HOSTILE_IDS = st.text(max_size=40) | st.sampled_from(
    ["../admin", "a/b", "a?x=1", "a#b", "..", "%2e%2e", "a b", "é", "\n", ""]
)


@pytest.mark.parametrize("name", ADAPTERS)
@given(job_id=HOSTILE_IDS)
def test_a_providers_id_cannot_leave_its_place_in_an_address(name: str, job_id: str) -> None:
    adapter = ADAPTERS[name]
    with contextlib.suppress(UnicodeEncodeError):
        job_id.encode()
        asked = ProviderJob(job_id=job_id, tool_id=TOOLS[name])
        plain = ProviderJob(job_id="j", tool_id=TOOLS[name])
        for request, wanted in (
            (adapter.poll_request(asked), adapter.poll_request(plain)),
            (adapter.cancel_request(asked), adapter.cancel_request(plain)),
        ):
            if request is not None and wanted is not None:
                assert request.path.count("/") == wanted.path.count("/")
                assert request.path.count("?") == wanted.path.count("?")
                assert "#" not in request.path
                assert request.path.isascii()


@pytest.mark.parametrize("name", ADAPTERS)
@given(tool_id=HOSTILE_IDS)
def test_a_tool_that_passes_the_check_cannot_leave_its_place(name: str, tool_id: str) -> None:
    adapter = ADAPTERS[name]
    if name == "pikcel":  # its tool is a field, not a part of an address
        return
    if adapter.check_tool(tool_id) is None:
        path = adapter.create_request(a_job_at(name, tool_id=tool_id), CALLBACK).path
        assert ".." not in path.split("/")
        assert "//" not in path
        assert not set(path) & set("?#\\ \n%")


@pytest.mark.parametrize(
    ("name", "tool_id", "is_right"),
    [
        ("replicate", "an-owner/a-model", True),
        ("replicate", "an-owner/a-model:" + "5c7d" * 16, True),
        ("replicate", "5c7d" * 16, True),
        ("replicate", "deployments/an-owner/mine", True),
        ("replicate", "a-model", False),
        ("replicate", "an-owner/a-model/x", False),
        ("replicate", "an-owner/../secret", False),
        ("replicate", "an-owner/a-model:latest", False),
        ("fal", "fal-ai/flux/dev", True),
        ("fal", "fal-ai/flux-pro/v1.1-ultra", True),
        ("fal", "workflows/me/mine", True),
        ("fal", "workflows/me", False),
        ("fal", "flux", False),
        ("fal", "fal-ai/../x", False),
        ("fal", "fal-ai//x", False),
        ("runpod", "abc123def", True),
        ("runpod", "abc/def", False),
        ("bfl", "flux-pro-1.1-ultra", True),
        ("bfl", "flux/pro", False),
        ("bfl", "..", False),
        ("openai", "gpt-5", True),
        ("openai", "ft:gpt-5:org:name:1", True),
        ("openai", "gpt 5", False),
        ("pikcel", "anything at all", True),
    ],
)
def test_a_tools_name_is_checked(name: str, tool_id: str, is_right: bool) -> None:
    assert (ADAPTERS[name].check_tool(tool_id) is None) is is_right


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("id", "request_id", "status", "output", "error", "detail", "polling_url"),
                    *("result", "sample", "data", "metrics", "executionTime", "images", "url"),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
_answers = _json.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)


@pytest.mark.parametrize("name", ADAPTERS)
@given(status=st.integers(100, 599), body=_answers)
def test_any_answer_is_read_or_is_one_of_our_errors(name: str, status: int, body: bytes) -> None:
    adapter, reply = ADAPTERS[name], Reply(status=status, body=body)
    asked = ProviderJob(job_id="j", tool_id=TOOLS[name])
    with contextlib.suppress(JobTrackerError):
        assert adapter.read_created(reply).provider_job_id
    requests: list[Request] = [adapter.poll_request(asked)]
    for request in requests:
        with contextlib.suppress(JobTrackerError):
            answer = adapter.read_polled(asked, request, reply)
            if isinstance(answer, ProviderEvent):
                assert answer.provider_job_id == "j"
            elif len(requests) < 3:
                requests.append(answer)


REFUSALS = {
    "pikcel": {"success": False, "error": {"code": "X", "message": "No."}},
    "replicate": {"detail": "No.", "status": 400},
    "fal": {"detail": "No."},
    "runpod": {"error": "No."},
    "bfl": {"detail": "No."},
    "openai": {"error": {"message": "No.", "code": "x"}},
}


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize(
    ("status", "is_own", "error"),
    [
        (400, True, ProviderRefusedError),
        (404, True, ProviderRefusedError),
        (422, True, ProviderRefusedError),
        (402, True, ProviderRefusedError),
        (429, True, ProviderBusyError),
        (429, False, ProviderBusyError),
        (401, True, ProviderUnreachableError),
        (403, False, ProviderUnreachableError),
        # Anything else proves nothing: it may have been executed.
        (400, False, ProviderUnknownOutcomeError),
        (408, True, ProviderUnknownOutcomeError),
        (500, True, ProviderUnknownOutcomeError),
        (502, False, ProviderUnknownOutcomeError),
        (302, False, ProviderUnknownOutcomeError),
        (200, False, ProviderUnknownOutcomeError),
    ],
)
def test_only_a_proven_refusal_counts_as_not_executed(
    name: str, status: int, is_own: bool, error: type[JobTrackerError]
) -> None:
    body = json.dumps(REFUSALS[name]).encode() if is_own else b"<html>"
    with pytest.raises(error) as caught:
        ADAPTERS[name].read_created(Reply(status=status, body=body, retry_after_s=7))
    if status == 402:
        assert caught.value.code == "insufficient_credits"
    if status == 429:
        assert isinstance(caught.value, ProviderBusyError)
        assert caught.value.retry_after_s == 7
    if status in (401, 403):
        assert caught.value.code == "provider_unauthorized"


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("status", [404, 500, 502])
def test_an_answer_to_a_poll_that_is_not_the_providers_own_proves_nothing(
    name: str, status: int
) -> None:
    asked = ProviderJob(job_id="j", tool_id=TOOLS[name])
    with pytest.raises(ProviderUnknownOutcomeError):
        ADAPTERS[name].read_polled(
            asked, ADAPTERS[name].poll_request(asked), Reply(status=status, body=b"<html>")
        )


@pytest.mark.parametrize("name", ["pikcel", "replicate", "runpod", "bfl", "openai"])
def test_an_answer_about_another_job_is_not_believed(name: str) -> None:
    asked = ProviderJob(job_id="j", tool_id=TOOLS[name])
    body = json.dumps({"id": "another", "status": "completed"}).encode()
    with pytest.raises(ProviderUnknownOutcomeError):
        ADAPTERS[name].read_polled(
            asked, ADAPTERS[name].poll_request(asked), Reply(status=200, body=body)
        )


@pytest.mark.parametrize("name", sorted(set(ADAPTERS) - {"pikcel"}))
def test_words_that_nobody_knows_have_the_provider_asked(name: str) -> None:
    adapter: ProviderAdapter = ADAPTERS[name]
    body = {
        "id": "j",
        "request_id": "j",
        "status": "hibernating",
        "type": "response.hibernating",
        "data": {"id": "j"},
    }
    event = adapter.parse(json.dumps(body).encode(), {}, a_job().created_at, adapter.proof).event
    assert event.event is JobEvent.UNKNOWN
    assert event.native == "hibernating"


# --- what each asks for --------------------------------------------------------------------


def test_replicate_is_given_the_input_and_where_to_call_back() -> None:
    request = created("replicate", parameters={"prompt": "on white"})
    assert (request.method, request.path) == ("POST", "/v1/models/an-owner/a-model/predictions")
    assert body_of(request) == {
        "input": {"image": IMAGE, "prompt": "on white"},
        "webhook": CALLBACK.url,
        "webhook_events_filter": ["start", "completed"],
    }


@pytest.mark.parametrize(
    ("tool_id", "path", "version"),
    [
        ("o/m:" + "5c7d" * 16, "/v1/predictions", "5c7d" * 16),
        ("5c7d" * 16, "/v1/predictions", "5c7d" * 16),
        ("deployments/o/mine", "/v1/deployments/o/mine/predictions", None),
    ],
)
def test_replicate_is_told_which_version_or_deployment(
    tool_id: str, path: str, version: str | None
) -> None:
    request = created("replicate", tool_id=tool_id)
    assert request.path == path
    assert body_of(request).get("version") == version


def test_replicates_reference_is_read_from_the_callback_that_it_echoes() -> None:
    body = {"id": "j", "status": "starting", "webhook": CALLBACK.url}
    parsed = ReplicateAdapter().parse(
        json.dumps(body).encode(), {}, a_job().created_at, Proof.BODY_TIME
    )
    assert parsed.reference == "a.myshopify.com:1"
    for junk in ("", "https://[", None, 7, "https://us.example/?ref="):
        body["webhook"] = junk  # type: ignore[assignment]
        parsed = ReplicateAdapter().parse(
            json.dumps(body).encode(), {}, a_job().created_at, Proof.BODY_TIME
        )
        assert parsed.reference is None


def test_fal_is_called_at_the_models_path_with_the_callback_in_the_query() -> None:
    request = created("fal", parameters={"image_size": "square"})
    assert request.path == "/an-owner/a-model/with/a-path"
    assert request.query == {"fal_webhook": CALLBACK.url}
    assert body_of(request) == {"image_url": IMAGE, "image_size": "square"}


def test_fal_is_asked_below_the_app_as_its_own_client_does() -> None:
    from fal_client import SyncRequestHandle

    client: Any = None
    for tool in ("an-owner/a-model/with/a-path", "workflows/me/mine/x", "comfy/me/mine"):
        handle = SyncRequestHandle.from_request_id(client, tool, "id-1")
        asked = ProviderJob(job_id="id-1", tool_id=tool)
        adapter = ADAPTERS["fal"]
        cancel = adapter.cancel_request(asked)
        assert cancel is not None
        assert cancel.method == "PUT"
        assert handle.status_url == adapter.access.url + adapter.poll_request(asked).path
        assert handle.cancel_url == adapter.access.url + cancel.path


def test_runpod_is_given_input_and_callback() -> None:
    request = created("runpod", parameters={"steps": 4})
    assert request.path == "/v2/endpoint1/run"
    assert body_of(request) == {
        "input": {"image_url": IMAGE, "steps": 4},
        "webhook": CALLBACK.url,
    }


def test_black_forest_labs_gets_a_secret_of_this_attempt_and_no_parameter_can_change_it() -> None:
    stolen = {"webhook_url": "https://evil.example", "webhook_secret": "x", "seed": 1}
    request = created("bfl", parameters=stolen)
    assert request.path == "/v1/flux-kontext-pro"
    assert body_of(request) == {
        "input_image": IMAGE,
        "seed": 1,
        "webhook_url": CALLBACK.url,
        "webhook_secret": CALLBACK.secret,
    }


def test_openai_is_asked_for_a_background_response_with_the_image_tool() -> None:
    request = created("openai", parameters={"prompt": "On white"})
    assert request.path == "/v1/responses"
    assert body_of(request) == {
        "model": "gpt-5",
        "background": True,
        "store": True,
        "stream": False,
        "tools": [{"type": "image_generation"}],
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "On white"},
                    {"type": "input_image", "image_url": IMAGE},
                ],
            }
        ],
        "metadata": {"ref": "the-ref"},
    }


def test_our_reference_is_no_longer_than_openai_lets_a_value_of_metadata_be() -> None:
    longest = make_reference("openai", JobRef("s" * 120, a_job().job_id), 999_999, "secret")
    assert has_form_of_reference(longest)
    assert not has_form_of_reference("s" + longest)
    assert len(longest) <= 512


def test_no_parameter_makes_openai_answer_at_once_or_name_another_job() -> None:
    parameters = {
        "model": "another",
        "background": False,
        "stream": True,
        "store": False,
        "metadata": {"ref": "stolen", "mine": "1"},
        "tools": [{"type": "image_generation", "quality": "high"}],
        "input": "Draw {inputImageUrl}",
    }
    body = body_of(created("openai", parameters=parameters))
    assert (body["model"], body["background"], body["stream"], body["store"]) == (
        "gpt-5",
        True,
        False,
        True,
    )
    assert body["metadata"] == {"ref": "the-ref", "mine": "1"}
    assert body["tools"] == parameters["tools"]
    assert body["input"] == "Draw {inputImageUrl}"


@pytest.mark.parametrize(
    ("name", "place"),
    [("replicate", "image"), ("fal", "image_url"), ("runpod", "image_url"), ("bfl", "input_image")],
)
def test_the_image_goes_where_the_parameters_say_else_where_most_models_want_it(
    name: str, place: str
) -> None:
    def given_input(parameters: dict[str, Any], image: str | None = IMAGE) -> dict[str, Any]:
        body = body_of(created(name, parameters=parameters, input_image_url=image))
        found: dict[str, Any] = body.get("input", body)
        return {
            key: value
            for key, value in found.items()
            if key not in ("webhook_url", "webhook_secret")
        }

    assert given_input({}) == {place: IMAGE}
    assert given_input({"layers": [{"src": "{inputImageUrl}"}]}) == {"layers": [{"src": IMAGE}]}
    assert given_input({place: "https://other.example/1.png"}) == {
        place: "https://other.example/1.png"
    }
    assert given_input({"prompt": "a mug"}, None) == {"prompt": "a mug"}


def test_replicates_progress_is_the_last_bar_of_its_logs() -> None:
    job = replace(a_job_at("replicate"))
    assert job.provider == "replicate"
    logs = " 10%|#    | 2/20\n 45%|####  | 9/20"
    for text, progress in ((logs, 45), ("", None), (7, None), ("100% sure", None), ("999%|x", 100)):
        body = json.dumps({"id": "j", "status": "processing", "logs": text}).encode()
        event = ReplicateAdapter().parse(body, {}, job.created_at, Proof.BODY_TIME).event
        assert event.progress == progress
