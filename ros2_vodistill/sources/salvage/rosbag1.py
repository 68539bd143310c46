"""The messages of a ROS 1 bag without its index (http://wiki.ros.org/Bags/Format/2.0)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from ros2_vodistill.sources.salvage.blocks import Raw, Report, ignore, inflate
from ros2_vodistill.sources.storage import ROSBAG1

MESSAGE, CHUNK, CONNECTION = 2, 5, 7


def scan(path: Path, report: Report) -> Iterator[Raw]:
    """Messages in the order in which they were written."""
    connections: dict[bytes, tuple[str, str]] = {}
    with path.open("rb") as stream:
        stream.seek(len(ROSBAG1))
        for fields, content in _records(stream, path.stat().st_size, report):
            opcode, number = fields.get("op", b""), fields.get("conn", b"")
            if opcode == bytes([CONNECTION]):
                kind = _fields(content).get("type", b"").decode(errors="replace")
                connections[number] = (fields["topic"].decode(errors="replace"), kind.replace("/", "/msg/", 1))
            elif opcode == bytes([MESSAGE]) and number in connections:
                seconds, nanoseconds = struct.unpack("<II", fields["time"])
                yield Raw(*connections[number], seconds * 10**9 + nanoseconds, content)


def _records(stream: BinaryIO, size: int, report: Report) -> Iterator[tuple[dict[str, bytes], bytes]]:
    """(header, content) of the records, with those inside chunks in place of the chunks."""
    while (start := stream.tell()) < size:
        header, header_whole = _sized(stream, size)
        content, content_whole = _sized(stream, size)
        whole = header_whole and content_whole
        if not whole:
            report(f"it is cut off inside the record at byte {start}")
        fields = _fields(header)
        if fields.get("op") == bytes([CHUNK]):
            inner = report if whole else ignore
            block = inflate(fields.get("compression", b"").decode(errors="replace"), content, inner)
            yield from _records(BytesIO(block), len(block), inner)
        elif whole:
            yield fields, content


def _sized(stream: BinaryIO, size: int) -> tuple[bytes, bool]:
    """The next length-prefixed bytes, and whether all of them are there."""
    prefix = stream.read(4)
    length = struct.unpack("<I", prefix)[0] if len(prefix) == 4 else 0
    content = stream.read(min(length, size))
    return content, len(prefix) == 4 and len(content) == length


def _fields(header: bytes) -> dict[str, bytes]:
    """Of name=value fields, each after its length."""
    fields = {}
    start = 0
    while start + 4 <= len(header):
        length = struct.unpack_from("<I", header, start)[0]
        name, _, value = header[start + 4 : start + 4 + length].partition(b"=")
        fields[name.decode(errors="replace")] = value
        start += 4 + length
    return fields
