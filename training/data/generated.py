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
from training.settings import plain, refuse
from training.world import Clip, WorldConfig, render

OWN = {"frames": "set data.frames", "view": "set the network's views"}
"""Settings of the world that are given elsewhere, and where."""

EIGHTH = 8

PARTS = 4
"""Disjoint sets of clips: clip n of part p of seed s is drawn from the world's seed (s * 2^40 + n) * PARTS + p."""


class WorldStream:
    """Freshly rendered clips; batch i is a pure function of the part, the seed and i.

    Every view is rendered as by a camera of its own in the same place: exposure and noise are those of what it shows.

    Attributes:
        batch_size: clips in a batch.
        config: of the world, for the view `image`.
        others: the same for further views.
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
        refuse(data.world, OWN, "data.world.")
        configs = {
            name: WorldConfig.from_dict({**data.world, "frames": data.frames, "view": _fields(name, view)})
            for name, view in observer.views.items()
        }
        self.config = configs.pop("image")
        self.others = configs

    def batch(self, index: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Batch `index`, or one process's share of it."""
        first = self.seed * 2**40 + index * self.batch_size
        numbers = share(range(first, first + self.batch_size), rank, ranks)
        seeds = [n * PARTS + self.part for n in numbers]
        clip = self._render(self.config, seeds, self.masks)
        clips = {"image": clip} | {name: self._render(config, seeds) for name, config in self.others.items()}
        poses = clip.poses.cpu().numpy()
        motions = geometry.to_motion(geometry.relative(poses))
        if self.unit == "camera_height":
            motions[..., :3] /= clip.height.cpu().numpy()[:, None, None]
        truth = torch.from_numpy(motions.astype(np.float32)).to(self.device)
        flow = {
            name: EIGHTH * seen.flow_back for name, seen in clips.items() if self.flow and seen.flow_back is not None
        }
        views = {name: seen.images for name, seen in clips.items()}
        return Batch(views, truth, clip.objects if self.masks else None, flow)

    def _render(self, config: WorldConfig, seeds: list[int], masks: bool = False) -> Clip:
        return render(config, seeds, self.device, labels=_every_eighth(config.view) if self.flow else masks)

    def key(self) -> dict[str, Any]:
        others = {name: plain(config.view) for name, config in self.others.items()}
        further = {"further_views": others} if others else {}
        config = plain(self.config)
        return {"kind": "world", "config": config, "unit": self.unit, "seed": self.seed, "part": self.part, **further}


def _every_eighth(view: View) -> View:
    """The view whose pixels are every eighth of a view's, from the corner on."""
    height, width = (-(-size // EIGHTH) for size in (view.height, view.width))
    return View(width, height, *(value / EIGHTH for value in (view.fx, view.fy, view.cx, view.cy)))


def _fields(name: str, view: View | Patch) -> dict[str, Any]:
    if isinstance(view, Patch):
        raise VodistillError(f"view '{name}' is a patch of ground", "the generated world renders level views only")
    return {k: v for k, v in view.to_dict().items() if k != "kind"}
