"""Displacements of cells into the last frame, to a fraction of a cell, with their covariances.

The peak of a correlation's scores gives whole cells, alignment of the images the rest. What moved farther than the fine
correlation reaches is found by one with larger cells. The covariance is learned: from the shape of the peak, the
texture, what the images still differ by, and what the cell shows. A corner is located in both directions, an edge
across it only, the sky not at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ros2_vodistill.view import Patch, View
from training.networks.align import Align
from training.networks.base import Match, of_view
from training.networks.highest import Highest
from training.networks.layers import unhalved

_FIRST = 0.5  # spread at first, in pixels
_STEPS = 4  # of alignment
_WIDTH = 48  # of what is learned
_FAINT = 1e-3  # squared difference of grey levels, normalised, that is as good as none
TOLD = {"shift": 2, "spread": 3, "ground": 1}
"""What cells tell (N, 6, P), and in how many numbers: displacements in pixels, roots of their covariances (see
`spread`), and how far each is to be taken for ground, 0..1."""


@dataclass(frozen=True)
class Seen:
    """What is seen of two frames in a view.

    Attributes:
        near, far: (N, D, h, w) scores.
        this, last: the frames (N, 1, H, W), smoothed.
        context: (N, C, h, w).
    """

    near: Tensor
    far: Tensor
    this: Tensor
    last: Tensor
    context: Tensor


class Peaks(nn.Module):
    """The displacements of the cells of all views, one after the other, row by row.

    Args:
        near, far: the correlations, of the same cells; the far one has larger ones in the last frame.
        views: that they compare.
        context: channels of the map that says what the cells show.

    Attributes:
        alike: channels, beside the context, that what is learned sees first.
    """

    reach: Tensor

    def __init__(self, near: Match, far: Match, views: Mapping[str, View | Patch], context: int) -> None:
        super().__init__()
        self.near, self.far = Highest(near), Highest(far)
        self.align = Align(list(views.values()), near.spacing, _STEPS)
        reach = [radius * near.cell + far.cell / 2 for radius in reversed(near.radius)]
        self.register_buffer("reach", torch.tensor(reach)[:, None], persistent=False)
        self.grids = {name: (view.height // near.spacing, view.width // near.spacing) for name, view in views.items()}
        self.sizes = [rows * columns for rows, columns in self.grids.values()]
        self.alike = self.near.channels + 7
        self.read = nn.ModuleDict({name: Read(self.alike + context, _WIDTH) for name in views})

    def forward(self, views: Sequence[Seen]) -> Tensor:
        """What the cells tell (N, 6, P); see `TOLD`."""
        close = self.near(_joined([seen.near for seen in views]))
        distant = self.far(_joined([seen.far for seen in views]))
        beyond = (distant[:, :2].abs() > self.reach).any(1, keepdim=True)
        peak, clear, around = torch.where(beyond, distant, close).split((2, 1, self.near.channels), 1)
        aligned, worth = self.align([seen.this for seen in views], [seen.last for seen in views], peak)
        moved = (aligned - peak) / self.near.match.cell
        xx, yy, xy, left = worth.split(1, 1)
        texture = torch.cat([xx.log1p(), yy.log1p(), xy / (xx * yy + _FAINT).sqrt(), (left + _FAINT).log()], 1)
        shape = torch.cat([around, moved.clamp(-1.0, 1.0), texture, beyond.to(around.dtype)], 1)
        parts = zip(self.read.values(), shape.split(self.sizes, 2), views, strict=True)
        told = torch.cat([read(part, seen.context.flatten(2)) for read, part, seen in parts], 2)
        off, spreads, lean, ground = told.split((2, 3, 1, 1), 1)
        shift = peak + torch.sigmoid(lean) * (aligned - peak) + off
        return torch.cat([shift, spread(spreads) / clear, torch.sigmoid(ground)], 1)

    def maps(self, told: Tensor) -> dict[str, Tensor]:
        """The same as maps (N, 1 to 3, h, w) of each view: 'shift', 'spread' and 'ground'."""
        return {
            of_view(name, view): part
            for (view, grid), cells in zip(self.grids.items(), told.split(self.sizes, 2), strict=True)
            for name, part in zip(TOLD, cells.unflatten(2, grid).split(list(TOLD.values()), 1), strict=True)
        }


def _joined(scores: Sequence[Tensor]) -> Tensor:
    """Of the cells of all views (N, D, P)."""
    return torch.cat([unhalved(view).flatten(2) for view in scores], 2)


class Read(nn.Module):
    """What is learned of a view's cells."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.tell = nn.Linear(width, 7)
        nn.init.normal_(self.tell.weight, std=0.01)
        with torch.no_grad():
            self.tell.bias.copy_(torch.tensor([0.0, 0.0, math.log(_FIRST), math.log(_FIRST), 0.0, 1.0, 0.0]))

    def forward(self, shape: Tensor, context: Tensor) -> Tensor:
        seen = torch.cat([shape, context.to(shape.dtype)], 1).mT
        return unhalved(self.tell(self.layers(seen))).mT


def spread(told: Tensor) -> Tensor:
    """The lower triangles (a, b, c) of displacements' spreads [[a, 0], [c, b]], roots of their covariances, in pixels;
    of (log a, log b, c / b), both (N, 3, ...)."""
    sure, slant = told.split((2, 1), 1)
    sides = sure.clamp(-4.0, 5.0).exp()
    return torch.cat([sides, sides[:, 1:] * slant], 1)
