"""ZIP archives, written piece by piece: what comes before, between and after the files' bytes.

The bytes themselves are stored as they are: images are compressed already. Nothing is written
back to, so a writer needs to remember of each file only its `Entry`.

Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory),
4.3.14 to 4.3.16 (its end), 4.5.3 (Zip64); read 2026-11.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")

_UTF8_NAMES = 0x0800
_STORED = 0
_VERSION, _VERSION_64 = 20, 45
_MADE_ON_UNIX = 3 << 8
_A_PLAIN_FILE = 0o100644 << 16
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF
_YEARS = (1980, 2107)  # all that the format can say


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive. offset: where its header begins. crc: CRC-32 of its bytes."""

    name: str
    crc: int
    size_bytes: int
    offset: int
    changed_at: datetime


def header(entry: Entry) -> bytes:
    """Return what stands before a file's bytes (at most 4 GiB of them)."""
    name = entry.name.encode()
    return _LOCAL.pack(b"PK\3\4", *_shared(entry, _VERSION), len(name), 0) + name


def ending(entries: Sequence[Entry], offset: int) -> bytes:
    """Return what stands after the last file's bytes: the directory, and its end.

    Parameters
        offset: how many bytes stand before it.
    """
    directory = b"".join(map(_directory_entry, entries))
    count, size = len(entries), len(directory)
    end_64 = b""
    if count >= _MAX_16 or size >= _MAX_32 or offset >= _MAX_32:
        end_64 = _END_64.pack(
            b"PK\6\6",
            _END_64.size - 12,  # of what follows this field
            _MADE_ON_UNIX | _VERSION_64,
            _VERSION_64,
            0,
            0,
            count,
            count,
            size,
            offset,
        ) + _LOCATOR_64.pack(b"PK\6\7", 0, offset + size, 1)
    few = min(count, _MAX_16)
    end = _END.pack(b"PK\5\6", 0, 0, few, few, min(size, _MAX_32), min(offset, _MAX_32), 0)
    return directory + end_64 + end


def _directory_entry(entry: Entry) -> bytes:
    name, extra, version = entry.name.encode(), b"", _VERSION
    if entry.offset >= _MAX_32:
        extra, version = struct.pack("<2HQ", 1, 8, entry.offset), _VERSION_64
    return (
        _CENTRAL.pack(
            b"PK\1\2",
            _MADE_ON_UNIX | version,
            *_shared(entry, version),
            len(name),
            len(extra),
            0,
            0,
            0,
            _A_PLAIN_FILE,
            min(entry.offset, _MAX_32),
        )
        + name
        + extra
    )


def _shared(entry: Entry, version: int) -> tuple[int, ...]:
    size = entry.size_bytes
    return (version, _UTF8_NAMES, _STORED, *_dos_time(entry.changed_at), entry.crc, size, size)


def _dos_time(at: datetime) -> tuple[int, int]:
    """Return an instant's UTC time and date as MS-DOS had them, to two seconds.

    >>> _dos_time(datetime(1980, 1, 1, tzinfo=UTC))
    (0, 33)
    """
    utc = at.astimezone(UTC)
    year = min(max(utc.year, _YEARS[0]), _YEARS[1]) - _YEARS[0]
    time = utc.hour << 11 | utc.minute << 5 | utc.second // 2
    return time, year << 9 | utc.month << 5 | utc.day
