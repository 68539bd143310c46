"""Clips that are shown several times, changed each time: where rendering is slower than learning, as on a CPU.

Mirroring and reversing a clip gives another true clip; light, blur and noise are drawn anew. So a clip that took a
second to render teaches several times, and a network still never sees the same pixels twice.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ros2_vodistill import geometry
from training.config import Augmentation
from training.data.augment import augment
from training.data.batch import Batch, Stream, share

Clip = tuple[dict[str, NDArray[np.uint8]], NDArray[np.float64]]
"""Views (T, H, W) by name, and motions (T-1, 6)."""


class Reused:
    """Shows every batch of `source` about `times` times, mixed with the `window` batches around it.

    Batch i draws its clips from the batches of the source up to number i // times. It is a pure function of i; going on
    at any i costs rendering one window again.
    """

    def __init__(
        self, source: Stream, times: int, augmentation: Augmentation, *, window: int = 32, seed: int = 0
    ) -> None:
        self.source, self.times, self.augmentation, self.window, self.seed = source, times, augmentation, window, seed
        self.batch_size = source.batch_size
        self._recent: dict[int, Batch] = {}

    def batch(self, index: int, rank: int = 0, ranks: int = 1) -> Batch:
        newest = index // self.times
        first = max(0, newest - self.window + 1)
        numbers = np.random.default_rng([self.seed, index]).integers(
            first * self.batch_size, (newest + 1) * self.batch_size, self.batch_size
        )
        self._rendered(newest)
        clips = [
            self._clip(int(numbers[i]), np.random.default_rng([self.seed, index, i]))
            for i in share(range(self.batch_size), rank, ranks)
        ]
        views = {name: torch.from_numpy(np.stack([clip[name] for clip, _ in clips])) for name in clips[0][0]}
        return Batch(views, torch.from_numpy(np.stack([motions for _, motions in clips]).astype(np.float32)))

    def key(self) -> dict[str, Any]:
        how = {"times": self.times, "window": self.window, "seed": self.seed, "changes": asdict(self.augmentation)}
        return {"kind": "reused", "source": self.source.key(), **how}

    def _clip(self, number: int, random: np.random.Generator) -> Clip:
        batch, place = self._rendered(number // self.batch_size), number % self.batch_size
        clip = {name: view[place].numpy() for name, view in batch.views.items()}, batch.motions[place].double().numpy()
        if random.random() < self.augmentation.mirror:
            clip = mirrored(clip)
        if random.random() < self.augmentation.reverse:
            clip = reversed_in_time(clip)
        softened = soften(clip[0], random.uniform(0.0, self.augmentation.blur))
        return augment(softened, self.augmentation, random), clip[1]

    def _rendered(self, number: int) -> Batch:
        if number not in self._recent:
            self._recent[number] = self.source.batch(number)
            for old in [other for other in self._recent if other <= max(self._recent) - self.window]:
                del self._recent[old]
        return self._recent[number]


def mirrored(clip: Clip) -> Clip:
    """Left and right exchanged, for views that are symmetric."""
    views, motions = clip
    flipped = {name: np.ascontiguousarray(view[..., ::-1]) for name, view in views.items()}
    return flipped, motions * [-1, 1, 1, 1, -1, -1]


def reversed_in_time(clip: Clip) -> Clip:
    """The last frame first."""
    views, motions = clip
    back = geometry.to_motion(geometry.invert(geometry.from_motion(motions[::-1])))
    return {name: np.ascontiguousarray(view[::-1]) for name, view in views.items()}, back


def soften(views: dict[str, NDArray[np.uint8]], sigma: float) -> dict[str, NDArray[np.uint8]]:
    """A Gaussian blur of `sigma` pixels, the same for all frames, as of a lens that is not quite in focus."""
    if sigma < 0.2:
        return views
    return {name: np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in view]) for name, view in views.items()}
