"""The loss on optical flow: a pair network's maps are asked how far each of their cells moved.

FlowNet's convolutions, which the paper's networks start from, were trained so. Every cell of a map is a lesson then,
where the pose gives six numbers a pair.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

_UNIT = 8.0  # pixels: a typical displacement
_FLAT, _ROOT = 0.1, 0.4  # the robust loss (gap + 0.1)^0.4, which hardly minds what a cell cannot see


class OpticalFlow(nn.Module):
    """Reads the flow off a map with a 1x1 convolution of its own, which no network keeps.

    Args:
        channels: of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.read = nn.Conv2d(channels, 2, 1)

    def forward(self, feature: Tensor, flow: Tensor) -> Tensor:
        """The mean over all cells whose flow is known; 0 for a perfect reading.

        Args:
            feature: (N, C, h, w).
            flow: (N, 2, H, W) of finer cells, or of as many, in pixels; NaN where unknown. See `Batch.flow`.
        """
        truth = functional.avg_pool2d(flow, flow.shape[-1] // feature.shape[-1])
        known = truth.isfinite().all(1)
        gap = self.read(feature) - truth.nan_to_num() / _UNIT
        miss = (gap.float().square().sum(1) + 1e-12).sqrt()
        robust = (miss + _FLAT) ** _ROOT - _FLAT**_ROOT
        return (robust * known).sum() / known.sum().clamp_min(1)
