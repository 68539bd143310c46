"""The ground votes on the length of a step.

Asphalt is faint: a cell of it matches a dozen others nearly as well as its own, and what a cell alone says of its
displacement is worth little. But all of the ground moves as one. For each of a row of lengths, turn and direction being
guessed already, every cell of the level ground has its place in the last frame, and the local correlation has compared
the cell with that place: the evidence is summed over all cells, each as far as it is trusted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ros2_vodistill.view import View
from training.networks.base import Match
from training.networks.layers import unhalved

SHORTEST, LONGEST = 0.02, 2.5
"""Bounds of the lengths that are voted on, camera heights."""
_LOWEST = 0.07  # slope below the horizon: what is farther away moves too little
_NEAREST = 0.2  # camera heights ahead of the last camera
_STRENGTH, _WIDTH = 0.1, 0.2  # at first: of a cell's evidence, and of a guessed length's logarithm
_TAILS = 3.0  # degrees of freedom of a guessed length: it may be far off
_DOUBT = 0.3  # of a match, in multiples of a blind guess's likelihood: it bounds what one cell can say against a length


class Precinct(nn.Module):
    """The ground's cells in one view, and where they were in the last frame for each length.

    Args:
        view: through which the ground is seen.
        match: the correlation whose cells vote.
        lengths: how many are voted on.
    """

    ground: Tensor
    pixels: Tensor
    lengths: Tensor

    def __init__(self, view: View, match: Match, lengths: int) -> None:
        super().__init__()
        self.view, self.match = view, match
        rays = torch.from_numpy(view.rays()[:: match.spacing, :: match.spacing]).float()
        self.top = int((rays[:, 0, 1] <= _LOWEST).sum())
        rays = rays[self.top :].flatten(0, 1)
        self.register_buffer("ground", rays / rays[:, 1:2], persistent=False)
        pixels = rays[:, :2] * rays.new_tensor([view.fx, view.fy]) + rays.new_tensor([view.cx, view.cy])
        self.register_buffer("pixels", pixels, persistent=False)
        self.register_buffer("lengths", log_lengths(lengths).exp(), persistent=False)

    def forward(self, direction: Tensor, turn: Tensor, scores: Tensor, trust: Tensor) -> Tensor:
        """Evidence (N, L) for each length: a log-likelihood, up to a constant.

        Args:
            direction: (N, 3) of the way.
            turn: (N, 3) rotation vector.
            scores: of the match (N, D, H, W).
            trust: (N, 1, H, W) weights of the cells.
        """
        stay = _turned(self.ground.expand(len(turn), -1, -1), turn)  # (N, P, 3)
        way = direction[:, None, None] * self.lengths[:, None]  # (N, 1, L, 3)
        x, y, z = (stay[:, :, None] + way).unbind(-1)
        ahead = z.clamp_min(_NEAREST)
        column = x / ahead * self.view.fx + self.view.cx
        row = y / ahead * self.view.fy + self.view.cy
        seen = (z > _NEAREST) & (column >= 0) & (column <= self.view.width - 1)
        seen = seen & (row >= 0) & (row <= self.view.height - 1)
        vertical, horizontal = self.match.radius
        across = _shares((column - self.pixels[:, :1]) / self.match.cell, horizontal)  # (N, P, L, 2 horizontal + 1)
        upright = _shares((row - self.pixels[:, 1:]) / self.match.cell, vertical)
        said = ((upright @ self._evidence(scores)) * across).sum(-1) * seen  # (N, P, L)
        return (said * trust[:, 0, self.top :].flatten(1)[..., None]).sum(1)

    def _evidence(self, scores: Tensor) -> Tensor:
        """(N, P, 2 vertical + 1, 2 horizontal + 1) for each displacement of each cell; 0 is that of a blind guess."""
        vertical, horizontal = self.match.radius
        likely = torch.softmax(unhalved(scores)[:, :, self.top :].flatten(2).transpose(1, 2), -1)
        evidence = ((likely * scores.shape[1] + _DOUBT) / (1 + _DOUBT)).log()
        return evidence.unflatten(2, (2 * vertical + 1, 2 * horizontal + 1))


class Ballot(nn.Module):
    """Counts the votes of all views, beside what was guessed before.

    Args:
        precincts: of each view.
        lengths: how many are voted on.
        hint: width of the vector that the guess is read from. It says how far to listen to each view, and how wide the
            guess is.
    """

    logs: Tensor

    def __init__(self, precincts: dict[str, Precinct], lengths: int, hint: int) -> None:
        super().__init__()
        self.precincts = nn.ModuleDict(precincts)
        self.register_buffer("logs", log_lengths(lengths), persistent=False)
        self.weighing = nn.Linear(hint, len(precincts) + 1)
        nn.init.zeros_(self.weighing.weight)
        with torch.no_grad():
            self.weighing.bias.copy_(torch.tensor([_STRENGTH] * len(precincts) + [_WIDTH]).log())
        self.heard = nn.Linear((len(precincts) + 1) * lengths, hint, bias=False)
        nn.init.zeros_(self.heard.weight)

    def forward(
        self, guess: Tensor, hint: Tensor, scores: dict[str, Tensor], trust: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the votes say to a guessed motion (N, 6), in camera heights and radians, that was read from a hint.

        Returns:
            The evidence (N, L) of all views together; what its distributions, and those of the views, add to the hint,
            nothing at first; and by what (N, 3) the guessed way is to be changed: as the mean of the logarithm changes
            from the guess alone to both.
        """
        guess = unhalved(guess.detach())
        way, turn = guess.split(3, 1)
        far = way.square().sum(1, keepdim=True).sqrt()
        direction = way / far.clamp_min(1e-6)
        *strengths, width = unhalved(self.weighing(hint)).exp().split(1, 1)
        votes = [
            strength * precinct(direction, turn, scores[name], unhalved(trust[name]))
            for strength, (name, precinct) in zip(strengths, self.precincts.items(), strict=True)
        ]
        total = torch.stack(votes).sum(0)
        apart = (self.logs - far.clamp(SHORTEST, LONGEST).log()) / width
        prior = -(_TAILS + 1) / 2 * torch.log1p(apart.square() / _TAILS)
        before, after = (torch.softmax(belief, 1) for belief in (prior, prior + total))
        change = (((after - before) * self.logs).sum(1, keepdim=True).exp() - 1) * way
        shares = torch.cat([after, *(torch.softmax(vote, 1) for vote in votes)], 1)
        return total, self.heard(shares), change


def log_lengths(count: int) -> Tensor:
    """(count,) logarithms of the lengths that are voted on, evenly apart."""
    low, high = torch.tensor([SHORTEST, LONGEST]).log().tolist()
    return torch.linspace(low, high, count)


def _turned(points: Tensor, turn: Tensor) -> Tensor:
    """Points (N, P, 3) rotated by rotation vectors (N, 3), to the second order."""
    axis = turn[:, None].expand_as(points)
    once = torch.linalg.cross(axis, points)
    return points + once + 0.5 * torch.linalg.cross(axis, once)


def _shares(place: Tensor, radius: int) -> Tensor:
    """Shares (..., 2 radius + 1) of the cells -radius..radius in a place between them, none far beyond.

    By cubic convolution: linearly, every cell's evidence would be largest at a whole displacement.
    """
    cells = torch.linspace(-radius, radius, 2 * radius + 1, device=place.device)
    apart = (place[..., None] - cells).abs()
    near, far = (1.0 - apart).clamp_min(0.0), (2.0 - apart).clamp(0.0, 1.0)
    return near * (0.5 + near * (2.0 - 1.5 * near)) - 0.5 * far * far * (1.0 - far)
