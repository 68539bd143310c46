"""Starts of the fit: far from its training data a network's guess may be far off, and the nearest minimum a wrong one.

Several starts are tried: the guess, with its prior, and translations along all axes with a nearly free rotation. The
one that agrees with most of the cells and with the guess is taken; the prior has heavy tails, for the guess may be an
outlier.
Epipolar lines do not distinguish a direction from its opposite, but the matches along them do: points move away from
where the camera goes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.networks.algebra import eye
from training.networks.lines import TAILS, Cells, Courses, Lines, along, astray, doubt, fit

_STEPS = 3  # of each beginning
_TURN, _WAY = 0.1, 1.0  # standard deviations of the free ones, radians
_WORST, _DEAF = 4.0, 9.0  # surprise by a match that is far off; what is half as surprising, in variances
_BETTER = 5.0  # how much better than the guess another beginning must be, in logarithms of probability
_FRONT = 0.2  # focal lengths: the rays that a camera can see at all


@torch.no_grad()
def best(first: Courses, worth: Tensor, cells: Cells) -> Courses:
    """The best start (N, 1).

    Args:
        first: the guess (N, 1).
        worth: (N, 1, 6) its standard deviations.
        cells: that tell.
    """
    ways = torch.cat([first.way, eye(3, worth).expand(len(worth), 3, 3)], 1)
    free = torch.cat([torch.full_like(worth[..., :3], _TURN), torch.full_like(worth[..., 3:], _WAY)], 2)
    worths = torch.cat([worth, free, free, free], 1)
    begun = Courses(first.turn.expand_as(ways), ways)
    forth = begun
    for _ in range(_STEPS):
        forth, _, _ = fit(forth, begun, worths, False, cells)
    back = Courses(forth.turn, -forth.way)
    costs = torch.cat(_surprises(forth, cells), 1)
    turns, ways = torch.cat([forth.turn, back.turn], 1), torch.cat([forth.way, back.way], 1)
    far = astray(Courses(turns, ways).since(first), worth)[..., 0]
    costs = costs + 0.5 * (TAILS + 6) * torch.log1p(far / TAILS)
    costs = torch.cat([costs[:, :1] - _BETTER, costs[:, 1:]], 1)
    chosen = costs.argmin(1)[:, None, None].expand(-1, 1, 3)
    return Courses(turns.gather(1, chosen), ways.gather(1, chosen))


def _surprises(courses: Courses, cells: Cells) -> tuple[Tensor, Tensor]:
    """Cost (N, K) of all matches for courses, and for the same with opposite directions."""
    lines = Lines.of(courses, cells)
    seen = lines.turned @ cells.rays
    endless = seen[:, :, :2] / seen[:, :, 2:].clamp_min(_FRONT)  # where a match would be if it were endlessly far
    way, onward = courses.way[..., None], along(lines.across)
    moving = (onward * (way[:, :, :2] - endless * way[:, :, 2:])).sum(2, keepdim=True)
    moved = (onward * (cells.place - endless)).sum(2, keepdim=True) * torch.sign(moving)
    off, sure = lines.off[:, :, 6:], doubt(onward, cells)
    off, wrong = off * off / doubt(lines.across, cells), moved * moved / sure
    back, forth = torch.where(moved < 0, wrong, 0.0), torch.where(moved > 0, wrong, 0.0)
    return _sum(off, back, cells), _sum(off, forth, cells)


def _sum(off: Tensor, wrong: Tensor, cells: Cells) -> Tensor:
    """Robust sum of squared residuals across the lines and along them, over their variances."""
    return (cells.counts * _WORST * (off / (off + _DEAF) + wrong / (wrong + _DEAF))).sum((2, 3))
