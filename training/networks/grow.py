"""A large Swift network initialised from a trained smaller one, as Net2Net does.

The large network computes the same at first: the small one's filters are copied among its own with zero weights on new
channels, and new residual blocks add nothing. New filters read all channels, so they can learn. A teacher that starts
from its student needs a fraction of the clips to surpass it. A `polish` that the small network lacks works at once.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ros2_vodistill.errors import VodistillError
from training.networks.base import Network
from training.networks.branch import Decoder, Encoder
from training.networks.layers import GRUCell, Residual, ScaledConv2d, SeparableConv2d
from training.networks.peaks import Read
from training.networks.swift import Swift

_ALIKE = "shared", "separable", "unit", "translation_scale", "rotation_scale", "match", "radii", "hint", "head"
_WIDTHS = "encoder", "encoder_blocks", "decoder", "decoder_blocks", "squeeze", "vector", "memory"


@torch.no_grad()
def grow(large: Network, small: Network, name: str = "the small network") -> None:
    """Let `large`, freshly initialised, compute what `small`, of that name in errors, does."""
    if not isinstance(large, Swift) or not isinstance(small, Swift):
        raise VodistillError(f"{name}: its tensors do not fit", "only a Swift network can begin as a smaller one")
    mine, theirs = large.config, small.config
    if unlike := [view for view, small_one in theirs.views.items() if mine.views.get(view) != small_one]:
        raise VodistillError(f"{name}: its views ({', '.join(unlike)}) do not fit", "further views may be added")
    if differing := [x for x in _ALIKE if getattr(mine, x) != getattr(theirs, x)]:
        raise VodistillError(f"{name}: its {', '.join(differing)} do not fit", "only width and depth grow")
    if theirs.polish not in (0, mine.polish):
        raise VodistillError(f"{name}: its {theirs.polish} steps of polishing do not fit", f"there are {mine.polish}")
    if narrower := [x for x in _WIDTHS if _less(getattr(mine, x), getattr(theirs, x))]:
        raise VodistillError(f"{name}: its {', '.join(narrower)} do not fit", "a network grows, it never shrinks")
    for view in large.views:
        like = view if view in small.views else "image"
        decoder = large.decoders[view]
        _grow_encoder(large.encoder(view), small.encoder(like))
        _grow_decoder(decoder, small.decoders[like], (mine.decoder[1], theirs.decoder[1]))  # type: ignore[arg-type]
        if view == like:
            _grow_vector(decoder, small.decoders[like])  # type: ignore[arg-type]
    places = [list(large.views).index(view) for view in small.views]
    fused = torch.cat([place * mine.vector + torch.arange(theirs.vector) for place in places])
    state = torch.arange(theirs.memory)
    if large.memory is not None and small.memory is not None:
        _grow_memory(large.memory, small.memory, fused, state)
    _put(large.hint, small.hint, torch.cat([fused, len(large.views) * mine.vector + state]))
    if theirs.polish:
        _grow_peaks(large, small)
        _grow_polish(large, small)
    large.head.load_state_dict(small.head.state_dict())


def _less(mine: int | tuple[int, ...], theirs: int | tuple[int, ...]) -> bool:
    return bool(np.less(mine, theirs).any())


def _grow_encoder(large: Encoder, small: Encoder) -> None:
    _grow_stage(large.quarter, small.quarter)
    _grow_stage(large.eighth, small.eighth)
    _put(large.match4, small.match4)
    _put(large.match8, small.match8)


def _grow_decoder(large: Decoder, small: Decoder, width: tuple[int, int]) -> None:
    """`width` is that of their maps at a sixteenth."""
    for correlation in ("fine", "middle", "coarse"):
        getattr(large, correlation).load_state_dict(getattr(small, correlation).state_dict())
    _grow_stage(large.eighth, small.eighth)  # the context, which is wider, comes last
    _grow_stage(large.down, small.down)
    scores = torch.arange(small.coarse.channels)
    _grow_stage(large.sixteenth, small.sixteenth, torch.cat([torch.arange(width[1]), width[0] + scores]))
    _grow_stage(large.thirtysecond, small.thirtysecond)
    _put(large.squeeze, small.squeeze)


def _grow_peaks(large: Swift, small: Swift) -> None:
    assert large.peaks is not None and small.peaks is not None
    (ours, _, _), (theirs, above, _) = large.config.decoder, small.config.decoder
    seen = torch.arange(small.peaks.alike + theirs + above)
    seen[small.peaks.alike + theirs :] += ours - theirs  # the map at a sixteenth stands behind that at an eighth
    for view in large.views:
        mine, known = large.peaks.read[view], small.peaks.read[view if view in small.views else "image"]
        assert isinstance(mine, Read) and isinstance(known, Read)
        _put(mine.layers[0], known.layers[0], seen)
        _put(mine.layers[2], known.layers[2])
        _put(mine.tell, known.tell)


def _grow_vector(large: Decoder, small: Decoder) -> None:
    flows = torch.arange(6)
    squeezed = torch.cat([torch.arange(small.squeeze.out_channels), large.squeeze.out_channels + flows])
    cells = large.vector.in_features // (large.squeeze.out_channels + len(flows))
    _put(large.vector, small.vector, (cells * squeezed[:, None] + torch.arange(cells)).flatten())


def _grow_polish(large: Swift, small: Swift) -> None:
    assert large.polish is not None and small.polish is not None
    count = len(large.views)
    places = torch.tensor([list(large.views).index(view) for view in small.views])
    weighed = torch.cat([places, count + places, 2 * count + torch.arange(6)])
    large.polish.weighing.weight[weighed] = small.polish.weighing.weight
    large.polish.weighing.bias[weighed] = small.polish.weighing.bias
    large.polish.heard.load_state_dict(small.polish.heard.state_dict())


def _grow_stage(large: nn.Sequential, small: nn.Sequential, inputs: Tensor | None = None) -> None:
    """`inputs` are the channels, of all that the large stage sees, that the small one sees; else the first ones."""
    _put(large[0], small[0], inputs)
    blocks = [block for block in large if isinstance(block, Residual)]
    known = [block for block in small if isinstance(block, Residual)]
    for mine, theirs in zip(blocks, known, strict=False):
        _put(mine.first, theirs.first)
        _put(mine.second, theirs.second)
    for new in blocks[len(known) :]:
        last = new.second.mix if isinstance(new.second, SeparableConv2d) else new.second
        last.gain.zero_()
        last.bias.zero_()  # type: ignore[union-attr]


def _grow_memory(large: GRUCell, small: GRUCell, fused: Tensor, state: Tensor) -> None:
    width = large.from_state.in_features
    gates = torch.cat([gate * width + state for gate in range(3)])
    _put(large.from_input, small.from_input, fused, gates)
    _put(large.from_state, small.from_state, state, gates)


def _put(large: nn.Module, small: nn.Module, inputs: Tensor | None = None, outputs: Tensor | None = None) -> None:
    """Put a layer's filters into a larger layer's: at these outputs, for these inputs alone; else the first."""
    if isinstance(large, SeparableConv2d) and isinstance(small, SeparableConv2d):
        known = torch.arange(small.each.in_channels) if inputs is None else inputs
        large.each.weight[known] = small.each.weight
        return _put(large.mix, small.mix, inputs, outputs)
    assert isinstance(large, nn.Linear | nn.Conv2d) and isinstance(small, nn.Linear | nn.Conv2d)
    weight = small.weight
    inputs = torch.arange(weight.shape[1]) if inputs is None else inputs
    outputs = torch.arange(len(weight)) if outputs is None else outputs
    if isinstance(small, ScaledConv2d) and isinstance(large, ScaledConv2d):
        weight = weight - weight.mean((1, 2, 3), keepdim=True)  # then zeros beside it change neither mean nor length
        large.gain[outputs] = small.gain
    rows = torch.zeros_like(large.weight[outputs])
    rows[:, inputs] = weight
    large.weight[outputs] = rows
    large.bias[outputs] = small.bias  # type: ignore[index, assignment]
