"""Messages as they lie in a bag, and compressed blocks unpacked as far as they go."""

from __future__ import annotations

import bz2
import sys
from collections.abc import Callable
from typing import NamedTuple

import lz4.frame

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class Raw(NamedTuple):
    """One message, still serialised.

    Attributes:
        topic, type: the type is spelt as in ROS 2: sensor_msgs/msg/Image.
        time: when it was recorded, in nanoseconds.
    """

    topic: str
    type: str
    time: int
    data: bytes


Report = Callable[[str], None]
"""Takes what was found damaged, in words."""


def ignore(damage: str) -> None:
    """The report for what only follows from damage that is reported already."""


_DECOMPRESSORS = {
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": zstd.ZstdDecompressor,
    "bz2": bz2.BZ2Decompressor,
}
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
STEP = 1 << 16  # bytes handed to a decompressor at once: what it refuses ends with the step, not the block


def inflate(compression: str, data: bytes, report: Report) -> bytes:
    """All of a block that can be unpacked; `compression` is '', 'none', 'lz4', 'zstd' or 'bz2'."""
    if compression in ("", "none"):
        return data
    if compression not in _DECOMPRESSORS:
        report(f"a block compressed with unknown '{compression}'")
        return b""
    decompressor = _DECOMPRESSORS[compression]()
    unpacked = []
    for start in range(0, len(data), STEP):
        if decompressor.eof:
            break
        try:
            unpacked.append(decompressor.decompress(data[start : start + STEP]))
        except (RuntimeError, OSError, EOFError, zstd.ZstdError) as error:
            report(f"a {compression} block of which part cannot be unpacked: {error}")
            break
    return b"".join(unpacked)
