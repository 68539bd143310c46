"""The streams that an experiment's data settings describe."""

from __future__ import annotations

from pathlib import Path

import torch

from ros2_vodistill.errors import VodistillError
from training.config import Confidence, Data
from training.data import kitti
from training.data.batch import Observer, Stream
from training.data.generated import WorldStream
from training.data.recording import Recording
from training.data.windows import WindowStream

HELD_OUT, FIXED = 1, 2
"""Which of the generated world's disjoint ranges of seeds; training has range 0."""
HELD_OUT_BATCH = 8


def training(
    data: Data, observer: Observer, batch_size: int, seed: int, device: torch.device, masks: bool = False
) -> Stream:
    """What a network learns from; with the masks of objects where they are known and asked for."""
    if data.kind == "world":
        return WorldStream(data, observer, batch_size, seed=seed, device=_render_on(data, device), masks=masks)
    return WindowStream(
        recordings(data, data.train),
        observer,
        frames=data.frames,
        batch_size=batch_size,
        stride=data.stride,
        skips=data.skips,
        augmentation=data.augmentation,
        seed=seed,
    )


def held_out(data: Data, observer: Observer, device: torch.device) -> Stream:
    """What it is measured on, always the same: generated clips of other seeds, or the test sequences."""
    batch = min(HELD_OUT_BATCH, data.held_out)
    if data.kind == "world":
        return WorldStream(data, observer, batch, part=HELD_OUT, device=device)
    return WindowStream(
        recordings(data, data.test),
        observer,
        frames=data.frames,
        batch_size=batch,
        stride=data.frames - 1,
        seed=HELD_OUT,
    )


def confidence(
    data: Data, observer: Observer, batch_size: int, settings: Confidence, device: torch.device
) -> tuple[Stream, int]:
    """The fixed set over which eta is computed, and its number of clips: a recorded training set whole and as it is, or
    generated clips of seeds of their own."""
    if data.kind == "world":
        return WorldStream(data, observer, batch_size, part=FIXED, device=device), settings.samples
    stream = WindowStream(
        recordings(data, data.train),
        observer,
        frames=data.frames,
        batch_size=1,
        stride=data.stride,
        skips=data.skips,
        shuffle=False,
    )
    return stream, len(stream.windows)


def recordings(data: Data, names: tuple[str, ...]) -> list[Recording]:
    """The named sequences of a recorded data set."""
    if not data.root:
        raise VodistillError(f"data.kind is {data.kind}, and data.root is empty", "give the data set's folder")
    if data.kind == "malaga":
        raise VodistillError("data.kind is malaga, which has no true poses to train on", "evaluate on it instead")
    return [kitti.read_sequence(Path(data.root), name, data.colour, data.height) for name in names]


def _render_on(data: Data, device: torch.device) -> torch.device:
    """Processes that render beside the training do so on the CPU."""
    return torch.device("cpu") if data.workers else device
