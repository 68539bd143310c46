"""A motion, polished by the matches of all cells.

A regressor reads a motion off maps, is off by half a pixel of turn, and guesses lengths. But wherever a cell is, its
match must lie on the line that the motion draws through the last frame; and where on it, is known of the ground, which
is a camera height below, and tells the length. Hundreds of cells agree on a motion far better than any of them knows
its own displacement. From the guess on, which counts as far as it is worth, a few steps of Gauss-Newton bring all cells
nearer to where they must be, the less the worse they are known and the farther they are off. The ground may rise or
fall ahead a little, or the mount be pitched, which would be taken for another length: its slope is found beside the
motion, and forgotten. Nothing is learned here but how much each side counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ros2_vodistill.view import View
from training.networks.layers import in_full, unhalved

_TAILS = 3.0  # degrees of freedom: a match may be wrong altogether
_LINES, _PLACES = 0.3, 0.1  # how much a cell counts at first: the errors of neighbours are alike
_TURNS, _VEERS, _WIDTH = 0.004, 0.06, 0.25  # standard deviations of a guess at first: radians, radians, share of length
_RISE = 0.015  # that of the ground's slope, radians
_FLOOR = 3e-4  # of a cell's place on its ray, in focal lengths
_EPIPOLE = 0.02  # distance from it, in focal lengths, where lines have no direction any more
_STRIDE = 3.0  # of these standard deviations, at most, in one step
_LEAST = 0.02  # camera heights: of a length that a guess's errors are a share of
_LOWEST = 0.05  # slope below the horizon where the ground may begin
_NEAREST = 0.2  # camera heights ahead of the last camera
_HIDDEN = 1e4  # variance of a place that says nothing, in squared focal lengths
_STILL = 1e-6  # camera heights


@dataclass(frozen=True)
class Tracks:
    """What all cells of a view tell.

    Attributes:
        shift: displacements (N, 2, H, W), pixels.
        spread: roots of their covariances (N, 3, H, W); see `peaks.spread`.
        ground: (N, 1, H, W) how far a cell is to be taken for ground, 0..1.
    """

    shift: Tensor
    spread: Tensor
    ground: Tensor


@dataclass(frozen=True)
class _Cells:
    """Tracks of all views, cell by cell, in focal lengths: `matched` (N, P, 3) the ray of the match in the last frame,
    `spread` (N, P, 3) the root of its covariance, a, b and c, `ground` (N, P, 1)."""

    matched: Tensor
    spread: Tensor
    ground: Tensor


@dataclass(frozen=True)
class _State:
    """A motion and the ground's slope: turn (N, 3), way (N, 3) of length 1, length and rise (N, 1)."""

    turn: Tensor
    way: Tensor
    length: Tensor
    rise: Tensor


class Polish(nn.Module):
    """Corrects guessed motions.

    Args:
        views: that cells are seen in.
        spacing: of these cells, pixels.
        hint: width of the vector that the guess was read from. It says how much the cells of each view, and the guess,
            count.
        steps: of Gauss-Newton.
    """

    rays: Tensor
    pixels: Tensor
    focal: Tensor
    below: Tensor
    quarter: Tensor
    ahead: Tensor
    unit: Tensor

    def __init__(self, views: Mapping[str, View], spacing: int, hint: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        seen = [torch.from_numpy(view.rays()[::spacing, ::spacing]).float().flatten(0, 1) for view in views.values()]
        self.sizes = [len(rays) for rays in seen]
        owner = torch.arange(len(seen)).repeat_interleave(torch.tensor(self.sizes))
        rays, focal = torch.cat(seen), torch.tensor([(v.fx, v.fy, v.fy) for v in views.values()])[owner]
        for name, table in {
            "rays": rays,
            "focal": focal,  # of spreads: a is level, b and c upright
            "pixels": rays[:, :2] * focal[:, :2],  # from the principal point
            "below": (rays[:, 1:2] > _LOWEST).float(),
            "quarter": torch.tensor([[0.0, 1.0], [-1.0, 0.0]]),  # of a turn
            "ahead": torch.tensor([0.0, 0.0, _STILL]),  # the way of a guess that stands
            "unit": torch.eye(8),
        }.items():
            self.register_buffer(name, table, persistent=False)
        count = len(views)
        self.weighing = nn.Linear(hint, 2 * count + 6)
        nn.init.zeros_(self.weighing.weight)
        first = [_LINES] * count + [_PLACES] * count + [_TURNS] * 3 + [_VEERS, _WIDTH, _RISE]
        with torch.no_grad():
            self.weighing.bias.copy_(torch.tensor(first).log())
        self.heard = nn.Linear(10, hint, bias=False)
        nn.init.zeros_(self.heard.weight)

    def forward(self, guess: Tensor, hint: Tensor, tracks: Mapping[str, Tracks]) -> tuple[Tensor, Tensor]:
        """What the tracks of every view make of a guessed motion (N, 6), in camera heights and radians; and what is to
        be added to the hint, nothing at first, for how well it is known then."""
        with in_full(guess):
            counts = self.weighing(unhalved(hint)).exp()
            found, known = self._agreed(unhalved(guess), counts, self._cells(tracks))
        return found, self.heard(known)

    def _agreed(self, guess: Tensor, counts: Tensor, cells: _Cells) -> tuple[Tensor, Tensor]:
        start, turn = guess.split(3, 1)
        lines, places, turns, rest = counts.split((len(self.sizes), len(self.sizes), 3, 3), 1)
        lines, places = self._of_each(lines), self._of_each(places) * cells.ground
        veers, width, rises = rest.split(1, 1)
        far = start.square().sum(1, keepdim=True)
        worth = torch.cat([turns, veers.expand(-1, 3), width * (far + _LEAST**2).sqrt(), rises], 1)  # (N, 8)
        first = _State(turn, _unit(start + self.ahead), (far + _STILL**2).sqrt(), torch.zeros_like(far))
        state = first
        for _ in range(self.steps):
            seen = self.rays @ rotation(state.turn).mT
            across, slope, off, variance = self._lines(seen, state, cells)
            slant, short, sure = self._places(seen, across, state, cells)
            weight = lines * (_TAILS + 1) / (_TAILS * variance + off.square())
            heavy = places * (_TAILS + 1) / (_TAILS * sure + short.square())
            slopes = torch.cat([slope, slant], 1) * worth[:, None]
            weighed = (slopes * torch.cat([weight, heavy], 1)).mT
            normal = weighed @ slopes + self.unit
            gradient = (weighed @ torch.cat([off, short], 1))[..., 0]
            moved = state.turn - first.turn
            moved = moved + 0.5 * cross(state.turn, moved)
            gone = torch.cat([moved, state.way - first.way, state.length - first.length, state.rise], 1)
            step = -solved(normal, gradient + gone / worth).clamp(-_STRIDE, _STRIDE) * worth
            about, aside, forth, up = step.split((3, 3, 1, 1), 1)
            state = _State(
                state.turn + about - 0.5 * cross(state.turn, about),
                _unit(state.way + aside),
                state.length + forth,
                state.rise + up,
            )
        agreeing = [(w * v).mean(1) for w, v in ((weight, variance), (heavy, sure))]
        known = torch.cat([normal.diagonal(dim1=1, dim2=2).log(), *agreeing], 1)
        return torch.cat([state.length * state.way, state.turn], 1), known

    def _lines(self, seen: Tensor, state: _State, cells: _Cells) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Directions (N, P, 2) across the lines in the last frame; how the distances of the matches from them change
        with turn, way, length and rise (N, P, 8), in focal lengths; those distances (N, P, 1); and their variances."""
        beside = skew(state.way).mT
        line = seen @ beside
        steep = (line[..., :2].square().sum(2, keepdim=True) + _EPIPOLE**2).rsqrt()
        off = (line * cells.matched).sum(2, keepdim=True) * steep
        by_turn, by_way = cross(seen, -cells.matched @ beside), cross(seen, cells.matched)
        across = line[..., :2] * steep
        slope = torch.cat([by_turn * steep, by_way * steep, torch.zeros_like(across)], 2)
        return across, slope, off, _doubt(across, cells)

    def _places(self, seen: Tensor, across: Tensor, state: _State, cells: _Cells) -> tuple[Tensor, Tensor, Tensor]:
        """The same along the lines, for the places of the ground: changes (N, P, 8), distances and variances."""
        near = self.rays[:, 1:2] + state.rise[:, None]  # (N, P, 1) inverse depth
        way, length = state.way[:, None], state.length[:, None]
        point = seen + near * length * way
        front = point[..., 2:].clamp_min(_NEAREST)
        place = point[..., :2] / front
        along = across @ self.quarter
        short = (along * (place - cells.matched[..., :2])).sum(2, keepdim=True)
        toward = torch.cat([along, -(along * place).sum(2, keepdim=True)], 2) / front
        ahead = (toward * way).sum(2, keepdim=True)
        aside = near * length * (toward - ahead * way)
        change = torch.cat([cross(seen, toward), aside, ahead * near, ahead * length], 2)
        behind = _HIDDEN * (point[..., 2:] <= _NEAREST)
        return change, short, _doubt(along, cells) + behind

    def _cells(self, tracks: Mapping[str, Tracks]) -> _Cells:
        views = [torch.cat([unhalved(t.shift), t.spread, t.ground], 1).flatten(2) for t in tracks.values()]
        shift, spread, ground = torch.cat(views, 2).mT.split((2, 3, 1), 2)
        matched = (self.pixels + shift) / self.focal[:, :2]
        matched = torch.cat([matched, torch.ones_like(matched[..., :1])], 2)
        return _Cells(matched, spread / self.focal, ground * self.below)

    def _of_each(self, numbers: Tensor) -> Tensor:
        """(N, P, 1) of a number (N, V) for each view."""
        each = [numbers[:, i : i + 1].expand(-1, size) for i, size in enumerate(self.sizes)]
        return torch.cat(each, 1)[..., None]


def _doubt(toward: Tensor, cells: _Cells) -> Tensor:
    """Variance (N, P, 1) of the matches' places along directions (N, P, 2), in focal lengths."""
    y = toward[..., 1:]
    a, b, c = cells.spread.split(1, 2)
    return (a * toward[..., :1] + c * y).square() + (b * y).square() + _FLOOR**2


def skew(vectors: Tensor) -> Tensor:
    """The matrices (N, 3, 3) that multiply with vectors (N, 3) as the cross product from the left."""
    return cross(vectors[:, None], _axes(vectors)).mT


def cross(a: Tensor, b: Tensor) -> Tensor:
    """The cross product of vectors (..., 3), in as few operations as a graph can have."""
    axes = _axes(a)
    yzx, zxy = axes.roll(1, 0), axes.roll(-1, 0)
    both = (a @ torch.cat([yzx, zxy], 1)) * (b @ torch.cat([zxy, yzx], 1))
    return both @ torch.cat([axes, -axes])


def rotation(turn: Tensor) -> Tensor:
    """Matrices (N, 3, 3) of rotation vectors (N, 3), for turns of less than half a radian."""
    squared = turn.square().sum(1)[:, None, None]
    once = skew(turn)
    sine = 1 - squared / 6 * (1 - squared / 20)
    cosine = 0.5 - squared / 24 * (1 - squared / 30)
    return _axes(turn) + sine * once + cosine * (once @ once)


def solved(matrix: Tensor, vector: Tensor) -> Tensor:
    """x (N, D) of matrix (N, D, D) @ x = vector (N, D), for positive definite matrices, by plain elimination: what
    engines know of linear algebra is products."""
    size = vector.shape[1]
    both = torch.cat([matrix, vector[..., None]], 2)
    unit = torch.eye(size, device=matrix.device, dtype=matrix.dtype)
    for i in range(size):
        row = both[:, i : i + 1]
        row = row / row[..., i : i + 1]
        both = both - (both[:, :, i : i + 1] - unit[:, i : i + 1]) * row
    return both[:, :, -1]


def _axes(like: Tensor) -> Tensor:
    """The unit matrix (3, 3), made where it is needed: a GPU that records its work takes nothing from outside."""
    return torch.eye(3, device=like.device, dtype=like.dtype)


def _unit(ways: Tensor) -> Tensor:
    return ways * (ways.square().sum(1, keepdim=True) + 1e-20).rsqrt()
