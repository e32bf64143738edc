"""The built artefacts, on this machine's processor, with nothing else to import from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from functions.dashboard.pages import PAGES
from tests.packaging.artefacts import FUNCTIONS, build, digest, files, run_alone

# What Lambda itself sets. A handler reads none of ours at import.
LAMBDA_VARIABLES = {
    "AWS_REGION": "us-east-1",
    "AWS_LAMBDA_FUNCTION_NAME": "alone",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
}


@dataclass(frozen=True)
class Artefacts:
    layer: Path
    page: Path
    functions: dict[str, Path]

    @property
    def python(self) -> Path:
        return self.layer / "python"


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Artefacts]:
    # The folder's name is a trap: ParentPackageMode `auto` would have packaged from there.
    folder = tmp_path_factory.mktemp("alone") / "functions"
    functions = {name: folder / name for name in FUNCTIONS}
    built = Artefacts(folder / "layer", folder / "page", functions)
    build("layer", built.layer, "--architecture", "host")
    build("page", built.page)
    for name, target in built.functions.items():
        build("function", target, "--name", name)
    before = digest(folder)
    yield built
    assert digest(folder) == before, "running the artefacts wrote into them"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_handler_imports_from_the_artefacts_alone_and_compiled(
    artefacts: Artefacts, name: str
) -> None:
    code = (
        f"from functions.{name}.app import handler\n"
        f"assert callable(handler)\n"
        "import shared\n"
        "print(shared.__file__)\n"
    )
    path = [artefacts.functions[name], artefacts.python]
    if name == "dashboard":
        path.append(artefacts.page / "python")
    printed = run_alone(code, *path, variables=LAMBDA_VARIABLES)
    assert printed.strip() == str(artefacts.python / "shared" / "__init__.py")


def test_the_page_comes_from_its_layer_and_nowhere_else(artefacts: Artefacts) -> None:
    code = "from functions.dashboard.pages import PAGES\nprint(PAGES.version)\n"
    path = [artefacts.functions["dashboard"], artefacts.python]
    printed = run_alone(code, *path, artefacts.page / "python", variables=LAMBDA_VARIABLES)
    assert printed.strip() == PAGES.version
    with pytest.raises(AssertionError, match="page's files is missing"):
        run_alone(code, *path, variables=LAMBDA_VARIABLES)


def test_the_webhook_is_ready_before_anything_looks_for_garbage(artefacts: Artefacts) -> None:
    path = [artefacts.functions["webhook"], artefacts.python]
    code = (
        "import gc\n"
        "looks = []\n"
        "gc.callbacks.append(lambda phase, told: looks.append(phase))\n"
        "import shared.settings\n"
        "looks.clear()\n"
        "import functions.webhook.app\n"
        "print(looks, gc.isenabled())\n"
    )
    on_lambda = LAMBDA_VARIABLES | {"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}
    assert run_alone(code, *path, variables=on_lambda).strip() == "[] True"
    assert "start" in run_alone(code, *path, variables=LAMBDA_VARIABLES)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_does_not_bring_the_others(artefacts: Artefacts, name: str) -> None:
    others = ", ".join(f"'functions.{other}'" for other in FUNCTIONS if other != name)
    code = (
        "from importlib.util import find_spec\n"
        f"print([other for other in ({others},) if find_spec(other)])\n"
    )
    printed = run_alone(code, artefacts.functions[name], artefacts.python)
    assert printed.strip() == "[]"


# What counts the dataclasses of ours whose methods are compiled while a function is imported.
COUNT_COMPILED = (
    "import dataclasses, sys, shared\n"
    "execute, defining, compiled = vars(dataclasses).get('exec', exec), [''], []\n"
    "def watch(source, scope, names):\n"
    "    defining[0] = scope['__name__']\n"
    "    execute(source, scope, names)\n"
    "    defining[0] = ''\n"
    "def hear(event, arguments):\n"
    "    if event == 'compile' and defining[0].startswith('shared.'):\n"
    "        compiled.append(defining[0])\n"
    "sys.addaudithook(hear)\n"
    "vars(dataclasses)['exec'] = watch\n"
    "import functions.{name}.app\n"
    "print(len(compiled))\n"
)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"dashboard"}))
def test_no_dataclass_is_compiled_at_a_cold_start(artefacts: Artefacts, name: str) -> None:
    path = [artefacts.functions[name], artefacts.python]
    code = COUNT_COMPILED.format(name=name)
    assert run_alone(code, *path, variables=LAMBDA_VARIABLES).strip() == "0"


def test_a_dataclass_that_is_compiled_would_be_noticed(artefacts: Artefacts) -> None:
    path = [artefacts.functions["webhook"], artefacts.python]
    not_found = (
        "import pathlib\n"
        "def refuse(self):\n"
        "    raise FileNotFoundError(self)\n"
        "pathlib.Path.read_bytes = refuse\n"
    )
    code = not_found + COUNT_COMPILED.format(name="webhook")
    assert int(run_alone(code, *path, variables=LAMBDA_VARIABLES)) > 50


def test_every_module_of_shared_imports_from_the_layer(artefacts: Artefacts) -> None:
    modules = sorted(
        "shared." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in files(artefacts.python / "shared")
        if path.endswith(".py") and path != "__init__.py"
    )
    assert len(modules) > 20
    code = f"import importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
    run_alone(code, artefacts.python, variables=LAMBDA_VARIABLES)


def test_bytecode_is_used_without_a_look_at_the_source(
    artefacts: Artefacts, tmp_path: Path
) -> None:
    compiled = artefacts.python / "shared" / "__pycache__" / "settings.cpython-313.pyc"
    package = tmp_path / "shared"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__pycache__" / compiled.name).write_bytes(compiled.read_bytes())
    (package / "settings.py").write_text("raise AssertionError('compiled again')\n")
    code = "from shared.settings import WebhookSettings\nprint(WebhookSettings.__name__)\n"
    assert run_alone(code, tmp_path).strip() == "WebhookSettings"


def test_a_module_without_bytecode_would_be_noticed(artefacts: Artefacts, tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text("")
    with pytest.raises(AssertionError, match="had to be compiled"):
        run_alone("import bare", tmp_path, artefacts.python)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(
            "import httpx\n"
            "transport = httpx.MockTransport(lambda request: httpx.Response(200, json={'a': 1}))\n"
            "assert httpx.Client(transport=transport).get('https://x.test').json() == {'a': 1}\n"
            "httpx.Client(timeout=1).close()\n",
            id="httpx",
        ),
        pytest.param(
            "from pydantic import BaseModel, Field\n"
            "class Body(BaseModel):\n"
            "    size: int = Field(gt=0)\n"
            "assert Body.model_validate_json(b'{\"size\": 3}').size == 3\n"
            "assert Body.model_json_schema()['properties']['size']['exclusiveMinimum'] == 0\n",
            id="pydantic",
        ),
        pytest.param(
            "from nacl.secret import SecretBox\n"
            "from nacl.signing import SigningKey\n"
            "box = SecretBox(bytes(32))\n"
            "assert box.decrypt(box.encrypt(b'token')) == b'token'\n"
            "key = SigningKey(bytes(32))\n"
            "assert key.verify_key.verify(key.sign(b'body')) == b'body'\n",
            id="pynacl",
        ),
        pytest.param(
            "import jwt\n"
            "token = jwt.encode({'dest': 'x'}, 'k' * 32, algorithm='HS256')\n"
            "assert jwt.decode(token, 'k' * 32, algorithms=['HS256']) == {'dest': 'x'}\n",
            id="pyjwt",
        ),
        pytest.param(
            "from botocore.session import get_session\n"
            "session = get_session()\n"
            "session.set_credentials('key', 'secret')\n"
            "for name in ('dynamodb', 'events', 's3', 'secretsmanager', 'sns', 'sqs', 'sts'):\n"
            "    client = session.create_client(name, region_name='us-east-1')\n"
            "    assert name in client.meta.endpoint_url or name == 'sqs'\n"
            "url = session.create_client('s3', region_name='us-east-1').generate_presigned_url(\n"
            "    'get_object', Params={'Bucket': 'bucket', 'Key': 'key'})\n"
            "assert 'Signature=' in url\n",
            id="botocore",
        ),
    ],
)
def test_a_trimmed_dependency_still_works(artefacts: Artefacts, code: str) -> None:
    run_alone(code, artefacts.python, variables=LAMBDA_VARIABLES)
