"""The loss on matches: a network with local correlations is told where in the last frame each of its cells was."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from training.networks.base import Match


def matching(features: Mapping[str, Tensor], matches: Mapping[str, Match], flow: Mapping[str, Tensor]) -> Tensor:
    """How surprising the true matches are to the network: the mean cross entropy over its correlations, in nats.

    The true displacement lies between four cells: the truth is a distribution over these with bilinear shares, whose
    mean is the displacement. Cells whose match is unknown, out of reach or outside the last frame do not count.

    Args:
        features: of the network's output; for every match its scores (B, T-1, D, h, w).
        matches: what these are, by name.
        flow: of each view (B, T-1, 2, H, W) of the cells, or of finer ones, in pixels; NaN where unknown. See
            `Batch.flow`.
    """
    surprises = [
        _surprise(features[name].flatten(0, 1), match, flow[match.view].flatten(0, 1))
        for name, match in matches.items()
    ]
    return torch.stack(surprises).mean()


def _surprise(scores: Tensor, match: Match, flow: Tensor) -> Tensor:
    vertical, horizontal = match.radius
    flow = functional.avg_pool2d(flow, flow.shape[-1] // scores.shape[-1])
    x, y = (flow / match.cell).unbind(1)
    known = (x.abs() <= horizontal) & (y.abs() <= vertical) & _inside(flow, match)
    x, y = (torch.where(known, value, 0.0) for value in (x, y))
    left, top = x.floor().clamp(max=horizontal - 1), y.floor().clamp(max=vertical - 1)
    right_share, lower_share = x - left, y - top
    likely = functional.log_softmax(scores.float(), 1)
    width = 2 * horizontal + 1
    first = ((top + vertical) * width + left + horizontal).long()[:, None]
    corners = [likely.gather(1, first + step)[:, 0] for step in (0, 1, width, width + 1)]
    upper, lower = (torch.lerp(a, b, right_share) for a, b in (corners[:2], corners[2:]))
    surprise = -torch.lerp(upper, lower, lower_share)
    return torch.where(known, surprise, 0.0).sum() / known.sum().clamp_min(1)


def _inside(flow: Tensor, match: Match) -> Tensor:
    """(N, H, W) whether the matches lie in the last frame."""
    place = []
    for axis, (shift, size) in enumerate(zip(flow.unbind(1), flow.shape[:1:-1], strict=True)):
        shape = [1, 1, size] if axis == 0 else [1, size, 1]
        start = match.spacing * torch.arange(size, device=flow.device).view(shape) + match.offset
        place.append((start + shift >= 0) & (start + shift <= match.spacing * size - 1))
    return place[0] & place[1]
