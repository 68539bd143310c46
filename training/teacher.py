"""A trained network as a teacher: its outputs for a batch, and the confidence in each of them (the paper's Phi)."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from training import checkpoint, config
from training.data.batch import Batch, Stream
from training.losses.confidence import Confidence, claimed_errors, teacher_errors
from training.networks.base import Network, Output
from training.trained import fingerprint

AT_ONCE = 32
"""Clips that a teacher looks at together while eta is computed."""


@dataclass(frozen=True)
class Lesson:
    """What a teacher says about a batch of B clips.

    Attributes:
        motion: (B, T-1, 6).
        log_variance: (B, T-1, 6).
        features: as the teacher's network gives them, (B, T-1, ...).
        confidence: (B, T-1), the paper's Phi.
    """

    motion: Tensor
    log_variance: Tensor
    features: dict[str, Tensor]
    confidence: Tensor


class Teacher:
    """A frozen network in eval mode, and how its errors on the training set are spread."""

    def __init__(self, network: Network, settings: config.Confidence, confidence: Confidence) -> None:
        self.network = network.eval().requires_grad_(False)
        self.settings, self.confidence = settings, confidence

    @torch.no_grad()
    def explain(self, batch: Batch, features: bool) -> Lesson:
        """The lesson on a batch, with features where they are asked for."""
        output = self.network(batch.views, features=features)
        errors = _errors(output, batch.motions, self.settings)
        return Lesson(output.motion, output.log_variance, output.features, self.confidence(errors))


@torch.no_grad()
def confidence(
    network: Network, stream: Stream, count: int, settings: config.Confidence, cache: Path | None = None
) -> Confidence:
    """From the teacher's errors on the first `count` clips of a stream. They are kept in the file `cache` together with
    the key of all that they depend on."""
    key = _key(network, stream, count, settings)
    if cache is not None and cache.exists():
        known = checkpoint.read_json(cache)
        if known.get("key") == key:
            return Confidence(known["least"], known["largest"], settings.clamp)
    device = network.motion_scale.device
    network.eval()
    errors = []
    numbers, step = range(math.ceil(count / stream.batch_size)), max(1, AT_ONCE // stream.batch_size)
    for first in numbers[::step]:
        parts = [stream.batch(i) for i in numbers[first : first + step]]
        views = {name: torch.cat([part.views[name] for part in parts]) for name in parts[0].views}
        batch = Batch(views, torch.cat([part.motions for part in parts])).to(device)
        errors.append(_errors(network(batch.views), batch.motions, settings).cpu())
    found = Confidence.of(torch.cat(errors)[:count], settings.clamp)
    if cache is not None:
        values = {"key": key, "least": found.least, "largest": found.largest, "eta": found.eta, "clips": count}
        checkpoint.write_text(cache, json.dumps(values, indent=1))
    return found


def _errors(output: Output, truth: Tensor, settings: config.Confidence) -> Tensor:
    """(B, T-1), the paper's e_T, or what the teacher expects it to be."""
    if settings.source == "uncertainty":
        return claimed_errors(output.log_variance, settings.rotation_weight)
    return teacher_errors(output.motion, truth, settings.rotation_weight)


def _key(network: Network, stream: Stream, count: int, settings: config.Confidence) -> str:
    told = {"network": fingerprint(network), "stream": stream.key(), "count": count, **asdict(settings)}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
