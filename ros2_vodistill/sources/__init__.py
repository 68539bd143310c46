"""Frames, calibration and truth from any recording, without a ROS installation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources.base import Options, Source
from ros2_vodistill.sources.euroc import is_euroc, open_euroc
from ros2_vodistill.sources.folder import image_files, open_folder
from ros2_vodistill.sources.kitti import is_kitti, open_kitti
from ros2_vodistill.sources.storage import is_bag
from ros2_vodistill.sources.tum import is_tum, open_tum
from ros2_vodistill.sources.video import VideoSource, is_video

__all__ = ["Source", "open_source"]


class _Kind(NamedTuple):
    """A kind of recording: its name, how it looks, how it is recognised and what opens it."""

    name: str
    looks: str
    fits: Callable[[Path], object]
    open: Callable[[Path, Options], Source]


def _open_bag(path: Path, options: Options) -> Source:
    """Imported only now: without rosbags there are no bags, and all the rest."""
    from ros2_vodistill.sources.bag import BagSource

    return BagSource(path, options)


_FOLDERS = (
    _Kind("rosbag2", "metadata.yaml, or .mcap or .db3 files", is_bag, _open_bag),
    _Kind("EuRoC", "mav0/cam0/data.csv", is_euroc, open_euroc),
    _Kind("KITTI odometry", "image_0 to image_3", is_kitti, open_kitti),
    _Kind("TUM RGB-D", "rgb.txt", is_tum, open_tum),
    _Kind("image files", ".png, .jpg and others", image_files, open_folder),
)
_FILES = (
    _Kind("a bag", ".mcap, .db3, ROS 1 .bag", is_bag, _open_bag),
    _Kind("a video", "MP4, Matroska, AVI and what OpenCV reads", is_video, VideoSource),
)
_ABOVE, _SHOWN = 3, 5  # folders above a path that are looked at; names that are told


def open_source(
    path: str | Path,
    *,
    topic: str | None = None,
    calibration: str | Path | None = None,
    truth: str | Path | None = None,
    truth_topic: str | None = None,
    rate: float | None = None,
) -> Source:
    """The recording there, whose kind is found out from its content; see `Options` for the rest."""
    path = Path(path)
    calibration, truth = (None if file is None else Path(file) for file in (calibration, truth))
    options = Options(topic, calibration, truth, truth_topic, rate)
    if not path.exists():
        raise VodistillError(f"{path} does not exist", "Check the path to the recording.")
    kinds = _FOLDERS if path.is_dir() else _FILES
    try:
        if (kind := _kind(path, kinds)) is not None:
            return kind.open(path, options)
    except PermissionError as error:
        raise VodistillError(f"{error.filename} may not be read", "Change its permissions or owner.") from error
    what = "folder" if path.is_dir() else "file"
    content = sorted(item.name for item in path.iterdir()) if path.is_dir() else [f"{path.stat().st_size} bytes"]
    looked_for = f"Looked for in a {what}: {'; '.join(f'{kind.name} ({kind.looks})' for kind in kinds)}."
    raise VodistillError(
        f"{path} is no recording of a known kind; the {what} holds {_listed(content) or 'nothing'}",
        _instead(path) or looked_for,
    )


def _kind(path: Path, kinds: Sequence[_Kind]) -> _Kind | None:
    return next((kind for kind in kinds if kind.fits(path)), None)


def _instead(path: Path) -> str:
    """Which recording may be meant by a path that is none: one that it lies in, or those that lie in it; else ''.

    Folders above are recordings of images only by what is itself one of the images.
    """
    with suppress(OSError, VodistillError):
        for folder in path.absolute().parents[:_ABOVE]:
            kind = _kind(folder, _FOLDERS[:-1]) or (_FOLDERS[-1] if path in image_files(folder) else None)
            if kind is not None:
                return f"Its folder {folder} is a recording ({kind.name}): give that."
    within = []
    for item in sorted(path.iterdir()) if path.is_dir() else []:
        with suppress(OSError, VodistillError):
            if _kind(item, _FOLDERS if item.is_dir() else _FILES) is not None:
                within.append(item.name)
    return f"In it are recordings, {_listed(within)}: give one." if within else ""


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
