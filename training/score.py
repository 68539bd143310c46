"""What the tables say of a network: relative and absolute errors of trajectories, size and time."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ros2_vodistill import geometry, metrics
from ros2_vodistill.trajectory import Trajectory
from training.config import Experiment
from training.data import streams
from training.data.batch import Stream
from training.data.kept import numbers
from training.export import write_graph
from training.measure import on_recording
from training.networks import Network
from training.steps import OnnxSteps, TorchSteps

TIMED_STEPS = 40


def score(network: Network, experiment: Experiment) -> dict[str, float]:
    """The errors of a network's trajectories, in metres for recorded data and in its own unit for generated sequences.

    `rpe_t`, `rpe_r_deg`: RMS over all steps. `ate`: after Sim(3) alignment, the mean of the sequences' RMS; `median`,
    `p90`, `max`: of the same error over all frames.
    """
    pairs = list(_trajectories(network, experiment))
    steps, turns = (np.concatenate(x) for x in zip(*(metrics.relative_errors(*pair) for pair in pairs), strict=True))
    absolute = [metrics.absolute_errors(*pair, "sim3") for pair in pairs]
    every = np.concatenate(absolute)
    return {
        "rpe_t": _rms(steps),
        "rpe_r_deg": float(np.degrees(_rms(turns))),
        "ate": float(np.mean([_rms(errors) for errors in absolute])),
        "median": float(np.median(every)),
        "p90": float(np.quantile(every, 0.9)),
        "max": float(every.max()),
    }


@torch.no_grad()
def hint_error(student: Network, teacher: Network, stream: Stream, clips: int) -> float | None:
    """Mean squared difference of an element of the guided and the hint layer; None where their widths differ."""
    if student.hint_width != teacher.hint_width:
        return None
    student.eval()
    teacher.eval()
    device = student.motion_scale.device
    errors = []
    for i in numbers(stream, clips):
        views = stream.batch(i).to(device).views
        ours, theirs = (network(views, features=True).features["hint"] for network in (student, teacher))
        errors.append(float((ours - theirs).square().mean()))
    return statistics.fmean(errors)


def milliseconds(network: Network) -> float:
    """Median time of an exported step in onnxruntime on one CPU thread."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_graph(network, path)
        steps = OnnxSteps(path, network.views, network.unit)
        random = np.random.default_rng(0)
        frame = {k: random.integers(0, 256, (v.height, v.width), dtype=np.uint8) for k, v in network.views.items()}
        times = []
        for _ in range(TIMED_STEPS):
            start = time.perf_counter()
            steps.step(frame)
            times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def _trajectories(network: Network, experiment: Experiment) -> Iterator[tuple[Trajectory, Trajectory]]:
    """(estimate, truth) of the test recordings, or of generated sequences."""
    data, table = experiment.data, experiment.table
    if data.kind != "world":
        steps = TorchSteps(network)
        for recording in streams.recordings(data, data.test):
            motions, _ = on_recording(steps, recording)
            if network.unit == "camera_height":
                motions[:, :3] *= data.height
            truth = recording.level_poses()
            yield _trajectory(motions, recording.stamps, truth[0]), Trajectory(recording.stamps, truth)
        return
    network.eval()
    device = network.motion_scale.device
    stream = streams.held_out(replace(data, held_out=table.sequences), network, device, table.length)
    stamps = np.arange(float(table.length))
    for i in range(math.ceil(table.sequences / stream.batch_size)):
        batch = stream.batch(i).to(device)
        with torch.no_grad():
            motions = network(batch.views).motion.double().cpu().numpy()
        left = table.sequences - i * stream.batch_size
        for estimate, truth in list(zip(motions, batch.motions.double().cpu().numpy(), strict=True))[:left]:
            yield _trajectory(estimate, stamps), _trajectory(truth, stamps)


def _trajectory(motions: np.ndarray, stamps: np.ndarray, start: np.ndarray | None = None) -> Trajectory:
    return Trajectory(stamps, geometry.accumulate(geometry.from_motion(motions), start))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
