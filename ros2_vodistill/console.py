"""Output of the commands: results on stdout, progress and notes on stderr."""

from __future__ import annotations

import errno
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from ros2_vodistill.errors import VodistillError

_UNBOUNDED = 10_000  # columns, where no terminal has fewer
_NARROW = 10  # columns that a cell is folded to at most


def _width(stream: TextIO) -> int | None:
    """None is the terminal's, or $COLUMNS; files and pipes have none."""
    return None if stream.isatty() or "COLUMNS" in os.environ else _UNBOUNDED


OUT = Console(markup=False, width=_width(sys.stdout))
ERROR = Console(stderr=True, markup=False, width=_width(sys.stderr))


def note(message: str) -> None:
    """Say on stderr what the user should know."""
    ERROR.print(message, style="yellow", highlight=False)


@contextmanager
def without_traceback() -> Iterator[None]:
    """A command: bad input, and files or disks that fail, are one message and exit code 2; Ctrl-C is code 130."""
    try:
        yield
    except VodistillError as error:
        _refuse(error)
    except OSError as error:
        if error.filename is not None:
            _refuse(VodistillError(f"{error.filename}: {error.strerror}", "Check the path and its permissions."))
        if error.errno != errno.ENOSPC:
            raise
        problem = f"the output could not be written: {error.strerror}"
        _refuse(VodistillError(problem, "Send it where there is space."))
    except KeyboardInterrupt:
        ERROR.print("stopped")
        sys.exit(130)


def _refuse(error: VodistillError) -> NoReturn:
    ERROR.print("error:", style="bold red", end=" ")
    ERROR.print(str(error), soft_wrap=True, highlight=False)
    sys.exit(2)


def progress_bar() -> Progress:
    """A bar on stderr that vanishes when the work is done."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=ERROR, transient=True)


@contextmanager
def step_by_step(total: int) -> Iterator[Callable[[str], object]]:
    """A function to say on stderr which of so many steps begins: on a terminal beside a bar, elsewhere on a line."""
    numbers = itertools.count(1)
    if not ERROR.is_terminal:
        yield lambda what: ERROR.print(f"{next(numbers)}/{total} {what}", highlight=False)
        return
    with progress_bar() as progress:
        task = progress.add_task("", total=total)
        yield lambda what: progress.update(task, description=what, completed=next(numbers) - 1)


def sheet(*columns: str, folds: Sequence[str] = (), edge: bool = True) -> Table:
    """A table that cuts nothing: where a terminal is narrow, what is in the columns `folds` is folded."""
    table = Table(show_edge=edge)
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name not in folds)
    return table


def show(table: Table) -> None:
    """Print a `sheet`; where a terminal is too narrow even so, its cells lie close, and it folds the lines itself."""
    for column in table.columns:
        whole = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
        column.min_width = whole if column.no_wrap else min(whole, _NARROW)
    close = sum(1 + (column.min_width or 0) for column in table.columns) + 1
    if close + 2 * len(table.columns) > OUT.width:
        table.padding, table.width = (0, 0, 0, 0), max(close, OUT.width)
    OUT.print(table, crop=False)


def emit(figures: dict[str, Any], as_json: bool) -> None:
    """Print figures as JSON or as a table."""
    if as_json:
        OUT.print_json(json.dumps(figures, allow_nan=False))
    else:
        show(table_of(figures))


def table_of(figures: dict[str, Any]) -> Table:
    """A row for each figure."""
    table = sheet("figure", "value", folds=["value"], edge=False)
    for name, value in figures.items():
        if isinstance(value, dict):
            if name != "options":
                table.add_row(name, ", ".join(f"{key}: {text(item)}" for key, item in value.items()) or "-")
        elif not isinstance(value, list):
            table.add_row(name, text(value))
    return table


def text(value: Any) -> str:
    """A table's cell."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
