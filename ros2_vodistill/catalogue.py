"""The models that can be called by name: what their cards say of them, and on request whether that is so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from ros2_vodistill import measured
from ros2_vodistill.console import ERROR, text
from ros2_vodistill.model import read_card, shipped

Row = dict[str, Any]


def rows(verify: bool, data: Path | None) -> list[Row]:
    """One for each; verifying, with the recordings below `data`, adds what came of it, as 'verified' and 'figures'."""
    found = []
    for folder in shipped():
        card = read_card(folder / "card.json")
        row: Row = {
            "name": folder.name,
            "parameters": card.parameters,
            "d_rate": card.d_rate,
            "precision": card.precision,
            "unit": card.unit,
            "folder": str(folder),
        }
        if verify:
            with ERROR.status(f"verifying {folder.name}"):
                row["verified"], row["figures"] = measured.verify(folder, data)
        found.append(row)
    return found


def table(found: list[Row]) -> Table:
    """For a terminal, without what was verified."""
    columns = [name for name in found[0] if name not in ("verified", "figures")] if found else []
    shown = Table(*(columns or ["no models found"]))
    for row in found:
        shown.add_row(*(text(row[name]) for name in columns))
    return shown
