"""The family that ships: siamese encoders, local correlation, a small recurrent regressor.

Each frame is encoded once; its features stay as state until the next one. A view's branch correlates them with the
last frame's: at a quarter of the resolution, where most motions are, at an eighth, and for long displacements at a
sixteenth. It adds what is known of the geometry (where each cell looks) and condenses all into a vector. The expected
displacements go there directly, too: a motion is nearly linear in them, and this is learnt first. The vectors of the
views are joined, a gated recurrent unit remembers, and fully connected layers, the first of which is the hint (or
guided) layer, give the motion and its log-variance. Of further views, such as the road at a higher resolution, only the
local contrast is seen, which is all that asphalt has. At last the matches of all cells may polish the motion.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ros2_vodistill.errors import VodistillError
from training.limits import Count, Number
from training.networks.base import Network, Observation, level_views, of_view
from training.networks.branch import Decoder, Encoder, matches
from training.networks.config import NetworkConfig
from training.networks.layers import GRUCell, unhalved
from training.networks.peaks import Peaks, Seen
from training.networks.polish import Polish

_AFTER = {"head", "polish", "peaks"}  # modules that learn after the hint
_MIDDLE, _REACH = -3.0, 8.0  # log-variance, in scaled units, is kept softly within _MIDDLE -+ _REACH


@dataclass(frozen=True, kw_only=True)
class SwiftConfig(NetworkConfig):
    """Width and depth of a Swift network.

    Attributes:
        encoder: channels at a quarter and at an eighth of the resolution.
        encoder_blocks: residual blocks at each of these.
        shared: one encoder looks at all views.
        separable: behind the first layers, convolutions see each channel by itself, and then mix them: a ninth of the
            parameters.
        match: channels that are correlated, and kept as state, at each of these.
        radii: reach (vertical, horizontal) of the correlations with a quarter, an eighth and a sixteenth of the
            resolution, in cells of 4, 8 and 16 pixels.
        decoder: channels at an eighth, a sixteenth and a thirty-second of the resolution.
        decoder_blocks: residual blocks at each of these.
        squeeze: channels per cell of the last map that reach the vector.
        vector: width of each view's vector.
        memory: width of the recurrent unit; 0 leaves it out.
        hint: width of the layer that is distilled, equal in teacher and student.
        head: width of the layer after it.
        polish: steps in which the matches of all cells correct the motion; 0 leaves it out.
    """

    encoder: tuple[int, int] = (32, 64)
    encoder_blocks: tuple[int, int] = (1, 1)
    shared: bool = False
    separable: bool = False
    match: tuple[int, int] = (32, 48)
    radii: tuple[tuple[int, int], tuple[int, int], tuple[int, int]] = ((4, 4), (4, 4), (3, 4))
    decoder: tuple[int, int, int] = (64, 96, 96)
    decoder_blocks: tuple[int, int, int] = (0, 1, 1)
    squeeze: Number = 16
    vector: Number = 128
    memory: Count = 128
    hint: Number = 128
    head: Number = 64
    polish: Count = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        level = len(level_views(self.views)) == len(self.views)
        if self.polish and not (self.unit == "camera_height" and level):
            raise VodistillError("the ground tells camera heights, in level views", "set polish to 0")
        for name, view in self.views.items():
            if view.height % 32 or view.width % 32:
                size = f"{view.height}x{view.width}"
                raise VodistillError(f"view '{name}' is {size}", "a Swift network needs multiples of 32")

    def build(self) -> Swift:
        return Swift(self)


SWIFT = {
    "swift-t": SwiftConfig(
        encoder=(64, 192), encoder_blocks=(2, 4),
        decoder=(192, 256, 256), decoder_blocks=(1, 3, 2), squeeze=32, vector=512, memory=512,
    ),
    "swift-l": SwiftConfig(
        encoder=(48, 128), encoder_blocks=(1, 2), match=(48, 96),
        decoder=(128, 160, 192), decoder_blocks=(1, 2, 2), squeeze=24, vector=256, memory=256,
    ),
    "swift-m": SwiftConfig(
        encoder=(32, 96), match=(32, 64), decoder=(96, 128, 160), decoder_blocks=(1, 1, 2),
        squeeze=24, vector=192, memory=192,
    ),
    "swift-s": SwiftConfig(),
    "swift-xs": SwiftConfig(
        encoder=(16, 32), match=(16, 32), decoder=(32, 48, 64), decoder_blocks=(0, 1, 0),
        vector=64, memory=64, head=32,
    ),
    "swift-xxs": SwiftConfig(
        encoder=(16, 32), encoder_blocks=(0, 0), match=(16, 24), decoder=(24, 32, 32), decoder_blocks=(0, 0, 0),
        squeeze=4, vector=40, memory=24, head=24,
    ),
}  # fmt: skip
"""Teacher and students; at 96x320 the d_rates of l, m, s and xs are 65, 81, 93 and 98 %. Where swift-s is the teacher,
those of xs and xxs are 74 and 93 %."""


class Swift(Network):
    """See the module's text.

    The maps of the first view are its levels: 0 and 1 of the newer frame at 1/4 and 1/8; 2, 3 and 4 of the pair at 1/8,
    1/16 and 1/32 of the resolution; and 'match4' and 'match8', what is matched of the newer frame. 'fine_flow' and
    'flow' (B, T-1, 2, H/8, W/8) and 'coarse_flow' (B, T-1, 2, H/16, W/16) are displacements (x, y), in pixels, from
    each cell to its match in the last frame; 'fine_match', 'match' and 'coarse_match' the scores of all that each cell
    was compared with, and 'fine_match:NAME' that of another view. Where the motion is polished, 'guess' (B, T-1, 6) is
    what it was before, 'counts' (B, T-1, 2 V + 6) how much each side counts (see `Polish.counts`), 'told'
    (B, T-1, 6, P) what all cells tell, and 'shift', 'spread' and 'ground' (of other views 'shift:NAME', ...) the same
    as maps; see `peaks.TOLD`.
    """

    config: SwiftConfig

    def __init__(self, config: SwiftConfig) -> None:
        super().__init__(config)
        looking = ["image"] if config.shared else list(config.views)
        self.encoders = nn.ModuleDict({name: Encoder(config) for name in looking})
        self.decoders = nn.ModuleDict({name: Decoder(config, view) for name, view in config.views.items()})
        fused = config.vector * len(config.views)
        self.memory = GRUCell(fused, config.memory) if config.memory else None
        self.hint = nn.Linear(fused + config.memory, config.hint)
        self.peaks = _peaks(config) if config.polish else None
        self.polish = _polish(config) if config.polish else None
        self.head = nn.Sequential(nn.Linear(config.hint, config.head), nn.ReLU(), nn.Linear(config.head, 12))
        nn.init.normal_(self.head[-1].weight, std=0.01)  # type: ignore[arg-type]
        nn.init.zeros_(self.head[-1].bias)  # type: ignore[arg-type]
        self.hint_width, self.tracks = config.hint, config.polish > 0
        self.matches = {
            of_view(name, view): match for view in config.views for name, match in matches(config, view).items()
        }
        self.level_channels = {f"level{i}": width for i, width in enumerate((*config.encoder, *config.decoder))}
        self.level_channels |= {"match4": config.match[0], "match8": config.match[1]}
        if self.polish is not None:
            self.level_channels["counts"] = self.polish.weighing.out_features

    def encoder(self, view: str) -> Encoder:
        """What looks at a view."""
        encoder = self.encoders["image" if self.config.shared else view]
        assert isinstance(encoder, Encoder)
        return encoder

    def observation_shapes(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        for name, view in self.views.items():
            for cell, width in zip((4, 8), self.config.match, strict=True):
                shapes[f"match{cell}_{name}"] = (width, view.height // cell, view.width // cell)
            if self.polish is not None:
                shapes[f"frame_{name}"] = (1, view.height, view.width)
        return shapes

    def memory_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"memory": (self.config.memory,)} if self.memory is not None else {}

    def head_parameters(self) -> list[nn.Parameter]:
        return [p for name, p in self.named_parameters() if _AFTER & set(name.split("."))]

    def observe(self, views: dict[str, Tensor]) -> Observation:
        seen = [self.encoder(name)(views[name], locally=name != "image") for name in self.views]
        contexts, matched, maps = zip(*seen, strict=True)
        return Observation(tuple(tensor for pair in matched for tensor in pair), contexts, maps[0])

    def compare(
        self, last: tuple[Tensor, ...], this: tuple[Tensor, ...], fresh: tuple[Tensor, ...]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        parts = list(zip(*(self._parted(kept) for kept in (last, this)), fresh, strict=True))
        decoded = [decoder(*part) for decoder, part in zip(self.decoders.values(), parts, strict=True)]
        vectors, (first, *others) = zip(*decoded, strict=True)
        alike = [name for name, match in self.matches.items() if match.view == "image"]
        for view, maps in zip(list(self.views)[1:], others, strict=True):
            first |= {of_view(name, view): maps[name] for name in alike}
        if self.peaks is not None:
            frames = ((now[-1], before[-1]) for before, now, _ in parts)
            first["told"] = self.peaks([_seen(maps, *pair) for (_, maps), pair in zip(decoded, frames, strict=True)])
        return torch.cat(vectors, 1), first

    def recall(self, vector: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        if self.memory is None:
            return vector, memory
        state = self.memory(vector, *memory)
        return torch.cat([vector, state], 1), (state,)

    def regress(self, vector: Tensor, maps: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        before = self.hint(vector)
        hint = functional.relu(before)
        motion, log_variance = self.head(hint).chunk(2, 1)
        told: dict[str, Tensor] = {}
        if self.peaks is not None and self.polish is not None:
            guess, counts = unhalved(motion) * self.motion_scale, self.polish.counts(hint)
            told = {"guess": guess, "counts": counts, **self.peaks.maps(maps["told"])}
            polished, heard = self.polish(guess, counts, maps["told"])
            motion, log_variance = polished / self.motion_scale, self.head(functional.relu(before + heard))[:, 6:]
        return hint, motion, _MIDDLE + _REACH * torch.tanh(log_variance / _REACH), told

    def _parted(self, kept: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
        """What is kept of each view."""
        each = len(kept) // len(self.views)
        return [kept[i : i + each] for i in range(0, len(kept), each)]


def _seen(maps: dict[str, Tensor], this: Tensor, last: Tensor) -> Seen:
    above = functional.interpolate(maps["level3"], scale_factor=2.0)
    return Seen(maps["fine_match"], maps["match"], this, last, torch.cat([maps["level2"], above], 1))


def _peaks(config: SwiftConfig) -> Peaks:
    found = matches(config)
    return Peaks(found["fine_match"], found["match"], config.views, config.decoder[0] + config.decoder[1])


def _polish(config: SwiftConfig) -> Polish:
    return Polish(level_views(config.views), matches(config)["fine_match"].spacing, config.hint, config.polish)
