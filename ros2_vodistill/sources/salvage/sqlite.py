"""The messages of a rosbag2 database without its trees (https://www.sqlite.org/fileformat2.html).

SQLite finds rows through pages of pages; where one of those is lost it gives nothing. Here every page of the file is
looked at, and those with rows of the two tables that matter are read: topics and messages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources.salvage.blocks import Raw, Report
from ros2_vodistill.sources.storage import SQLITE

TABLE_LEAF = 13
INTEGER_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}  # serial type: bytes; 8 is zero, 9 is one


class _Row(NamedTuple):
    """Where a row is: its number in the table, its size, its bytes on the leaf and the page on which it goes on."""

    number: int
    size: int
    local: bytes
    overflow: int


def check(path: Path) -> None:
    """An error where the last page is not whole: SQLite fills it with zeros, and goes on with a wrong page."""
    with path.open("rb") as stream:
        head = stream.read(100)
    if head.startswith(SQLITE) and path.stat().st_size % max(_page_size(head), 1):
        raise VodistillError("its last page is not whole", "Copy the bag again.")


def scan(path: Path, report: Report) -> Iterator[Raw]:
    """Messages in the order in which they were written."""
    with path.open("rb") as stream:
        head = stream.read(100)
        page_size = _page_size(head)
        if len(head) < 100 or page_size < 512:
            report("it is cut off inside its header")
            return
        usable = page_size - head[20]
        pages, announced = path.stat().st_size // page_size, struct.unpack_from(">I", head, 28)[0]
        if pages < announced:
            report(f"it is cut off after {pages} of {announced} pages")
        topics: dict[int, tuple[str, str]] = {}
        leaves: dict[int, tuple[int, int, int]] = {}
        for page in range(1, pages + 1):
            for index, row in enumerate(_rows(stream, page, page_size, usable)):
                columns = _columns(row.local)
                if _spelling(columns) == "nttt" and columns[3][1] == b"cdr":
                    topics[row.number] = (columns[1][1].decode(), columns[2][1].decode())
                elif _spelling(columns) == "niib":
                    leaves[row.number] = (_integer(columns[1]), page, index)
        for number in sorted(leaves):
            topic, page, index = leaves[number]
            if topic not in topics:
                continue
            row = list(_rows(stream, page, page_size, usable))[index]
            payload = _whole(stream, row, page_size, usable)
            if len(payload) < row.size:
                report(f"message {number} is cut off")
                continue
            columns = _columns(payload)
            yield Raw(*topics[topic], _integer(columns[2]), columns[3][1])


def _page_size(head: bytes) -> int:
    size = int(struct.unpack_from(">H", head.ljust(18, b"\0"), 16)[0])
    return 65536 if size == 1 else size


def _rows(stream: BinaryIO, page: int, page_size: int, usable: int) -> Iterator[_Row]:
    """The rows of a page if it is a leaf of a table."""
    stream.seek((page - 1) * page_size)
    data = stream.read(page_size)
    if data[0] != TABLE_LEAF:  # page 1 begins with the file's header: it holds the schema, which is not needed
        return
    for index in range(struct.unpack_from(">H", data, 3)[0]):
        try:
            (start,) = struct.unpack_from(">H", data, 8 + 2 * index)
            size, start = _varint(data, start)
            number, start = _varint(data, start)
            kept = usable - 35
            if size <= kept:
                yield _Row(number, size, data[start : start + size], 0)
                continue
            least = (usable - 12) * 32 // 255 - 23
            local = least + (size - least) % (usable - 4)
            end = start + (local if local <= kept else least)
            yield _Row(number, size, data[start:end], struct.unpack_from(">I", data, end)[0])
        except (IndexError, struct.error):
            return


def _whole(stream: BinaryIO, row: _Row, page_size: int, usable: int) -> bytes:
    """All bytes of a row, or fewer where a page of them is lost."""
    parts, missing, page = [row.local], row.size - len(row.local), row.overflow
    while missing > 0 and page:
        stream.seek((page - 1) * page_size)
        data = stream.read(page_size)
        if len(data) < page_size:
            break
        (page,) = struct.unpack_from(">I", data)
        parts.append(data[4 : min(usable, 4 + missing)])
        missing -= len(parts[-1])
    return b"".join(parts)


def _columns(record: bytes) -> list[tuple[int, bytes]]:
    """(serial type, bytes) of a row's columns; the bytes may be incomplete."""
    end, at = _varint(record, 0)
    start = end
    columns = []
    while at < min(end, len(record)):
        kind, at = _varint(record, at)
        size = INTEGER_SIZES.get(kind, (kind - 12) // 2 if kind >= 12 else 8 if kind == 7 else 0)
        columns.append((kind, record[start : start + size]))
        start += size
    return columns


def _spelling(columns: list[tuple[int, bytes]]) -> str:
    """A letter for each of the first four columns: null, integer, text, blob, or - for a real number."""
    return "".join(
        "n" if kind == 0 else "i" if kind in INTEGER_SIZES else "-" if kind < 12 else "bt"[kind % 2]
        for kind, _ in columns[:4]
    )


def _integer(column: tuple[int, bytes]) -> int:
    kind, data = column
    return kind - 8 if kind in (8, 9) else int.from_bytes(data, "big", signed=True)


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """The variable-length integer there and where it ends."""
    value = 0
    for index in range(8):
        byte = data[start + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, start + index + 1
    return value << 8 | data[start + 8], start + 9
