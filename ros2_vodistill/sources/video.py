"""A video file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2

from ros2_vodistill.calibration import load_camera
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.image import grey
from ros2_vodistill.sources.base import Frame, Options, Source

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mkv", ".avi", ".mov", ".webm", ".mpg", ".mpeg", ".ts", ".wmv"})


class VideoSource(Source):
    """The frames of a video, at its own times or at a constant rate; turned upright as its file says."""

    def __init__(self, path: Path, options: Options) -> None:
        options.refuse(path, "a video", "topic", "truth_topic")
        video = _open(path)
        self._count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))  # 0 or less where the file does not say
        self._rate = options.rate
        times = [i / self._rate for i in range(self._count)] if self._rate and self._count > 0 else None
        super().__init__(path, truth=options.true_path(times))
        if options.calibration:
            size = (int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)))
            self.camera = load_camera(options.calibration, size)

    def __len__(self) -> int:
        return self._count if self._count > 0 else super().__len__()

    def _frames(self) -> Iterator[Frame]:
        video = _open(self.path)
        index = 0
        while True:
            there, image = video.read()
            if not there:
                break
            milliseconds = video.get(cv2.CAP_PROP_POS_MSEC)
            stamp = index / self._rate if self._rate else milliseconds / 1e3
            yield stamp, grey(image)
            index += 1
        if index < self._count:
            self._notes.add("shorter than announced", f"{index} of {self._count} frames could be read")


def is_video(path: Path) -> bool:
    """Whether this file begins as MP4, Matroska or AVI do, or is named like a video."""
    with path.open("rb") as stream:
        start = stream.read(12)
    return (
        path.suffix.lower() in VIDEO_SUFFIXES
        or start[4:8] == b"ftyp"
        or start[:4] == b"\x1a\x45\xdf\xa3"
        or (start[:4], start[8:]) == (b"RIFF", b"AVI ")
    )


def _open(path: Path) -> cv2.VideoCapture:
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not video.isOpened():
        raise VodistillError(
            f"{path} is no video that OpenCV can read", "Check it with ffprobe; convert it with ffmpeg."
        )
    return video
