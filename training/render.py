"""Looks into the generated world: sheets to look at, videos, and whole sequences with calibration and truth."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing, require_folder
from ros2_vodistill.sources.written import write_kitti
from ros2_vodistill.view import View
from training import settings
from training.world import Clip, WorldConfig
from training.world import render as render_clips

console = Console(stderr=True, highlight=False, soft_wrap=True)


class Form(str, Enum):
    """What is written."""

    SHEET = "sheet"
    VIDEO = "video"
    KITTI = "kitti"
    BAG = "bag"


OWN = {"frames": "use --frames", "view": "use --size and --focal"}
"""Settings of the world that are given by options."""

WORLDS = 16


class Device(str, Enum):
    """Where it is rendered."""

    CPU = "cpu"
    CUDA = "cuda"


def render(
    out: Annotated[Path, typer.Argument(help="file (sheet: .png, video: .avi) or folder (kitti, bag) to write")],
    form: Annotated[Form, typer.Option("--form", help="what to write")] = Form.SHEET,
    config: Annotated[Path | None, typer.Option("--config", help="an experiment: its data.world is used")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of the world, say places.corridor=1; repeatable")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="of the first world")] = 0,
    count: Annotated[int | None, typer.Option(min=1, help="worlds on a sheet", show_default=str(WORLDS))] = None,
    frames: Annotated[int, typer.Option(min=2, help="of each clip or of the sequence")] = 4,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the images; 320x96 is the canonical view")] = "320x96",
    focal: Annotated[float, typer.Option(help="focal length as a share of the width")] = 0.578,
    labels: Annotated[bool, typer.Option(help="a sheet with depth, flow and masks beside the images")] = False,
    compressed: Annotated[bool, typer.Option(help="JPEG images in a bag")] = False,
    device: Annotated[Device, typer.Option(help="where to render")] = Device.CPU,
) -> None:
    """Render worlds.

    Example: `python -m training render worlds.png --seed 100 --set places.corridor=3`
    """
    values = settings.read(config).get("data", {}).get("world", {}) if config else {}
    chosen = settings.overridden(values, overrides)
    settings.refuse(chosen, OWN)
    if form is not Form.SHEET and (labels or count):
        name = "--labels" if labels else "--count"
        raise VodistillError(f"{name} with --form {form.value}: only sheets have that", f"leave {name} out")
    if form is not Form.BAG and compressed:
        raise VodistillError(f"--compressed with --form {form.value}: only bags hold JPEG images", "use --form bag")
    if device is Device.CUDA and not torch.cuda.is_available():
        raise VodistillError("--device cuda: torch finds no GPU here", "leave --device out, or see `nvidia-smi`")
    world = replace(WorldConfig.from_dict({**chosen, "frames": frames}), view=_view(size, focal))
    _check_target(out, form)
    if form is Form.SHEET:
        with console.status("rendering"):
            clip = render_clips(world, range(seed, seed + (count or WORLDS)), device.value, labels=labels)
        _write_image(out, label_sheet(clip) if labels else sheet(clip))
    else:
        with console.status("rendering"):
            clip = render_clips(world, [seed], device.value)
        _write_sequence(out, form, clip, world.view, compressed)
    console.print(f"{out}: {clip.images.shape[0]} x {clip.images.shape[1]} frames")


def sheet(clip: Clip) -> NDArray[np.uint8]:
    """A row for each clip: its first frame, its last one, and how they differ."""
    images = clip.images.cpu().numpy()
    first, last = images[:, 0], images[:, -1]
    change = np.clip(128 + (last.astype(np.int16) - first) // 2, 0, 255).astype(np.uint8)
    return np.vstack([np.hstack(row) for row in zip(first, last, change, strict=True)])


def label_sheet(clip: Clip) -> NDArray[np.uint8]:
    """A row for each clip, of its first frame: image, inverse depth, flow (hue is its direction) and masks
    (objects grey, what moves white)."""
    if clip.depth is None or clip.flow is None or clip.objects is None or clip.moving is None:
        raise ValueError("a clip without labels")
    image = clip.images[:, 0].cpu().numpy()
    near = (255 * np.minimum(2.0 / clip.depth[:, 0].cpu().numpy(), 1.0)).astype(np.uint8)
    mask = (128 * (clip.objects[:, 0] > 0).int() + 127 * clip.moving[:, 0].int()).cpu().numpy().astype(np.uint8)
    x, y = clip.flow[:, 0].cpu().numpy().transpose(1, 0, 2, 3)
    angle, length = np.arctan2(y, x), np.hypot(x, y)
    value = 255 * np.minimum(length / (np.percentile(length, 95) + 1e-6), 1.0)
    rows = []
    for i, shown in enumerate(zip(image, near, mask, strict=True)):
        hsv = np.stack([(angle[i] / np.pi + 1) * 90, np.full_like(x[i], 255), value[i]], -1).astype(np.uint8)
        grey = [cv2.cvtColor(part, cv2.COLOR_GRAY2BGR) for part in shown]
        rows.append(np.hstack([grey[0], grey[1], cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), grey[2]]))
    return np.vstack(rows)


def _view(size: str, focal: float) -> View:
    width, separator, height = size.partition("x")
    if not (separator and width.isdigit() and height.isdigit()):
        raise VodistillError(f"--size {size}: not of the form WIDTHxHEIGHT", "write, say, --size 640x360")
    w, h = int(width), int(height)
    return View(w, h, focal * w, focal * w, (w - 1) / 2, (h - 1) / 2)


def _check_target(out: Path, form: Form) -> None:
    """An error, before anything is rendered, where that cannot be written there. Folders above it are made later."""
    require_folder(out.parent)
    if form in (Form.KITTI, Form.BAG):
        if out.exists():
            raise VodistillError(f"{out} exists already", "remove it or choose another name")
        return
    if out.is_dir():
        raise VodistillError(f"{out} is a folder", "name a file in it")
    if form is Form.VIDEO and out.suffix != ".avi":
        raise VodistillError(f"{out}: videos are written as .avi", f"name it {out.stem}.avi")
    if form is Form.SHEET and not cv2.haveImageWriter(str(out)):
        raise VodistillError(f"{out}: OpenCV writes no such images", "name it .png or .jpg")


def _write_image(path: Path, image: NDArray[np.uint8]) -> None:
    with replacing(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(temporary), image):
            raise OSError("OpenCV could not write it")


def _write_sequence(out: Path, form: Form, clip: Clip, view: View, compressed: bool) -> None:
    images = clip.images[0].cpu().numpy()
    stamps = (1.0 + clip.stamps[0].cpu().numpy()).tolist()
    poses = clip.poses[0].cpu().numpy()
    camera = Camera(view.width, view.height, "pinhole", view.fx, view.fy, view.cx, view.cy)
    following = track(images, "writing", console=console)
    if form is Form.VIDEO:
        rate = 1 / (stamps[1] - stamps[0])
        with replacing(out) as temporary:
            out.parent.mkdir(parents=True, exist_ok=True)
            writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"MJPG"), rate, images.shape[:0:-1], False)
            if not writer.isOpened():
                raise OSError("OpenCV could not write it")
            for image in following:
                writer.write(image)
            writer.release()
        return
    if form is Form.KITTI:
        write_kitti(out, following, camera, stamps, poses)
    else:
        from ros2_vodistill.sources import record

        kind: Literal["jpeg"] | None = "jpeg" if compressed else None
        mount = Mount(float(clip.height[0]))
        record.write_bag(out, following, camera, stamps, poses, compressed=kind, mount=mount)
