"""Dataclasses take their methods from what was compiled before, and only from that."""

import dataclasses
import marshal
from pathlib import Path
from typing import Any

import pytest

from shared.dataclass_code import digest, use_compiled


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have monkeypatch undo what a test does to the module."""
    monkeypatch.setitem(vars(dataclasses), "exec", exec)


def define() -> Any:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Point:
        x: int
        y: int = 0

    return Point


def compiled(sources: list[str]) -> bytes:
    """Return a file's content. Its code says that it was built."""
    return marshal.dumps(
        {digest(each): marshal.dumps(compile(each, "<built>", "exec")) for each in sources}
    )


def written_sources(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what a dataclass would compile."""
    found: list[str] = []

    def note(source: str, *scope: Any) -> None:
        found.append(source)
        exec(source, *scope)  # noqa: S102 - as the module does

    monkeypatch.setitem(vars(dataclasses), "exec", note)
    define()
    return found


def test_methods_come_from_the_file_when_it_has_their_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "built.code"
    file.write_bytes(compiled(written_sources(monkeypatch)))
    use_compiled(file)
    point = define()
    assert point.__init__.__code__.co_filename == "<built>"
    assert point(3) == point(3, 0)
    assert repr(point(3)).endswith("Point(x=3, y=0)")
    with pytest.raises(dataclasses.FrozenInstanceError):
        point(3).x = 4


def test_another_source_is_compiled_as_ever(tmp_path: Path) -> None:
    file = tmp_path / "built.code"
    file.write_bytes(compiled(["pass"]))
    use_compiled(file)
    point = define()
    assert point.__init__.__code__.co_filename == "<string>"
    assert point(1) != point(2)


def test_nothing_changes_where_nothing_was_built(tmp_path: Path) -> None:
    use_compiled(tmp_path / "missing.code")
    assert vars(dataclasses)["exec"] is exec
