"""The messages of an MCAP file without its index (https://mcap.dev/spec)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from ros2_vodistill.sources.salvage.blocks import Raw, Report, ignore, inflate
from ros2_vodistill.sources.storage import MCAP

FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = 2, 3, 4, 5, 6
FOOTER_SIZE = 9 + 20 + len(MCAP)


def scan(path: Path, report: Report) -> Iterator[Raw]:
    """Messages in the order in which they were written."""
    size = path.stat().st_size
    schemas: dict[int, str] = {}
    channels: dict[int, tuple[str, str]] = {}
    with path.open("rb") as stream:
        for start in (_summary(stream, size), len(MCAP)):
            stream.seek(start)
            for opcode, content in _records(stream, size, report):
                if opcode == SCHEMA:
                    schemas[struct.unpack_from("<H", content)[0]] = _string(content, 2)[0]
                elif opcode == CHANNEL:
                    number, schema = struct.unpack_from("<HH", content)
                    channels[number] = (_string(content, 4)[0], schemas.get(schema, ""))
                elif opcode == MESSAGE:
                    number, _, time = struct.unpack_from("<HIQ", content)
                    if number in channels:
                        yield Raw(*channels[number], time, content[22:])


def _summary(stream: BinaryIO, size: int) -> int:
    """Where the summary begins, which repeats all channels; the end of the file if it has none."""
    stream.seek(max(0, size - FOOTER_SIZE))
    footer = stream.read()
    if len(footer) == FOOTER_SIZE and footer[0] == FOOTER and footer.endswith(MCAP):
        return int(struct.unpack_from("<Q", footer, 9)[0]) or size
    return size


def _records(stream: BinaryIO, size: int, report: Report) -> Iterator[tuple[int, bytes]]:
    """(opcode, content) of the records up to the footer, with those inside chunks in place of the chunks."""
    while (start := stream.tell()) < size:
        opcode, length = struct.unpack("<BQ", stream.read(9).ljust(9, b"\xff"))
        if opcode == FOOTER:
            return
        whole = stream.tell() + length <= size
        if not whole:
            report(f"it is cut off inside the record at byte {start}")
        content = stream.read(min(length, size))
        if opcode == CHUNK:
            inner = report if whole else ignore
            block = _unpack(content, inner)
            yield from _records(BytesIO(block), len(block), inner)
        elif whole:
            yield opcode, content


def _unpack(chunk: bytes, report: Report) -> bytes:
    """The records in a chunk, as far as they are there."""
    if len(chunk) < 32:
        return b""
    size, checksum = struct.unpack_from("<QI", chunk, 16)
    compression, start = _string(chunk, 28)
    block = inflate(compression, chunk[start + 8 :], report)
    if checksum and len(block) == size and crc32(block) != checksum:
        report("a chunk whose checksum does not fit is left out")
        return b""
    return block


def _string(data: bytes, start: int) -> tuple[str, int]:
    """The string there and where it ends."""
    end = start + 4 + int(struct.unpack_from("<I", data, start)[0])
    return data[start + 4 : end].decode(errors="replace"), end
