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
from ros2_vodistill.sources.storage import MCAP, ROSBAG1, SQLITE, kind_of

__all__ = ["Raw", "Report", "scanner"]

Scan = Callable[[Path, Report], Iterator[Raw]]

_SCANNERS: dict[bytes, Scan] = {MCAP: mcap.scan, ROSBAG1: rosbag1.scan, SQLITE: sqlite.scan}


def scanner(path: Path) -> Scan | None:
    """What reads this file, by its first bytes; None if it is no bag."""
    kind = kind_of(path)
    return None if kind is None else _SCANNERS[kind]
