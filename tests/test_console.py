"""What the commands print is whole, however narrow the terminal."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console

from ros2_vodistill import console

LONG = "/home/someone/workspace/src/" + 8 * "a-folder/"
NAME = "swift-road-xs-of-a-long-name"


def shown(width: int, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The cells of each line of a table of two columns, on a terminal of that width."""
    file = io.StringIO()
    monkeypatch.setattr(console, "OUT", Console(file=file, width=width, markup=False))
    table = console.sheet("name", "folder", folds=["folder"])
    table.add_row(NAME, LONG)
    console.show(table)
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in file.getvalue().splitlines() if "│" in line]


@pytest.mark.parametrize("width", [20, 42, 60, 80])
def test_a_narrow_terminal_folds_what_may_be_folded_and_cuts_nothing(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = shown(width, monkeypatch)
    assert rows[0][0] == NAME
    assert len(rows) > 1
    assert "".join(folder for _, folder in rows) == LONG


def test_a_wide_one_shows_all_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(200, monkeypatch) == [[NAME, LONG]]


def test_a_pipe_is_as_wide_as_it_needs_to_be() -> None:
    code = f"from ros2_vodistill.console import OUT, note, emit; emit({{'a': {LONG!r}}}, False); note(30 * 'word ')"
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert LONG in done.stdout
    assert done.stderr.splitlines() == [(30 * "word ").rstrip()] or done.stderr.splitlines() == [30 * "word "]
