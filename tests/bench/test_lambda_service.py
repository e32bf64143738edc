"""Lambda's Runtime API as the bench plays it, for a runtime client of a few lines."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests.bench import lambda_service
from tests.bench.lambda_service import Function, FunctionFailedError, cpu_s, run_function

# What `awslambdaric` does, and nothing else: the tests do not have it.
BOOTSTRAP = """\
import importlib, json, urllib.request

class Error(Exception):
    pass

def ask(url, data=None):
    return urllib.request.urlopen(urllib.request.Request(url, data))

def run(handler, api):
    base = f"http://{api}/2018-06-01/runtime/"
    module, _, name = handler.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:
        ask(base + "init/error", str(error).encode())
        raise SystemExit(1)
    while True:
        reply = ask(base + "invocation/next")
        request_id = reply.headers["Lambda-Runtime-Aws-Request-Id"]
        answer = json.dumps(function(json.load(reply), None)).encode()
        ask(base + f"invocation/{request_id}/response", answer)
"""
CLIENT = "LambdaRuntimeClient = str\n"


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    folder = tmp_path / "runtime"
    package = folder / "awslambdaric"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "bootstrap.py").write_text(BOOTSTRAP)
    (package / "lambda_runtime_client.py").write_text(CLIENT)
    return folder


def function(tmp_path: Path, runtime: Path, code: str, **variables: str) -> Function:
    task = tmp_path / "task"
    task.mkdir()
    (task / "own.py").write_text(code)
    return Function(name="own", handler="own.handler", path=(task, runtime), variables=variables)


ECHO = "import os\ndef handler(event, context):\n    return [event, os.environ['COLOUR']]\n"


def test_every_event_is_handed_over_and_every_answer_comes_back(
    tmp_path: Path, runtime: Path
) -> None:
    echo = function(tmp_path, runtime, ECHO, COLOUR="blue")
    run = run_function(echo, [{"n": 1}, {"n": 2}, {"n": 3}])
    assert run.answers == tuple([{"n": n}, "blue"] for n in (1, 2, 3))
    assert run.init_s > 0
    assert run.first_s > 0
    assert run.cold_s == run.init_s + run.first_s


def test_a_function_without_an_event_is_only_started(tmp_path: Path, runtime: Path) -> None:
    run = run_function(function(tmp_path, runtime, ECHO, COLOUR="blue"), [])
    assert run.answers == ()
    assert run.init_s > 0


def test_nothing_of_our_environment_is_seen(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "a-real-account")
    code = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
    (seen,) = run_function(function(tmp_path, runtime, code), [{}]).answers
    assert "AWS_PROFILE" not in seen
    assert seen["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise RuntimeError('no such luck')\n", "no such luck"),
        ("def handler(event, context):\n    raise SystemExit('it stops')\n", "it stops"),
    ],
)
def test_a_function_that_fails_is_told_with_its_words(
    tmp_path: Path, runtime: Path, code: str, told: str
) -> None:
    with pytest.raises(FunctionFailedError, match=told):
        run_function(function(tmp_path, runtime, code), [{}])


def test_the_processor_time_of_further_events_leaves_the_first_ones_out(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read at the first answer, when the settling ones are done too, and at the end."""
    told = iter([7.0, 10.0, 12.0])
    monkeypatch.setattr(lambda_service, "cpu_s", lambda _: next(told))
    echo = function(tmp_path, runtime, ECHO, COLOUR="blue")
    run = run_function(echo, [{}] * 6, settling=1)
    assert run.warm_cpu_s == 2.0 / 4
    assert run.cold_cpu_s == 7.0


def test_a_process_can_be_asked_for_its_processor_time() -> None:
    before = time.process_time()
    asked = cpu_s(os.getpid())
    assert before <= asked <= time.process_time()


def test_what_a_process_runs_first_can_be_given(tmp_path: Path, runtime: Path) -> None:
    read, write = os.pipe()
    code = "def handler(event, context):\n    return None\n"
    prelude = f"import os\nos.write({write}, b'here')\n"
    run_function(function(tmp_path, runtime, code), [{}], prelude=prelude, pass_fds=[write])
    os.close(write)
    assert os.read(read, 10) == b"here"
    os.close(read)


def test_the_process_is_the_base_python_and_no_environment(tmp_path: Path, runtime: Path) -> None:
    code = "import sys\ndef handler(event, context):\n    return [sys.prefix, sys.path[:2]]\n"
    (seen,) = run_function(function(tmp_path, runtime, code), [{}]).answers
    prefix, path = seen
    assert prefix == sys.base_prefix
    assert path == [str(tmp_path / "task"), str(runtime)]
