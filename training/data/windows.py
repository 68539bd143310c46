"""Recordings as windows of consecutive frames: a stream that goes through all of them, reshuffled every time."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ros2_vodistill.errors import VodistillError
from training.config import Augmentation
from training.data.augment import augment
from training.data.batch import Batch, Observer, share
from training.data.recording import Recording


@dataclass(frozen=True)
class Window:
    """Frames start, start + skip, ... of a recording."""

    recording: int
    start: int
    skip: int


class WindowStream:
    """Windows of recordings, in an order that depends on the seed and on how often all of them were seen.

    Attributes:
        windows: all of them, in the recordings' order.
        batch_size: windows in a batch.
    """

    def __init__(
        self,
        recordings: list[Recording],
        observer: Observer,
        *,
        frames: int,
        batch_size: int,
        stride: int = 1,
        skips: tuple[int, ...] = (1,),
        augmentation: Augmentation | None = None,
        seed: int = 0,
        shuffle: bool = True,
    ) -> None:
        self.recordings, self.frames, self.batch_size = recordings, frames, batch_size
        self.views, self.unit = dict(observer.views), observer.unit
        self.augmentation, self.seed, self.shuffle = augmentation or Augmentation(), seed, shuffle
        self.motions = {
            (i, s): r.motions(self.unit, s) for i, r in enumerate(recordings) for s in set(skips) if len(r) > s
        }
        self.windows = [
            Window(i, start, skip)
            for i, recording in enumerate(recordings)
            for skip in sorted(set(skips))
            for start in range(0, len(recording) - (frames - 1) * skip, stride)
        ]
        if len(self.windows) < batch_size:
            names = ", ".join(r.name for r in recordings) or "no recording"
            raise VodistillError(
                f"{len(self.windows)} windows of {frames} frames in {names}: less than a batch of {batch_size}",
                "give longer or more sequences, or lower data.frames or training.batch_size",
            )

    def __len__(self) -> int:
        """Whole batches in all windows."""
        return len(self.windows) // self.batch_size

    def batch(self, index: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Batch `index`; the last windows that do not fill one are left out until the next shuffle."""
        epoch, place = divmod(index, len(self))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.windows))
        if not self.shuffle:
            order = np.arange(len(self.windows))
        numbers = order[place * self.batch_size : (place + 1) * self.batch_size]
        chosen = share(list(range(self.batch_size)), rank, ranks)
        clips = [self._clip(self.windows[numbers[i]], [self.seed, index, i]) for i in chosen]
        views = {name: torch.from_numpy(np.stack([clip[name] for clip, _ in clips])) for name in self.views}
        motions = np.stack([motion for _, motion in clips]).astype(np.float32)
        return Batch(views, torch.from_numpy(motions))

    def key(self) -> dict[str, Any]:
        known = hashlib.sha256(repr((self.windows, [(r.camera, r.mount) for r in self.recordings])).encode())
        for motions in self.motions.values():
            known.update(motions.tobytes())
        return {
            "kind": "windows",
            "recordings": [[r.name, str(r.images[0].parent), len(r), r.mount.height] for r in self.recordings],
            "views": {name: view.to_dict() for name, view in self.views.items()},
            "unit": self.unit,
            "frames": self.frames,
            "windows": len(self.windows),
            "known": known.hexdigest()[:16],
            "augmentation": asdict(self.augmentation),
            "seed": self.seed,
        }

    def _clip(self, window: Window, seed: list[int]) -> tuple[dict[str, NDArray[np.uint8]], NDArray[np.float64]]:
        recording = self.recordings[window.recording]
        frames = [window.start + window.skip * k for k in range(self.frames)]
        seen = [recording.views(i, self.views) for i in frames]
        views = {name: np.stack([frame[name] for frame in seen]) for name in self.views}
        motions = self.motions[window.recording, window.skip][frames[:-1]]
        return augment(views, self.augmentation, np.random.default_rng(seed)), motions
