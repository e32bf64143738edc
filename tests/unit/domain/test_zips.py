"""Archives that other people's programs can read: Python's zipfile, also beyond 4 GiB."""

import io
import zipfile
import zlib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from shared.domain.zips import Entry, ending, header

AT = datetime(2026, 11, 26, 12, 34, 56, tzinfo=UTC)
GIB_4 = 4 * 1024**3


def an_entry(name: str, body: bytes, offset: int, changed_at: datetime = AT) -> Entry:
    return Entry(name, zlib.crc32(body), len(body), offset, changed_at)


def an_archive(*files: tuple[str, bytes]) -> bytes:
    out, entries = bytearray(), []
    for name, body in files:
        entry = an_entry(name, body, len(out))
        out += header(entry) + body
        entries.append(entry)
    return bytes(out) + ending(entries, len(out))


def test_an_archive_is_read_as_it_was_written() -> None:
    files = (("a.png", b"picture"), ("cốc-sứ.webp", bytes(100_000)), ("empty", b""))
    with zipfile.ZipFile(io.BytesIO(an_archive(*files))) as archive:
        assert archive.testzip() is None
        assert [(info.filename, archive.read(info)) for info in archive.infolist()] == list(files)
        info = archive.infolist()[0]
        assert info.date_time == (2026, 11, 26, 12, 34, 56)
        assert (info.compress_type, info.external_attr >> 16) == (zipfile.ZIP_STORED, 0o100644)


def test_an_empty_archive_is_one() -> None:
    with zipfile.ZipFile(io.BytesIO(ending([], 0))) as archive:
        assert archive.namelist() == []


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), (1980, 1, 1, 0, 0, 0)),
        (datetime(2200, 1, 1, tzinfo=UTC), (2107, 1, 1, 0, 0, 0)),
        (
            datetime(2026, 1, 1, 1, 0, 1, tzinfo=timezone(timedelta(hours=2))),
            (2025, 12, 31, 23, 0, 0),
        ),
    ],
)
def test_an_instant_is_told_in_utc_as_far_as_the_format_can(
    at: datetime, told: tuple[int, ...]
) -> None:
    entry = an_entry("a", b"", 0, at)
    with zipfile.ZipFile(io.BytesIO(header(entry) + ending([entry], 31))) as archive:
        assert archive.infolist()[0].date_time == told


@pytest.mark.parametrize("offset", [GIB_4 - 2, GIB_4 - 1, GIB_4, GIB_4 + 12_345])
def test_files_beyond_four_gibibytes_are_found(tmp_path: Path, offset: int) -> None:
    first, last = an_entry("first", b"one", 0), an_entry("last", b"two", offset)
    path = tmp_path / "large.zip"
    # Sparse: the disk keeps none of the nothing in between.
    with path.open("wb") as file:
        file.write(header(first) + b"one")
        file.seek(offset)
        file.write(header(last) + b"two")
        file.write(ending([first, last], file.tell()))
    with zipfile.ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "first": b"one",
            "last": b"two",
        }


def test_more_files_than_a_short_number_can_count_are_all_there() -> None:
    names = [f"{number}.txt" for number in range(65_536)]
    with zipfile.ZipFile(io.BytesIO(an_archive(*((name, b"x") for name in names)))) as archive:
        assert archive.namelist() == names
