"""A network one frame at a time, as on the robot: in torch, or exported."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import Patch, View
from training.networks.base import Network

Frame = Mapping[str, NDArray[np.uint8]]


class Steps(Protocol):
    """Measures the motion of each frame in the last.

    Attributes:
        views: that a frame consists of.
        unit: of translations.
    """

    views: Mapping[str, View | Patch]
    unit: str

    def reset(self) -> None:
        """Forget all frames."""

    def step(self, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Motion and log-variance (6,) of a frame, (H, W) uint8 for each view; after a reset they mean nothing."""
        ...


class TorchSteps:
    """A network in torch, on the device where it is."""

    def __init__(self, network: Network) -> None:
        self.network, self.views, self.unit = network.eval(), network.views, network.unit
        self.reset()

    def reset(self) -> None:
        self.states = self.network.initial_states()

    @torch.inference_mode()
    def step(self, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        device = self.network.motion_scale.device
        views = {name: torch.from_numpy(frame[name])[None, None].to(device) for name in self.views}
        motion, log_variance, self.states = self.network.step(views, self.states)
        return motion[0].double().cpu().numpy(), log_variance[0].double().cpu().numpy()


class Blindfolded:
    """Steps that see some of their views black: what the others alone can tell."""

    def __init__(self, steps: Steps, without: Collection[str]) -> None:
        if strange := [name for name in without if name not in steps.views]:
            raise VodistillError(f"without {', '.join(strange)}", f"the network's views are {', '.join(steps.views)}")
        self.steps, self.without = steps, without
        self.views, self.unit, self.reset = steps.views, steps.unit, steps.reset

    def step(self, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.steps.step({**frame, **{name: np.zeros_like(frame[name]) for name in self.without}})


class OnnxSteps:
    """An exported step function in onnxruntime on one CPU thread."""

    def __init__(self, path: Path, views: Mapping[str, View | Patch], unit: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.views, self.unit = views, unit
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.reset()

    def reset(self) -> None:
        inputs = [i for i in self.session.get_inputs() if i.name not in self.views]
        self.states = {i.name: np.zeros(i.shape, np.float32) for i in inputs}

    def inputs(self, frame: Frame) -> dict[str, NDArray[Any]]:
        """All inputs of the next step."""
        return {**{name: frame[name][None, None] for name in self.views}, **self.states}

    def step(self, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        results = dict(zip(self.outputs, self.session.run(None, self.inputs(frame)), strict=True))
        self.states = {name: results[f"next_{name}"] for name in self.states}
        return results["motion"][0].astype(np.float64), results["log_variance"][0].astype(np.float64)
