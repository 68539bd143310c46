"""Tables of numbers in text files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import read_text


@dataclass(frozen=True, eq=False)
class Table:
    """The numbers (rows, columns) of a file and the line that each row was on."""

    path: Path
    numbers: NDArray[np.float64]
    lines: NDArray[np.int64]

    def select(self, rows: NDArray[np.bool_]) -> Table:
        """Only these rows."""
        return Table(self.path, self.numbers[rows], self.lines[rows])

    def error(self, row: int, problem: str) -> VodistillError:
        """What is wrong with a row."""
        return VodistillError(f"{self.path}, line {self.lines[row]}: {problem}", "remove or repair that line")


def read_table(path: str | Path, columns: Sequence[int]) -> Table:
    """Numbers apart by spaces or commas; # starts a comment. All lines have equally many, one of `columns`."""
    path = Path(path)
    rows: list[list[float]] = []
    lines: list[int] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        expected = [len(rows[0])] if rows else columns
        if len(words) not in expected:
            raise VodistillError(
                f"{path}, line {number}: {len(words)} numbers, expected {' or '.join(map(str, expected))}",
                "a pose has 8 numbers in a TUM file, 12 in a KITTI file, 13 after a frame number; a time is one number",
            )
        try:
            rows.append([float(word) for word in words])
        except ValueError as error:
            raise VodistillError(f"{path}, line {number}: {error}", "comments begin with #") from error
        lines.append(number)
    if not rows:
        raise VodistillError(f"{path} holds no numbers", "give a text file of numbers")
    return Table(path, np.array(rows), np.array(lines))
