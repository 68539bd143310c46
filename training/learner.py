"""A network with what a stage asks of it: its losses, their helper layers and the parameters that learn."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

import torch
from torch import Tensor, nn

from ros2_vodistill.errors import VodistillError
from training.config import Stage
from training.data.batch import Batch
from training.networks.base import Network
from training.teacher import Teacher


class Learner(nn.Module):
    """Computes all losses of a batch in one `forward`, so that it can be wrapped for several processes.

    Attributes:
        network: that learns.
        description: plain data that the network is rebuilt from.
    """

    def __init__(
        self,
        network: Network,
        description: dict[str, Any],
        stage: Stage,
        rotation_weight: float = 100.0,
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__()
        self.network, self.description, self.stage, self.teacher = network, description, stage, teacher
        self.rotation_weight = rotation_weight
        _select(network, stage)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Every loss by name, weighted, and their sum as 'loss'."""
        output = self.network(batch.views, features=bool(self.stage.features))
        v = output.log_variance
        e = (output.motion - batch.motions).square()
        losses = {"pose": (0.5 * (e * (-v).exp() + v)).mean()}
        return {"loss": sum(losses.values()), **losses}


def _select(network: Network, stage: Stage) -> None:
    """Let learn what the stage trains."""
    head = {id(p) for p in network.head_parameters()}
    for name, parameter in network.named_parameters():
        wanted = {"all": True, "to_hint": id(parameter) not in head, "after_hint": id(parameter) in head}[stage.train]
        parameter.requires_grad_(wanted and not any(fnmatch(name, pattern) for pattern in stage.freeze))
    for pattern in stage.freeze:
        if not any(fnmatch(name, pattern) for name, _ in network.named_parameters()):
            names = ", ".join(sorted({name.split(".")[0] + ".*" for name, _ in network.named_parameters()}))
            raise VodistillError(f"stage {stage.name}: freeze {pattern!r} matches no parameter", f"there are {names}")
