"""A motion fitted to the matches of all cells, inside the graph.

A regressor's rotation is off by half a pixel, and its lengths are guesses. But each match must lie on the epipolar line
of its cell, and cells of the ground, whose depth is known, tell the length. Hundreds of cells give a motion far better
than any of their displacements is known. From the best of several starts, of which the regressor's guess is one, robust
Gauss-Newton fits rotation and direction to the lines (lines.py); then the ground gives the length and corrects the
direction (floor.py). Only the weights of the cells and of the guess are learned here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from ros2_vodistill.view import View
from training.networks import floor, starts
from training.networks.algebra import unit
from training.networks.layers import in_full, unhalved
from training.networks.lines import TAILS, Cells, Courses, astray, fit

_LINES, _PLACES = 0.3, 0.1  # how much a cell counts at first: the errors of neighbours are alike
_TURNS, _VEERS, _WIDTH = 0.004, 0.06, 0.25  # standard deviations of a guess at first: radians, radians, share of length
_RISE = 0.015  # that of the ground's slope, radians
_LEAST = 0.02  # camera heights: of a length that a guess's errors are a share of
_LOWEST = 0.05  # slope below the horizon where the ground may begin
_STILL = 1e-6  # camera heights


class Polish(nn.Module):
    """Corrects guessed motions.

    Args:
        views: that cells are seen in.
        spacing: of these cells, pixels.
        hint: width of the vector that the guess was read from. It says how much the cells of each view, and the guess,
            count.
        steps: of Gauss-Newton, from the best beginning on.
    """

    rays: Tensor
    pixels: Tensor
    focal: Tensor
    below: Tensor
    ahead: Tensor
    owner: Tensor

    def __init__(self, views: Mapping[str, View], spacing: int, hint: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        seen = [torch.from_numpy(view.rays()[::spacing, ::spacing]).float().flatten(0, 1) for view in views.values()]
        count = len(seen)
        owner = torch.arange(count).repeat_interleave(torch.tensor([len(rays) for rays in seen]))
        rays, focal = torch.cat(seen).T, torch.tensor([(v.fx, v.fy, v.fy) for v in views.values()])[owner].T
        for name, table in {
            "rays": rays,
            "focal": focal,  # of spreads: a is level, b and c upright
            "pixels": rays[:2] * focal[:2],  # from the principal point
            "below": (rays[1:2] > _LOWEST).float(),
            "owner": functional.one_hot(owner, count).float().T,
            "ahead": torch.tensor([0.0, 0.0, _STILL]),  # the way of a guess that stands
        }.items():
            self.register_buffer(name, table, persistent=False)
        self.count = count
        self.weighing = nn.Linear(hint, 2 * count + 6)
        nn.init.zeros_(self.weighing.weight)
        first = [_LINES] * count + [_PLACES] * count + [_TURNS] * 3 + [_VEERS, _WIDTH, _RISE]
        with torch.no_grad():
            self.weighing.bias.copy_(torch.tensor(first).log())
        self.heard = nn.Linear(11, hint, bias=False)
        nn.init.zeros_(self.heard.weight)

    def counts(self, hint: Tensor) -> Tensor:
        """How much each side counts (N, 2 V + 6), in logarithms: the lines of each view's cells, and their places on
        the ground; then the standard deviations of the guess's turn, direction and length, and of the ground's slope.
        """
        with in_full(hint):
            return self.weighing(unhalved(hint))

    def forward(self, guess: Tensor, counts: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """What all cells make of a guessed motion (N, 6), in camera heights and radians; and what is to be added to the
        hint, nothing at first, for how well it is known then.

        Args:
            guess: the motion.
            counts: see `counts`.
            told: by the cells of all views (N, 6, P); see `peaks.TOLD`.
        """
        with in_full(guess):
            found, known = self._agreed(unhalved(guess), counts.exp(), unhalved(told))
        return found, self.heard(known)

    def _agreed(self, guess: Tensor, counts: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        start, turn = guess[:, None].split(3, 2)
        lines, places, rest = counts.split((self.count, self.count, 6), 1)
        turns, veers, width, rise = rest[:, None].split((3, 1, 1, 1), 2)
        cells, ground = self._cells(told, lines, places)
        first, worth = Courses(turn, unit(start + self.ahead)), torch.cat([turns, veers.expand(-1, -1, 3)], 2)
        courses = starts.best(first, worth, cells)
        for _ in range(self.steps):
            courses, surely, agreeing = fit(courses, first, worth, True, cells)
        far = (start.square().sum(2, keepdim=True) + _STILL**2).sqrt()
        units = torch.cat([worth[..., 3:], width * (far + _LEAST), rise], 2)
        stride = floor.stride(courses, far, units, surely[..., 3:, 3:], ground)
        strange = 1 + astray(courses.since(first), worth) / TAILS
        turn_known = surely.diagonal(dim1=2, dim2=3)[..., :3]
        known = torch.cat([torch.cat([turn_known, stride.known, strange], 2).log(), agreeing, stride.agreeing], 2)
        return torch.cat([stride.found[..., :1] * stride.way, courses.turn], 2)[:, 0], known[:, 0]

    def _cells(self, told: Tensor, lines: Tensor, places: Tensor) -> tuple[Cells, Cells]:
        """All cells, and those that are ground: the same, but for how much they count. A motion's error does not teach
        what is ground, for it would teach what to trust."""
        shift, spread, ground = told.split((2, 3, 1), 1)
        across, along = (counts[:, None] @ self.owner for counts in (lines, places))
        cells = Cells.of(self.rays, (self.pixels + shift) / self.focal[:2], spread / self.focal, across)
        return cells, replace(cells, counts=(along * ground.detach() * self.below)[:, None])
