"""The cells of the tables: which trainings they need, each of them once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ros2_vodistill.errors import VodistillError
from training import networks
from training.config import Table
from training.losses.pose import Blend
from training.recipes import ON_MAPS, recipe
from training.stages import Run

ABLATION = {
    "supervised": ("–", "student"),
    "ht_student": ("HT", "student"),
    "ht_ail": ("HT", "AIL"),
    "aht_student": ("AHT", "student"),
    "aht_ail": ("AHT", "AIL"),
}
"""Method -> hint and objective."""
BLENDING = ("supervised", "minimum", "additional", "upper_bound", "pil_gaussian", "pil_laplace", "ail")
PROBABILISTIC = ("pil_gaussian", "pil_laplace")
TITLES = {
    "supervised": "Supervised S",
    "kd": "KD",
    "chen": "Chen's OD",
    "fitnets": "FitNets",
    "aht_ail": "AHT + AIL",
    "review": "Knowledge review",
    "pil_gaussian": "PIL Gaussian",
    "pil_laplace": "PIL Laplace",
    "upper_bound": "upper bound",
}
"""How methods are called in tables; the others are called by their name, in capitals where it is short."""


@dataclass(frozen=True)
class Cell:
    """One training: a network by its label, a method and a seed."""

    network: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        label = re.sub(r"[^\w.-]+", "", self.network)
        return f"{label}-{self.method}-seed{self.seed}"


def cells(table: Table) -> list[Cell]:
    """All trainings that the tables need."""
    for label in (*table.ablation, *filter(None, [table.blending])):
        if label not in table.networks:
            known = ", ".join(table.networks) or "none"
            raise VodistillError(f"table: no network {label!r}", f"`table.networks` has {known}")
    wanted = [(label, method) for label in table.networks for method in table.methods]
    wanted += [(label, method) for label in table.ablation for method in ABLATION]
    wanted += [(table.blending, method) for method in BLENDING if table.blending]
    wanted += [(table.blending, method) for method in sharing(table).values() if table.blending]
    wanted += [(label, table.rate_method) for label in (table.rates and {**table.networks, **table.rates})]
    for _, method in wanted:
        recipe(method)
    return [Cell(label, method, seed) for seed in table.seeds for label, method in dict.fromkeys(wanted)]


def sharing(table: Table) -> dict[float, str]:
    """The method that each share of the truth is trained by; with the default it is plainly called."""
    name = table.rate_method
    return {alpha: name if alpha == Blend.alpha else f"{name}@{alpha:g}" for alpha in table.alphas}


def run_of(table: Table, cell: Cell) -> Run:
    """How a cell is trained."""
    inherits = table.start_from_teacher and cell.method not in ON_MAPS
    network = network_of(table, cell.network)
    return Run(
        network=_with_deviation(network) if cell.method.partition("@")[0] in PROBABILISTIC else network,
        method=cell.method,
        start_from_teacher=inherits,
        freeze=table.freeze if inherits else (),
    )


def network_of(table: Table, label: str) -> str | dict[str, Any]:
    """The network of a label."""
    return {**table.networks, **table.rates}[label]


def _with_deviation(network: str | dict[str, Any]) -> str | dict[str, Any]:
    """With one more output, the deviation of each sample, in a family that has it on request."""
    if not hasattr(networks.configure(network), "uncertainty"):
        return network
    return {**({"name": network} if isinstance(network, str) else network), "uncertainty": True}


def title(method: str) -> str:
    """A method's name for people."""
    name, at, alpha = method.partition("@")
    plain = TITLES.get(name, name.upper() if len(name) <= 3 else name)
    return f"{plain}, alpha {alpha}" if at else plain
