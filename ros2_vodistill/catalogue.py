"""The models that can be called by name: what their cards say of them, and on request whether that is so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from ros2_vodistill import measured
from ros2_vodistill.console import sheet, step_by_step, text
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import Card, read_card, shipped

Row = dict[str, Any]

_FIELDS = ("parameters", "d_rate", "precision", "unit")
"""Of a card."""


def rows(verify: bool, data: Path | None) -> list[Row]:
    """One for each; verifying, with the recordings below `data`, adds what came of it, as 'verified' and 'figures'.

    Of a card that is none that is known without.
    """
    cards: dict[Path, Card] = {}
    found = []
    for folder in shipped():
        row: Row = {"name": folder.name, **dict.fromkeys(_FIELDS), "folder": str(folder)}
        try:
            card = cards[folder] = read_card(folder / "card.json")
            row |= {name: getattr(card, name) for name in _FIELDS}
        except VodistillError as error:
            row |= {"verified": error.problem, "figures": ""}
        found.append(row)
    return _verified(found, cards, data) if verify else found


def sound(found: list[Row]) -> bool:
    """Whether nothing that was verified is wrong."""
    return all(row.get("verified", measured.YES) in (measured.YES, measured.INTACT) for row in found)


def _verified(found: list[Row], cards: dict[Path, Card], data: Path | None) -> list[Row]:
    told = []
    with step_by_step(sum(measured.recomputable(card, data) for card in cards.values())) as begin:
        for row in found:
            folder = Path(row["folder"])
            if folder not in cards:
                told.append(row)
                continue
            verdict, figures = measured.verify(folder, data, lambda what, of=folder.name: begin(f"{of}: {what}"))  # type: ignore[misc]
            told.append({**row, "verified": verdict, "figures": figures})
    return told


def verdicts(found: list[Row]) -> list[str]:
    """A line for each that was verified."""
    told = [row for row in found if "verified" in row]
    return [f"{row['name']}: verified: {row['verified']}; figures: {row['figures']}" for row in told]


def table(found: list[Row]) -> Table:
    """For a terminal, without what was verified."""
    columns = [name for name in found[0] if name not in ("verified", "figures")] if found else []
    shown = sheet(*(columns or ["no models found"]), folds=["folder"])
    for row in found:
        shown.add_row(*(text(row[name]) for name in columns))
    return shown
