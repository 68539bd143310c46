"""The loss on votes: a network whose ground votes on the length of a step is told how long it was."""

from __future__ import annotations

import torch
from torch import Tensor

from training.networks.ballot import LONGEST, SHORTEST, log_lengths


def voting(votes: Tensor, motions: Tensor) -> Tensor:
    """How surprising the true lengths are to the ground: a mean, in nats.

    The true length lies between two that are voted on: the truth is a distribution over these. Steps that are shorter
    or longer than all of them do not count.

    Args:
        votes: (..., L) log-likelihoods.
        motions: the true ones, (..., 6).
    """
    likely = torch.log_softmax(votes.float(), -1)
    lengths = motions[..., :3].norm(dim=-1)
    known = (lengths >= SHORTEST) & (lengths <= LONGEST)
    logs = log_lengths(likely.shape[-1]).to(likely)
    place = (lengths.clamp(SHORTEST, LONGEST).log() - logs[0]) / (logs[1] - logs[0])
    low = place.floor().clamp(max=likely.shape[-1] - 2)
    first = low.long()[..., None]
    surprise = -torch.lerp(likely.gather(-1, first), likely.gather(-1, first + 1), (place - low)[..., None])[..., 0]
    return torch.where(known, surprise, 0.0).sum() / known.sum().clamp_min(1)
