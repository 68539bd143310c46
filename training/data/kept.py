"""Clips that are rendered once and used again: a finite training set out of the endless world, and held-out clips."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ros2_vodistill.errors import VodistillError
from training import checkpoint
from training.data.batch import Batch, Stream, share


class Kept:
    """A stream that remembers its batches; for streams of which only the first few are ever asked for."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.batch_size = stream, stream.batch_size
        self.batches: dict[tuple[int, int, int], Batch] = {}

    def batch(self, index: int, rank: int = 0, ranks: int = 1) -> Batch:
        key = (index, rank, ranks)
        if key not in self.batches:
            self.batches[key] = self.stream.batch(index, rank, ranks)
        return self.batches[key]

    def key(self) -> dict[str, Any]:
        return self.stream.key()


class ClipSet:
    """The first `count` clips of a stream as a finite set, reshuffled every time that all were seen.

    Attributes:
        batch_size: clips in a batch.
    """

    def __init__(
        self, source: Stream, count: int, batch_size: int, cache: Path, *, seed: int = 0, shuffle: bool = True
    ) -> None:
        if count < batch_size or count % source.batch_size:
            raise VodistillError(
                f"data.clips is {count}, for batches of {batch_size}",
                f"take a multiple of {source.batch_size} that fills at least one batch",
            )
        self.source, self.count, self.batch_size, self.seed, self.shuffle = source, count, batch_size, seed, shuffle
        self.clips = _render(source, count, cache)

    def __len__(self) -> int:
        """Whole batches in the set."""
        return self.count // self.batch_size

    def batch(self, index: int, rank: int = 0, ranks: int = 1) -> Batch:
        epoch, place = divmod(index, len(self))
        order = np.arange(self.count)
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.count)
        numbers = order[place * self.batch_size : (place + 1) * self.batch_size]
        chosen = torch.from_numpy(numbers[share(range(self.batch_size), rank, ranks)])
        masks = None if self.clips.masks is None else self.clips.masks[chosen]
        views = {name: view[chosen] for name, view in self.clips.views.items()}
        return Batch(views, self.clips.motions[chosen], masks)

    def key(self) -> dict[str, Any]:
        return {"kind": "clips", "count": self.count, "source": self.source.key(), "seed": self.seed}


def _render(source: Stream, count: int, cache: Path) -> Batch:
    """All clips, from the file in the folder `cache` that an earlier call left, if their key is the same."""
    with_masks = source.batch(0).masks is not None
    key = json.dumps({"count": count, "masks": with_masks, **source.key()}, sort_keys=True)
    path = cache / f"clips-{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"
    if not path.exists():
        parts = [source.batch(i) for i in range(count // source.batch_size)]
        tensors = {f"view/{name}": torch.cat([p.views[name] for p in parts]) for name in parts[0].views}
        tensors["motions"] = torch.cat([p.motions for p in parts])
        if with_masks:
            tensors["masks"] = torch.cat([_known(p.masks) for p in parts])
        checkpoint.save_tensors(path, tensors, {"key": key})
    tensors, metadata = checkpoint.load_tensors(path)
    if metadata.get("key") != key:
        raise VodistillError(f"{path}: was rendered by other settings", "remove it")
    return Batch(checkpoint.under("view", tensors), tensors["motions"], tensors.get("masks"))


def _known(masks: Tensor | None) -> Tensor:
    assert masks is not None
    return masks
