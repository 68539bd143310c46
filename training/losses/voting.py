"""The loss on votes: a network whose ground votes on the length of a step is told how long it was."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from training.losses.pose import scaled
from training.networks.ballot import LONGEST, SHORTEST, log_lengths


def voting(features: Mapping[str, Tensor], motions: Tensor, rotation_weight: float) -> Tensor:
    """How surprising the true lengths are to the ground, in nats, and how far off the guesses are that it begins with.

    The true length lies between two that are voted on: the truth is a distribution over these. Steps that are shorter
    or longer than all of them do not count.

    Args:
        features: of the network's output; 'votes' (B, T-1, L) log-likelihoods, 'guess' (B, T-1, 6).
        motions: the true ones, (B, T-1, 6).
        rotation_weight: of a squared radian, in the guess's error.
    """
    likely = torch.log_softmax(features["votes"].float(), -1)
    lengths = motions[..., :3].norm(dim=-1)
    known = (lengths >= SHORTEST) & (lengths <= LONGEST)
    logs = log_lengths(likely.shape[-1]).to(likely)
    place = (lengths.clamp(SHORTEST, LONGEST).log() - logs[0]) / (logs[1] - logs[0])
    low = place.floor().clamp(max=likely.shape[-1] - 2)
    first = low.long()[..., None]
    surprise = -torch.lerp(likely.gather(-1, first), likely.gather(-1, first + 1), (place - low)[..., None])[..., 0]
    missed = scaled(features["guess"].float() - motions, rotation_weight).norm(dim=-1).mean()
    return torch.where(known, surprise, 0.0).sum() / known.sum().clamp_min(1) + missed
