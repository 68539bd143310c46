"""Sub-pixel displacements of cells by Lucas-Kanade iterations on the images, for all cells at once.

Features at a quarter of the resolution give displacements to half a pixel, biased towards whole cells; the bias is
common to hundreds of cells, and the motion inherits it. Grey levels give a tenth of a pixel, from a start that is
nearly right: the patch around a cell is sampled there between the pixels, and moved until it differs least. The frames
of all views lie in one row of pixels, so that all their cells are moved together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ros2_vodistill.view import Patch, View
from training.networks.layers import box_mean, in_full, unhalved

_HALF = 3  # pixels on each side of a cell's centre that are compared
_MARGIN = 8  # pixels beyond the frame, where its border goes on
_BEYOND = 2.0  # pixels beyond the frame where a cell is looked for at most
_STRIDE = 1.5  # pixels, at most, in one step
_FARTHER = 1.3  # over-relaxation: far from the minimum steps fall short
_NOISE = 2e-4  # damping: squared gradient per pixel of a texture that says nothing


def smoothed(frame: Tensor) -> Tensor:
    """What is compared of frames (N, 1, H, W): with less noise, and nothing too fine to be looked up between pixels."""
    return box_mean(frame, 3)


class Align(nn.Module):
    """Moves the cells of views.

    Args:
        views: that show them.
        spacing: of the cells, pixels.
        steps: how often they are moved.
    """

    least: Tensor
    most: Tensor
    first: Tensor
    columns: Tensor
    own: Tensor
    around: Tensor

    def __init__(self, views: Sequence[View | Patch], spacing: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        tables: dict[str, list[Tensor]] = {"least": [], "most": [], "first": [], "columns": [], "own": [], "around": []}
        begin = 0
        for view in views:
            columns, rows = view.width + 2 * _MARGIN, view.height + 2 * _MARGIN
            y, x = torch.meshgrid(
                torch.arange(0, view.height, spacing), torch.arange(0, view.width, spacing), indexing="ij"
            )
            cells = torch.stack([x.flatten(), y.flatten()])
            first = begin + (cells[1] + _MARGIN) * columns + cells[0] + _MARGIN
            tables["least"].append(-_BEYOND - cells)
            tables["most"].append(cells.amax(1, keepdim=True) + spacing + _BEYOND - 1 - cells)
            tables["first"].append(first)
            tables["columns"].append(torch.full_like(first, columns))
            tables["own"].append(first + _window(-_HALF - 1, _HALF + 2, columns))
            tables["around"].append(_window(-_HALF, _HALF + 2, columns).expand(-1, len(first)))
            begin += rows * columns
        for name, table in tables.items():
            self.register_buffer(name, torch.cat(table, -1), persistent=False)

    def forward(self, this: Sequence[Tensor], last: Sequence[Tensor], shift: Tensor) -> tuple[Tensor, Tensor]:
        """Displacements (N, 2, P) of cells, x then y, in pixels, that begin with `shift`; and (N, 4, P) what they are
        worth: the slopes of the texture, x x, y y and x y, and what was left of the difference before the last step,
        per pixel.

        Args:
            this: of each view, the newer frames (N, 1, H, W).
            last: those before.
        """
        with in_full(shift):
            return self._moved(this, last, shift)

    def _moved(self, this: Sequence[Tensor], last: Sequence[Tensor], shift: Tensor) -> tuple[Tensor, Tensor]:
        newer, older = (
            torch.cat([functional.pad(frame, (_MARGIN,) * 4, mode="replicate").flatten(1) for frame in frames], 1)
            for frames in (map(unhalved, this), map(unhalved, last))
        )
        own = _around(newer, self.own.expand(len(newer), -1, -1))
        level = 0.5 * (own[:, 1:-1, 2:] - own[:, 1:-1, :-2]).flatten(1, 2)  # (N, pixels, P)
        down = 0.5 * (own[:, 2:, 1:-1] - own[:, :-2, 1:-1]).flatten(1, 2)
        own = _centred(own[:, 1:-1, 1:-1].flatten(1, 2))
        xx, yy, xy = (product.mean(1, keepdim=True) for product in (level * level, down * down, level * down))
        steep, upright = xx + _NOISE, yy + _NOISE
        far = _FARTHER / ((steep * upright - xy * xy) * own.shape[1])
        strides = torch.stack([far * (upright * level - xy * down), far * (steep * down - xy * level)], 1)
        place = shift.detach()
        for _ in range(self.steps):
            left = own - _centred(self._looked_up(older, place))
            place = place + (strides * left[:, None]).sum(2).clamp(-_STRIDE, _STRIDE)
        return place, torch.cat([xx, yy, xy, (left * left).mean(1, keepdim=True)], 1)

    def _looked_up(self, frames: Tensor, place: Tensor) -> Tensor:
        """(N, pixels, P) of padded, flat frames around each displaced cell, between the pixels."""
        place = torch.minimum(torch.maximum(place, self.least), self.most)
        whole = place.floor()  # of displacements, which are small and so have the more digits behind the point
        column, row = whole.long().split(1, 1)  # (N, 1, P)
        pixels = _around(frames, self.first + row * self.columns + column + self.around)
        right, low = (place - whole)[:, None].split(1, 2)
        across = pixels[:, :, :-1] + right * (pixels[:, :, 1:] - pixels[:, :, :-1])
        return (across[:, :-1] + low * (across[:, 1:] - across[:, :-1])).flatten(1, 2)


def _window(first: int, end: int, columns: int) -> Tensor:
    """(pixels, 1) places of a square beside that of its centre, in a flat frame that is so wide."""
    steps = torch.arange(first, end)
    return (steps[:, None] * columns + steps).flatten()[:, None]


def _around(frames: Tensor, index: Tensor) -> Tensor:
    """Squares (N, side, side, P) of flat frames, from the places (N, pixels, P) of their pixels. What is done for all
    cells alike lies in one row, which processors are fast at."""
    side = math.isqrt(index.shape[1])
    return frames.gather(1, index.flatten(1)).unflatten(1, (side, side, -1))


def _centred(windows: Tensor) -> Tensor:
    return windows - windows.mean(1, keepdim=True)
