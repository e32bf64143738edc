"""Who may import whom (the table of the house), read from the code itself."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("domain", "providers", "usecases", "bodies", "serializers", "gateways")
STDLIB = sys.stdlib_module_names

# Room → the prefixes of what it may import, besides the standard library.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "domain": ("shared.domain",),
    "providers": ("shared.domain", "shared.providers", "nacl"),
    "usecases": ("shared.domain", "shared.providers.base", "shared.usecases", "jwt"),
    "bodies": ("shared.domain", "shared.usecases", "shared.bodies", "pydantic", "multipart"),
    "serializers": ("shared.domain", "shared.usecases", "shared.serializers"),
    # The ports are what gateways implement; nothing else of the use-cases is theirs to know.
    "gateways": (
        "shared.domain",
        "shared.providers.base",
        "shared.usecases.ports",
        "shared.usecases.notice_ports",
        "shared.usecases.quarantine_ports",
        "shared.gateways",
        *("botocore", "boto3", "httpx", "httpcore", "imagesize", "nacl", "urllib3"),
        *("mypy_boto3_dynamodb", "mypy_boto3_s3", "mypy_boto3_secretsmanager", "mypy_boto3_sqs"),
    ),
}
FUNCTIONS_MAY_IMPORT = (
    "shared.garbage",
    "shared.wiring",
    "shared.usecases",
    "shared.domain",
    "shared.providers.base",
    "shared.serializers",
    "shared.responses",
    "shared.observability",
    "aws_lambda_powertools",
)
# Static files: no use-case, so nothing for the wiring (and its AWS clients) to put together.
DASHBOARD_MAY_IMPORT = (*FUNCTIONS_MAY_IMPORT, "shared.settings")
API_MAY_IMPORT = (*FUNCTIONS_MAY_IMPORT, "shared.bodies", "pydantic", "multipart")


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (
                f"{node.module}.{alias.name}"
                if node.module in ("shared", "functions")
                else str(node.module)
                for alias in node.names
            )


def is_within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def foreign(path: Path, allowed: tuple[str, ...]) -> set[str]:
    return {
        name
        for name in imports(path)
        if name.partition(".")[0] not in STDLIB and not is_within(name, allowed)
    }


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for path in sources(f"shared/{room}")
        if (names := foreign(path, MAY_IMPORT[room]))
    }
    assert found == {}


def test_functions_only_translate() -> None:
    found = {}
    for path in sources("functions"):
        own = f"functions.{path.relative_to(ROOT / 'functions').parts[0]}"
        special = {"functions.api": API_MAY_IMPORT, "functions.dashboard": DASHBOARD_MAY_IMPORT}
        allowed = special.get(own, FUNCTIONS_MAY_IMPORT)
        if names := foreign(path, (*allowed, own)):
            found[str(path.relative_to(ROOT))] = names
    assert found == {}


def test_only_wiring_and_settings_stand_outside_the_rooms() -> None:
    outside = {path.name for path in (ROOT / "shared").glob("*.py")}
    assert outside <= {
        "__init__.py",
        "client.py",
        "dataclass_code.py",
        "garbage.py",
        "observability.py",
        "responses.py",
        "settings.py",
        "wiring.py",
    }


def test_the_client_for_programs_needs_nothing_of_ours_but_the_domain() -> None:
    assert foreign(ROOT / "shared/client.py", ("shared.domain", "httpx")) == set()


def calls(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def test_only_settings_reads_the_environment() -> None:
    readers = {
        path.name
        for folder in ("shared", "functions")
        for path in sources(folder)
        if any(call.startswith(("os.environ", "os.getenv")) for call in calls(path))
    }
    assert readers == {"settings.py"}


PURE = [path for room in ("domain", "providers", "usecases") for path in sources(f"shared/{room}")]


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_rules_have_no_clock_and_no_dice_of_their_own(path: Path) -> None:
    forbidden = ("datetime.now", "datetime.utcnow", "time.time", "time.sleep", "random.random")
    assert [call for call in calls(path) if call in (*forbidden, "uuid.uuid4")] == []


@pytest.mark.parametrize("folder", ["shared", "functions"])
def test_no_file_has_the_name_of_a_standard_module_at_the_top(folder: str) -> None:
    clashes = {path.stem for path in (ROOT / folder).glob("*.py")} & set(STDLIB)
    assert clashes <= {"__init__"}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "functions").glob("*/app.py")), ids=lambda path: path.parent.name
)
def test_a_handler_catches_no_bare_exception(path: Path) -> None:
    caught = [
        ast.unparse(node.type) if node.type else "everything"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
    ]
    assert "Exception" not in caught
    assert "everything" not in caught


def test_the_webhook_never_meets_pydantic_or_httpx() -> None:
    """They would be half of its cold start. A fresh interpreter tells the truth."""
    import subprocess

    program = (
        "import sys, functions.webhook.app;"
        "print([m for m in ('pydantic','httpx','boto3','jwt','nacl') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
