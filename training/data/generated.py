"""The generated world as an endless stream of clips that no two steps share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import Patch, View
from training.config import Data
from training.data.batch import Batch, Observer, share
from training.settings import plain
from training.world import WorldConfig, render

EIGHTH = 8

PARTS = 4
"""Disjoint sets of clips: clip n of part p of seed s is drawn from the world's seed (s * 2^40 + n) * PARTS + p."""


class WorldStream:
    """Freshly rendered clips; batch i is a pure function of the part, the seed and i.

    Attributes:
        batch_size: clips in a batch.
        config: of the world.
    """

    def __init__(
        self,
        data: Data,
        observer: Observer,
        batch_size: int,
        *,
        seed: int = 0,
        part: int = 0,
        device: torch.device | None = None,
        masks: bool = False,
        flow: bool = False,
    ) -> None:
        self.batch_size, self.seed, self.part = batch_size, seed, part
        if masks and flow:
            raise VodistillError(
                "masks of objects and optical flow at once", "leave fgd, or `matching` and `flow`, out of the stage"
            )
        self.device, self.masks, self.flow = device or torch.device("cpu"), masks, flow
        self.unit = observer.unit
        view = _fields(observer.views["image"])
        self.config = WorldConfig.from_dict({**data.world, "frames": data.frames, "view": view})
        self.labels = _every_eighth(self.config.view) if flow else masks

    def batch(self, index: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Batch `index`, or one process's share of it."""
        first = self.seed * 2**40 + index * self.batch_size
        numbers = share(range(first, first + self.batch_size), rank, ranks)
        clip = render(self.config, [n * PARTS + self.part for n in numbers], self.device, labels=self.labels)
        poses = clip.poses.cpu().numpy()
        motions = geometry.to_motion(geometry.relative(poses))
        if self.unit == "camera_height":
            motions[..., :3] /= clip.height.cpu().numpy()[:, None, None]
        truth = torch.from_numpy(motions.astype(np.float32)).to(self.device)
        flow = None if clip.flow_back is None or not self.flow else EIGHTH * clip.flow_back
        return Batch({"image": clip.images}, truth, clip.objects if self.masks else None, flow)

    def key(self) -> dict[str, Any]:
        return {"kind": "world", "config": plain(self.config), "unit": self.unit, "seed": self.seed, "part": self.part}


def _every_eighth(view: View) -> View:
    """The view whose pixels are every eighth of a view's, from the corner on."""
    height, width = (-(-size // EIGHTH) for size in (view.height, view.width))
    return View(width, height, *(value / EIGHTH for value in (view.fx, view.fy, view.cx, view.cy)))


def _fields(view: View | Patch) -> dict[str, Any]:
    return {k: v for k, v in view.to_dict().items() if k != "kind"}
