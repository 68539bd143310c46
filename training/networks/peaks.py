"""Where a cell was in the last frame, to a fraction of a cell, and how well that is known.

A correlation's scores say it in whole cells, of which the highest is taken, and the images say the rest. How far each
is to be believed is learned: from the shape of the scores around the highest, from the texture, from what the images
still differ by there, and from what the cell shows. A corner is known both ways, an edge across it, the sky not at all.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ros2_vodistill.view import Patch, View
from training.networks.align import Align
from training.networks.base import Match
from training.networks.layers import unhalved
from training.networks.polish import Tracks

_AROUND = 2  # cells on each side of the highest score that are looked at
_BLIND = -30.0  # score of what lies beyond the correlation's reach
_PREFERENCE = 2e-3  # for short displacements, by their squares in cells: where nothing is seen, all scores are alike
_TIE, _LEAST = 0.05, 1e-3  # difference of two scores that makes one of them clearly the higher; how little it may be
_DEEP = 8.0  # scores that are lower than the highest by more than this say no more
_FIRST = 0.5  # spread at first, in pixels
_STEPS = 3  # of alignment
_FAINT = 1e-3  # squared difference of grey levels, normalised, that is as good as none


class Peaks(nn.Module):
    """The displacements of a view's cells.

    Args:
        match: the correlation.
        view: that it compares.
        context: channels of the map that says what the cells show.
        width: of what is learned.

    Attributes:
        alike: channels, beside the context, that what is learned sees first.
    """

    offsets: Tensor
    nearby: Tensor
    places: Tensor
    preference: Tensor

    def __init__(self, match: Match, view: View | Patch, context: int, width: int = 48) -> None:
        super().__init__()
        self.match = match
        self.align = Align(view, match.spacing, _STEPS)
        steps = torch.arange(-_AROUND, _AROUND + 1.0)
        x, y = steps.repeat(len(steps)), steps.repeat_interleave(len(steps))
        padded = 2 * (match.radius[1] + _AROUND) + 1
        rows, columns = (torch.arange(-r, r + 1.0) for r in match.radius)
        places = torch.stack([columns.repeat(len(rows)), rows.repeat_interleave(len(columns))])[..., None, None]
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("preference", -_PREFERENCE * places.square().sum(0), persistent=False)
        self.register_buffer("offsets", ((y + _AROUND) * padded + x + _AROUND).long(), persistent=False)
        self.register_buffer("nearby", torch.stack([x, y], 1), persistent=False)
        self.alike = 2 * len(x) + 6
        self.read = nn.Sequential(
            nn.Conv2d(self.alike + context, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU()
        )
        self.tell = nn.Conv2d(width, 7, 1)
        nn.init.normal_(self.tell.weight, std=0.01)
        with torch.no_grad():
            told = [0.0, 0.0, math.log(_FIRST), math.log(_FIRST), 0.0, 1.0, 0.0]
            self.tell.bias.copy_(torch.tensor(told))  # type: ignore[union-attr]

    def forward(self, scores: Tensor, frames: tuple[Tensor, Tensor], context: Tensor) -> Tracks:
        """What the cells tell.

        Args:
            scores: (N, D, h, w) of the match.
            frames: the newer and the last (N, 1, H, W), smoothed.
            context: (N, C, h, w).
        """
        peak, near, clear = self._peak(unhalved(scores))
        aligned, worth = self.align(*frames, peak)
        xx, yy, xy, left = worth.unbind(1)
        moved = (aligned - peak) / self.match.cell
        texture = [xx.log1p(), yy.log1p(), xy / (xx * yy + _FAINT).sqrt(), (left + _FAINT).log()]
        seen = torch.cat([near, moved.clamp(-1.0, 1.0), torch.stack(texture, 1), context.to(near.dtype)], 1)
        told = unhalved(self.tell(self.read(seen)))
        shift = torch.lerp(peak, aligned, torch.sigmoid(told[:, 5:6])) + told[:, :2]
        return Tracks(shift, spread(told[:, 2:5]) / clear, torch.sigmoid(told[:, 6:]))

    def _peak(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 2, h, w) pixels to the mean around the highest score; the scores around it as a map; and how clearly it
        is the highest (N, 1, h, w): next to nothing where another one is as high to the last digits, so that it makes
        no difference which is taken."""
        vertical, horizontal = self.match.radius
        columns = 2 * horizontal + 1
        scores = scores + self.preference
        highest, place = scores.max(1)  # (N, h, w)
        row = torch.div(place, columns, rounding_mode="floor")
        column = place - columns * row
        whole = torch.stack([column - horizontal, row - vertical], 1).to(scores.dtype)
        table = scores.permute(0, 2, 3, 1).unflatten(3, (-1, columns))
        table = functional.pad(table, (_AROUND,) * 4, value=_BLIND).flatten(3)
        first = row * (columns + 2 * _AROUND) + column
        near = table.gather(3, first[..., None] + self.offsets) - highest[..., None]  # at most 0
        shares = torch.softmax(near, 3)
        part = torch.stack([(shares * steps).sum(3) for steps in self.nearby.unbind(1)], 1)
        shape = torch.cat([shares, near.clamp_min(-_DEEP) / _DEEP], 3).permute(0, 3, 1, 2)
        elsewhere = (self.places - whole[:, :, None]).abs().amax(1) > 0.5  # (N, D, h, w)
        rival = torch.where(elsewhere, scores, _BLIND).amax(1)
        clear = torch.tanh((highest - rival) / _TIE).clamp_min(_LEAST)[:, None]
        return self.match.cell * (whole + part), shape, clear


def spread(told: Tensor) -> Tensor:
    """The lower triangle (a, b, c) of a displacement's spread [[a, 0], [c, b]], a root of its covariance, in pixels;
    of (log a, log b, c / b), along axis 1."""
    a, b = (value.clamp(-4.0, 5.0).exp() for value in told[:, :2].unbind(1))
    return torch.stack([a, b, b * told[:, 2]], 1)
