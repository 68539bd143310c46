"""The peak of a cell's correlation scores: where it is, how distinct it is, and what is around it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.base import Match

_AROUND = 2  # cells on each side of the highest score that are looked at
_BLIND = -30.0  # score of what lies beyond the correlation's reach
_PREFERENCE = 2e-3  # for short displacements, by their squares in cells: where nothing is seen, all scores are alike
_TIE, _LEAST = 0.05, 1e-3  # difference of two scores that makes one of them clearly the higher; how little it may be
_DEEP = 8.0  # scores that are lower than the highest by more than this say no more


class Highest(nn.Module):
    """Finds it.

    Attributes:
        channels: of what is around it.
    """

    offsets: Tensor
    nearby: Tensor
    preference: Tensor

    def __init__(self, match: Match) -> None:
        super().__init__()
        self.match = match
        steps = torch.arange(-_AROUND, _AROUND + 1.0)
        x, y = steps.repeat(len(steps)), steps.repeat_interleave(len(steps))
        padded = 2 * (match.radius[1] + _AROUND) + 1
        rows, columns = (torch.arange(-r, r + 1.0) for r in match.radius)
        distance = (rows.square()[:, None] + columns.square()).flatten()
        self.register_buffer("preference", -_PREFERENCE * distance[:, None], False)
        self.register_buffer("offsets", ((y + _AROUND) * padded + x + _AROUND).long()[:, None], False)
        self.register_buffer("nearby", torch.stack([x, y]), False)
        self.channels = 2 * len(x)

    def forward(self, scores: Tensor) -> Tensor:
        """Of scores (N, D, P) of cells (N, 3 + C, P): x and y of the mean around the highest, in pixels; how
        clearly it is the highest, next to nothing where another one is as high to the last digits, so that it makes no
        difference which is taken; and those around it."""
        vertical, horizontal = self.match.radius
        columns = 2 * horizontal + 1
        scores = scores + self.preference
        best, places = scores.topk(2, 1)
        highest, place = best[:, :1], places[:, :1]
        row = torch.div(place, columns, rounding_mode="floor")
        column = place - columns * row
        whole = torch.cat([column - horizontal, row - vertical], 1).to(scores.dtype)
        table = functional.pad(scores.unflatten(1, (-1, columns)), (0, 0, *(_AROUND,) * 4), value=_BLIND).flatten(1, 2)
        near = table.gather(1, row * (columns + 2 * _AROUND) + column + self.offsets) - highest  # at most 0
        shares = torch.softmax(near, 1)
        clear = torch.tanh((highest - best[:, 1:]) / _TIE).clamp_min(_LEAST)
        middle = self.match.cell * (whole + self.nearby @ shares)
        return torch.cat([middle, clear, shares, near.clamp_min(-_DEEP) / _DEEP], 1)
