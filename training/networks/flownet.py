"""The paper's family: a FlowNetS encoder over a stacked pair of frames, then a regressor.

The teacher flattens into two LSTMs and two branches of fully connected layers; the students have fully connected layers
only. Published rates and the builds that reproduce them are in the registry; their counts are for colour (two frames of
three channels). Images here are grey: by default the first convolution has two channels instead of six.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import View
from training.limits import Amount, Positive, Share
from training.networks.base import Network, Observation
from training.networks.config import NetworkConfig
from training.networks.layers import Linear, LSTMCell

CONVOLUTIONS = (  # name, kernel, stride, channels
    ("conv1", 7, 2, 64),
    ("conv2", 5, 2, 128),
    ("conv3", 5, 2, 256),
    ("conv3_1", 3, 1, 256),
    ("conv4", 3, 2, 512),
    ("conv4_1", 3, 1, 512),
    ("conv5", 3, 2, 512),
    ("conv5_1", 3, 1, 512),
    ("conv6", 3, 2, 1024),
)

_QUICK = 10.0  # factor of a constant log-variance: optimisers that move a weight by their rate would need 10,000 steps


@dataclass(frozen=True, kw_only=True)
class FlowNetConfig(NetworkConfig):
    """Width and depth of a pair network.

    Attributes:
        colour: channels per frame, 1 or 3; with 3 the grey image is repeated, as pretrained encoders expect.
        convolutions: the encoder ends with this one of `CONVOLUTIONS`.
        width: multiplies the channels of all convolutions.
        pool: average pooling (height, width) after them.
        lstm: widths of the recurrent layers; none for the students.
        layers: widths of the fully connected layers, without the output.
        guided: number of the layer that is distilled, from 1: the hint layer of a teacher, the guided one of a student.
        branches: one chain of layers for translation and one for rotation, instead of one for both.
        hint: of a network with branches, what is distilled of the two layers: 'mean', 'translation' or 'rotation'. The
            paper has one hint of the students' width; which one it is was not published.
        dropout: before the recurrent layers, and after the guided one.
        slope: of the leaky rectifiers.
        uncertainty: predict the log-variance from the last layer; otherwise it is one learned constant for each axis,
            which the published counts do not include.
    """

    colour: Literal[1, 3] = 1
    convolutions: str = "conv4_1"
    width: Positive = 1.0
    pool: tuple[int, int] = (1, 1)
    lstm: tuple[int, ...] = ()
    layers: tuple[int, ...] = (128, 64)
    guided: int = 1
    branches: bool = False
    hint: str = "mean"
    dropout: Share = 0.25
    slope: Amount = 0.1
    uncertainty: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if list(self.views) != ["image"]:
            raise VodistillError(f"a pair network with the views {list(self.views)}", "it sees 'image' only")
        if self.convolutions not in [name for name, *_ in CONVOLUTIONS]:
            known = ", ".join(name for name, *_ in CONVOLUTIONS)
            raise VodistillError(f"an encoder that ends with '{self.convolutions}'", f"Known: {known}.")
        if not 1 <= self.guided <= len(self.layers):
            raise VodistillError(f"guided layer {self.guided} of {len(self.layers)}", "count from 1")
        if self.hint not in ("mean", "translation", "rotation"):
            raise VodistillError(f"the hint of the branches is '{self.hint}'", "Known: mean, translation, rotation.")

    def build(self) -> FlowNet:
        return FlowNet(self)


class FlowNet(Network):
    """See the module's text. Its state is the last image and what the LSTMs keep.

    'level0', 'level1', ... are the last maps of the pair at 1/2, 1/4, ... of the resolution.
    """

    config: FlowNetConfig

    def __init__(self, config: FlowNetConfig) -> None:
        super().__init__(config)
        self.encoder = nn.ModuleDict()
        self.levels: dict[str, str] = {}
        self.level_channels = {}
        channels, shrink = 2 * config.colour, 1
        for name, kernel, stride, outputs in _convolutions(config.convolutions):
            width = round(outputs * config.width)
            self.encoder[name] = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2)
            channels, shrink = width, shrink * stride
            level = f"level{shrink.bit_length() - 2}"
            self.levels[level], self.level_channels[level] = name, width
        view = config.views["image"]
        rows, columns = -(-view.height // shrink) // config.pool[0], -(-view.width // shrink) // config.pool[1]
        if not rows * columns:
            raise VodistillError(
                f"pooling {config.pool} after {config.convolutions} leaves nothing of {view.height}x{view.width}",
                "use a smaller 'pool' or a larger view",
            )
        widths = [channels * rows * columns, *config.lstm]
        self.lstm = nn.ModuleList(LSTMCell(*pair) for pair in pairwise(widths))
        self.dropout = nn.Dropout(config.dropout)
        to_hint, rest = config.layers[: config.guided], config.layers[config.guided - 1 :]
        chains = 2 if config.branches else 1
        self.guided = nn.ModuleList(_layers((widths[-1], *to_hint), config.slope) for _ in range(chains))
        self.head = Head(rest, chains, config)
        self.hint_width = config.layers[config.guided - 1]
        self.apply(self._initialise)
        for weight in (output.weight for output in self.head.outputs if isinstance(output, nn.Linear)):
            nn.init.normal_(weight, std=0.01)

    def _initialise(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, a=self.config.slope)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def observation_shapes(self) -> dict[str, tuple[int, ...]]:
        view = self.views["image"]
        return {"last": (1, view.height, view.width)}

    def memory_shapes(self) -> dict[str, tuple[int, ...]]:
        return {f"{part}{i}": (width,) for i, width in enumerate(self.config.lstm) for part in ("hidden", "cell")}

    def observe(self, views: dict[str, Tensor]) -> Observation:
        return Observation(((views["image"][:, None].to(self.motion_scale.dtype) - 127.5) / 64.0,))

    def compare(
        self, last: tuple[Tensor, ...], this: tuple[Tensor, ...], fresh: tuple[Tensor, ...]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        colours = self.config.colour
        x = torch.cat([*last * colours, *this * colours], 1)
        maps = {}
        for name, convolution in self.encoder.items():
            x = maps[name] = functional.leaky_relu(convolution(x), self.config.slope)
        x = functional.avg_pool2d(x, self.config.pool).flatten(1)
        return x, {level: maps[name] for level, name in self.levels.items()}

    def recall(self, vector: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        vector = self.dropout(vector) if self.lstm else vector
        kept: list[Tensor] = []
        for cell, hidden, inner in zip(self.lstm, memory[::2], memory[1::2], strict=True):
            vector, inner_next = cell(vector, hidden, inner)
            kept += [vector, inner_next]
        return vector, tuple(kept)

    def regress(self, vector: Tensor, maps: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        chains = [layers(vector) for layers in self.guided]
        motion, log_variance = self.head([self.dropout(chain) for chain in chains])
        if self.config.hint == "mean":
            return torch.stack(chains).mean(0), motion, log_variance, {}
        return chains[0 if self.config.hint == "translation" else -1], motion, log_variance, {}


class Head(nn.Module):
    """From the guided layer of each chain to motion and log-variance."""

    def __init__(self, widths: tuple[int, ...], chains: int, config: FlowNetConfig) -> None:
        super().__init__()
        outputs = 6 // chains * (2 if config.uncertainty else 1)
        self.layers = nn.ModuleList(_layers(widths, config.slope) for _ in range(chains))
        self.outputs = nn.ModuleList(nn.Linear(widths[-1], outputs) for _ in range(chains))
        self.log_variance = None if config.uncertainty else nn.Parameter(torch.zeros(6))

    def forward(self, chains: list[Tensor]) -> tuple[Tensor, Tensor]:
        predicted = [output(layers(x)) for x, layers, output in zip(chains, self.layers, self.outputs, strict=True)]
        if self.log_variance is not None:
            motion = torch.cat(predicted, 1)
            return motion, (_QUICK * self.log_variance).expand_as(motion)
        motions, log_variances = zip(*(x.chunk(2, 1) for x in predicted), strict=True)
        return torch.cat(motions, 1), torch.cat(log_variances, 1)


def _convolutions(last: str) -> tuple[tuple[str, int, int, int], ...]:
    names = [name for name, *_ in CONVOLUTIONS]
    return CONVOLUTIONS[: names.index(last) + 1]


def _layers(widths: tuple[int, ...], slope: float) -> nn.Sequential:
    """Fully connected layers between these widths, each with its rectifier."""
    return nn.Sequential(*(nn.Sequential(Linear(*pair), nn.LeakyReLU(slope)) for pair in pairwise(widths)))


_KITTI_VIEW = View(640, 192, 370.0, 370.0, 319.5, 95.5)

_TEACHER = FlowNetConfig(
    views={"image": _KITTI_VIEW}, unit="metre", translation_scale=1.0,
    pool=(4, 5), lstm=(512, 512), layers=(128, 64), branches=True,
)  # fmt: skip
_STUDENT = replace(_TEACHER, lstm=(), branches=False)

FLOWNETS = {
    "flownet-t": _TEACHER,
    "flownet-7-2": replace(_STUDENT, convolutions="conv5", pool=(1, 1), layers=(64, 128, 256), guided=2),
    "flownet-6-2": replace(_STUDENT, convolutions="conv4_1", pool=(2, 2), layers=(64, 128, 64), guided=2),
    "flownet-5-3": replace(_STUDENT, convolutions="conv4", pool=(2, 2), layers=(64, 400, 128, 64), guided=3),
    "flownet-3-3": replace(_STUDENT, convolutions="conv3", pool=(6, 8), layers=(128, 32, 128, 64), guided=3),
}
"""The paper's networks: with `colour=3` they have its parameter counts (and six more, the constant log-variances)."""
