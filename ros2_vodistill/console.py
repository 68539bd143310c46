"""How the commands speak: results on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

OUT, ERROR = Console(markup=False), Console(stderr=True, markup=False)


def note(message: str) -> None:
    """Say on stderr what the user should know."""
    ERROR.print(message, style="yellow", highlight=False)


def progress_bar() -> Progress:
    """A bar on stderr that vanishes when the work is done."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=ERROR, transient=True)


def emit(figures: dict[str, Any], as_json: bool) -> None:
    """Print figures as JSON or as a table."""
    if as_json:
        OUT.print_json(json.dumps(figures, allow_nan=False))
    else:
        OUT.print(table_of(figures))


def table_of(figures: dict[str, Any]) -> Table:
    """A row for each figure."""
    table = Table("figure", "value", show_edge=False)
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
