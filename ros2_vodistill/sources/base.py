"""What every recording offers: grey frames with stamps and, where it knows them, camera, mount and truth."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.trajectory import Trajectory, load

Image = NDArray[np.uint8]
Frame = tuple[float, Image]


@dataclass(frozen=True)
class Options:
    """What a user says about a recording; None leaves it to the recording.

    Attributes:
        topic: which camera, where there are several: an image topic of a bag, 'image_2' of KITTI, 'cam1' of EuRoC.
        calibration: a file with the camera, instead of the recording's own.
        truth: a trajectory file with the camera's true poses, instead of the recording's own.
        truth_topic: the topic of a bag with the true poses.
        rate: frames per second, instead of the times of image files or of a video.
    """

    topic: str | None = None
    calibration: Path | None = None
    truth: Path | None = None
    truth_topic: str | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and not (math.isfinite(self.rate) and self.rate > 0):
            raise VodistillError(f"a rate of {self.rate} frames per second", "Give a number above zero.")

    def true_path(self, stamps: Sequence[float] | None = None) -> Trajectory | None:
        """What the user's file with the truth holds, if there is one; an error where it cannot fit.

        Args:
            stamps: of the frames, seconds, if they are known; also the times of a file that has none.
        """
        if self.truth is None:
            return None
        truth = load(self.truth, stamps)
        if truth.indexed:
            raise VodistillError(
                f"{self.truth} has no times",
                "Give a TUM file, whose lines begin with stamps; or, of a video, its --rate.",
            )
        if stamps is not None and (truth.stamps[0] > stamps[-1] or truth.stamps[-1] < stamps[0]):
            raise VodistillError(
                f"{self.truth} goes from {truth.stamps[0]:.6f} s to {truth.stamps[-1]:.6f} s, the frames from "
                f"{stamps[0]:.6f} s to {stamps[-1]:.6f} s",
                "Give the truth of this recording, on the same clock.",
            )
        return truth

    def refuse(self, path: Path, kind: str, *names: str) -> None:
        """An error if the user chose one of these options, which mean nothing for this kind of recording."""
        for name in names:
            if getattr(self, name) is not None:
                raise VodistillError(
                    f"{path} is {kind}, which has no use for {name.replace('_', ' ')} '{getattr(self, name)}'",
                    "Leave that option out.",
                )


class Notes:
    """Remarks, one line for each kind, so that a thousand broken frames do not make a thousand lines.

    Attributes:
        lines: every kind with its first example and how many more there are; kept up to date in place.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._examples: dict[str, dict[str, None]] = {}

    def add(self, kind: str, example: str) -> None:
        """Another example of this kind; one that was noted before counts once."""
        if kind not in self._examples:
            self._examples[kind] = {}
            self.lines.append("")
        examples = self._examples[kind]
        examples[example] = None
        more = f" (and {len(examples) - 1} more)" if len(examples) > 1 else ""
        self.lines[list(self._examples).index(kind)] = f"{kind}: {next(iter(examples))}{more}"


class Source(ABC):
    """Frames in the order in which they were recorded: `for stamp, image in source`.

    A stamp is in seconds; an image is grey, uint8, HxW, in the camera's own resolution. Iterating reads from the
    storage, frame by frame, and may be done again. `len()` is the number of recorded frames, readable or not; it raises
    TypeError where the recording does not say.

    Attributes:
        path: of the recording.
        name: for titles and logs.
        camera: None where the recording has no calibration.
        mount: None where the recording says nothing about it.
        searched: where a calibration was looked for, and what was found there, in words.
    """

    def __init__(self, path: Path, *, truth: Trajectory | None = None) -> None:
        self.path = path
        self.name = path.resolve().name
        self.camera: Camera | None = None
        self.mount: Mount | None = None
        self.searched: list[str] = []
        self._truth = truth
        self._notes = Notes()

    @property
    def truth(self) -> Trajectory | None:
        """True poses of the camera's optical frame in the recording's own world; None where there are none."""
        return self._truth

    @property
    def notes(self) -> list[str]:
        """What was assumed and what could not be read: a live list, complete after the last frame."""
        return self._notes.lines

    def require_camera(self) -> Camera:
        """The camera, or an error that says where its calibration was looked for."""
        if self.camera is None:
            places = "; ".join(self.searched) or "nowhere: this kind of recording has no place for one"
            raise VodistillError(f"{self.path} has no calibration. Looked in: {places}", "Give a file with --calib.")
        return self.camera

    def __len__(self) -> int:
        raise TypeError(f"{self.path} does not say how many frames it has")

    def __iter__(self) -> Iterator[Frame]:
        last: float | None = None
        for stamp, image in self._frames():
            if last is not None and stamp <= last:
                self._notes.add("frame not later than the one before", f"{stamp:.6f} s after {last:.6f} s")
            last = stamp if last is None else max(last, stamp)
            yield stamp, image
        if last is None:
            reasons = "; ".join(self.notes) or "it holds no frames"
            raise VodistillError(f"no frame of {self.path} could be read: {reasons}", "Record or copy it again.")

    @abstractmethod
    def _frames(self) -> Iterator[Frame]:
        """The readable frames; what is not readable goes to `self._notes`."""


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sorted so that 9.png comes before 10.png."""

    def key(path: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]

    return sorted(paths, key=key)
