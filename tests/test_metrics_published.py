"""The metrics against evo, KITTI's own definition and published values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evo.core import metrics as evo_metrics
from evo.core.trajectory import PosePath3D
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_vodistill import metrics
from ros2_vodistill.trajectory import Trajectory, align, associate, load
from tests.drives import drive, straight

some = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**32 - 1)


def evo_value(metric: Any, estimate: Trajectory, truth: Trajectory, alignment: str = "none") -> float:
    reference, measured = PosePath3D(poses_se3=list(truth.poses)), PosePath3D(poses_se3=list(estimate.poses))
    if alignment == "origin":
        measured.align_origin(reference)
    elif alignment != "none":
        measured.align(reference, correct_scale=alignment == "sim3")
    metric.process_data((reference, measured))
    return float(metric.get_statistic(evo_metrics.StatisticsType.rmse))


def assert_evo_agrees(estimate: Trajectory, truth: Trajectory) -> None:
    """To 1e-6, of metres and degrees or of the value where that is larger; evo's steps across holes do not count."""
    relation = evo_metrics.PoseRelation
    for delta in (1, 7):
        lengths, degrees = metrics.rpe(estimate, truth, delta)
        for relation_of, value in [(relation.translation_part, lengths), (relation.rotation_angle_deg, degrees)]:
            metric = evo_metrics.RPE(relation_of, delta=delta, all_pairs=True)
            by_rows = evo_value(metric, estimate, truth)
            steps = metric.error[estimate.follows(delta)]
            assert value == pytest.approx(float(np.sqrt(np.mean(steps**2))), rel=1e-6, abs=1e-6)
            if len(steps) == len(estimate) - delta:
                assert value == pytest.approx(by_rows, rel=1e-6, abs=1e-6)
    for mode in ("none", "origin", "se3", "sim3"):
        expected = evo_value(evo_metrics.APE(relation.translation_part), estimate, truth, mode)
        assert metrics.ate(estimate, truth, mode) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    reference, measured = PosePath3D(poses_se3=list(truth.poses)), PosePath3D(poses_se3=list(estimate.poses))
    assert truth.path_length == pytest.approx(reference.path_length, rel=1e-9)
    assert metrics.scale(estimate, truth) == pytest.approx(measured.align(reference, correct_scale=True)[2], rel=1e-6)


@given(seeds)
@settings(deadline=None, max_examples=5)
def test_evo_agrees_on_made_up_drives(seed: int) -> None:
    assert_evo_agrees(*drive(seed))


KITTI_PAIRS = [
    ("kitti-odom-eval_example_0/09", "09"),
    ("kitti-odom-eval_example_0/10", "10"),
    ("kitti-odom-eval_example_1/10", "10"),
    ("tartanvo_1914/10", "10"),
    ("evo_ORB-SLAM2_stereo/00", "00"),
    ("evo_S-PTAM/00", "00"),
]
TUM_PAIRS = [
    ("fr2_desk_ORB", "fr2_desk_groundtruth"),
    ("fr2_desk_ORB_kf_mono", "fr2_desk_groundtruth"),
    ("freiburg1_xyz-ORB_kf_mono", "freiburg1_xyz-groundtruth"),
    ("freiburg1_xyz-rgbdslam", "freiburg1_xyz-groundtruth"),
    ("freiburg1_xyz-rgbdslam_drift", "freiburg1_xyz-groundtruth"),
]


def kitti_pair(shared_data: Path, estimate: str, sequence: str) -> tuple[Trajectory, Trajectory]:
    reference = shared_data / "reference"
    return associate(
        load(reference / "kitti_estimates" / f"{estimate}.txt"), load(reference / "kitti_gt_poses" / f"{sequence}.txt")
    )


@pytest.mark.parametrize(("estimate", "sequence"), KITTI_PAIRS)
def test_evo_agrees_on_kitti(shared_data: Path, estimate: str, sequence: str) -> None:
    assert_evo_agrees(*kitti_pair(shared_data, estimate, sequence))


@pytest.mark.parametrize(("estimate", "truth"), TUM_PAIRS)
def test_evo_agrees_on_tum(shared_data: Path, estimate: str, truth: str) -> None:
    folder = shared_data / "reference" / "tum_rgbd"
    assert_evo_agrees(*associate(load(folder / f"{estimate}.txt"), load(folder / f"{truth}.txt")))


@pytest.mark.parametrize(
    ("sequence", "skip", "t", "r", "ate", "rpe_t", "rpe_r"),
    [("09", 8, 2.884, 0.249, 8.387, 0.343, 0.063), ("10", 6, 3.298, 0.305, 6.630, 0.047, 0.066)],
)
def test_values_published_with_kitti_odom_eval(
    shared_data: Path, sequence: str, skip: int, t: float, r: float, ate: float, rpe_t: float, rpe_r: float
) -> None:
    estimate, truth = kitti_pair(shared_data, f"kitti-odom-eval_example_0/{sequence}", sequence)
    estimate = align(estimate, truth, "sim3")
    # there, segments begin at frames 10, 20, ... of the whole sequence, and this estimate begins at frame 2 or 4
    rows = np.arange(skip, len(truth))
    segments = metrics.kitti_segments(estimate.select(rows), truth.select(rows))
    assert segments.t_percent == pytest.approx(t, abs=6e-4)
    assert segments.r_deg_per_100m == pytest.approx(r, abs=6e-4)
    assert metrics.ate(estimate, truth, "none") == pytest.approx(ate, abs=6e-4)
    # its RPE is the mean over the frames, not the RMS; its arc cosine loses the smallest of the rounded rotations
    lengths, angles = metrics.relative_errors(estimate, truth)
    assert lengths.mean() == pytest.approx(rpe_t, abs=6e-4)
    assert np.degrees(angles).mean() == pytest.approx(rpe_r, abs=1e-3)


@pytest.mark.parametrize(
    ("estimate", "sequence", "expected"),
    [
        ("tartanvo_1914/10", "10", {"kitti_t_percent": 8.20, "kitti_r_deg_per_100m": 3.20, "ate_se3_m": 11.8605}),
        (
            "evo_ORB-SLAM2_stereo/00",
            "00",
            {"kitti_t_percent": 0.700, "kitti_r_deg_per_100m": 0.253, "ate_se3_m": 1.303},
        ),
        ("evo_S-PTAM/00", "00", {"kitti_t_percent": 1.487, "kitti_r_deg_per_100m": 0.558, "ate_se3_m": 3.738}),
    ],
)
def test_published_values(shared_data: Path, estimate: str, sequence: str, expected: dict[str, float]) -> None:
    result = metrics.evaluate(*kitti_pair(shared_data, estimate, sequence))
    for name, value in expected.items():
        digits = 0.006 if value in (8.20, 3.20) else 6e-4
        assert result[name] == pytest.approx(value, abs=digits), name


def official_segments(
    estimate: Trajectory, truth: Trajectory, lengths: tuple[float, ...], step: int
) -> list[list[float]]:
    """The benchmark's loop, frame by frame."""
    travelled = [0.0]
    for before, after in zip(truth.positions[:-1], truth.positions[1:], strict=True):
        travelled.append(travelled[-1] + float(np.linalg.norm(after - before)))
    rows = []
    for first in range(0, len(truth), step):
        for length in lengths:
            last = next((i for i in range(first, len(truth)) if travelled[i] > travelled[first] + length), None)
            if last is None:
                continue
            true = np.linalg.inv(truth.poses[first]) @ truth.poses[last]
            measured = np.linalg.inv(estimate.poses[first]) @ estimate.poses[last]
            error = np.linalg.inv(measured) @ true
            cosine = np.clip(0.5 * (np.trace(error[:3, :3]) - 1), -1, 1)
            rows.append([first, length, np.linalg.norm(error[:3, 3]) / length, np.arccos(cosine) / length])
    return rows


@given(seeds, st.integers(1, 12))
@some
def test_segments_are_the_official_ones(seed: int, step: int) -> None:
    estimate, truth = drive(seed, count=120)
    lengths = (10.0, 25.0, 80.0, 1000.0)
    segments = metrics.kitti_segments(estimate, truth, lengths, step)
    rows = np.column_stack([segments.first, segments.length, segments.translation, segments.rotation])
    np.testing.assert_allclose(rows, official_segments(estimate, truth, lengths, step), atol=1e-7)
    assert segments.t_percent == pytest.approx(100 * rows[:, 2].mean())
    assert segments.r_deg_per_100m == pytest.approx(np.degrees(rows[:, 3].mean()) * 100)


def test_the_official_lengths_are_those_of_the_benchmark() -> None:
    segments = metrics.kitti_segments(straight(902), straight(902))
    assert sorted(set(segments.length)) == [100, 200, 300, 400, 500, 600, 700, 800]
    assert sorted(set(segments.first[segments.length == 800])) == list(range(0, 110, 10))


def test_a_short_path_has_no_official_segment_but_may_have_shorter_ones() -> None:
    estimate, truth = straight(51, 1.02), straight(51)
    assert metrics.evaluate(estimate, truth)["kitti_t_percent"] is None
    assert metrics.evaluate(estimate, truth)["kitti_r_deg_per_100m"] is None
    assert metrics.evaluate(estimate, truth, lengths=(10, 20))["kitti_t_percent"] == pytest.approx(
        np.mean([0.02 * 11 / 10] * 4 + [0.02 * 21 / 20] * 3) * 100
    )
