"""The metrics against evo, KITTI's own definition, values worked out by hand and published ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evo.core import metrics as evo_metrics
from evo.core.trajectory import PosePath3D
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ros2_vodistill import geometry, metrics
from ros2_vodistill.trajectory import Trajectory, align, associate, load

Array = NDArray[np.float64]

some = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**32 - 1)

KEYS = {
    *("frames", "path_length_m", "rpe_t_m", "rpe_r_deg", "rpe_t_scaled_m", "direction_deg", "ate_m", "ate_se3_m"),
    *("ate_unaligned_m", "scale", "kitti_t_percent", "kitti_r_deg_per_100m", "nees", "nees_step"),
}
FORWARD = geometry.from_motion([0, 0, 1, 0, 0, 0])


def follow(motions: Array, covariances: Array | None = None) -> Trajectory:
    poses = geometry.accumulate(motions)
    return Trajectory(0.1 * np.arange(float(len(poses))), poses, covariances)


def straight(count: int, step: float = 1.0) -> Trajectory:
    return follow(np.tile(geometry.from_motion([0, 0, step, 0, 0, 0]), (count - 1, 1, 1)))


def drive(seed: int, count: int = 60, noise: float = 0.02) -> tuple[Trajectory, Trajectory]:
    """A random drive and a noisy estimate of it, which starts elsewhere."""
    rng = np.random.default_rng(seed)
    truth = follow(
        geometry.from_motion(rng.normal([0, 0, 1, 0, 0, 0], [0.1, 0.1, 0.3, 0.02, 0.1, 0.02], (count - 1, 6)))
    )
    perturbation = geometry.from_motion(noise * rng.normal(size=(count - 1, 6)))
    estimate = follow(geometry.relative(truth.poses) @ perturbation)
    return estimate.transformed(geometry.from_motion(rng.normal(size=6))), truth


# against evo


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


# published values


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


# worked out by hand


def test_steps_that_are_a_tenth_too_long() -> None:
    truth, estimate = straight(201), straight(201, step=1.1)
    result = metrics.evaluate(estimate, truth)
    frames = np.arange(201)
    assert result["frames"] == 201
    assert result["path_length_m"] == pytest.approx(200)
    assert result["rpe_t_m"] == pytest.approx(0.1)
    assert result["rpe_r_deg"] == pytest.approx(0, abs=1e-12)
    assert result["rpe_t_scaled_m"] == pytest.approx(0, abs=1e-12)
    assert result["direction_deg"] == pytest.approx(0, abs=1e-9)
    assert result["scale"] == pytest.approx(1 / 1.1)
    assert result["ate_m"] == pytest.approx(0, abs=1e-9)
    assert result["ate_se3_m"] == pytest.approx(0.1 * np.sqrt(np.mean((frames - 100.0) ** 2)))
    assert result["ate_unaligned_m"] == pytest.approx(0.1 * np.sqrt(np.mean(frames**2.0)))
    # the official segment ends at the first frame beyond 100 m, which is the 101st: 10.1 m of error in 100 m
    assert result["kitti_t_percent"] == pytest.approx(10.1)
    assert result["nees"] is None


def test_a_constant_turn_too_much() -> None:
    turning = FORWARD @ geometry.from_motion([0, 0, 0, 0, np.radians(0.5), 0])
    estimate, truth = follow(np.tile(turning, (150, 1, 1))), straight(151)
    assert metrics.rpe(estimate, truth) == (pytest.approx(0, abs=1e-12), pytest.approx(0.5))
    assert metrics.rpe(estimate, truth, delta=10)[1] == pytest.approx(5)
    assert metrics.kitti_segments(estimate, truth).r_deg_per_100m == pytest.approx(0.5 * 101)
    assert metrics.ate(estimate, truth, "none") == metrics.ate(estimate, truth, "origin")


def test_direction_and_rpe_scaled_do_not_see_the_scale() -> None:
    aside = geometry.from_motion([np.sin(np.radians(3)), 0, np.cos(np.radians(3)), 0, 0, 0])
    truth = straight(20)
    for scale in (1.0, 0.01, 300.0):
        estimate = follow(np.tile(aside, (19, 1, 1))).transformed(np.eye(4), scale)
        assert metrics.direction_error(estimate, truth) == pytest.approx(3)
        assert metrics.rpe_scaled(estimate, truth) == pytest.approx(2 * np.sin(np.radians(1.5)))


def test_direction_is_compared_where_the_camera_moves() -> None:
    motions = np.tile(FORWARD, (10, 1, 1))
    motions[4] = geometry.from_motion([0, 0, 0.01, 0, 0, 0])
    truth = follow(motions)
    measured = motions.copy()
    measured[4] = geometry.from_motion([0.01, 0, 0, 0, 0, 0])  # noise at rest
    assert metrics.direction_error(follow(measured), truth) == pytest.approx(0, abs=1e-9)
    measured[7] = geometry.from_motion([0, 0, -1, 0, 0, 0])
    assert metrics.direction_error(follow(measured), truth) == pytest.approx(180 / 3)  # one of nine, squared
    measured[7] = np.eye(4)
    assert metrics.direction_error(follow(measured), truth) == pytest.approx(90 / 3)
    assert metrics.rpe_scaled(follow(measured), truth) == pytest.approx(np.sqrt((1 + 2 * 0.01**2) / 10))


def test_the_way_across_a_hole_in_the_truth_is_no_step() -> None:
    """Steps that are 1 % too long, and a truth that lost sight for 3 s: what is left of them errs as the whole does."""
    truth, estimate = straight(200), straight(200, step=1.01)
    seen = np.r_[:80, 110:200]
    holed = truth.select(seen)
    whole, found = metrics.evaluate(estimate, truth), metrics.evaluate(estimate, holed)
    assert found["frames"] == 170
    assert whole["rpe_t_m"] == pytest.approx(0.01)
    for name in ("rpe_t_m", "rpe_r_deg", "rpe_t_scaled_m", "direction_deg"):
        assert found[name] == pytest.approx(whole[name], abs=1e-9), name
    pair = associate(estimate, holed)
    assert metrics.rpe(*pair, delta=10)[0] == pytest.approx(0.1)
    lengths, angles = metrics.relative_errors(*pair)
    assert len(lengths) == len(angles) == 169
    assert np.flatnonzero(np.isnan(lengths)).tolist() == np.flatnonzero(np.isnan(angles)).tolist() == [79]
    assert np.flatnonzero(np.isnan(metrics.relative_errors(*pair, 10)[0])).tolist() == list(range(70, 80))


def test_a_turn_in_a_hole_of_the_truth_has_no_direction() -> None:
    """Where nobody looked the estimate turned back: that one way would be off by much more than any step."""
    motions = np.tile(FORWARD, (20, 1, 1))
    measured = motions.copy()
    measured[9] = geometry.from_motion([0, 0, 0, 0, np.pi, 0])
    truth, estimate = follow(motions), follow(measured)
    seen = np.r_[:9, 13:21]
    found = metrics.evaluate(estimate, truth.select(seen))
    for name in ("rpe_t_m", "rpe_r_deg", "rpe_t_scaled_m", "direction_deg"):
        assert found[name] == pytest.approx(0, abs=1e-6), name
    alone = estimate.select([3, 9]), truth.select([3, 9])
    assert metrics.rpe(*alone) == (None, None)
    assert metrics.rpe_scaled(*alone) is metrics.direction_error(*alone) is None


# KITTI's segments


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


# laws


@given(seeds)
@some
def test_no_error_without_a_difference(seed: int) -> None:
    _, truth = drive(seed)
    result = metrics.evaluate(truth, truth, lengths=(10.0, 20.0))
    for name in ("rpe_t_m", "rpe_r_deg", "rpe_t_scaled_m", "direction_deg", "ate_m", "ate_se3_m", "ate_unaligned_m"):
        assert result[name] == pytest.approx(0, abs=1e-6), name
    assert result["kitti_t_percent"] == pytest.approx(0, abs=1e-9)
    assert result["kitti_r_deg_per_100m"] == pytest.approx(0, abs=1e-9)
    assert result["scale"] == pytest.approx(1)


@given(seeds, st.floats(0.01, 100.0))
@some
def test_what_alignment_takes_out_does_not_count(seed: int, factor: float) -> None:
    estimate, truth = drive(seed)
    before = metrics.evaluate(estimate, truth, lengths=(10.0, 20.0))
    elsewhere = geometry.from_motion(10 * np.random.default_rng(seed).normal(size=6))
    moved = metrics.evaluate(estimate.transformed(elsewhere), truth, lengths=(10.0, 20.0))
    for name in KEYS - {"nees", "nees_step"}:
        assert moved[name] == pytest.approx(before[name], rel=1e-6, abs=1e-9), name
    scaled = metrics.evaluate(estimate.transformed(elsewhere, factor), truth, lengths=(10.0, 20.0))
    for name in ("ate_m", "rpe_r_deg", "rpe_t_scaled_m", "direction_deg", "kitti_r_deg_per_100m"):
        assert scaled[name] == pytest.approx(before[name], rel=1e-6, abs=1e-9), name
    assert scaled["scale"] == pytest.approx(before["scale"] / factor)


@given(seeds)
@some
def test_more_freedom_to_align_never_makes_it_worse(seed: int) -> None:
    result = metrics.evaluate(*drive(seed, noise=0.1))
    assert result["ate_m"] <= result["ate_se3_m"] * (1 + 1e-12)
    assert result["ate_se3_m"] <= result["ate_unaligned_m"] * (1 + 1e-12)


# covariances


def published(seed: int, count: int, believed: float = 1.0) -> tuple[Trajectory, Trajectory]:
    """An estimate with noise of a known covariance, which it propagates and publishes times `believed`."""
    rng = np.random.default_rng(seed)
    motions = geometry.from_motion(rng.normal([0, 0, 1, 0, 0, 0], [0.1, 0.1, 0.3, 0.02, 0.1, 0.02], (count - 1, 6)))
    root = np.diag([0.03, 0.02, 0.05, 2e-4, 3e-4, 1e-4]) @ (np.eye(6) + 0.3 * rng.normal(size=(6, 6)))
    step = root @ root.T
    truth = follow(motions @ geometry.exp(rng.normal(size=(count - 1, 6)) @ root.T))
    covariances = np.zeros((count, 6, 6))
    for i, backward in enumerate(geometry.adjoint(geometry.invert(motions))):
        covariances[i + 1] = backward @ covariances[i] @ backward.T + step
    steps = np.concatenate([np.full((1, 6, 6), np.nan), np.tile(step, (count - 1, 1, 1))])
    return replace(follow(motions, believed * covariances), steps=believed * steps), truth


def test_nees_of_an_honest_estimate_is_one() -> None:
    assert metrics.nees_step(*published(0, 4000)) == pytest.approx(1, abs=0.05)
    whole = [metrics.nees(*published(seed, 20)) for seed in range(300)]
    assert np.mean([value for value in whole if value is not None]) == pytest.approx(1, abs=0.1)


def test_nees_counts_from_the_first_common_frame() -> None:
    rows = np.arange(30, 50)
    pairs = [[t.select(rows) for t in published(seed, 50)] for seed in range(300)]
    values = [metrics.nees(estimate, truth) for estimate, truth in pairs]
    assert np.mean([value for value in values if value is not None]) == pytest.approx(1, abs=0.1)


@given(seeds, st.floats(0.01, 100.0))
@some
def test_nees_is_inverse_to_the_believed_covariance(seed: int, believed: float) -> None:
    for nees in (metrics.nees, metrics.nees_step):
        honest, other = nees(*published(seed, 20)), nees(*published(seed, 20, believed))
        assert honest is not None
        assert other == pytest.approx(honest / believed, rel=1e-6)


def test_nees_of_one_known_step() -> None:
    sigma = np.array([0.1, 0.2, 0.5, 0.01, 0.02, 0.04])
    error = sigma * [1, -2, 0, 1, 0, 3]
    truth = follow((FORWARD @ geometry.exp(error))[None])
    estimate = follow(FORWARD[None], np.stack([np.zeros((6, 6)), np.diag(sigma**2)]))
    assert metrics.nees(estimate, truth) == pytest.approx((1 + 4 + 1 + 9) / 6)


def test_nees_leaves_out_what_adds_no_covariance() -> None:
    estimate, truth = published(5, 30)
    assert estimate.covariances is not None
    reset = estimate.covariances.copy()
    reset[15:] = 0
    first = np.arange(15)
    assert metrics.nees(replace(estimate, covariances=reset), truth) == pytest.approx(
        metrics.nees(estimate.select(first), truth.select(first))
    )
    assert metrics.nees(replace(estimate, covariances=0 * reset), truth) is None


def test_nees_of_steps_leaves_out_those_that_are_not_known() -> None:
    estimate, truth = published(5, 30)
    assert estimate.steps is not None
    some = estimate.steps.copy()
    some[15:] = np.nan
    first = np.arange(15)
    assert metrics.nees_step(replace(estimate, steps=some), truth) == pytest.approx(
        metrics.nees_step(estimate.select(first), truth.select(first))
    )
    assert metrics.nees_step(replace(estimate, steps=0 * some), truth) is None
    assert metrics.nees_step(replace(estimate, steps=None), truth) is None
    apart = np.arange(0, 30, 2)
    assert metrics.nees_step(estimate.select(apart), truth.select(apart)) is None


def test_nees_of_steps_leaves_out_those_that_add_no_covariance() -> None:
    estimate, truth = published(5, 30)
    assert estimate.steps is not None
    held = np.insert(np.arange(30), [10, 20], [9, 19])  # two frames at rest repeat the pose
    steps = estimate.steps[held]
    steps[[10, 21]] = 0
    stamps = 0.1 * np.arange(32.0)
    resting = Trajectory(stamps, estimate.poses[held], steps=steps), Trajectory(stamps, truth.poses[held])
    assert metrics.nees_step(*resting) == pytest.approx(metrics.nees_step(estimate, truth))


def test_nees_leaves_out_covariances_without_an_inverse() -> None:
    flat = np.eye(6)
    flat[0, 1] = flat[1, 0] = 1
    estimate = follow(np.stack([FORWARD, FORWARD]), np.stack([np.zeros((6, 6)), flat, np.eye(6)]))
    truth = follow(np.stack([FORWARD, FORWARD @ geometry.exp([2, 0, 0, 0, 0, 0])]))
    assert metrics.nees(estimate, truth) == pytest.approx(4 / 6)


# what metrics.json gets


def strict_json(result: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(result, allow_nan=False)))


def test_a_single_common_pose_has_no_errors() -> None:
    result = strict_json(metrics.evaluate(straight(1), straight(50)))
    assert result.keys() == KEYS
    assert result.pop("frames") == 1
    assert result.pop("path_length_m") == 0
    assert set(result.values()) == {None}


def test_standing_still_has_no_scale_or_direction() -> None:
    still = follow(np.tile(np.eye(4), (20, 1, 1)))
    result = strict_json(metrics.evaluate(still, still))
    assert result["scale"] is None
    assert result["direction_deg"] is None
    assert result["rpe_t_m"] == result["ate_m"] == result["ate_unaligned_m"] == 0
    result = strict_json(metrics.evaluate(still, straight(21)))
    assert result["scale"] is None
    assert result["direction_deg"] == pytest.approx(90)
    assert result["rpe_t_m"] == pytest.approx(1)
    result = strict_json(metrics.evaluate(straight(21), still))
    assert result["scale"] is None
    assert result["direction_deg"] is None
    assert result["rpe_t_scaled_m"] == 0


def test_an_unknown_scale_hides_what_depends_on_it() -> None:
    estimate, truth = published(6, 120)
    known = metrics.evaluate(estimate, truth)
    unknown = metrics.evaluate(estimate, truth, scale_known=False)
    assert {name for name in known if unknown[name] != known[name]} == set(metrics.NEEDS_SCALE)
    assert all(known[name] is not None and unknown[name] is None for name in metrics.NEEDS_SCALE)
    assert unknown.keys() == known.keys() == KEYS
