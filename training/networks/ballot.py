"""The ground votes on the length of a step.

Asphalt is faint: a cell of it matches a dozen others nearly as well as its own, and what a cell alone says of its
displacement is worth little. But all of the ground moves as one. For each of a row of lengths, turn and direction being
guessed already, every cell of the ground has its place in the last frame, and the local correlation has compared the
cell with that place: the evidence is summed over all cells, each as far as it is trusted. The ground may rise or fall
ahead a little, or the mount be pitched, which would be taken for another length: each length is voted on with some
slopes, and counts with all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ros2_vodistill.view import View
from training.networks.base import Match
from training.networks.layers import unhalved

SHORTEST, LONGEST = 0.02, 2.5
"""Bounds of the lengths that are voted on, camera heights."""
_EVERY = 3  # column of cells: those between see nearly the same
_LOWEST = 0.07  # slope below the horizon: what is farther away moves too little
_NEAREST = 0.2  # camera heights ahead of the last camera
_SLOPES, _SWAY = (-0.02, 0.0, 0.02), 0.015  # how the ground may rise ahead, and by how much it does as a rule, radians
_STRENGTH, _WIDTH = 0.7, 0.2  # at first: of a cell's evidence, and of a guessed length's logarithm
_TAILS = 3.0  # degrees of freedom of a guessed length: it may be far off
_DOUBT = 0.3  # of a match, in multiples of a blind guess's likelihood: it bounds what one cell can say against a length


class Ballot(nn.Module):
    """The voters, cells of the ground in all views, and who counts their votes, beside what was guessed before.

    Args:
        views: through which the ground is seen.
        match: the correlation whose cells vote, the same in all views.
        lengths: how many are voted on.
        hint: width of the vector that the guess is read from. It says how far to listen to each view, and how wide the
            guess is.
    """

    ground: Tensor
    pixels: Tensor
    focal: Tensor
    centre: Tensor
    last: Tensor
    logs: Tensor
    slopes: Tensor

    def __init__(self, views: Mapping[str, View], match: Match, lengths: int, hint: int) -> None:
        super().__init__()
        self.match = match
        cells = {name: view.rays()[:: match.spacing, :: match.spacing * _EVERY] for name, view in views.items()}
        self.tops = {name: int((seen[:, 0, 1] <= _LOWEST).sum()) for name, seen in cells.items()}
        rays = [torch.from_numpy(seen[self.tops[name] :]) for name, seen in cells.items()]
        self.grids = [(len(r), len(r[0])) for r in rays]
        owner = torch.arange(len(rays)).repeat_interleave(torch.tensor(self._sizes))
        ray = torch.cat([r.float().flatten(0, 1) for r in rays])
        down = torch.stack([ray[:, 1] + slope * ray[:, 2] for slope in _SLOPES])
        told = torch.tensor([(v.fx, v.fy, v.cx, v.cy, v.width - 1.0, v.height - 1.0) for v in views.values()])[owner]
        usual = -0.5 * (torch.tensor(_SLOPES) / _SWAY).square()
        for name, table in {
            "ground": ray / down[..., None],  # (S, P, 3)
            "pixels": ray[:, :2] * told[:, :2] + told[:, 2:4],
            "focal": told[:, :2],
            "centre": told[:, 2:4],
            "last": told[:, 4:],
            "logs": log_lengths(lengths),
            "slopes": usual[:, None],
        }.items():
            self.register_buffer(name, table, persistent=False)
        self.weighing = nn.Linear(hint, len(views) + 1)
        nn.init.zeros_(self.weighing.weight)
        with torch.no_grad():
            self.weighing.bias.copy_(torch.tensor([_STRENGTH] * len(views) + [_WIDTH]).log())
        self.heard = nn.Linear((len(views) + 1) * lengths, hint, bias=False)
        nn.init.zeros_(self.heard.weight)

    def forward(
        self, guess: Tensor, hint: Tensor, scores: Mapping[str, Tensor], trust: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the votes say to a guessed motion (N, 6), in camera heights and radians, that was read from a hint.

        Args:
            scores: of the match in each view (N, D, H, W).
            trust: of its cells (N, 1, H, W).

        Returns:
            The evidence (N, L) of all views together, a log-likelihood up to a constant; what its distributions, and
            those of the views, add to the hint, nothing at first; and by what (N, 3) the guessed way is to be changed:
            as the mean of the logarithm changes from the guess alone to both.
        """
        guess = unhalved(guess.detach())
        way = guess[:, :3]
        far = way.square().sum(1, keepdim=True).sqrt()
        strengths, width = unhalved(self.weighing(hint)).exp().split((len(self.tops), 1), 1)
        each = strengths[:, :, None, None] * self.votes(guess, scores, trust)
        every = torch.logsumexp(torch.cat([each.sum(1, keepdim=True), each], 1) + self.slopes, 2)
        total = every[:, 0]
        apart = (self.logs - far.clamp(SHORTEST, LONGEST).log()) / width
        prior = -(_TAILS + 1) / 2 * torch.log1p(apart.square() / _TAILS)
        before, after = (torch.softmax(belief, 1) for belief in (prior, prior + total))
        change = (((after - before) * self.logs).sum(1, keepdim=True).exp() - 1) * way
        shares = torch.cat([after, torch.softmax(every[:, 1:], 2).flatten(1)], 1)
        return total, self.heard(shares), change

    def votes(self, guess: Tensor, scores: Mapping[str, Tensor], trust: Mapping[str, Tensor]) -> Tensor:
        """Evidence (N, views, S, L) of each view for each slope and length, along a guessed way with a guessed turn."""
        way, turn = guess.split(3, 1)
        direction = way / way.square().sum(1, keepdim=True).sqrt().clamp_min(1e-6)
        stay = _turned(self.ground[None], turn[:, None, None])  # (N, S, P, 3)
        moved = direction[:, None] * self.logs.exp()[:, None]  # (N, L, 3)
        # Cells come first: each has its own table of evidence.
        x, y, z = (stay.transpose(1, 2)[:, :, :, None] + moved[:, None, None]).flatten(2, 3).unbind(-1)  # (N, P, S L)
        ahead = z.clamp_min(_NEAREST)
        seen, shares = z > _NEAREST, []
        for axis, (place, radius) in enumerate(zip((x, y), self.match.radius[::-1], strict=True)):
            pixel = place / ahead * self.focal[:, axis : axis + 1] + self.centre[:, axis : axis + 1]
            seen = seen & (pixel >= 0) & (pixel <= self.last[:, axis : axis + 1])
            shares.append(_shares((pixel - self.pixels[:, axis : axis + 1]) / self.match.cell, radius))
        across, upright = shares  # (N, P, S L, 2 radius + 1)
        said = ((upright @ self._evidence(scores)) * across).sum(-1) * seen  # (N, P, S L)
        said = said * self._voting(trust).transpose(1, 2)
        # Row by row: some engines add one number after the other, and lose digits in long sums.
        parts = zip(said.split(self._sizes, 1), self.grids, strict=True)
        total = torch.stack([part.unflatten(1, grid).sum(2).sum(1) for part, grid in parts], 1)
        return total.unflatten(2, (len(_SLOPES), -1))

    @property
    def _sizes(self) -> list[int]:
        """How many cells of each view vote."""
        return [rows * columns for rows, columns in self.grids]

    def _evidence(self, scores: Mapping[str, Tensor]) -> Tensor:
        """(N, P, 2 vertical + 1, 2 horizontal + 1) for each displacement of each cell; 0 is that of a blind guess."""
        vertical, horizontal = self.match.radius
        likely = torch.softmax(self._voting(scores).transpose(1, 2), -1)
        evidence = ((likely * likely.shape[2] + _DOUBT) / (1 + _DOUBT)).log()
        return evidence.unflatten(2, (2 * vertical + 1, 2 * horizontal + 1))

    def _voting(self, maps: Mapping[str, Tensor]) -> Tensor:
        """(N, C, P) of each view's map (N, C, H, W), where the cells vote."""
        parts = [unhalved(maps[name])[:, :, top:, ::_EVERY].flatten(2) for name, top in self.tops.items()]
        return torch.cat(parts, 2)


def log_lengths(count: int) -> Tensor:
    """(count,) logarithms of the lengths that are voted on, evenly apart."""
    low, high = torch.tensor([SHORTEST, LONGEST]).log().tolist()
    return torch.linspace(low, high, count)


def _turned(points: Tensor, turn: Tensor) -> Tensor:
    """Points (..., 3) rotated by rotation vectors (..., 3), to the second order."""
    once = torch.linalg.cross(turn, points)
    return points + once + 0.5 * torch.linalg.cross(turn, once)


def _shares(place: Tensor, radius: int) -> Tensor:
    """Shares (..., 2 radius + 1) of the cells -radius..radius in a place between them; none beyond.

    They are a quadratic spline's: linear ones would make every cell prefer a whole displacement.
    """
    cells = torch.linspace(-radius, radius, 2 * radius + 1, device=place.device)
    apart = (place[..., None] - cells).abs()
    wide, narrow = (1.5 - apart).clamp_min(0.0), (0.5 - apart).clamp_min(0.0)
    return 0.5 * wide * wide - 1.5 * narrow * narrow
