"""A network's step as a function of flat tensors, which is what becomes a graph."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from training.networks.base import Network
from training.networks.layers import fold


class StepModule(nn.Module):
    """A copy of a network, in eval mode and with its convolutions folded, as a function of flat tensors for export:
    (image, view_*, state_*) in, (motion, log_variance, next_state_*) out."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        fold(self.network)

    @property
    def input_names(self) -> list[str]:
        return [*self.network.views, *(f"state_{name}" for name in self.network.state_names)]

    @property
    def output_names(self) -> list[str]:
        return ["motion", "log_variance", *(f"next_state_{name}" for name in self.network.state_names)]

    def example(self) -> tuple[Tensor, ...]:
        """Arguments of the right shapes: black images and the initial states."""
        views = (torch.zeros(1, 1, v.height, v.width, dtype=torch.uint8) for v in self.network.views.values())
        return (*views, *self.network.initial_states())

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        count = len(self.network.views)
        # First of all, because TensorRT can do nothing else with uint8.
        views = {name: view.float() for name, view in zip(self.network.views, tensors[:count], strict=True)}
        motion, log_variance, states = self.network.step(views, tensors[count:])
        return motion, log_variance, *states
