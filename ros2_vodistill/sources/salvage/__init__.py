"""The messages of damaged bags: unfinished, cut off, or broken in the middle.

A bag's reader trusts the index, which is written last: a recorder that loses power, or a copy that ends early, leaves
the messages and no index. Here records are followed from the start of the file instead, and every compressed block is
unpacked as far as it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ros2_vodistill.sources.salvage import mcap, rosbag1, sqlite
from ros2_vodistill.sources.salvage.blocks import Raw, Report

__all__ = ["Raw", "Report", "scanner"]

Scan = Callable[[Path, Report], Iterator[Raw]]

_SCANNERS: dict[bytes, Scan] = {mcap.MAGIC: mcap.scan, rosbag1.MAGIC: rosbag1.scan, sqlite.MAGIC: sqlite.scan}


def scanner(path: Path) -> Scan | None:
    """What reads this file, by its first bytes; None if it is no bag."""
    with path.open("rb") as stream:
        start = stream.read(16)
    return next((scan for magic, scan in _SCANNERS.items() if start.startswith(magic)), None)
