"""Local correlation of two feature maps, written as one batched matrix product."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def local_correlation(this: Tensor, last: Tensor, radius: tuple[int, int]) -> Tensor:
    """Likeness of each cell of `this` to the cells of `last` around it.

    Each row of `this` is multiplied with the rows of `last` that it can reach; of every W x W' product only a band
    is wanted, and a band is a rectangle once the rows are one element longer than they were (pad, reshape, slice).

    Args:
        this, last: (N, C, H, W).
        radius: largest displacement (vertical, horizontal) in cells.

    Returns:
        (N, D, H, W) scalar products over sqrt(C), D = (2 vertical + 1)(2 horizontal + 1); channel
        (dy + vertical)(2 horizontal + 1) + dx + horizontal compares (y, x) with (y + dy, x + dx), outside gives 0.
    """
    count, channels, height, width = this.shape
    vertical, horizontal = radius
    rows, columns, reach = 2 * vertical + 1, 2 * horizontal + 1, width + 2 * horizontal
    queries = this.permute(0, 2, 3, 1) * channels**-0.5
    padded = functional.pad(last, (horizontal, horizontal, vertical, vertical))
    keys = torch.stack([padded[:, :, dy : dy + height] for dy in range(rows)], 3)  # (N, C, H, rows, reach)
    keys = keys.permute(0, 2, 1, 3, 4).reshape(count, height, channels, rows * reach)
    product = (queries @ keys).flatten(2)  # (N, H, W * rows * reach)
    skewed = functional.pad(product, (0, width)).reshape(count, height, width, rows * reach + 1)
    band = skewed[..., : rows * reach].reshape(count, height, width, rows, reach)[..., :columns]
    return band.permute(0, 3, 4, 1, 2).reshape(count, rows * columns, height, width)


class SoftDisplacement(nn.Module):
    """Expected displacement under the softmax of a correlation: optical flow from `this` to `last`, in cells."""

    offsets: Tensor

    def __init__(self, radius: tuple[int, int]) -> None:
        super().__init__()
        vertical, horizontal = (torch.arange(-r, r + 1.0) for r in radius)
        offsets = torch.stack([horizontal.repeat(len(vertical)), vertical.repeat_interleave(len(horizontal))])
        self.register_buffer("offsets", offsets[..., None, None], persistent=False)
        self.temperature = nn.Parameter(torch.zeros(()))

    def forward(self, correlation: Tensor) -> Tensor:
        """(N, D, H, W) -> (N, 2, H, W), x then y."""
        weights = torch.softmax(correlation.float() * self.temperature.exp(), 1)
        return functional.conv2d(weights, self.offsets)
