"""Clips that are shown several times, changed each time: where rendering is slower than learning, as on a CPU.

Mirroring and reversing a clip gives another true clip; light, blur and noise are drawn anew. So a clip that took a
second to render teaches several times, and a network still never sees the same pixels twice.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ros2_vodistill import geometry
from training.config import Augmentation
from training.data.augment import augment
from training.data.batch import Batch, Stream, share


@dataclass(frozen=True)
class Clip:
    """One clip of a batch: views (T, H, W) by name, motions (T-1, 6), and known flow (T-1, 2, H/8, W/8) by view."""

    views: dict[str, NDArray[np.uint8]]
    motions: NDArray[np.float64]
    flow: dict[str, NDArray[np.float32]] = field(default_factory=dict)


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
        views = {name: torch.from_numpy(np.stack([clip.views[name] for clip in clips])) for name in clips[0].views}
        motions = torch.from_numpy(np.stack([clip.motions for clip in clips]).astype(np.float32))
        flow = {name: torch.from_numpy(np.stack([clip.flow[name] for clip in clips])) for name in clips[0].flow}
        return Batch(views, motions, None, flow)

    def key(self) -> dict[str, Any]:
        how = {"times": self.times, "window": self.window, "seed": self.seed, "changes": asdict(self.augmentation)}
        return {"kind": "reused", "source": self.source.key(), **how}

    def _clip(self, number: int, random: np.random.Generator) -> Clip:
        batch, place = self._rendered(number // self.batch_size), number % self.batch_size
        views = {name: view[place].numpy() for name, view in batch.views.items()}
        flow = {name: flow[place].numpy() for name, flow in batch.flow.items()}
        clip = Clip(views, batch.motions[place].double().numpy(), flow)
        if random.random() < self.augmentation.mirror:
            clip = mirrored(clip)
        if random.random() < self.augmentation.reverse:
            clip = reversed_in_time(clip)
        softened = soften(clip.views, random.uniform(0.0, self.augmentation.blur))
        return replace(clip, views=augment(softened, self.augmentation, random))

    def _rendered(self, number: int) -> Batch:
        if number not in self._recent:
            self._recent[number] = self.source.batch(number)
            for old in [other for other in self._recent if other <= max(self._recent) - self.window]:
                del self._recent[old]
        return self._recent[number]


def mirrored(clip: Clip) -> Clip:
    """Left and right exchanged, for views that are symmetric."""
    views = {name: np.ascontiguousarray(view[..., ::-1]) for name, view in clip.views.items()}
    flow = {}
    for name, unflipped in clip.flow.items():
        # Pixel 8 j lies between those that were every eighth one, 8 j - 1 and 8 j + 7 now.
        right = unflipped[..., ::-1] * np.array([[[-1]], [[1]]], np.float32)
        left = np.roll(right, 1, -1)
        left[..., 0] = np.nan
        flow[name] = 0.875 * left + 0.125 * right
    return Clip(views, clip.motions * [-1, 1, 1, 1, -1, -1], flow)


def reversed_in_time(clip: Clip) -> Clip:
    """The last frame first; the flow, which is known one way only, is not known then."""
    back = geometry.to_motion(geometry.invert(geometry.from_motion(clip.motions[::-1])))
    views = {name: np.ascontiguousarray(view[::-1]) for name, view in clip.views.items()}
    return Clip(views, back, {name: np.full_like(flow, np.nan) for name, flow in clip.flow.items()})


def soften(views: dict[str, NDArray[np.uint8]], sigma: float) -> dict[str, NDArray[np.uint8]]:
    """A Gaussian blur of `sigma` pixels, the same for all frames, as of a lens that is not quite in focus."""
    if sigma < 0.2:
        return views
    return {name: np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in view]) for name, view in views.items()}
