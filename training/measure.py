"""How good a network is: on clips with exact truth, and on recordings that no training sees."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ros2_vodistill import geometry, metrics
from ros2_vodistill.camera import Mount
from ros2_vodistill.trajectory import Trajectory, associate
from training.config import Measure
from training.data import kitti, malaga
from training.data.batch import Stream
from training.data.kept import numbers
from training.data.recording import Recording
from training.networks.base import Network
from training.steps import Steps

Array = NDArray[np.float64]

MEDIAN_OF_CHI2 = 0.4549
"""Of the square of a standard normal number."""
GPS_GAP = 1.5
"""Longest time between two GPS fixes across which positions are interpolated, seconds."""


@dataclass(frozen=True)
class Motions:
    """Estimated and true motions, (N, 6) each, in the network's unit and radians, and the claimed log-variance."""

    estimate: Array
    truth: Array
    log_variance: Array


@torch.inference_mode()
def on_clips(network: Network, stream: Stream, count: int) -> Motions:
    """The motions of the first `count` clips of a stream (whole batches), or of all that there are."""
    device = network.motion_scale.device
    network.eval()
    parts = []
    for i in numbers(stream, count):
        batch = stream.batch(i).to(device)
        output = network(batch.views)
        tensors = (output.motion, batch.motions, output.log_variance)
        parts.append([x.flatten(0, 1).double().cpu().numpy() for x in tensors])
    return Motions(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def clip_errors(motions: Motions, rotation_weight: float = 100.0) -> dict[str, float]:
    """Errors of clips' motions, the first one to judge by.

    `error`: mean length of the error's scaled vector [t, sqrt(w) r]. `t_median`: median error of the translation;
    `t_percent`: its sum, of the sum of true steps; `r_deg`: RMS. `normalised`: median squared error over the claimed
    variance, as a share of what it is where the claim is right.
    """
    error = motions.estimate - motions.truth
    lengths = np.linalg.norm(error[:, :3], axis=1)
    turns = geometry.angle(
        geometry.invert(geometry.from_motion(motions.truth)) @ geometry.from_motion(motions.estimate)
    )
    travelled = float(np.linalg.norm(motions.truth[:, :3], axis=1).sum())
    return {
        "error": float(np.hypot(lengths, math.sqrt(rotation_weight) * turns).mean()),
        "t_median": float(np.median(lengths)),
        "t_percent": 100 * float(lengths.sum()) / max(travelled, 1e-9),
        "r_deg": math.degrees(float(np.sqrt(np.mean(turns**2)))),
        "normalised": float(np.median(error**2 / np.exp(motions.log_variance))) / MEDIAN_OF_CHI2,
    }


def on_recording(steps: Steps, recording: Recording) -> tuple[Array, Array]:
    """Motions and log-variance (N-1, 6) of a recording."""
    steps.reset()
    results = [steps.step(recording.views(i, steps.views)) for i in range(len(recording))]
    motions, log_variances = (np.stack(column)[1:] for column in zip(*results, strict=True))
    return motions, log_variances


def on_frames(steps: Steps, stream: Stream, count: int) -> Motions:
    """The same as `on_clips`, frame by frame."""
    parts = []
    for i in numbers(stream, count):
        batch = stream.batch(i)
        for clip in range(len(batch)):
            steps.reset()
            frames = range(next(iter(batch.views.values())).shape[1])
            seen = ({name: view[clip, t].cpu().numpy() for name, view in batch.views.items()} for t in frames)
            motion, log_variance = (np.stack(x)[1:] for x in zip(*map(steps.step, seen), strict=True))
            parts.append((motion, batch.motions[clip].double().cpu().numpy(), log_variance))
    return Motions(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def recording_errors(steps: Steps, recording: Recording) -> dict[str, Any]:
    """The metrics of the trajectory that a network makes of a recording, in metres where its camera's height is known,
    and `step_ratio`: how long the estimated path is beside the true one, where that can be told. With GPS alone, the
    error of its positions."""
    motions, _ = on_recording(steps, recording)
    known = steps.unit == "metre" or recording.mount.height is not None
    if steps.unit == "camera_height":
        motions[:, :3] *= recording.mount.height or 1.0
    poses = geometry.accumulate(geometry.from_motion(motions))
    if recording.poses is None:
        return _gps_errors(Trajectory(recording.stamps, poses), recording.gps)
    truth = Trajectory(recording.stamps, recording.level_poses())
    estimate = Trajectory(recording.stamps, truth.poses[0] @ poses)
    found = metrics.evaluate(estimate, truth, scale_known=known)
    return {**found, "step_ratio": estimate.path_length / max(truth.path_length, 1e-9) if known else None}


def read_recording(settings: Measure) -> Recording:
    """The recording that a `measure` entry names: in KITTI's form, or an extract of Malaga."""
    mount = Mount(settings.height, math.radians(settings.pitch_deg), math.radians(settings.roll_deg))
    folder = Path(settings.path)
    recording = (
        malaga.read_extract(folder, mount) if malaga.is_extract(folder) else kitti.read_folder(folder, mount=mount)
    )
    return recording.first(settings.frames)


def read_recordings(measures: Iterable[Measure]) -> dict[str, Recording]:
    """Recordings by name; of a second one of that name, with a number."""
    found: dict[str, Recording] = {}
    for recording in map(read_recording, measures):
        number = sum(known.partition("#")[0] == recording.name for known in found)
        found[f"{recording.name}#{number + 1}" if number else recording.name] = recording
    return found


def _gps_errors(estimate: Trajectory, gps: Array | None) -> dict[str, Any]:
    """Sim(3) error of positions where GPS has them; its axes are east, north, up, which the alignment turns."""
    if gps is None:
        return {"frames": len(estimate)}
    poses = np.tile(np.eye(4), (len(gps), 1, 1))
    poses[:, :3, 3] = gps[:, 1:]
    _, order = np.unique(gps[:, 0], return_index=True)
    pair = associate(estimate, Trajectory(gps[order, 0], poses[order]), max_gap=GPS_GAP)
    return {"frames": len(estimate), "ate_gps_m": metrics.ate(*pair), "scale": metrics.scale(*pair)}
