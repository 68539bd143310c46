"""Clips that are rendered once and used again: a finite training set out of the endless world, and held-out clips."""

from __future__ import annotations

import hashlib
import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ros2_vodistill.errors import VodistillError
from training import checkpoint
from training.data.batch import Batch, Stream, joined, share

PIECE = 16
"""Batches in a file: what an interrupted rendering has to do again, at most."""


class Kept:
    """A stream that remembers its batches as long as the process lives, whoever asks for them; for streams of which
    only the first few are ever asked for.

    Attributes:
        whole: batches after which all has been seen; None where there is no end.
    """

    def __init__(self, stream: Stream, whole: int | None = None) -> None:
        self.stream, self.batch_size, self.whole = stream, stream.batch_size, whole
        self.batches = _memory(json.dumps(stream.key(), sort_keys=True), stream.batch_size)

    def batch(self, index: int, rank: int = 0, ranks: int = 1) -> Batch:
        key = (index, rank, ranks)
        if key not in self.batches:
            self.batches[key] = self.stream.batch(index, rank, ranks)
        return self.batches[key]

    def key(self) -> dict[str, Any]:
        return self.stream.key()


def numbers(stream: Stream, clips: int) -> range:
    """Of the batches that hold the first so many clips, or all that there are."""
    asked, whole = math.ceil(clips / stream.batch_size), getattr(stream, "whole", None)
    return range(asked if whole is None else min(asked, whole))


@lru_cache(maxsize=2)
def _memory(key: str, batch_size: int) -> dict[tuple[int, int, int], Batch]:
    return {}


class Source(Stream, Protocol):
    """What clips are rendered by.

    Attributes:
        masks: whether its batches have the masks of objects.
        flow: whether they have optical flow.
    """

    masks: bool
    flow: bool


class ClipSet:
    """The first `count` clips of a stream as a finite set, reshuffled every time that all were seen.

    Attributes:
        batch_size: clips in a batch.
    """

    def __init__(
        self, source: Source, count: int, batch_size: int, cache: Path, *, seed: int = 0, shuffle: bool = True
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
        return self.clips.select(chosen)

    def key(self) -> dict[str, Any]:
        return {"kind": "clips", "count": self.count, "source": self.source.key(), "seed": self.seed}


def _render(source: Source, count: int, cache: Path) -> Batch:
    """All clips, from the folder in `cache` that an earlier call left or began."""
    key = json.dumps({"count": count, **source.key()}, sort_keys=True)
    folder = cache / f"clips-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    batches = range(count // source.batch_size)
    pieces = [batches[i : i + PIECE] for i in range(0, len(batches), PIECE)]
    console = Console(stderr=True)
    parts = [
        _piece(source, piece, folder / f"{piece.start:06d}.safetensors", key)
        for piece in track(pieces, "clips", console=console, disable=not console.is_terminal)
    ]
    return joined(parts)


def _piece(source: Source, numbers: range, path: Path, key: str) -> Batch:
    """Some batches as one, read from their file if it is there and has the labels that are asked for."""
    known: dict[str, Tensor] = {}
    if path.exists():
        known, metadata = checkpoint.load_tensors(path)
        if metadata.get("key") != key:
            raise VodistillError(f"{path}: was rendered by other settings", "remove it")
    if not known or (source.masks and "objects" not in known) or (source.flow and not checkpoint.under("flow", known)):
        made = joined([source.batch(i).to(torch.device("cpu")) for i in numbers])
        known |= {f"view/{name}": view for name, view in made.views.items()} | {"motions": made.motions}
        known |= {f"flow/{name}": flow for name, flow in made.flow.items()}
        known |= {} if made.masks is None else {"objects": made.masks}
        checkpoint.save_tensors(path, known, {"key": key})
    flow = checkpoint.under("flow", known) if source.flow else {}
    return Batch(checkpoint.under("view", known), known["motions"], known["objects"] if source.masks else None, flow)
