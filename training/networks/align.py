"""Where cells were in the last frame, as the images themselves tell it: Lucas and Kanade's steps, for all at once.

Features that were made at a quarter of the resolution tell a displacement to half a pixel, and lean towards whole
cells, all alike, which a motion that is measured from hundreds of them inherits. Grey levels tell it to a tenth, from a
place that is nearly right. What surrounds a cell is looked up there between the pixels, and moved until it differs
least.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ros2_vodistill.view import Patch, View

_HALF = 3  # pixels on each side of a cell's centre that are compared
_MARGIN = 8  # pixels beyond the frame, where its border goes on
_BEYOND = 2.0  # pixels beyond the frame where a cell is looked for at most
_STRIDE = 1.5  # pixels, at most, in one step
_NOISE = 0.005  # squared slope, per pixel, of a texture that says nothing


def smoothed(frame: Tensor) -> Tensor:
    """What is compared of frames (N, 1, H, W): with less noise, and nothing too fine to be looked up between pixels."""
    return functional.avg_pool2d(frame, 3, 1, 1, count_include_pad=False)


class Align(nn.Module):
    """Moves the cells of a view.

    Args:
        view: that shows them.
        spacing: of the cells, pixels.
        steps: how often they are moved.
    """

    least: Tensor
    most: Tensor
    first: Tensor
    own: Tensor
    around: Tensor

    def __init__(self, view: View | Patch, spacing: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.columns = view.width + 2 * _MARGIN
        y, x = torch.meshgrid(
            torch.arange(0, view.height, spacing), torch.arange(0, view.width, spacing), indexing="ij"
        )
        self.grid = x.shape
        cells = torch.stack([x, y]).flatten(1).float()
        self.register_buffer("least", -_BEYOND - cells, persistent=False)
        self.register_buffer("most", cells.amax(1, keepdim=True) + spacing + _BEYOND - 1 - cells, persistent=False)
        self.register_buffer("around", self._window(-_HALF, _HALF + 2), persistent=False)
        first = ((y + _MARGIN) * self.columns + x + _MARGIN).flatten()
        self.register_buffer("first", first, persistent=False)
        own = first[:, None] + self._window(-_HALF - 1, _HALF + 2)
        self.register_buffer("own", own.flatten(), persistent=False)

    def forward(self, this: Tensor, last: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """Displacements (N, 2, h, w) of cells, x then y, in pixels, that begin with `shift`; and (N, 4, h, w) what they
        are worth: the slopes of the texture, x x, y y and x y, and what was left of the difference before the last
        step, per pixel.

        Args:
            this: the newer frames (N, 1, H, W).
            last: those before.
        """
        this, last = (functional.pad(frame, (_MARGIN,) * 4, mode="replicate").flatten(1) for frame in (this, last))
        side = 2 * _HALF + 3
        own = this.index_select(1, self.own).unflatten(1, (-1, side, side))  # (N, P, side, side)
        right = 0.5 * (own[..., 1:-1, 2:] - own[..., 1:-1, :-2])
        down = 0.5 * (own[..., 2:, 1:-1] - own[..., :-2, 1:-1])
        own = _centred(own[..., 1:-1, 1:-1])
        xx, yy, xy = (_mean(a * b) for a, b in ((right, right), (down, down), (right, down)))
        steep, upright = xx + _NOISE, yy + _NOISE
        over = 1.0 / (steep * upright - xy * xy)
        place = shift.flatten(2).detach()  # (N, 2, P)
        for _ in range(self.steps):
            left = own - _centred(self._looked_up(last, place))
            x, y = _mean(right * left), _mean(down * left)
            step = torch.stack([upright * x - xy * y, steep * y - xy * x], 1) * over[:, None]
            place = place + step.clamp(-_STRIDE, _STRIDE)
        worth = torch.stack([xx, yy, xy, _mean(left * left)], 1)
        return place.unflatten(2, self.grid), worth.unflatten(2, self.grid)

    def _looked_up(self, frames: Tensor, place: Tensor) -> Tensor:
        """(N, P, side, side) of padded, flat frames around each displaced cell, between the pixels."""
        place = torch.minimum(torch.maximum(place, self.least), self.most)
        whole = place.floor()  # of displacements, which are small and so have the more digits behind the point
        column, row = whole.long().unbind(1)  # (N, P)
        first = self.first + row * self.columns + column
        side = 2 * _HALF + 2
        pixels = frames.gather(1, (first[..., None] + self.around).flatten(1)).unflatten(1, (-1, side, side))
        right, low = (place - whole)[..., None, None].unbind(1)
        across = pixels[..., :-1] + right * (pixels[..., 1:] - pixels[..., :-1])
        return across[..., :-1, :] + low * (across[..., 1:, :] - across[..., :-1, :])

    def _window(self, first: int, end: int) -> Tensor:
        """Places of a square of pixels beside that of its centre, in a padded, flat frame."""
        steps = torch.arange(first, end)
        return (steps[:, None] * self.columns + steps).flatten()


def _mean(windows: Tensor) -> Tensor:
    return windows.mean((2, 3))


def _centred(windows: Tensor) -> Tensor:
    return windows - _mean(windows)[..., None, None]
