"""The streams that an experiment's data settings describe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ros2_vodistill.errors import VodistillError
from training.config import Confidence, Data
from training.data import kitti
from training.data.batch import Observer, Stream
from training.data.generated import WorldStream
from training.data.kept import ClipSet, Kept
from training.data.recording import Recording
from training.data.reused import Reused
from training.data.windows import WindowStream

HELD_OUT, FIXED = 1, 2
"""Which of the generated world's disjoint sets of clips; training has set 0."""
RENDERED_AT_ONCE = 8


def training(
    data: Data,
    observer: Observer,
    batch_size: int,
    seed: int,
    device: torch.device,
    *,
    masks: bool = False,
    flow: bool = False,
) -> Stream:
    """What a network learns from; with the masks of objects, or the optical flow, where they are asked for."""
    if flow and data.kind != "world":
        raise VodistillError("`matching` and `flow` need optical flow", "take the generated world, or leave them out")
    if masks and data.kind == "world" and data.reuse > 1:
        raise VodistillError("clips that are shown again have lost the objects' masks", "set data.reuse to 1")
    if data.kind == "world":
        clips: Stream
        if data.clips:
            clips = _clip_set(data, observer, batch_size, seed, device, masks=masks, flow=flow)
        else:
            place = torch.device("cpu") if data.workers else device  # processes beside the training render on the CPU
            clips = WorldStream(data, observer, batch_size, seed=seed, device=place, masks=masks, flow=flow)
        return clips if data.reuse == 1 else Reused(clips, data.reuse, data.augmentation, seed=seed)
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


def held_out(data: Data, observer: Observer, device: torch.device, frames: int = 0) -> Stream:
    """What it is measured on, always the same: generated clips of their own, or windows of the test sequences; of
    `data.frames` frames, or of `frames`."""
    frames = frames or data.frames
    batch = min(RENDERED_AT_ONCE, data.held_out)
    if data.kind == "world":
        return Kept(WorldStream(replace(data, frames=frames), observer, batch, part=HELD_OUT, device=device))
    settings: dict[str, Any] = {"frames": frames, "stride": frames - 1, "seed": HELD_OUT}
    tests = recordings(data, data.test)
    fewest = len(WindowStream(tests, observer, batch_size=1, **settings))
    windows = WindowStream(tests, observer, batch_size=min(batch, fewest), **settings)
    return Kept(windows, len(windows))


def confidence(
    data: Data, observer: Observer, batch_size: int, settings: Confidence, device: torch.device
) -> tuple[Stream, int]:
    """The fixed set over which eta is computed, and its number of clips: a finite training set whole and as it is, or
    clips of their own of the endless world."""
    if data.kind == "world" and data.clips:
        return _clip_set(data, observer, 1, 0, device, shuffle=False), data.clips
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


def _clip_set(
    data: Data,
    observer: Observer,
    batch_size: int,
    seed: int,
    device: torch.device,
    shuffle: bool = True,
    **labels: bool,
) -> ClipSet:
    source = WorldStream(data, observer, min(RENDERED_AT_ONCE, data.clips), device=device, **labels)
    return ClipSet(source, data.clips, batch_size, Path(data.cache), seed=seed, shuffle=shuffle)


def recordings(data: Data, names: tuple[str, ...]) -> list[Recording]:
    """The named sequences of a recorded data set."""
    if not data.root:
        raise VodistillError(f"data.kind is {data.kind}, and data.root is empty", "give the data set's folder")
    if data.kind == "malaga":
        raise VodistillError(
            "data.kind is malaga, which has no true poses to train on", "measure on it: --measure FOLDER"
        )
    return [kitti.read_sequence(Path(data.root), name, data.colour, data.height) for name in names]
