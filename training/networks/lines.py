"""What a motion says of cells: each one's match lies on a line through the last frame.

The turn and the direction of the way draw these lines, whatever the cells' distances are. How far matches are off them,
and how that changes with the motion, is all that a fit needs; from one pair of frames several fits begin side by side.
Everything is in focal lengths. Cells lie in rows, one number of all of them beside the other: processors are fast at
that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.networks.algebra import cross, crosses, eye, rotation, skew, solved, unit

TAILS = 3.0
"""Degrees of freedom of errors, by Student's distribution: a match may be wrong altogether, and so may a guess."""
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
    """Motions but for their lengths, K for each pair of frames: turn and way (N, K, 3), the way of length 1."""

    turn: Tensor
    way: Tensor

    def moved(self, step: Tensor) -> Courses:
        """After a step (N, K, 6): a turn of the last frame's axes, and a change of the way."""
        about, aside = step.split(3, 2)
        return Courses(self.turn + about - 0.5 * cross(self.turn, about), unit(self.way + aside))

    def since(self, first: Courses) -> Tensor:
        """The step (N, K, 6) from other ones here."""
        turned = self.turn - first.turn
        return torch.cat([turned + 0.5 * cross(self.turn, turned), self.way - first.way], 2)


@dataclass(frozen=True)
class Lines:
    """How matches lie to the lines of courses.

    Attributes:
        turned: (N, K, 3, 3) rotations by the turns.
        across: (N, K, 2, P) directions across the lines.
        off: (N, K, 7, P) how distances from them change with turn and way, and at last the distances.
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
    """Of squared distances: the less, the worse they are known and the farther they are off."""
    return cells.counts * (TAILS + 1) / (TAILS * variance + off * off)


def astray(since: Tensor, worth: Tensor) -> Tensor:
    """(N, K, 1) how far courses are from what was believed, in variances: sums of squares."""
    return (since / worth).square().sum(2, keepdim=True)


def fit(courses: Courses, first: Courses, worth: Tensor, tails: bool, cells: Cells) -> tuple[Courses, Tensor, Tensor]:
    """One step of Gauss-Newton towards the lines that the matches are nearest to.

    Args:
        courses: to begin with.
        first: what is believed before any cell.
        worth: (N, K, 6) standard deviations of that.
        tails: whether it may be wrong altogether.
        cells: that tell.

    Returns:
        The next courses; how surely turn and way are known (N, K, 6, 6), the information in units of what is believed;
        and the share of cells that agree (N, K, 1).
    """
    lines = Lines.of(courses, cells)
    off, variance = lines.off[:, :, 6:], doubt(lines.across, cells)
    heavy = weight(cells, off, variance)
    # A way that becomes longer has the same lines: what changes along it is no change.
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
