"""The loss on peaks: a network that says where its cells were, and how surely, is told where they really were."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

TAILS = 3.0
"""Degrees of freedom: what is hidden, or moves by itself, may be far off."""


def tracking(shifts: Mapping[str, Tensor], spreads: Mapping[str, Tensor], flow: Mapping[str, Tensor]) -> Tensor:
    """How surprising the true displacements are, by Student's distribution: a mean over views and over the cells whose
    displacement is known.

    Args:
        shifts: of every view (B, T-1, 2, h, w), pixels.
        spreads: (B, T-1, 3, h, w) roots of the covariances; see `networks.peaks.spread`.
        flow: (B, T-1, 2, H, W) of the cells, or of finer ones, in pixels; NaN where unknown. See `Batch.flow`.
    """
    views = [_surprise(*(x[name].flatten(0, 1) for x in (shifts, spreads, flow))) for name in shifts]
    return torch.stack(views).mean()


def _surprise(shift: Tensor, spread: Tensor, flow: Tensor) -> Tensor:
    flow = functional.avg_pool2d(flow, flow.shape[-1] // shift.shape[-1])
    known = flow.isfinite().all(1)
    x, y = torch.where(known[:, None], flow - shift, 0.0).unbind(1)
    a, b, c = spread.unbind(1)
    first = x / a
    second = (y - c * first) / b
    squared = first.square() + second.square()
    surprise = (TAILS + 2) / 2 * torch.log1p(squared / TAILS) + a.log() + b.log()
    return torch.where(known, surprise, 0.0).sum() / known.sum().clamp_min(1)
