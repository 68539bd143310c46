"""What a network is trained on: clips in the canonical views with their true motions, one batch for every step."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import Patch, View


@dataclass(frozen=True)
class Batch:
    """B clips of T frames.

    Attributes:
        views: name -> (B, T, H, W) uint8.
        motions: (B, T-1, 6) float32: translation in the observer's unit, then rotation vector, of each frame in the
            last.
        masks: (B, T, H, W) which object the view `image` shows, 0 where none; None where unknown.
        flow: of each view (B, T-1, 2, H/8, W/8): pixels (x, y) from every eighth pixel of a frame, from the corner on,
            to where what it shows was in the last frame; NaN where unknown, empty where nothing is known.
    """

    views: dict[str, Tensor]
    motions: Tensor
    masks: Tensor | None = None
    flow: dict[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory, for a fast copy to a GPU."""
        return self._map(Tensor.pin_memory)

    def select(self, clips: Tensor) -> Batch:
        """The clips of these numbers."""
        return self._map(lambda tensor: tensor[clips])

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        views, flow = ({name: change(x) for name, x in of_views.items()} for of_views in (self.views, self.flow))
        masks = None if self.masks is None else change(self.masks)
        return Batch(views, change(self.motions), masks, flow)

    def __len__(self) -> int:
        return self.motions.shape[0]


def joined(batches: Sequence[Batch]) -> Batch:
    """All clips of several batches that know the same."""

    def together(of_views: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {name: torch.cat([of_view[name] for of_view in of_views]) for name in of_views[0]}

    views, flow = (together([getattr(batch, name) for batch in batches]) for name in ("views", "flow"))
    masks = [batch.masks for batch in batches if batch.masks is not None]
    return Batch(views, torch.cat([batch.motions for batch in batches]), torch.cat(masks) if masks else None, flow)


class Observer(Protocol):
    """What looks at clips: a network, or an exported one.

    Attributes:
        views: that it sees, by name.
        unit: of its translations: 'camera_height' or 'metre'.
    """

    @property
    def views(self) -> Mapping[str, View | Patch]: ...

    @property
    def unit(self) -> str: ...


class Stream(Protocol):
    """Batches by number. A batch is a pure function of its number, so that a training resumes exactly where it was."""

    batch_size: int

    def batch(self, index: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Batch `index`, or the part of it that process `rank` of `ranks` works on."""
        ...

    def key(self) -> dict[str, Any]:
        """All that decides the batches' content, as plain values."""
        ...


def share(samples: range | list[int], rank: int, ranks: int) -> list[int]:
    """The samples of a batch that one process works on: equally many for each, so that gradients average exactly."""
    if len(samples) % ranks:
        raise VodistillError(
            f"a batch of {len(samples)} cannot be shared equally by {ranks} processes",
            "make training.batch_size a multiple of the number of processes",
        )
    return list(samples[rank::ranks])


def batches(
    stream: Stream, start: int, workers: int, rank: int, ranks: int, pin: bool = False
) -> Iterator[tuple[int, Batch]]:
    """(number, batch) from `start` on, without end, prepared ahead by `workers` processes in the same order."""
    if workers == 0:
        for i in itertools.count(start):
            yield i, stream.batch(i, rank, ranks)
    loader: DataLoader[tuple[int, Batch | VodistillError]] = DataLoader(
        _Numbered(stream, rank, ranks),
        batch_size=None,
        sampler=_From(start),
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_deafened,
        pin_memory=pin,
    )
    for number, batch in loader:
        if isinstance(batch, VodistillError):
            raise batch
        yield number, batch


class _Numbered(Dataset[tuple[int, Batch | VodistillError]]):
    def __init__(self, stream: Stream, rank: int, ranks: int) -> None:
        self.stream, self.rank, self.ranks = stream, rank, ranks

    def __getitem__(self, index: int) -> tuple[int, Batch | VodistillError]:
        try:
            return index, self.stream.batch(index, self.rank, self.ranks)
        except VodistillError as error:  # raised here it would come with the traceback of this process
            return index, error


class _From(Sampler[int]):
    def __init__(self, start: int) -> None:
        self.start = start

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.start)


def _deafened(_: int) -> None:
    """A signal to end comes to all processes of a group, and the training's decides: it would fail without workers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _as_it_is(value: Any) -> Any:
    return value
