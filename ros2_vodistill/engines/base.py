"""The one interface to whatever runs a model's step function.

An engine owns its buffers. Views are written into `inputs`; `step` computes motion and log-variance from them and from
the state of the reference frame, and prepares the next state aside; `advance` makes that one the reference. So a frame
can be compared with the same reference as often as one likes, and nothing is allocated or copied per frame.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import Card, Model

_WARM_UP = 3  # steps

Shapes = dict[str, tuple[tuple[int, ...], str]]
"""Shape and numpy type name of tensors by name."""


Buffers = dict[str, NDArray[Any]]
"""Arrays by the name of the tensor that lives in them."""


class UnavailableError(VodistillError):
    """This machine cannot run this engine; the text says why and what would change that."""


@dataclass(frozen=True)
class LayerTime:
    """Mean time of one layer, in milliseconds."""

    name: str
    kind: str
    milliseconds: float


class Engine(ABC):
    """A loaded model.

    Attributes:
        name: of the kind of engine.
        model: what it runs.
        device: what it really runs on, in words.
        inputs: (H,W) uint8 buffers by view name; write the next frame's views here.
    """

    name: ClassVar[str]
    model: Model
    device: str
    inputs: dict[str, NDArray[np.uint8]]

    @abstractmethod
    def step(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Motion (6,) and log-variance (6,) of the frame in `inputs` in the reference; valid until the next step."""

    @abstractmethod
    def advance(self) -> None:
        """Make the last stepped frame the reference."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything: all states zero."""

    @abstractmethod
    def states(self) -> dict[str, NDArray[np.float32]]:
        """Copies of the states that the last step prepared, by name: for tests and comparisons between engines."""

    @abstractmethod
    def profile(self, steps: int = 20) -> list[LayerTime]:
        """Time of each layer, slowest first."""

    def warm_up(self) -> None:
        """Run on black frames, so that the first real one is as fast as the others; leaves the state reset."""
        for buffer in self.inputs.values():
            buffer[...] = 0
        for _ in range(_WARM_UP):
            self.step()
            self.advance()
        self.reset()


class HostEngine(Engine):
    """An engine whose buffers are numpy arrays.

    The states live in two sets of buffers that change roles: a step reads one and writes the other.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        card = model.card
        self._sets = [{name: np.zeros(shape, np.float32) for name, shape in card.states.items()} for _ in range(2)]
        self._views = {name: np.zeros((1, 1, v.height, v.width), np.uint8) for name, v in card.views.items()}
        self._motion, self._log_variance = np.zeros((1, 6), np.float32), np.zeros((1, 6), np.float32)
        self.inputs = {name: buffer[0, 0] for name, buffer in self._views.items()}
        self._reference = 0

    def advance(self) -> None:
        self._reference = 1 - self._reference

    def reset(self) -> None:
        for state in self._sets[self._reference].values():
            state[...] = 0

    def states(self) -> dict[str, NDArray[np.float32]]:
        return {name: state.copy() for name, state in self._sets[1 - self._reference].items()}

    def _read(self, reference: int) -> Buffers:
        """What a step reads when that set of states is the reference's, by input name."""
        return {**self._views, **self._sets[reference]}

    def _written(self, reference: int) -> Buffers:
        """What such a step writes, by output name."""
        following = {f"next_{name}": state for name, state in self._sets[1 - reference].items()}
        return {"motion": self._motion, "log_variance": self._log_variance, **following}


def expected(card: Card) -> tuple[Shapes, Shapes]:
    """Inputs and outputs that a graph must have to fit its card."""
    views: Shapes = {name: ((1, 1, view.height, view.width), "uint8") for name, view in card.views.items()}
    states: Shapes = {name: (shape, "float32") for name, shape in card.states.items()}
    following: Shapes = {f"next_{name}": spec for name, spec in states.items()}
    motion: Shapes = {"motion": ((1, 6), "float32"), "log_variance": ((1, 6), "float32")}
    return {**views, **states}, {**motion, **following}


def check(model: Model, inputs: Shapes, outputs: Shapes) -> None:
    """Refuse a graph that does not have what its card says."""
    for kind, found, wanted in zip(("inputs", "outputs"), (inputs, outputs), expected(model.card), strict=True):
        if found == wanted:
            continue
        wrong = [
            f"{name}: the graph has {found.get(name, 'nothing')}, the card {wanted.get(name, 'nothing')}"
            for name in {**wanted, **found}
            if found.get(name) != wanted.get(name)
        ]
        raise VodistillError(
            f"{model.path} does not fit its card; {kind} differ: {'; '.join(wrong)}", "Export the model again."
        )
