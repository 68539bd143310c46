"""Every setting in words, from the docstrings: of an experiment, and of the networks and losses that it names."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from training.config import Experiment
from training.data.generated import OWN
from training.losses import FEATURES, POSE
from training.networks import REGISTRY
from training.settings import explain, meanings_of
from training.world import WorldConfig

Row = tuple[str, str, str]
"""Key, default, meaning."""


def rows() -> Iterator[Row]:
    """What stands in a file, then what networks and losses can be told."""
    for row in explain(Experiment):
        yield row
        if row[0] == "data.world":
            yield from (inner for inner in explain(WorldConfig, "data.world.") if inner[0].split(".")[2] not in OWN)
    for kind in dict.fromkeys(map(type, REGISTRY.values())):
        known = [name for name, config in REGISTRY.items() if type(config) is kind]
        family = known[0].partition("-")[0]
        yield f"network {family}", "", f"{_summary(kind)} Registered: {', '.join(known)}."
        yield from explain(kind, f"network {family}.")
    for name, loss in POSE.items():
        yield f"pose loss {name}", "", _summary(loss)
        yield from explain(loss, f"pose loss {name}.")
    for name, made in FEATURES.items():
        yield from _of_feature_loss(name, getattr(made, "func", made), getattr(made, "keywords", {}))


def _of_feature_loss(name: str, kind: Any, given: dict[str, str]) -> Iterator[Row]:
    """The loss and its options, but for those that its name says."""
    yield f"feature loss {name}", "", " ".join([_summary(kind), *(f"Here {k} is {v!r}." for k, v in given.items())])
    meanings = meanings_of(kind)
    for option, parameter in inspect.signature(kind).parameters.items():
        if parameter.default is not parameter.empty and option not in given:
            yield f"feature loss {name}.{option}", repr(parameter.default), meanings.get(option, "")


def _summary(kind: type) -> str:
    return " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split())
