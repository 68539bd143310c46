"""Local correlation of two feature maps, written as one batched matrix product."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.layers import frame_mean, unhalved

_TILE = 6, 8
"""Cells, at most, that are compared together with all that any of them can reach."""


def distinctive(features: Tensor) -> Tensor:
    """Features (N, C, H, W) less what all cells of the frame share, each cell's vector brought to mean square 1.

    Scalar products of such vectors are cosines: from the first step of training on they are largest where the images
    agree.
    """
    features = unhalved(features)
    features = features - frame_mean(features)
    return features * torch.rsqrt((features * features).mean(1, keepdim=True) + 1e-4)


def local_correlation(this: Tensor, last: Tensor, radius: tuple[int, int]) -> Tensor:
    """Likeness of each cell of `this` to the cells of `last` around it.

    Each tile of `this` is multiplied with the window of `last` that it can reach, and of every product the wanted ones
    are gathered.

    Args:
        this: (N, C, H, W).
        last: (N, C, S H, S W), S times as fine: cell (y, x) of `this` lies at (S y, S x).
        radius: largest displacement (vertical, horizontal) in cells of `last`.

    Returns:
        (N, H, W, D) scalar products over sqrt(C), D = (2 vertical + 1)(2 horizontal + 1); number
        (dy + vertical)(2 horizontal + 1) + dx + horizontal compares (y, x) with (S y + dy, S x + dx), outside gives 0.
    """
    count, channels, height, width = this.shape
    stride = last.shape[2] // height
    vertical, horizontal = radius
    rows, columns = (_divisor(size, most) for size, most in zip((height, width), _TILE, strict=True))
    down, across = height // rows, width // columns
    size = stride * (rows - 1) + 2 * vertical + 1, stride * (columns - 1) + 2 * horizontal + 1
    this, last = this.permute(0, 2, 3, 1) * channels**-0.5, last.permute(0, 2, 3, 1)
    queries = _windows(this, (rows, columns), (rows, columns))
    padded = functional.pad(last, (0, 0, horizontal, horizontal, vertical, vertical))
    keys = _windows(padded, size, (stride * rows, stride * columns))
    products = (queries @ keys.transpose(2, 3)).flatten(2)
    wanted = _wanted((rows, columns), size, stride, radius, this.device)
    likeness = products.gather(2, wanted.expand(count, down * across, -1))
    return likeness.reshape(count, down, across, rows, columns, -1).transpose(2, 3).reshape(count, height, width, -1)


def _windows(cells: Tensor, size: tuple[int, int], step: tuple[int, int]) -> Tensor:
    """All windows (N, K, rows * columns, C) of a map (N, H, W, C), row by row, so many cells apart."""
    rows, columns = (
        torch.arange(0, cells.shape[i + 1] - size[i] + 1, step[i], device=cells.device)[:, None]
        + torch.arange(size[i], device=cells.device)
        for i in range(2)
    )
    places = rows[:, None, :, None] * cells.shape[2] + columns[None, :, None]
    return cells.flatten(1, 2).index_select(1, places.flatten()).unflatten(1, (len(rows) * len(columns), -1))


def _wanted(
    tile: tuple[int, int], window: tuple[int, int], stride: int, radius: tuple[int, int], device: torch.device
) -> Tensor:
    """Which products of a tile's cells with its window are within the radius, cell by cell."""
    y, x, v, u = (torch.arange(n, device=device) for n in (*tile, *(2 * r + 1 for r in radius)))
    row, column = stride * y[:, None, None, None] + v[:, None], stride * x[:, None, None] + u
    cell = tile[1] * y[:, None] + x
    return ((cell[..., None, None] * window[0] + row) * window[1] + column).flatten()


def _divisor(number: int, most: int) -> int:
    """The largest divisor that is at most so large."""
    return max(n for n in range(1, most + 1) if number % n == 0)


class Correlation(nn.Module):
    """Local correlation, and the displacement expected under its softmax: optical flow from `this` to `last`."""

    offsets: Tensor

    def __init__(self, radius: tuple[int, int]) -> None:
        super().__init__()
        self.radius = radius
        vertical, horizontal = (torch.arange(-r, r + 1.0) for r in radius)
        offsets = torch.stack([horizontal.repeat(len(vertical)), vertical.repeat_interleave(len(horizontal))], 1)
        self.register_buffer("offsets", offsets, persistent=False)
        self.temperature = nn.Parameter(torch.tensor(1.4))
        self.channels = len(offsets) + 2

    def forward(self, this: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Returns all (N, D + 2, H, W), the expected displacement last; and (N, 2, H, W) that displacement, x then y,
        in cells of `last`."""
        likeness = local_correlation(this, last, self.radius)
        displacement = torch.softmax(likeness * self.temperature.exp(), -1) @ self.offsets
        likeness, displacement = likeness.permute(0, 3, 1, 2), displacement.permute(0, 3, 1, 2)
        return torch.cat([likeness, displacement], 1), displacement
