"""How far: the ground is a camera height below, so where it lies along the lines tells the length of the way.

The ground may rise or fall ahead a little, or the mount be pitched, which would be taken for another length: its slope
is found beside it, and forgotten. A way that dips into the ground, or leaves it, would be taken for another one, too:
lines tell that badly, ground well, so the way is found anew from both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.networks.algebra import eye, solved, unit
from training.networks.lines import TAILS, Cells, Courses, Lines, along, doubt, weight

_STEPS = 3  # of Gauss-Newton
_STRIDE = 3.0  # of its standard deviations, at most, in one of them
_NEAREST = 0.2  # camera heights ahead of the last camera
_HIDDEN = 1e4  # variance of a place that says nothing, in squared focal lengths


@dataclass(frozen=True)
class Stride:
    """What the ground tells: the way (N, 1, 3); its length and the ground's rise (N, 1, 2), in camera heights and
    radians; how surely way, length and rise (N, 1, 5), beside what was believed of the latter two; and the share of
    cells that agree (N, 1, 1)."""

    way: Tensor
    found: Tensor
    known: Tensor
    agreeing: Tensor


def stride(courses: Courses, first: Tensor, worth: Tensor, sure: Tensor, ground: Cells) -> Stride:
    """The way and its length, from the cells that count as ground.

    Args:
        courses: turn and direction (N, 1).
        first: length (N, 1, 1) that is believed before; the ground is believed level.
        worth: (N, 1, 5) units of the way's change, and standard deviations of length and rise.
        sure: (N, 1, 3, 3) what is known of the way, its information in those units.
        ground: cells.
    """
    lines = Lines.of(courses, ground)
    onward = along(lines.across)
    variance = doubt(onward, ground)
    seen = lines.turned @ ground.rays
    place = (onward * ground.place).sum(2, keepdim=True)
    one, certain = eye(5, worth), functional.pad(sure, (0, 2, 0, 2))
    first = functional.pad(first, (3, 1))
    found, way = first, courses.way[..., None]
    for _ in range(_STEPS):
        far, rise = found[..., 3:, None].split(1, 2)
        near = ground.rays[1:2] + rise  # (N, 1, 1, P) inverse depth
        gone = near * far
        point = seen + gone * way
        ahead = point[:, :, 2:]
        front = ahead.clamp_min(_NEAREST)
        there = (onward * point[:, :, :2]).sum(2, keepdim=True) / front
        toward = torch.cat([onward, -there], 2) / front  # where a point is seen changes with it
        longer = (toward * way).sum(2, keepdim=True)
        slopes = torch.cat([gone * (toward - longer * way), longer * near, longer * far], 2) * worth[..., None]
        short = there - place
        heavy = weight(ground, short, variance + _HIDDEN * (ahead <= _NEAREST))
        weighed = slopes * heavy
        strange = (found - first) / worth
        off = (TAILS + 1) / (TAILS + strange[..., 3:4].square())
        believed = certain + functional.pad(torch.cat([off, torch.ones_like(off)], 2), (3, 0))[..., None] * one
        normal = weighed @ slopes.mT + believed
        step = solved(normal, (weighed @ short.mT + believed @ strange[..., None])[..., 0])
        found = found - step.clamp(-_STRIDE, _STRIDE) * worth
        way = unit(courses.way + found[..., :3])[..., None]
    return Stride(way[..., 0], found[..., 3:], normal.diagonal(dim1=2, dim2=3), (heavy * variance).mean(3))
