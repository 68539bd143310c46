"""Text files that list stamps and the images taken then, as EuRoC and TUM RGB-D have them."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from pathlib import Path

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import read_text


def read_listing(table: Path, folder: Path, per_second: int = 1) -> tuple[list[float], list[Path]]:
    """Stamps in seconds and files from lines of a stamp and a name, apart by a comma or spaces; # starts a comment.

    Args:
        table: the file.
        folder: that the names are relative to.
        per_second: stamps are in this part of a second: 1 or 10**9.
    """
    stamps, files = [], []
    for number, line in enumerate(read_text(table).splitlines(), start=1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        try:
            stamp, name = words
            seconds = float(Decimal(stamp) / per_second)
        except (ValueError, InvalidOperation):
            seconds = math.nan
        if not math.isfinite(seconds):
            raise VodistillError(f"{table}, line {number}: '{line.strip()}'", "Expected a stamp and an image's name.")
        stamps.append(seconds)
        files.append(folder / name)
    if not files:
        raise VodistillError(f"{table} lists no images", "Copy it again.")
    return stamps, files
