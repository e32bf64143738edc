"""The laptop's stack, started for real: our template on the emulator, with probing functions."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.stack import (
    FunctionFailedError,
    Stack,
    StackError,
    StackInfo,
    running_stack,
    wait_until,
)
from local.stack.processes import PROJECT_ROOT, free_ports
from local.stack.running import PORTS
from tests.local.probe_project import make_probe_project

pytestmark = pytest.mark.slow

ELSEWHERE = {
    "PIKCEL_API_URL": "http://127.0.0.1:9",
    "REPLICATE_API_URL": "http://127.0.0.1:9",
    "FAL_API_URL": "http://127.0.0.1:9",
    "SHOPIFY_BASE_URL": "http://127.0.0.1:9/{shop}",
    "PIKCEL_API_KEY": "sk_test_given",
    "RESULT_HOSTS": "results.example",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_probe_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def stack(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    state_dir = tmp_path_factory.mktemp("state")
    with running_stack(
        auth=True, project_dir=project, settings=ELSEWHERE, state_dir=state_dir
    ) as running:
        # A run on the minute would take the sweep's only place from the test that asks for it.
        running.set_schedule(enabled=False)
        yield running


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.info.api_url, timeout=30) as client:
        yield client


def seen(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


# ---- what API Gateway gives a function --------------------------------------------------


def test_every_route_of_the_template_reaches_its_function(stack: Stack, api: httpx.Client) -> None:
    routes = [
        (route, function.name)
        for function in stack.deployment.template.functions
        for route in function.routes
        if route != "$default"
    ]
    assert len(routes) > 10
    for route, name in routes:
        method, path = route.split(" ")
        answer = seen(api.request(method, path.replace("{", "").replace("}", "")))
        assert answer["event"]["routeKey"] in (route, route.replace("{jobId}", "jobId"))
        assert answer["environment"]["POWERTOOLS_SERVICE_NAME"] == name


def test_an_unknown_path_reaches_the_api_function_too(api: httpx.Client) -> None:
    answer = seen(api.put("/no/such/path"))
    assert answer["event"]["routeKey"] == "$default"
    assert answer["environment"]["POWERTOOLS_SERVICE_NAME"] == "api"


def test_the_event_is_one_of_payload_format_2(api: httpx.Client) -> None:
    event = seen(
        api.post(
            "/webhooks/pikcel?ref=a%3Ab&x=1&x=2",
            content=b'{"a": "\xc3\xa9"}',
            headers={"Content-Type": "application/json", "X-Pikcel-Signature": "AbC"},
        )
    )["event"]
    assert event["version"] == "2.0"
    assert event["rawPath"] == "/webhooks/pikcel"
    assert event["rawQueryString"] == "ref=a%3Ab&x=1&x=2"
    assert event["queryStringParameters"] == {"ref": "a:b", "x": "1,2"}
    assert event["pathParameters"] == {"provider": "pikcel"}
    assert event["headers"]["x-pikcel-signature"] == "AbC"
    assert event["headers"]["host"] == api.base_url.netloc.decode()
    assert event["body"] == '{"a": "é"}'
    assert event["isBase64Encoded"] is False
    context = event["requestContext"]
    assert context["http"]["method"] == "POST"
    assert context["http"]["path"] == "/webhooks/pikcel"
    assert context["http"]["sourceIp"] == "127.0.0.1"
    assert context["requestId"]
    assert isinstance(context["timeEpoch"], int)


def test_a_binary_body_arrives_byte_for_byte_in_base64(api: httpx.Client) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    event = seen(api.post("/webhooks/pikcel", content=b"\x00\xff\xfe", headers=headers))["event"]
    assert (event["body"], event["isBase64Encoded"]) == ("AP/+", True)


def test_the_caller_is_appended_to_x_forwarded_for(api: httpx.Client) -> None:
    event = seen(api.get("/health", headers={"X-Forwarded-For": "203.0.113.7"}))["event"]
    assert event["headers"]["x-forwarded-for"] == "203.0.113.7, 127.0.0.1"
    assert event["headers"]["x-forwarded-proto"] == "http"
    assert event["headers"]["x-forwarded-port"] == str(api.base_url.port)


def test_nothing_is_added_to_the_callers_headers(api: httpx.Client) -> None:
    request = api.build_request("GET", "/health")
    request.headers = httpx.Headers({"host": "tracker.example"})
    event = seen(api.send(request))["event"]
    added = {name for name in event["headers"] if not name.startswith("x-forwarded-")}
    assert added == {"host"}


def test_a_function_that_raises_is_a_500_without_its_message(api: httpx.Client) -> None:
    answer = api.post("/api/jobs", json={"probe": {"raise": "hidden detail"}})
    assert answer.status_code == 500
    assert answer.json() == {"message": "Internal Server Error"}


def test_a_body_over_10_megabytes_is_a_413(api: httpx.Client) -> None:
    answer = api.post("/api/jobs", content=b"x" * (10 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.json() == {"message": "Request Entity Too Large"}


def test_a_throttled_function_is_a_503(stack: Stack, api: httpx.Client) -> None:
    stack.set_function_concurrency("webhook", 0)
    try:
        answer = api.post("/webhooks/pikcel", content=b"{}")
    finally:
        stack.set_function_concurrency("webhook", None)
    assert answer.status_code == 503
    assert answer.json() == {"message": "Service Unavailable"}


def test_a_browser_of_the_front_end_may_call_the_api(api: httpx.Client) -> None:
    answer = api.options(
        "/api/jobs",
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    assert answer.headers["access-control-allow-origin"] in ("*", "https://app.example")
    assert "authorization" in answer.headers["access-control-allow-headers"]


# ---- what Lambda gives a function -------------------------------------------------------


def test_shared_code_comes_from_the_layer_and_is_compiled(stack: Stack) -> None:
    answer = stack.invoke("sweep")
    assert answer["probe"].endswith("/python/shared/probe.py")
    assert "ministack-lambda-" in answer["probe"]
    assert answer["cached"] is True


def test_a_function_sees_nothing_of_the_developers_environment(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = stack.invoke("sweep")["environment"]
    assert "PYTEST_CURRENT_TEST" not in environment
    assert not {name for name in environment if name.startswith("AWS_CONFIG")}
    assert environment["AWS_ENDPOINT_URL"] == stack.info.aws_endpoint


def test_the_sweep_never_runs_twice_at_once(stack: Stack) -> None:
    refused = stack.client("lambda").exceptions.ClientError

    def sweep(_: int) -> str:
        try:
            stack.invoke("sweep", {"probe": {"seconds": 2}})
        except refused as error:
            return str(error.response["Error"]["Code"])
        return "ran"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(sweep, range(2))) == ["TooManyRequestsException", "ran"]


def test_a_changed_variable_is_seen_by_the_next_event(stack: Stack, api: httpx.Client) -> None:
    stack.set_function_environment("api", LOG_LEVEL="DEBUG")
    environment = seen(api.get("/health"))["environment"]
    assert environment["LOG_LEVEL"] == "DEBUG"
    assert environment["TABLE_NAME"] == stack.info.table_name


def test_a_failed_invocation_says_so(stack: Stack) -> None:
    with pytest.raises(FunctionFailedError, match="on purpose"):
        stack.invoke("push", {"probe": {"raise": "on purpose"}})


# ---- queues, table, secrets -------------------------------------------------------------


def send(stack: Stack, queue: str, body: str) -> None:
    fifo = {"MessageDeduplicationId": body.replace(" ", "-")} if queue == "push" else {}
    stack.client("sqs").send_message(
        QueueUrl=stack.info.queues[queue], MessageBody=body, MessageGroupId="shop", **fifo
    )


def logs_with(stack: Stack, name: str, text: str) -> str:
    """Wait until a function has logged ``text``, and return all that it has logged."""

    def logged() -> str:
        logs = "".join(stack.function_logs(name))
        return logs if text in logs else ""

    return stack.wait_until(logged, what=f"{text!r} in the logs of {name}")


@pytest.mark.parametrize("queue", ["dispatch", "push"])
def test_a_message_reaches_its_function(stack: Stack, queue: str) -> None:
    send(stack, queue, f"to {queue}")
    assert "messageId" in logs_with(stack, queue, f"to {queue}")


def test_a_stopped_event_source_leaves_its_messages_in_the_queue(stack: Stack) -> None:
    sqs, url = stack.client("sqs"), stack.info.queues["dispatch"]
    stack.set_event_source("dispatch", enabled=False)
    send(stack, "dispatch", "kept back")
    attribute = "ApproximateNumberOfMessages"
    waiting = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[attribute])["Attributes"]
    assert waiting[attribute] == "1"
    stack.set_event_source("dispatch", enabled=True)
    assert "messageId" in logs_with(stack, "dispatch", "kept back")


def test_the_queues_are_those_of_the_template(stack: Stack) -> None:
    names = ("dispatch", "push", "bulk", "deliver")
    dead_letters = {f"{name}-dlq" for name in (*names, "notify")}
    assert set(stack.info.queues) == {*names, *dead_letters}
    sqs = stack.client("sqs")

    def attributes(name: str) -> dict[str, str]:
        url = stack.info.queues[name]
        found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])[
            "Attributes"
        ]
        return found

    push = attributes("push")
    assert push["FifoQueue"] == "true"
    assert push["FifoThroughputLimit"] == "perMessageGroupId"
    for name in ("dispatch", "push"):
        redrive = json.loads(attributes(name)["RedrivePolicy"])
        assert redrive["deadLetterTargetArn"] == attributes(f"{name}-dlq")["QueueArn"]


def test_a_mapping_reports_failures_and_limits_its_concurrency(stack: Stack) -> None:
    mappings = stack.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    for mapping in mappings:
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        if ":sqs:" in mapping["EventSourceArn"]:
            assert mapping["ScalingConfig"]["MaximumConcurrency"] >= 2
    (stream,) = [each for each in mappings if ":dynamodb:" in each["EventSourceArn"]]
    assert len(stream["FilterCriteria"]["Filters"]) == 2


def test_items_expire_and_every_index_is_there(stack: Stack) -> None:
    dynamodb, name = stack.client("dynamodb"), stack.info.table_name
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    indexes = dynamodb.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"]
    assert len(indexes) == 10


def test_secrets_hold_what_was_given_and_random_values_for_the_rest(stack: Stack) -> None:
    secrets = stack.info.secrets
    assert secrets["PIKCEL_API_KEY"] == "sk_test_given"
    assert secrets["ADMIN_API_KEYS"] == stack.info.admin_key
    assert not secrets.get("SHOPIFY_ACCESS_TOKEN")  # shops are installed by token exchange
    drawn = {n: v for n, v in secrets.items() if v and n != "PIKCEL_API_KEY"}
    assert len(set(drawn.values())) == len(drawn)
    assert all(len(value) >= 32 for value in drawn.values())
    assert secrets["APP_SECRET"].isalnum()  # a comma would make two of it


# ---- policies (the stack of this module enforces them) ----------------------------------


def test_a_function_does_what_its_policy_allows_and_nothing_else(
    stack: Stack, api: httpx.Client
) -> None:
    environment = seen(api.get("/health"))["environment"]
    ours, not_ours = environment["ADMIN_SECRET_ID"], stack.invoke("dispatch")["environment"]
    key = {"pk": {"S": "a"}, "sk": {"S": "b"}}
    calls: list[Any] = [
        ("dynamodb", "get_item", {"TableName": stack.info.table_name, "Key": key}),
        ("secretsmanager", "get_secret_value", {"SecretId": ours}),
        ("secretsmanager", "get_secret_value", {"SecretId": not_ours["PROVIDERS_SECRET_ID"]}),
        ("dynamodb", "delete_table", {"TableName": stack.info.table_name}),
        ("s3", "list_buckets", {}),
    ]
    outcomes = seen(api.post("/api/jobs", json={"probe": {"calls": calls}}))["calls"]
    assert outcomes[:2] == ["done", "done"]
    assert set(outcomes[2:]) <= {"AccessDenied", "AccessDeniedException"}


def test_a_function_that_may_send_may_send_a_batch(stack: Stack) -> None:
    arguments = {
        "QueueUrl": stack.info.queues["dispatch"],
        "Entries": [{"Id": "1", "MessageBody": "one of a batch"}],
    }
    send_batch = {"probe": {"calls": [("sqs", "send_message_batch", arguments)]}}
    assert stack.invoke("sweep", send_batch)["calls"] == ["done"]
    assert stack.invoke("push", send_batch)["calls"] == ["AccessDenied"]


def test_the_bucket_takes_a_kept_output_over_plain_loopback(stack: Stack) -> None:
    bucket = stack.invoke("dispatch")["environment"]["OUTPUT_BUCKET"]
    put = ("s3", "put_object", {"Bucket": bucket, "Key": "a/b", "Body": "image"})
    assert stack.invoke("dispatch", {"probe": {"calls": [put]}})["calls"] == ["done"]


# ---- starting and ending ----------------------------------------------------------------


def test_stack_json_reads_back_as_it_was_written(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    stack.info.write(path)
    assert StackInfo.read(path) == stack.info
    assert set(json.loads(path.read_text())) == {
        "apiUrl",
        "pageUrl",
        "adminKey",
        "awsEndpoint",
        "region",
        "tableName",
        "queues",
        "functions",
        "pikcelUrl",
        "replicateUrl",
        "falUrl",
        "shopifyUrl",
        "secrets",
    }
    assert path.stat().st_mode & 0o077 == 0


def test_every_process_listens_on_loopback_only(stack: Stack) -> None:
    listening = subprocess.run(
        [sys.executable, "-c", LISTENERS, *(str(child.pid) for child in stack.children)],
        capture_output=True,
        text=True,
        check=True,
    )
    addresses = json.loads(listening.stdout)
    assert len(addresses) == len(stack.children)
    assert set(addresses) == {"0100007F"}  # 127.0.0.1 as /proc writes it


LISTENERS = """
import json, os, pathlib, sys
inodes = {
    os.readlink(link) for pid in sys.argv[1:] for link in pathlib.Path(f"/proc/{pid}/fd").iterdir()
    if link.exists() or link.is_symlink()
}
rows = [line.split() for name in ("tcp", "tcp6")
        for line in pathlib.Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
print(json.dumps([row[1].split(":")[0] for row in rows
                  if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]))
"""


def test_a_taken_port_is_said_plainly(stack: Stack, project: Path) -> None:
    taken = httpx.URL(stack.info.api_url).port
    assert taken is not None
    with (
        pytest.raises(StackError, match=rf"Port {taken} \(API\) is taken.*make up PORT="),
        running_stack(taken, project_dir=project, settings=ELSEWHERE),
    ):
        pass


def test_another_stacks_simulator_is_not_taken_for_its_own(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when both found the port free: it answers, and would know none of our secrets."""
    first, *_ = free_ports(PORTS)
    another = [*(sys.executable, "-m", "local.shopify_simulator"), "--port", str(first + 3)]
    settings = {name: value for name, value in ELSEWHERE.items() if name != "SHOPIFY_BASE_URL"}
    monkeypatch.setattr("local.stack.running.require_free", lambda *_: None)
    with (
        subprocess.Popen(another, stdout=subprocess.PIPE, text=True) as simulator,
        contextlib.ExitStack() as cleanup,
    ):
        cleanup.callback(simulator.terminate)
        assert simulator.stdout is not None
        assert "ready" in simulator.stdout.readline()
        with (
            pytest.raises(StackError, match="shopify-simulator has ended by itself"),
            running_stack(first, project_dir=project, settings=settings),
        ):
            pass


def test_a_failed_deployment_says_what_failed_and_leaves_nothing_running(project: Path) -> None:
    settings = {**ELSEWHERE, "SHOPIFY_API_VERSION": "next"}
    with (
        pytest.raises(StackError, match="ShopifyApiVersion"),
        running_stack(project_dir=project, settings=settings),
    ):
        pass


def test_a_kept_stack_keeps_its_data_and_gets_the_new_code(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    project, keep = make_probe_project(tmp_path / "project"), tmp_path / "kept"
    item = {"pk": {"S": "kept"}, "sk": {"S": "item"}}
    with running_stack(project_dir=project, settings=ELSEWHERE, keep=keep) as first:
        assert first.client("events").list_rules()["Rules"][0]["State"] == "ENABLED"
        first.client("dynamodb").put_item(TableName=first.info.table_name, Item=item)
        first.set_event_source("push", enabled=False)
        send(first, "push", "sent before the restart")
    probe = project / "shared" / "probe.py"
    probe.write_text(probe.read_text().replace('"received"', '"received by new code"'))
    with running_stack(project_dir=project, settings=ELSEWHERE, keep=keep) as second:
        assert second.info == first.info
        found = second.client("dynamodb").get_item(TableName=second.info.table_name, Key=item)
        assert found["Item"] == item
        assert httpx.get(f"{second.info.api_url}/health").status_code == 200
        second.set_event_source("push", enabled=True)
        send(second, "dispatch", "sent after it")
        assert "received by new code" in logs_with(second, "push", "sent before the restart")
        assert "received by new code" in logs_with(second, "dispatch", "sent after it")
    another, *_ = free_ports(1)
    with (
        pytest.raises(StackError, match="was made with PORT="),
        running_stack(another, project_dir=project, settings=ELSEWHERE, keep=keep),
    ):
        pass


def test_code_that_does_not_compile_is_said_plainly(tmp_path: Path) -> None:
    project = make_probe_project(tmp_path)
    (project / "functions" / "push" / "app.py").write_text("def handler(:\n")
    with (
        pytest.raises(StackError, match=r"push/app\.py does not compile"),
        running_stack(project_dir=project, settings=ELSEWHERE),
    ):
        pass


def test_the_simulators_know_the_secrets_of_the_functions(project: Path) -> None:
    with running_stack(
        project_dir=project, settings={"SHOPIFY_ACCESS_TOKEN": "shpat_given"}
    ) as running:
        info = running.info
        bearer = {"Authorization": f"Bearer {info.secrets['PIKCEL_API_KEY']}"}
        assert httpx.get(f"{info.pikcel_url}/api/jobs", headers=bearer).status_code == 200
        assert httpx.get(f"{info.pikcel_url}/api/jobs").status_code == 401
        bearer = {"Authorization": f"Bearer {info.secrets['REPLICATE_API_KEY']}"}
        place = f"{info.replicate_url}/v1/webhooks/default/secret"
        said = httpx.get(place, headers=bearer).raise_for_status().json()
        assert said == {"key": info.secrets["REPLICATE_WEBHOOK_SECRET"]}
        key = {"Authorization": f"Key {info.secrets['FAL_API_KEY']}"}
        assert httpx.get(f"{info.fal_url}/a/b/requests/c/status", headers=key).status_code == 404
        assert httpx.get(f"{info.fal_url}/a/b/requests/c/status").status_code == 401
        shop = info.shopify_url.replace("{shop}", "a.myshopify.com")
        token = {"X-Shopify-Access-Token": "shpat_given"}
        query = {"query": "{ shop { name } }"}
        url = f"{shop}/admin/api/2026-10/graphql.json"
        assert "data" in httpx.post(url, json=query, headers=token).json()
        assert httpx.post(url, json=query).status_code == 401
        environment = running.invoke("dispatch")["environment"]
        assert environment["PIKCEL_API_URL"] == info.pikcel_url
        assert environment["REPLICATE_API_URL"] == info.replicate_url
        assert environment["FAL_API_URL"] == info.fal_url
        shopify = info.shopify_url.removesuffix("/{shop}")
        served = (info.pikcel_url, info.replicate_url, info.fal_url, shopify)
        places = [httpx.URL(url).netloc.decode() for url in served]
        assert environment["RESULT_HOSTS"] == ",".join(places)
        assert environment["PUBLIC_URL"] == info.api_url


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_running_however_it_ends(
    project: Path, tmp_path: Path, ending: signal.Signals
) -> None:
    up = subprocess.Popen(
        [sys.executable, "-c", UP, str(tmp_path), str(project)],
        env={**os.environ, **ELSEWHERE, "PORT": "0", "PYTHONPATH": str(PROJECT_ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert up.stdout is not None
        assert up.stdout.readline().startswith("Up in ")
        info = StackInfo.read(tmp_path / "stack.json")
        httpx.get(f"{info.api_url}/health").raise_for_status()  # a function's process, too
        started = descendants(up.pid)
        assert len(started) == 3  # ministack, its function, the gateway
        up.send_signal(ending)
        status = up.wait(30)
    finally:
        up.kill()
        up.communicate()
    assert status == (0 if ending != signal.SIGKILL else -signal.SIGKILL)
    if ending != signal.SIGKILL:
        assert not any(map(is_alive, started))
        assert not (tmp_path / "stack.json").exists()
    wait_until(lambda: not any(map(is_alive, started)), timeout_s=20, what="the end of all")


UP = """
import sys, pathlib, local.up
state_dir, project_dir = map(pathlib.Path, sys.argv[1:])
sys.exit(local.up.main(state_dir=state_dir, project_dir=project_dir))
"""


def descendants(pid: int) -> set[int]:
    """Return the children of a process and theirs."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {child for child, parent in parents.items() if parent == pid}
    return found.union(*map(descendants, found))


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
