"""Local correlation of two feature maps, written as one batched matrix product."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def distinctive(features: Tensor) -> Tensor:
    """Features (N, C, H, W) less what all cells of the frame share, each cell's vector brought to mean square 1.

    Scalar products of such vectors are cosines: from the first step of training on they are largest where the images
    agree.
    """
    features = features - features.mean((2, 3), keepdim=True)
    return features * torch.rsqrt(features.square().mean(1, keepdim=True) + 1e-4)


def local_correlation(this: Tensor, last: Tensor, radius: tuple[int, int]) -> Tensor:
    """Likeness of each cell of `this` to the cells of `last` around it.

    Each row of `this` is multiplied with the rows of `last` that it can reach; of every product only a band is wanted,
    and a band becomes a rectangle once the rows are a little longer than they were (pad, reshape, slice).

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
    rows, columns, reach = 2 * vertical + 1, 2 * horizontal + 1, stride * width + 2 * horizontal
    queries = this.permute(0, 2, 3, 1) * channels**-0.5
    padded = functional.pad(last, (horizontal, horizontal, vertical, vertical))
    shifted = [padded[:, :, dy : dy + stride * height : stride] for dy in range(rows)]
    keys = torch.stack(shifted, 3).permute(0, 2, 1, 3, 4).reshape(count, height, channels, rows * reach)
    product = (queries @ keys).flatten(2)
    skewed = functional.pad(product, (0, stride * width)).reshape(count, height, width, rows * reach + stride)
    band = skewed[..., : rows * reach].reshape(count, height, width, rows, reach)[..., :columns]
    return band.flatten(3)


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
        both = torch.cat([likeness, displacement], -1).permute(0, 3, 1, 2)
        return both, both[:, -2:]
