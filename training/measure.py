"""How good a network is: on clips with exact truth, and on recordings that no training sees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ros2_vodistill import geometry
from training.config import Measure
from training.data.batch import Stream
from training.data.recording import Recording
from training.networks.base import Network


@dataclass(frozen=True)
class Motions:
    """Estimated and true motions, (N, 6) each, in camera heights and radians, and the log-variance that was claimed."""

    estimate: NDArray[np.float64]
    truth: NDArray[np.float64]
    log_variance: NDArray[np.float64]


@torch.inference_mode()
def on_clips(network: Network, stream: Stream, count: int) -> Motions:
    """The motions of the first `count` clips of a stream (whole batches)."""
    device = network.motion_scale.device
    network.eval()
    parts = []
    for i in range(math.ceil(count / stream.batch_size)):
        batch = stream.batch(i).to(device)
        output = network(batch.views)
        parts.append([x.flatten(0, 1).double().cpu().numpy() for x in (output.motion, batch.motions, output.log_variance)])
    return Motions(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@torch.inference_mode()
def on_recording(network: Network, recording: Recording) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Motions and log-variance (N-1, 6) of a recording, frame by frame with memory, as on the robot."""
    device = network.motion_scale.device
    network.eval()
    states, motions, variances = network.initial_states(), [], []
    for i in range(len(recording)):
        views = recording.views(i, network.views).items()
        frame = {name: torch.from_numpy(view)[None, None].to(device) for name, view in views}
        motion, log_variance, states = network.step(frame, states)
        motions.append(motion[0])
        variances.append(log_variance[0])
    return tuple(torch.stack(x[1:]).double().cpu().numpy() for x in (motions, variances))  # type: ignore[return-value]


def errors(estimate: NDArray[np.float64], truth: NDArray[np.float64], scale_free: bool = False) -> dict[str, float]:
    """RMS error from frame to frame, in the unit of the motions and in degrees, and what explains it.

    `scale_free` brings every estimated step to the length of the true one first.
    """
    estimate = estimate.copy()
    length, true_length = (np.linalg.norm(m[:, :3], axis=1) for m in (estimate, truth))
    if scale_free:
        estimate[:, :3] *= (true_length / np.maximum(length, 1e-9))[:, None]
    error = geometry.invert(geometry.from_motion(truth)) @ geometry.from_motion(estimate)
    out = {
        "rpe_t": _rms(np.linalg.norm(error[:, :3, 3], axis=1)),
        "rpe_r_deg": math.degrees(_rms(geometry.angle(error))),
    }
    moving = true_length > 0.05 * max(1e-9, float(np.median(true_length)))
    if moving.any():
        cosine = (estimate[:, :3] * truth[:, :3]).sum(1) / np.maximum(
            np.linalg.norm(estimate[:, :3], axis=1) * true_length, 1e-12
        )
        out["direction_deg"] = float(np.degrees(np.median(np.arccos(np.clip(cosine[moving], -1, 1)))))
        out["step_ratio"] = float(length[moving].sum() / true_length[moving].sum())
    return out


def clip_errors(motions: Motions) -> dict[str, float]:
    """`errors` on clips, and the mean squared error over the claimed variance (1 where the claim is right)."""
    variance = np.exp(motions.log_variance)
    normalised = float(np.median(np.square(motions.estimate - motions.truth) / variance) / 0.4549)
    return {**errors(motions.estimate, motions.truth), "normalised": normalised}


def recording_errors(network: Network, recording: Recording) -> dict[str, float]:
    """`errors` on a recording: in metres where its camera's height is known, else after scaling every step."""
    estimate, _ = on_recording(network, recording)
    truth = recording.motions()
    height = recording.mount.height
    for motions in (estimate, truth) if height else ():
        motions[:, :3] *= height
    return errors(estimate, truth, scale_free=height is None)


def read_recording(settings: Measure) -> Recording:
    """The recording that a `measure` entry names."""
    from pathlib import Path

    from ros2_vodistill.camera import Mount
    from training.data import kitti

    mount = Mount(settings.height, math.radians(settings.pitch_deg), math.radians(settings.roll_deg))
    return kitti.clip(kitti.read_folder(Path(settings.path), mount=mount), settings.frames)


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
