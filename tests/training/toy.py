"""A network and clips that are small enough to train within a test: random texture that shifts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ros2_vodistill.view import View
from training import config, networks
from training.data.batch import Batch, share
from training.teacher import Teacher, confidence

VIEW = View(64, 32, 40.0, 40.0, 31.5, 15.5)
SPEC: dict[str, Any] = {
    "name": "flownet-3-3",
    "views": {"image": VIEW.to_dict()},
    "width": 0.125,
    "pool": [2, 4],
    "layers": [16, 8, 16, 8],
    "guided": 3,
    "uncertainty": True,
}
TEACHER: dict[str, Any] = {**SPEC, "width": 0.25, "layers": [32, 16, 16, 8]}


class ShiftStream:
    """Clips of a texture that moves by whole pixels; the motion is that shift, in camera heights."""

    masks = flow = False

    def __init__(self, batch_size: int = 4, frames: int = 3, seed: int = 0) -> None:
        self.batch_size, self.frames, self.seed = batch_size, frames, seed

    def batch(self, index: int, rank: int = 0, ranks: int = 1) -> Batch:
        clips = [self._clip(index * self.batch_size + i) for i in share(range(self.batch_size), rank, ranks)]
        return Batch({"image": torch.stack([c[0] for c in clips])}, torch.stack([c[1] for c in clips]))

    def key(self) -> dict[str, Any]:
        return {"kind": "shift", "frames": self.frames, "seed": self.seed}

    def _clip(self, number: int) -> tuple[Tensor, Tensor]:
        random = torch.Generator().manual_seed(self.seed * 1_000_000 + number)
        shifts = torch.randint(-4, 5, (self.frames - 1,), generator=random)
        texture = torch.randint(0, 256, (VIEW.height, VIEW.width), generator=random, dtype=torch.uint8)
        places = torch.cat([torch.zeros(1, dtype=torch.long), shifts.cumsum(0)])
        images = torch.stack([texture.roll(int(p), 1) for p in places])
        motions = torch.zeros(self.frames - 1, 6)
        motions[:, 0] = -shifts / 10
        return images, motions


def network(seed: int = 0, **changes: Any) -> networks.Network:
    torch.manual_seed(seed)
    return networks.build({**SPEC, **changes})


def description(**changes: Any) -> dict[str, Any]:
    return networks.specify(SPEC["name"], networks.build({**SPEC, **changes}))


def big(seed: int = 1) -> networks.Network:
    """A teacher, untrained."""
    torch.manual_seed(seed)
    return networks.build(TEACHER)


def teacher(settings: config.Confidence | None = None) -> Teacher:
    """It, with the confidence that its errors on some clips give."""
    settings = settings or config.Confidence()
    learnt = big()
    return Teacher(learnt, settings, confidence(learnt, ShiftStream(), 16, settings))
