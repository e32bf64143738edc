"""Run the whole stack: emulator, our template, the simulators and the gateway in front.

``with running_stack() as stack:`` is what `make up`, `make demo` and the tests use.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

from local.stack.deploying import deploy
from local.stack.deployment import Deployment
from local.stack.emulator import REGION, endpoint_of, start_emulator
from local.stack.processes import (
    LOOPBACK,
    PROJECT_ROOT,
    ChildProcess,
    StackError,
    clean_environment,
    free_ports,
    require_free,
    wait_until,
)
from local.stack.sam_template import HTTP_API, SECRET, TABLE, SamTemplate
from local.stack.settings import kept_secrets

DEFAULT_PORT = 8787
# The account that fal's simulator signs for. Here, because its configuration is not to be
# imported: it would bring pydantic and the web framework into every program of the stack.
FAL_USER = "user_simulator"

SCHEDULE_EVENT: Mapping[str, Any] = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "000000000000",
    "time": "2026-11-22T06:00:00Z",
    "region": REGION,
    "resources": [f"arn:aws:events:{REGION}:000000000000:rule/every-minute"],
    "detail": {},
}
"""What EventBridge sends to the sweep."""


@dataclass(frozen=True)
class StackInfo:
    """Where everything is: the content of ``.local/stack.json``, which has camelCase names.

    ``queues``: dispatch, push, deliver, dispatch-dlq … → URL. ``functions``: webhook, dispatch,
    push, sweep, api → deployed name. ``secrets``: variable name → value, as the functions
    read them from Secrets Manager.
    """

    api_url: str
    page_url: str
    admin_key: str
    aws_endpoint: str
    region: str
    table_name: str
    queues: Mapping[str, str]
    functions: Mapping[str, str]
    pikcel_url: str
    replicate_url: str
    fal_url: str
    shopify_url: str
    secrets: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> StackInfo:
        """Read the stack.json of a running stack."""
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{field.name: document[_camel(field.name)] for field in fields(cls)})

    def write(self, path: Path) -> None:
        """Write stack.json, readable by its owner only: it holds (development) secrets."""
        path.touch(mode=0o600)
        document = {_camel(name): value for name, value in asdict(self).items()}
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


class FunctionFailedError(Exception):
    """An invoked function raised; the message is its error."""


@dataclass(frozen=True)
class Stack:
    """A running stack. It ends with the ``with`` block that made it."""

    info: StackInfo
    deployment: Deployment
    children: tuple[ChildProcess, ...]

    def client(self, service: str) -> Any:
        """Return a boto3 client of the emulator, with every right."""
        return self.deployment.client(service)

    def invoke(self, name: str, event: Mapping[str, Any] = SCHEDULE_EVENT) -> Any:
        """Invoke a function and return its answer; by default as its schedule does.

        Raises FunctionFailedError when it raised, and botocore's ClientError when it was
        throttled (``TooManyRequestsException``).
        """
        answer = self.client("lambda").invoke(
            FunctionName=self.info.functions[name],
            Payload=json.dumps(event).encode(),
        )
        payload = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
            raise FunctionFailedError(f"{name}: {payload}")
        return payload

    def put_secret(self, name: str, value: str) -> None:
        """Store another value of a secret, as an operator does; functions read it in time.

        Raises KeyError when no secret of the stack has that name.
        """
        manager = self.client("secretsmanager")
        for logical_id, _ in self.deployment.template.resources(SECRET):
            secret_id = self.deployment.physical_ids[logical_id]
            values = json.loads(manager.get_secret_value(SecretId=secret_id)["SecretString"])
            if name in values:
                changed = json.dumps(values | {name: value})
                manager.put_secret_value(SecretId=secret_id, SecretString=changed)
                return
        raise KeyError(name)

    def set_function_environment(self, name: str, **changes: str) -> None:
        """Change environment variables of a function, for its next invocation on."""
        functions = self.client("lambda")
        deployed = self.info.functions[name]
        held = functions.get_function_configuration(FunctionName=deployed)["Environment"]
        functions.update_function_configuration(
            FunctionName=deployed, Environment={"Variables": held["Variables"] | changes}
        )

    def set_function_concurrency(self, name: str, limit: int | None) -> None:
        """Let at most ``limit`` invocations run at once: 0 throttles all, None lifts the limit."""
        functions = self.client("lambda")
        deployed = self.info.functions[name]
        if limit is None:
            functions.delete_function_concurrency(FunctionName=deployed)
        else:
            functions.put_function_concurrency(
                FunctionName=deployed, ReservedConcurrentExecutions=limit
            )

    def set_event_source(self, name: str, *, enabled: bool) -> None:
        """Let a function receive from its queue, or stop it: messages stay in the queue."""
        functions = self.client("lambda")
        mappings = functions.list_event_source_mappings(FunctionName=self.info.functions[name])
        for mapping in mappings["EventSourceMappings"]:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)

    def set_schedule(self, *, enabled: bool) -> None:
        """Let sweep and audit run on their schedules, or only when they are invoked."""
        rules = self.client("events")
        for rule in rules.list_rules()["Rules"]:
            if enabled:
                rules.enable_rule(Name=rule["Name"])
            else:
                rules.disable_rule(Name=rule["Name"])

    def function_logs(self, name: str) -> list[str]:
        """Return the log lines of a function so far, oldest first."""
        deployed = self.info.functions[name]
        held = self.client("lambda").get_function_configuration(FunctionName=deployed)
        pages = (
            self.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=held["LoggingConfig"]["LogGroup"])
        )
        return [event["message"] for page in pages for event in page["events"]]

    def wait_until[T](
        self, predicate: Callable[[], T], timeout_s: float = 30.0, what: str = "the condition"
    ) -> T:
        """Return the first true value of ``predicate``; raise TimeoutError after ``timeout_s``."""
        return wait_until(predicate, timeout_s=timeout_s, what=what)

    def stay_up(self) -> NoReturn:
        """Wait for ever; a signal's KeyboardInterrupt ends it.

        Raises StackError when a program of the stack ends by itself.
        """
        while True:
            self.check_is_whole()
            time.sleep(1.0)

    def check_is_whole(self) -> None:
        """Raise StackError when a program of the stack has ended by itself."""
        for child in self.children:
            if not child.is_running():
                raise StackError(f"{child.name} has ended by itself:\n{child.log_tail()}")


@dataclass(frozen=True)
class _Ports:
    """The order is that of their numbers, and of a kept stack's file."""

    gateway: int
    emulator: int
    pikcel: int
    shopify: int
    replicate: int
    fal: int

    @property
    def providers(self) -> dict[str, int]:
        """Return the ports of the providers' simulators, by the setting that replaces each."""
        return {
            "PIKCEL_API_URL": self.pikcel,
            "REPLICATE_API_URL": self.replicate,
            "FAL_API_URL": self.fal,
        }


PORTS = len(fields(_Ports))


@contextmanager
def running_stack(
    port: int = 0,
    *,
    auth: bool = False,
    keep: Path | None = None,
    settings: Mapping[str, str] | None = None,
    photos: Path | None = None,
    state_dir: Path | None = None,
    project_dir: Path = PROJECT_ROOT,
) -> Iterator[Stack]:
    """Start everything, give the running stack, and end everything.

    Parameters
        port: the API's; the emulator and the simulators take the five after it. 0 takes
            any six free ones.
        auth: enforce the IAM policies of the template's roles.
        keep: a folder where tables, queues, secrets and objects survive; None keeps nothing.
        settings: values by variable name (PIKCEL_API_KEY, RESULT_HOSTS …). PIKCEL_API_URL,
            REPLICATE_API_URL, FAL_API_URL or SHOPIFY_BASE_URL given: that is talked to, and its
            simulator is not started. A secret that is not given gets a random development value;
            give "" for none.
        photos: a folder that the providers' simulators serve at /photos/ instead of our own.
        state_dir: where ``logs/*.log`` and ``stack.json`` go; None uses a temporary folder.
        project_dir: where template.yaml, functions/ and shared/ are.

    Raises StackError when it cannot start.
    """
    with ExitStack() as cleanup:
        scratch = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="job-tracker-")))
        state_dir = state_dir or scratch
        ports = _choose_ports(port, keep)
        template = SamTemplate.load(project_dir / "template.yaml")
        wanted = _with_addresses({**kept_secrets(keep), **(settings or {})}, ports)
        emulator = start_emulator(
            ports.emulator,
            log_path=state_dir / "logs" / "ministack.log",
            unpack_dir=scratch,
            enforce_policies=auth,
            keep_dir=keep,
        )
        cleanup.callback(emulator.stop)
        simulators = _start_simulators(settings or {}, wanted, ports, photos, state_dir, cleanup)
        deployment = deploy(template, endpoint=endpoint_of(ports.emulator), settings=wanted)
        gateway = _start_gateway(deployment, ports, state_dir, cleanup)
        for child, url in simulators:
            child.wait_until_ready(url)
        info = _describe(deployment, wanted, ports)
        stack_file = state_dir / "stack.json"
        info.write(stack_file)
        cleanup.callback(_forget, stack_file, info)
        stack = Stack(info, deployment, (emulator, gateway, *(child for child, _ in simulators)))
        # What answered may have been another's program on the same port, while ours ended.
        stack.check_is_whole()
        yield stack


def _forget(stack_file: Path, info: StackInfo) -> None:
    """Remove stack.json, unless it meanwhile describes another stack, started beside this."""
    with suppress(OSError, ValueError, KeyError):
        if StackInfo.read(stack_file) == info:
            stack_file.unlink()


def _choose_ports(first: int, keep: Path | None) -> _Ports:
    """Return the stack's ports, or raise StackError when one is taken.

    A kept stack keeps its ports too: queue URLs and callback URLs in its data name them.
    """
    chosen = list(range(first, first + PORTS)) if first else free_ports(PORTS)
    if keep is not None:
        path = keep / "ports.json"
        if path.exists():
            kept: list[int] = json.loads(path.read_text())
            if first and kept[0] != first:
                raise StackError(
                    f"{keep} was made with PORT={kept[0]}: its queues and callbacks name it. "
                    f"Start with that port, or with another KEEP."
                )
            # The data may be of a time when there were fewer.
            chosen = [*kept, *_ports_after(kept, chosen)]
            path.write_text(json.dumps(chosen))
        else:
            keep.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(chosen))
    ports = _Ports(*chosen)
    require_free(ports.gateway, "API")
    require_free(ports.emulator, "AWS emulator")
    require_free(ports.pikcel, "PikcelAI simulator")
    require_free(ports.shopify, "Shopify simulator")
    require_free(ports.replicate, "Replicate simulator")
    require_free(ports.fal, "fal simulator")
    return ports


def _ports_after(kept: list[int], chosen: list[int]) -> list[int]:
    """Return ports for what a kept stack has none for yet."""
    return [port for port in chosen if port not in kept][: PORTS - len(kept)]


def _with_addresses(settings: Mapping[str, str], ports: _Ports) -> dict[str, str]:
    """Return the settings completed by the addresses of this stack's own parts."""
    own = {
        variable: f"{LOOPBACK}:{port}"
        for variable, port in ports.providers.items()
        if variable not in settings
    }
    fal = {}
    if "FAL_API_URL" in own:
        fal = {
            "FAL_JWKS_URL": f"http://{own['FAL_API_URL']}/.well-known/jwks.json",
            "FAL_USER_ID": FAL_USER,
        }
    shopify = f"{LOOPBACK}:{ports.shopify}"
    hosts = [settings.get("RESULT_HOSTS", ""), *own.values()]
    if "SHOPIFY_BASE_URL" not in settings:
        hosts.append(shopify)  # photos of its products, which jobs are made from
    return {
        "PUBLIC_URL": f"http://{LOOPBACK}:{ports.gateway}",
        **{variable: f"http://{place}" for variable, place in own.items()},
        **fal,
        "SHOPIFY_BASE_URL": f"http://{shopify}/{{shop}}",
        **settings,
        "RESULT_HOSTS": ",".join(filter(None, hosts)),
    }


def _start_simulators(
    given: Mapping[str, str],
    wanted: Mapping[str, str],
    ports: _Ports,
    photos: Path | None,
    state_dir: Path,
    cleanup: ExitStack,
) -> list[tuple[ChildProcess, str]]:
    """Start the simulators of what is not given; return each with its health address."""
    started = []
    for variable, port, module, arguments in (
        (
            "PIKCEL_API_URL",
            ports.pikcel,
            "local.pikcel_simulator",
            _provider_arguments("PIKCEL", wanted, photos),
        ),
        (
            "REPLICATE_API_URL",
            ports.replicate,
            "local.replicate_simulator",
            _provider_arguments("REPLICATE", wanted, photos),
        ),
        (
            "FAL_API_URL",
            ports.fal,
            "local.fal_simulator",
            _provider_arguments("FAL", wanted, photos),
        ),
        (
            "SHOPIFY_BASE_URL",
            ports.shopify,
            "local.shopify_simulator",
            _shopify_arguments(wanted, ports),
        ),
    ):
        if variable in given:
            continue
        child = _start(module, port, arguments, state_dir, cleanup)
        started.append((child, f"http://{LOOPBACK}:{port}/_simulator/health"))
    return started


def _provider_arguments(provider: str, wanted: Mapping[str, str], photos: Path | None) -> list[str]:
    """Return what a simulator must know to accept our calls and to sign its webhooks."""
    return [
        *_repeated("--api-key", wanted[f"{provider}_API_KEY"]),
        # fal's has a key pair of its own, and publishes one half.
        *_repeated("--webhook-secret", wanted.get(f"{provider}_WEBHOOK_SECRET", "")),
        *(["--photos", str(photos)] if photos else []),
    ]


def _shopify_arguments(wanted: Mapping[str, str], ports: _Ports) -> list[str]:
    """Return what the simulator must know to accept our tokens, to sign its own, and to tell us
    of shops."""
    return [
        *("--webhook-url", f"http://{LOOPBACK}:{ports.gateway}/webhooks/shopify"),
        *("--client-id", wanted["SHOPIFY_API_KEY"]),
        *("--client-secret", wanted["SHOPIFY_API_SECRET"].split(",")[0]),
        *_repeated("--access-token", wanted.get("SHOPIFY_ACCESS_TOKEN", "")),
    ]


def _repeated(option: str, values: str) -> list[str]:
    return [part for value in values.split(",") if value for part in (option, value)]


def _start_gateway(
    deployment: Deployment, ports: _Ports, state_dir: Path, cleanup: ExitStack
) -> ChildProcess:
    api_id = deployment.physical_ids[deployment.template.only(HTTP_API)]
    upstream = f"{deployment.endpoint}/_aws/execute-api/{api_id}/$default"
    gateway = _start("local.gateway", ports.gateway, ["--upstream", upstream], state_dir, cleanup)
    gateway.wait_until_listening(ports.gateway)
    return gateway


def _start(
    module: str, port: int, arguments: list[str], state_dir: Path, cleanup: ExitStack
) -> ChildProcess:
    name = module.removeprefix("local.").replace("_", "-")
    child = ChildProcess(
        name,
        module,
        ["--port", str(port), *arguments],
        environment=clean_environment(),
        log_path=state_dir / "logs" / f"{name}.log",
    )
    cleanup.callback(child.stop)
    return child


def _describe(deployment: Deployment, wanted: Mapping[str, str], ports: _Ports) -> StackInfo:
    # Not PUBLIC_URL: that may be a tunnel's address, for a real provider to call back to.
    api_url = f"http://{LOOPBACK}:{ports.gateway}"
    template, physical_ids = deployment.template, deployment.physical_ids
    secrets = _stored_secrets(deployment)
    return StackInfo(
        api_url=api_url,
        page_url=f"{api_url}/",
        admin_key=secrets["ADMIN_API_KEYS"].split(",")[0],
        aws_endpoint=deployment.endpoint,
        region=REGION,
        table_name=physical_ids[template.only(TABLE)],
        queues={name: physical_ids[queue] for name, queue in template.queue_names.items()},
        functions={each.name: physical_ids[each.logical_id] for each in template.functions},
        pikcel_url=wanted["PIKCEL_API_URL"],
        replicate_url=wanted["REPLICATE_API_URL"],
        fal_url=wanted["FAL_API_URL"],
        shopify_url=wanted["SHOPIFY_BASE_URL"],
        secrets=secrets,
    )


def _stored_secrets(deployment: Deployment) -> dict[str, str]:
    """Return every value of every secret of the stack, as it is stored."""
    manager = deployment.client("secretsmanager")
    values: dict[str, str] = {}
    for logical_id, _ in deployment.template.resources(SECRET):
        secret = manager.get_secret_value(SecretId=deployment.physical_ids[logical_id])
        values |= json.loads(secret["SecretString"])
    return values


def _camel(name: str) -> str:
    return re.sub("_(.)", lambda match: match[1].upper(), name)
