"""The models that can be called by name: what their cards say of them, and on request whether that is so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from ros2_vodistill import measured
from ros2_vodistill.console import sheet, step_by_step, text
from ros2_vodistill.model import Card, read_card, shipped

Row = dict[str, Any]


def rows(verify: bool, data: Path | None) -> list[Row]:
    """One for each; verifying, with the recordings below `data`, adds what came of it, as 'verified' and 'figures'."""
    cards = {folder: read_card(folder / "card.json") for folder in shipped()}
    found = [
        {
            "name": folder.name,
            "parameters": card.parameters,
            "d_rate": card.d_rate,
            "precision": card.precision,
            "unit": card.unit,
            "folder": str(folder),
        }
        for folder, card in cards.items()
    ]
    return _verified(found, cards, data) if verify else found


def sound(found: list[Row]) -> bool:
    """Whether nothing that was verified is wrong."""
    return all(row.get("verified", measured.YES) in (measured.YES, measured.INTACT) for row in found)


def _verified(found: list[Row], cards: dict[Path, Card], data: Path | None) -> list[Row]:
    told = []
    with step_by_step(sum(measured.recomputable(card, data) for card in cards.values())) as begin:
        for row, folder in zip(found, cards, strict=True):
            verdict, figures = measured.verify(folder, data, lambda what, of=folder.name: begin(f"{of}: {what}"))  # type: ignore[misc]
            told.append({**row, "verified": verdict, "figures": figures})
    return told


def table(found: list[Row]) -> Table:
    """For a terminal, without what was verified."""
    columns = [name for name in found[0] if name not in ("verified", "figures")] if found else []
    shown = sheet(*(columns or ["no models found"]), folds=["folder"])
    for row in found:
        shown.add_row(*(text(row[name]) for name in columns))
    return shown
