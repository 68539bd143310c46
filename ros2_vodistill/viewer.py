"""A recording for the Rerun viewer (the `rerun` extra): paths, the moving camera, errors over time, sample frames."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

from ros2_vodistill import metrics
from ros2_vodistill.camera import Camera
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing, require_folder
from ros2_vodistill.run import Run
from ros2_vodistill.trajectory import align, associate

if TYPE_CHECKING:
    from rerun import RecordingStream


def require(path: Path) -> None:
    """An error with the remedy, before any work, where the SDK is not installed or the file could not be written."""
    if importlib.util.find_spec("rerun") is None:
        raise VodistillError(
            "a recording for the viewer needs the Rerun SDK, which is not installed",
            "pip install 'ros2_vodistill[rerun]'",
        )
    require_folder(path.parent)
    if path.is_dir():
        raise VodistillError(f"{path} is a folder", "Name a file for the viewer's recording, such as run.rrd.")


def write_rerun(run: Run, camera: Camera, path: Path) -> None:
    """Write a .rrd file; camera optical axes, so the view is set to x right, y down, z forward."""
    import rerun as rr

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        stream = rr.RecordingStream("vodistill", recording_id=uuid4())
        recording = rr.binary_stream(stream)  # written here: the SDK does not say when a disk is full
        stream.log("world", rr.ViewCoordinates.RDF, static=True)
        stream.log("world/estimate", rr.LineStrips3D([run.estimate.positions], colors=[[37, 99, 235]]), static=True)
        pinhole = rr.Pinhole(image_from_camera=camera.matrix, width=camera.width, height=camera.height)
        stream.log("world/camera/image", pinhole, static=True)
        _log_truth(stream, run)
        pictures = {stamp: image for stamp, image, _ in run.samples}
        for stamp, pose in zip(run.estimate.stamps, run.estimate.poses, strict=True):
            stream.set_time("stamp", duration=float(stamp - run.estimate.stamps[0]))
            stream.log("world/camera", rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3]))
            if stamp in pictures:
                stream.log("world/camera/image", rr.Image(pictures[stamp], color_model="L").compress())
        for step in run.steps:
            stream.set_time("stamp", duration=float(step.stamp - run.estimate.stamps[0]))
            stream.log("plots/speed", rr.Scalars(float(np.linalg.norm(step.twist[:3]))))
            if step.reasons:
                stream.log("log", rr.TextLog("; ".join(step.reasons), level="WARN"))
        temporary.write_bytes(recording.read() or b"")
        stream.disconnect()


def _log_truth(stream: RecordingStream, run: Run) -> None:
    import rerun as rr

    if run.truth is None or (pair := run.compared()) is None:
        return
    estimate, truth = associate(run.estimate, run.truth)
    moved = align(truth, estimate, "origin" if run.metric else "sim3")
    known = truth.follows()
    strips = np.split(moved.positions, np.flatnonzero(~known) + 1)
    stream.log("world/truth", rr.LineStrips3D(strips, colors=[[107, 114, 128]]), static=True)
    errors = metrics.relative_errors(*pair)[0][known]
    for stamp, error in zip(truth.stamps[1:][known], errors, strict=True):
        stream.set_time("stamp", duration=float(stamp - run.estimate.stamps[0]))
        stream.log("plots/error", rr.Scalars(float(error)))
