"""A trained network as a teacher: what it says about a batch, and how far each of its words is to be trusted."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ros2_vodistill.errors import VodistillError
from training import checkpoint
from training.config import Confidence
from training.data.batch import Batch, Stream
from training.networks.base import Network


@dataclass(frozen=True)
class Lesson:
    """What a teacher says about a batch of B clips.

    Attributes:
        motion: (B, T-1, 6).
        log_variance: (B, T-1, 6).
        features: as the teacher's network gives them, (B, T-1, ...).
        trust: (B, T-1), the paper's Phi.
    """

    motion: Tensor
    log_variance: Tensor
    features: dict[str, Tensor]
    trust: Tensor


class Teacher:
    """A frozen network in eval mode, with the least and the largest error that it makes on its training set."""

    def __init__(self, network: Network, confidence: Confidence, extremes: tuple[float, float]) -> None:
        self.network = network.eval().requires_grad_(False)
        self.confidence, self.extremes = confidence, extremes

    @torch.no_grad()
    def explain(self, batch: Batch, features: bool) -> Lesson:
        """The lesson on a batch; with `features` only where a loss asks for them."""
        output = self.network(batch.views, features=features)
        least, largest = self.extremes
        doubt = _doubt(output.motion, output.log_variance, batch.motions, self.confidence)
        trust = 1.0 - doubt / (largest - least)
        if self.confidence.clamp:
            trust = trust.clamp(0.0, 1.0)
        return Lesson(output.motion, output.log_variance, output.features, trust)


@torch.no_grad()
def extremes(
    network: Network, stream: Stream, count: int, confidence: Confidence, cache: Path | None = None
) -> tuple[float, float]:
    """min and max of e_T over the first `count` clips of a stream; eta is their difference. Kept in the file `cache`
    together with the key of all that they depend on."""
    key = _key(network, stream, count, confidence)
    if cache is not None and cache.exists():
        known = checkpoint.read_json(cache)
        if known.get("key") == key:
            return known["least"], known["largest"]
    device = network.motion_scale.device
    network.eval()
    least, largest = math.inf, -math.inf
    for i in range(math.ceil(count / stream.batch_size)):
        batch = stream.batch(i).to(device)
        output = network(batch.views)
        doubt = _doubt(output.motion, output.log_variance, batch.motions, confidence)
        least, largest = min(least, float(doubt.min())), max(largest, float(doubt.max()))
    if not (math.isfinite(largest) and largest > least):
        raise VodistillError(
            f"the teacher's squared errors lie between {least} and {largest}: no confidence can be told from them",
            "train the teacher longer, or give confidence.samples more clips",
        )
    if cache is not None:
        found = {"key": key, "least": least, "largest": largest, "eta": largest - least, "samples": count}
        checkpoint.write_text(cache, json.dumps(found, indent=1))
    return least, largest


def _doubt(motion: Tensor, log_variance: Tensor, truth: Tensor, confidence: Confidence) -> Tensor:
    """(B, T-1) squared error of the scaled vector [t, sqrt(w) r], or its variance as the teacher claims it."""
    weights = motion.new_tensor([1.0] * 3 + [confidence.rotation_weight] * 3)
    squares = log_variance.exp() if confidence.source == "uncertainty" else (motion - truth).square()
    return (squares * weights).sum(-1)


def _key(network: Network, stream: Stream, count: int, confidence: Confidence) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    told: dict[str, Any] = {"stream": stream.key(), "count": count, **asdict(confidence)}
    digest.update(json.dumps(told, sort_keys=True).encode())
    return digest.hexdigest()
