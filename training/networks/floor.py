"""The length of a translation from the ground, which is one camera height below the camera.

A cell of the ground has a known depth, so its position along its epipolar line tells the length. A slope of the ground,
or
a pitched mount, would be mistaken for another length: a slope is estimated beside it and discarded. A translation that
points into the ground, or away from it, would be mistaken for another length, too. Epipolar lines say little about
that,
the ground much: the direction is estimated again from both.
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
    """What the ground tells.

    Attributes:
        way: (N, 1, 3) unit direction of the translation.
        found: (N, 1, 2) its length, camera heights, and the slope of the ground, radians.
        known: (N, 1, 5) information about way, length and slope, relative to the prior of the latter two.
        agreeing: (N, 1, 1) share of cells that agree.
    """

    way: Tensor
    found: Tensor
    known: Tensor
    agreeing: Tensor


def stride(courses: Courses, first: Tensor, worth: Tensor, sure: Tensor, ground: Cells) -> Stride:
    """Direction and length of the translation, from the cells that count as ground.

    Args:
        courses: rotation and direction (N, 1).
        first: prior length (N, 1, 1); the prior slope is zero.
        worth: (N, 1, 5) units of the direction's change, and prior standard deviations of length and slope.
        sure: (N, 1, 3, 3) information about the direction, in those units.
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
