"""Errors and calibration against values by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ros2_vodistill import geometry
from ros2_vodistill.camera import Camera, Mount
from tests.training.sequences import write_kitti, write_malaga
from tests.training.toy import VIEW, ShiftStream, network
from training.calibrate import covariance_scale
from training.config import Measure
from training.data import kitti
from training.data.recording import Recording
from training.measure import (
    Motions,
    clip_errors,
    on_clips,
    on_frames,
    on_recording,
    read_recording,
    recording_errors,
)
from training.steps import TorchSteps


def test_errors_of_clips_by_hand() -> None:
    truth = np.zeros((2, 6))
    truth[:, 2] = 1.0
    estimate = truth.copy()
    estimate[0, 0] = 0.3
    estimate[1, 4] = 0.04
    found = clip_errors(Motions(estimate, truth, np.full((2, 6), math.log(0.01))), rotation_weight=100.0)
    assert found["error"] == pytest.approx((0.3 + 0.4) / 2)
    assert found["t_median"] == pytest.approx(0.15)
    assert found["t_percent"] == pytest.approx(15.0)
    assert found["r_deg"] == pytest.approx(math.degrees(math.sqrt(0.04**2 / 2)))
    assert found["normalised"] == 0.0


def test_a_true_claim_is_normalised_to_one() -> None:
    random = np.random.default_rng(0)
    deviation = np.array([0.1, 0.1, 0.4, 0.01, 0.02, 0.01])
    truth = np.zeros((20_000, 6))
    motions = Motions(random.normal(0, deviation, truth.shape), truth, np.tile(2 * np.log(deviation), (20_000, 1)))
    assert clip_errors(motions)["normalised"] == pytest.approx(1.0, rel=0.03)
    assert covariance_scale(motions) == pytest.approx([1.0] * 6, rel=0.05)


def test_calibration_finds_each_axis_factor_in_spite_of_gross_errors() -> None:
    random = np.random.default_rng(1)
    claimed = np.array([0.1, 0.2, 0.4, 0.01, 0.02, 0.03])
    factors = np.array([4.0, 0.25, 1.0, 9.0, 0.5, 2.0])
    error = random.normal(0, claimed * np.sqrt(factors), (50_000, 6))
    error[:100] = 1000.0
    motions = Motions(error, np.zeros_like(error), np.tile(2 * np.log(claimed), (50_000, 1)))
    assert covariance_scale(motions) == pytest.approx(factors, rel=0.1)


def test_frame_by_frame_is_the_same_as_clip_by_clip() -> None:
    learnt = network()
    stream = ShiftStream(batch_size=4, frames=4)
    clips, frames = on_clips(learnt, stream, 4), on_frames(TorchSteps(learnt), stream, 4)
    assert frames.estimate == pytest.approx(clips.estimate, abs=1e-5)
    assert frames.log_variance == pytest.approx(clips.log_variance, abs=1e-4)
    assert np.array_equal(frames.truth, clips.truth)


class Told:
    """Steps whose motions are given."""

    def __init__(self, motions: np.ndarray, unit: str) -> None:
        self.views, self.unit, self.motions = {"image": VIEW}, unit, motions
        self.reset()

    def reset(self) -> None:
        self.count = -1

    def step(self, frame: object) -> tuple[np.ndarray, np.ndarray]:
        self.count += 1
        return self.motions[max(0, self.count - 1)], np.zeros(6)


@pytest.mark.parametrize(("unit", "factor"), [("camera_height", 1 / 1.65), ("metre", 1.0)])
def test_a_perfect_network_has_no_error_on_a_recording(tmp_path: Path, unit: str, factor: float) -> None:
    write_kitti(tmp_path)
    recording = kitti.read_sequence(tmp_path, "00")
    motions = recording.motions("metre")
    motions[:, :3] *= factor
    found = recording_errors(Told(motions, unit), recording)
    assert found["rpe_t_m"] == pytest.approx(0.0, abs=1e-6)
    assert found["rpe_r_deg"] == pytest.approx(0.0, abs=1e-4)
    assert found["ate_unaligned_m"] == pytest.approx(0.0, abs=1e-5)
    assert found["step_ratio"] == pytest.approx(1.0, abs=1e-6)


def test_a_short_scale_shows(tmp_path: Path) -> None:
    write_kitti(tmp_path)
    recording = kitti.read_sequence(tmp_path, "00")
    motions = recording.motions("camera_height")
    motions[:, :3] *= 0.8
    found = recording_errors(Told(motions, "camera_height"), recording)
    steps = np.linalg.norm(recording.motions("metre")[:, :3], axis=1)
    assert found["rpe_t_m"] == pytest.approx(0.2 * math.sqrt((steps**2).mean()), rel=1e-5)
    assert found["step_ratio"] == pytest.approx(0.8, rel=1e-6)


def test_without_a_height_nothing_metric_is_claimed(tmp_path: Path) -> None:
    folder = write_kitti(tmp_path)
    recording = kitti.read_folder(folder, tmp_path / "poses" / "00.txt")
    found = recording_errors(Told(recording.motions("metre") * [3, 3, 3, 1, 1, 1], "camera_height"), recording)
    assert found["rpe_t_m"] is None
    assert found["rpe_t_scaled_m"] == pytest.approx(0.0, abs=1e-6)
    assert found["direction_deg"] == pytest.approx(0.0, abs=1e-3)


def test_gps_is_met_after_alignment(tmp_path: Path) -> None:
    """GPS in other axes (east, north, up) and at other times than the frames."""
    poses = geometry.accumulate(geometry.from_motion(np.tile([0, 0, 1.0, 0, 0.1, 0], (20, 1))))
    stamps = np.arange(21.0)
    ahead = geometry.accumulate(geometry.from_motion(np.tile([0, 0, 0.1, 0, 0.01, 0], (200, 1))))
    gps = np.column_stack([0.1 * np.arange(201), ahead[:, 2, 3] * 7, -ahead[:, 0, 3] * 7, -ahead[:, 1, 3] * 7])
    camera = Camera(10, 10, "pinhole", 5, 5, 4.5, 4.5)
    recording = Recording("gps", [], stamps, camera, Mount(height=None), gps=gps)
    recording.views = lambda i, views: {}  # type: ignore[method-assign, assignment]
    recording.images = [Path(str(i)) for i in range(21)]
    motions = geometry.to_motion(geometry.relative(poses))
    found = recording_errors(Told(motions, "camera_height"), recording)
    assert found["ate_gps_m"] < 0.1
    assert found["scale"] == pytest.approx(7.0, rel=0.01)


def test_a_measure_entry_finds_both_kinds_of_folders(tmp_path: Path) -> None:
    folder = write_kitti(tmp_path / "kitti")
    recording = read_recording(Measure(str(folder), height=1.2, pitch_deg=3.0, roll_deg=-2.0, frames=4))
    assert len(recording) == 4
    assert recording.mount.pitch == pytest.approx(math.radians(3))
    assert recording.mount.roll == pytest.approx(math.radians(-2))
    extract = tmp_path / "malaga-urban-dataset-extract-01"
    write_malaga(extract)
    assert read_recording(Measure(str(extract))).gps is not None


def test_the_memory_is_reset_between_recordings(tmp_path: Path) -> None:
    write_kitti(tmp_path)
    recording = kitti.read_sequence(tmp_path, "00")
    torch.manual_seed(0)
    steps = TorchSteps(network())
    first, _ = on_recording(steps, recording)
    second, _ = on_recording(steps, recording)
    assert np.array_equal(first, second)
