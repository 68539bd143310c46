"""Epipolar lines of cells: rotation and direction of a motion put each cell's match on a line through the last frame.

The lines do not depend on the cells' distances. Distances of the matches from them, and the derivatives of these by the
motion, are all that a fit needs; several fits of one pair of frames run side by side. Coordinates are in focal lengths.
The cells are the last axis, which processors are fastest at.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.networks.algebra import cross, crosses, eye, rotation, skew, solved, unit

TAILS = 3.0
"""Degrees of freedom of Student's distribution, of matches and of the guess: either may be an outlier."""
_FLOOR = 3e-4  # of a cell's place on its ray
_EPIPOLE = 0.02  # distance from it where lines have no direction any more
_STRIDE = 0.5  # radians, at most, in one step


@dataclass(frozen=True)
class Cells:
    """What all cells tell, one after the other.

    Attributes:
        rays: (3, P) of the newer frame.
        place: (N, 1, 2, P) of the match in the last one.
        both: (N, 1, 9, P) products of these two, as rays.
        root: (N, 1, 2, 2, P) of the place's covariance: a direction's variance is the square of root @ direction.
        counts: (N, 1, 1, P) how much a cell counts.
    """

    rays: Tensor
    place: Tensor
    both: Tensor
    root: Tensor
    counts: Tensor

    @staticmethod
    def of(rays: Tensor, place: Tensor, spread: Tensor, counts: Tensor) -> Cells:
        """From places (N, 2, P), spreads (N, 3, P), see `peaks.spread`, and counts (N, 1, P)."""
        place = place[:, None]
        matched = torch.cat([place, torch.ones_like(place[:, :, :1])], 2)
        a, b, c = spread[:, None].split(1, 2)
        root = torch.cat([a, c, torch.zeros_like(a), b], 2).unflatten(2, (2, 2))
        return Cells(rays, place, (matched[:, :, :, None] * rays).flatten(2, 3), root, counts[:, None])


@dataclass(frozen=True)
class Courses:
    """Motions without their lengths, K a pair of frames: rotation vector `turn` and unit direction `way`, (N, K, 3)."""

    turn: Tensor
    way: Tensor

    def moved(self, step: Tensor) -> Courses:
        """After a step (N, K, 6): a rotation of the last frame's axes, and a change of the direction."""
        about, aside = step.split(3, 2)
        return Courses(self.turn + about - 0.5 * cross(self.turn, about), unit(self.way + aside))

    def since(self, first: Courses) -> Tensor:
        """The step (N, K, 6) from other ones here."""
        turned = self.turn - first.turn
        return torch.cat([turned + 0.5 * cross(self.turn, turned), self.way - first.way], 2)


@dataclass(frozen=True)
class Lines:
    """Matches relative to their epipolar lines.

    Attributes:
        turned: (N, K, 3, 3) rotations by the turns.
        across: (N, K, 2, P) directions across the lines.
        off: (N, K, 7, P) derivatives of the distances from the lines by turn and way; last, the distances.
    """

    turned: Tensor
    across: Tensor
    off: Tensor

    @staticmethod
    def of(courses: Courses, cells: Cells) -> Lines:
        turned, beside = rotation(courses.turn), skew(courses.way)  # (N, K, 3, 3)
        by_way = crosses(turned) @ turned[:, :, None]
        by_turn, essential = beside[:, :, None] @ by_way, beside @ turned
        each = torch.cat([by_turn, by_way, essential[:, :, None]], 2).flatten(3)  # (N, K, 7, 9)
        line = essential[:, :, :2] @ cells.rays
        steep = ((line * line).sum(2, keepdim=True) + _EPIPOLE**2).rsqrt()
        return Lines(turned, line * steep, each @ cells.both * steep)


def doubt(toward: Tensor, cells: Cells) -> Tensor:
    """Variance (N, K, 1, P) of the matches' places along directions (N, K, 2, P)."""
    deviation = (cells.root * toward[:, :, None]).sum(3)
    return (deviation * deviation).sum(2, keepdim=True) + _FLOOR**2


def along(across: Tensor) -> Tensor:
    """Directions (N, K, 2, P) along lines, from those across them."""
    x, y = across.split(1, 2)
    return torch.cat([-y, x], 2)


def weight(cells: Cells, off: Tensor, variance: Tensor) -> Tensor:
    """Weights of squared distances, by their variance and by Student's distribution."""
    return cells.counts * (TAILS + 1) / (TAILS * variance + off * off)


def astray(since: Tensor, worth: Tensor) -> Tensor:
    """(N, K, 1) squared distances of courses from the prior, over its variances."""
    return (since / worth).square().sum(2, keepdim=True)


def fit(courses: Courses, first: Courses, worth: Tensor, tails: bool, cells: Cells) -> tuple[Courses, Tensor, Tensor]:
    """One step of Gauss-Newton that brings the lines to the matches.

    Args:
        courses: to begin with.
        first: the prior.
        worth: (N, K, 6) its standard deviations.
        tails: whether the prior has heavy tails (Student), or is normal.
        cells: with their matches.

    Returns:
        The next courses; information (N, K, 6, 6) about turn and way, in units of the prior; and the share of cells
        that agree (N, K, 1).
    """
    lines = Lines.of(courses, cells)
    off, variance = lines.off[:, :, 6:], doubt(lines.across, cells)
    heavy = weight(cells, off, variance)
    # Lines do not depend on the length of the translation, so changes along it are projected out.
    longer = torch.cat([torch.zeros_like(courses.way), courses.way], 2)
    changes = torch.cat([eye(6, worth).expand(*worth.shape, 6), -longer[..., None]], 3) * worth[..., None]
    weighed = changes @ ((lines.off * heavy) @ lines.off.mT)  # (N, K, 6, 7)
    since = courses.since(first)
    gone = (since - longer * (longer * since).sum(2, keepdim=True)) / worth
    held = (TAILS + 6) / (TAILS + astray(since, worth)) if tails else torch.ones_like(worth[..., :1])
    normal = weighed @ changes.mT + held[..., None] * eye(6, worth)
    step = solved(normal, weighed[..., 6] + held * gone) * worth
    moved = courses.moved(-step.clamp(-_STRIDE, _STRIDE))
    return moved, normal, (heavy * variance).mean(3)
