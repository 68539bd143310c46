"""The metrics against values that were worked out by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_vodistill import geometry, metrics
from ros2_vodistill.trajectory import associate
from tests.drives import FORWARD, drive, follow, published, straight

some = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**32 - 1)
KEYS = {
    *("frames", "path_length_m", "rpe_t_m", "rpe_r_deg", "rpe_t_scaled_m", "direction_deg", "ate_m", "ate_se3_m"),
    *("ate_unaligned_m", "scale", "kitti_t_percent", "kitti_r_deg_per_100m", "nees", "nees_step"),
}


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


@pytest.mark.parametrize("step", [1.0, 0.001])
def test_direction_is_compared_where_the_camera_moves(step: float) -> None:
    motions = np.tile(geometry.from_motion([0, 0, step, 0, 0, 0]), (10, 1, 1))
    motions[4] = geometry.from_motion([0, 0, 0.01 * step, 0, 0, 0])
    truth = follow(motions)
    measured = motions.copy()
    measured[4] = geometry.from_motion([0.01 * step, 0, 0, 0, 0, 0])  # noise at rest
    assert metrics.direction_error(follow(measured), truth) == pytest.approx(0, abs=1e-9)
    measured[7] = geometry.from_motion([0, 0, -step, 0, 0, 0])
    assert metrics.direction_error(follow(measured), truth) == pytest.approx(180 / 3)  # one of nine, squared
    measured[7] = np.eye(4)
    assert metrics.direction_error(follow(measured), truth) == pytest.approx(90 / 3)
    assert metrics.rpe_scaled(follow(measured), truth) == pytest.approx(step * np.sqrt((1 + 2 * 0.01**2) / 10))


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
