"""What every network is: a step function over frames, unrolled over clips for training.

A network measures the motion of the newest frame in the last one. It is made of four parts that subclasses fill in:
`observe` turns a frame into what is kept of it until the next one, `compare` turns two such observations into a
vector, `recall` passes that vector through a memory, and `regress` reads the motion from it. `forward` and `step` are
these four, batched over a clip or one frame at a time, and agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch

import torch
from torch import Tensor, nn

from ros2_vodistill.view import Patch, View
from training.networks.config import NetworkConfig
from training.networks.layers import unhalved


@dataclass
class Output:
    """Motions of frames 1..T-1 of B clips, each in the frame before it.

    Attributes:
        motion: (B, T-1, 6) translation in the network's unit, then rotation vector in radians.
        log_variance: (B, T-1, 6) natural logarithm of the variance of each of these numbers.
        features: empty unless asked for; 'hint' (B, T-1, D), maps 'level0', 'level1', ... (B, T-1, C, H, W) from
            shallow to deep, and whatever else the family offers.
    """

    motion: Tensor
    log_variance: Tensor
    features: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Observation:
    """What a network sees in N frames.

    Attributes:
        kept: what the next frame will be compared with: the state.
        fresh: what only this frame's own comparison needs.
        maps: feature maps by name.
    """

    kept: tuple[Tensor, ...]
    fresh: tuple[Tensor, ...] = ()
    maps: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Match:
    """What a local correlation compares: scores (..., D, h, w), D = (2 vertical + 1)(2 horizontal + 1) row by row.

    Attributes:
        radius: reach (vertical, horizontal), in cells of the last frame.
        cell: size of these, pixels of the view.
        spacing: of the cells of the newer frame, pixels.
        offset: where the first of them is, pixels.
        view: by name.
    """

    radius: tuple[int, int]
    cell: int
    spacing: int
    offset: int = 0
    view: str = "image"


class Network(nn.Module):
    """A step function over frames; see the module's text.

    Subclasses own a submodule `head`, which reads the motion from the hint (or guided) layer. It, and what else depends
    on the hint, is learned after the trunk.

    Attributes:
        config: its description, complete.
        level_channels: channels of each feature map that a student may learn, by name ('level0', ...).
        hint_width: width of the vector feature 'hint'.
        matches: the features that are scores of local correlations, by name.
        tracks: whether it says where its cells were in the last frame, and which of them are ground: features 'shift',
            'spread' and 'ground' of every view.
    """

    head: nn.Module
    motion_scale: Tensor
    level_channels: dict[str, int]
    hint_width: int
    matches: Mapping[str, Match]
    tracks: bool

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.matches, self.tracks = {}, False
        scale = [config.translation_scale] * 3 + [config.rotation_scale] * 3
        self.register_buffer("motion_scale", torch.tensor(scale), persistent=False)

    @property
    def views(self) -> Mapping[str, View | Patch]:
        return self.config.views

    @property
    def unit(self) -> str:
        return self.config.unit

    # What a family defines.

    def observation_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape, without batch, of each tensor that `observe` keeps."""
        raise NotImplementedError

    def memory_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape, without batch, of each memory tensor; empty for a network without memory."""
        return {}

    def observe(self, views: dict[str, Tensor]) -> Observation:
        """Look at N frames, (N, H, W) uint8 each view."""
        raise NotImplementedError

    def compare(
        self, last: tuple[Tensor, ...], this: tuple[Tensor, ...], fresh: tuple[Tensor, ...]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A vector (N, D) for N pairs of frames, from what is kept of both and `fresh` of the newer; feature maps."""
        raise NotImplementedError

    def recall(self, vector: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Pass the vectors (N, D) of one step through the memory."""
        return vector, memory

    def regress(self, vector: Tensor, maps: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """The hint (N, D), motion and log-variance (N, 6) in multiples of the motion scale, and further features, from
        what was recalled and the maps of `compare`."""
        raise NotImplementedError

    # What all families share.

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape, with batch 1, of each state tensor: observations, then memory and whether it counts yet."""
        memory = self.memory_shapes()
        shapes = {**self.observation_shapes(), **memory, **({"started": (1,)} if memory else {})}
        return {name: (1, *shape) for name, shape in shapes.items()}

    @property
    def state_names(self) -> tuple[str, ...]:
        return tuple(self.state_shapes)

    def initial_states(self) -> tuple[Tensor, ...]:
        """The states before the first frame: zeros."""
        zeros = self.motion_scale.new_zeros
        return tuple(zeros(shape) for shape in self.state_shapes.values())

    def forward(self, views: dict[str, Tensor], features: bool = False) -> Output:
        """Measure all motions of B clips of T >= 2 frames; each view is (B, T, H, W) uint8."""
        image = views["image"]
        clips, frames = image.shape[:2]
        if frames < 2:
            raise ValueError(f"a clip of {frames} frame(s) has no motion")
        seen = self.observe({name: view.flatten(0, 1) for name, view in views.items()})
        last = tuple(x.unflatten(0, (clips, frames))[:, :-1].flatten(0, 1) for x in seen.kept)
        this, fresh = (
            tuple(x.unflatten(0, (clips, frames))[:, 1:].flatten(0, 1) for x in part)
            for part in (seen.kept, seen.fresh)
        )
        vectors, pair_maps = self.compare(last, this, fresh)
        vectors = vectors.unflatten(0, (clips, frames - 1))
        memory = tuple(vectors.new_zeros((clips, *shape)) for shape in self.memory_shapes().values())
        recalled = []
        for vector in vectors.unbind(1):
            passed, memory = self.recall(vector, memory)
            recalled.append(passed)
        hint, motion, log_variance, told = self.regress(torch.stack(recalled, 1).flatten(0, 1), pair_maps)
        output = Output(*(x.unflatten(0, (clips, frames - 1)) for x in self._scaled(motion, log_variance)))
        if features:
            singles = {name: x.unflatten(0, (clips, frames))[:, 1:] for name, x in seen.maps.items()}
            pairs = {**pair_maps, **told, "hint": hint}
            output.features = singles | {name: x.unflatten(0, (clips, frames - 1)) for name, x in pairs.items()}
        return output

    def step(self, views: dict[str, Tensor], states: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Measure the motion of one frame, each view (1, 1, H, W) uint8, in the last.

        Returns motion (1, 6), log-variance (1, 6) and the next states. The first step's motion means nothing.
        """
        seen = self.observe({name: view[:, 0] for name, view in views.items()})
        last, rest = states[: len(seen.kept)], states[len(seen.kept) :]
        vector, maps = self.compare(last, seen.kept, seen.fresh)
        if not rest:
            _, motion, log_variance, _ = self.regress(vector, maps)
            return *self._scaled(motion, log_variance), seen.kept
        *memory, started = rest
        vector, new = self.recall(vector, tuple(memory))
        _, motion, log_variance, _ = self.regress(vector, maps)
        # The first frame has nothing to be compared with: what came of it must not be remembered.
        remembered = tuple(tensor * started for tensor in new)
        return *self._scaled(motion, log_variance), (*seen.kept, *remembered, (started + 1).clamp(max=1))

    def _scaled(self, motion: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
        motion, log_variance = unhalved(motion), unhalved(log_variance)
        return motion * self.motion_scale, log_variance + 2 * self.motion_scale.log()

    # What training and reports ask.

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def adopt(self, teacher: Network, patterns: Sequence[str] = ("encoder*",)) -> list[str]:
        """Copy those of the teacher's parameters that match a pattern (as in a shell) and that this network has too;
        returns their names."""
        own, theirs = self.state_dict(), teacher.state_dict()
        shared = {
            name: theirs[name]
            for name, tensor in own.items()
            if name in theirs and theirs[name].shape == tensor.shape and any(fnmatch(name, p) for p in patterns)
        }
        self.load_state_dict({**own, **shared})
        return list(shared)

    def head_parameters(self) -> list[nn.Parameter]:
        """What comes after the hint layer: trained in the second stage."""
        return list(self.head.parameters())


def level_views(views: Mapping[str, View | Patch]) -> dict[str, View]:
    """Those of the views that are level."""
    return {name: view for name, view in views.items() if isinstance(view, View)}


def of_view(feature: str, view: str) -> str:
    """The name of a feature of a view's; that of the first view has no other."""
    return feature if view == "image" else f"{feature}:{view}"


def d_rate(student: Network, teacher: Network | int) -> float:
    """Share of the teacher's parameters, of which the number is enough, that the student does without, 0..1."""
    return 1.0 - student.parameter_count() / (teacher if isinstance(teacher, int) else teacher.parameter_count())
