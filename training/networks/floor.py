"""How far: the ground is a camera height below, so where it lies along the lines tells the length of the way.

The ground may rise or fall ahead a little, or the mount be pitched, which would be taken for another length: its slope
is found beside it, and forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.networks.algebra import eye, solved
from training.networks.lines import TAILS, Cells, Courses, Lines, along, doubt, weight

_STEPS = 2  # of Gauss-Newton
_STRIDE = 3.0  # of its standard deviations, at most, in one of them
_NEAREST = 0.2  # camera heights ahead of the last camera
_HIDDEN = 1e4  # variance of a place that says nothing, in squared focal lengths


@dataclass(frozen=True)
class Length:
    """What the ground tells: length and rise (N, 1, 2), in camera heights and radians; how surely (N, 1, 2), beside
    what was believed; and the share of cells that agree (N, 1, 1)."""

    found: Tensor
    known: Tensor
    agreeing: Tensor


def length(courses: Courses, first: Tensor, worth: Tensor, ground: Cells) -> Length:
    """The length of a way, from the cells that count as ground.

    Args:
        courses: turn and direction (N, 1).
        first: length and rise (N, 1, 2) that are believed before.
        worth: (N, 1, 2) standard deviations of these.
        ground: cells.
    """
    lines = Lines.of(courses, ground)
    onward = along(lines.across)
    variance = doubt(onward, ground)
    seen, way = lines.turned @ ground.rays, courses.way[..., None]
    there, going = ((onward * x[:, :, :2]).sum(2, keepdim=True) for x in (seen, way))
    place = (onward * ground.place).sum(2, keepdim=True)
    found = first
    for _ in range(_STEPS):
        far, rise = found[..., None].split(1, 2)
        near = ground.rays[1:2] + rise  # (N, 1, 1, P) inverse depth
        gone = near * far
        ahead = seen[:, :, 2:] + gone * way[:, :, 2:]
        front = ahead.clamp_min(_NEAREST)
        there_now = (there + gone * going) / front
        short = there_now - place
        slope = (going - there_now * way[:, :, 2:]) / front
        slopes = torch.cat([slope * near, slope * far], 2) * worth[..., None]
        heavy = weight(ground, short, variance + _HIDDEN * (ahead <= _NEAREST))
        weighed = slopes * heavy
        strange = (found - first) / worth
        off = (TAILS + 1) / (TAILS + strange[..., :1].square())
        held = torch.cat([off, torch.ones_like(off)], 2)
        normal = weighed @ slopes.mT + held[..., None] * eye(2, held)
        step = solved(normal, (weighed @ short.mT)[..., 0] + held * strange)
        found = found - step.clamp(-_STRIDE, _STRIDE) * worth
    return Length(found, normal.diagonal(dim1=2, dim2=3), (heavy * variance).mean(3))
