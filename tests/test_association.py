"""Trajectories associated in time and aligned in space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.trajectory import (
    Trajectory,
    align,
    alignment,
    associate,
    load,
    write_kitti,
)
from tests.drives import wander

some = settings(deadline=None, max_examples=30)


def test_equal_stamps_give_the_true_poses_bit_by_bit() -> None:
    truth = wander(50, start=1.7e9)
    estimate = wander(20, seed=1, start=1.7e9 + 1, covariances=True)
    estimate = Trajectory(truth.stamps[10:30], estimate.poses, estimate.covariances)
    matched, true = associate(estimate, truth)
    np.testing.assert_array_equal(matched.poses, estimate.poses)
    np.testing.assert_array_equal(matched.covariances, estimate.covariances)
    np.testing.assert_array_equal(true.poses, truth.poses[10:30])
    np.testing.assert_array_equal(true.stamps, matched.stamps)


@given(st.lists(st.floats(-2, 12), min_size=1, max_size=40, unique=True))
@some
def test_interpolation_is_exact_at_constant_twist_and_never_extrapolates(stamps: list[float]) -> None:
    twist = np.array([0.2, -0.1, 1.0, 0.05, 0.2, -0.1])

    def at(times: NDArray[np.float64]) -> NDArray[np.float64]:
        return geometry.exp(times[:, None] * twist)

    times = np.concatenate([np.arange(0, 4.05, 0.1), np.arange(6, 10.05, 0.1)])  # a hole of two seconds
    truth = Trajectory(times, at(times))
    wanted = np.array(sorted(stamps))
    estimate = Trajectory(wanted, at(wanted))
    tolerance = 1e-4
    edges = np.abs(wanted - np.array([[0.0], [4], [6], [10]])).min(axis=0)
    assume(np.all(np.abs(edges - tolerance) > 1e-9))
    inside = ((wanted >= -tolerance) & (wanted <= 4 + tolerance)) | (
        (wanted >= 6 - tolerance) & (wanted <= 10 + tolerance)
    )
    if not inside.any():
        with pytest.raises(VodistillError):
            associate(estimate, truth, tolerance=tolerance)
        return
    matched, true = associate(estimate, truth, tolerance=tolerance)
    np.testing.assert_array_equal(matched.stamps, wanted[inside])
    snapped = 2 * tolerance * np.linalg.norm(twist)
    np.testing.assert_allclose(true.poses, at(matched.stamps), atol=snapped)
    clear = edges[inside] > tolerance
    np.testing.assert_allclose(true.poses[clear], at(matched.stamps)[clear], atol=1e-12)


def test_a_gap_is_bridged_only_if_it_is_short_enough() -> None:
    truth = wander(3, step=1.0)
    estimate = Trajectory(np.array([0.0, 0.5, 1.0, 1.99995]), wander(4).poses)
    assert list(associate(estimate, truth, max_gap=1.0)[0].stamps) == [0.0, 0.5, 1.0, 1.99995]
    matched, true = associate(estimate, truth, max_gap=0.9)
    assert list(matched.stamps) == [0.0, 1.0, 1.99995]
    np.testing.assert_array_equal(true.poses, truth.poses)


def test_a_single_true_pose_matches_itself() -> None:
    truth = wander(1, start=5.0)
    matched, true = associate(wander(100), truth)
    np.testing.assert_allclose(matched.stamps, [5.0])
    np.testing.assert_array_equal(true.poses, truth.poses)


def test_no_overlap_states_both_spans() -> None:
    with pytest.raises(
        VodistillError, match=r"0\.000000 s to 0\.900000 s.*1700000000\.000000 s to 1700000001\.900000 s"
    ):
        associate(wander(10), wander(20, start=1.7e9))
    with pytest.raises(VodistillError, match="longest gap is 1"):
        associate(wander(10, start=0.05, step=0.1), wander(2, step=1.0))


def test_frame_numbers_match_only_themselves(tmp_path: Path) -> None:
    truth = wander(6)
    path = tmp_path / "kitti.txt"
    write_kitti(path, truth)
    lines = path.read_text().splitlines()
    indexed = tmp_path / "indexed.txt"
    indexed.write_text("".join(f"{i} {lines[i]}\n" for i in (1, 2, 4)))
    matched, true = associate(load(indexed), load(path))
    np.testing.assert_array_equal(true.poses, truth.poses[[1, 2, 4]])
    matched, _ = associate(load(path), load(indexed), max_gap=100)
    np.testing.assert_array_equal(matched.stamps, [1, 2, 4])
    assert matched.indexed


def test_frame_numbers_are_never_taken_for_seconds(tmp_path: Path) -> None:
    path = tmp_path / "kitti.txt"
    write_kitti(path, wander(6))
    with pytest.raises(VodistillError, match=r"frames 0 to 5.*0\.000000 s") as error:
        associate(load(path), wander(100))
    assert "times" in error.value.remedy


@pytest.mark.parametrize("mode", ["none", "origin", "se3", "sim3"])
@given(seed=st.integers(0, 2**32 - 1))
@some
def test_alignment_undoes_what_it_can(mode: Any, seed: int) -> None:
    truth = wander(30, seed, covariances=True)
    moved = truth.transformed(
        np.eye(4) if mode == "none" else geometry.exp(np.random.default_rng(seed).normal(size=6)),
        scale=0.37 if mode == "sim3" else 1.0,
    )
    back = align(moved, truth, mode)
    np.testing.assert_allclose(back.poses, truth.poses, atol=1e-9)
    assert back.covariances is not None
    assert truth.covariances is not None
    np.testing.assert_allclose(back.covariances, truth.covariances, atol=1e-9)
    np.testing.assert_array_equal(back.stamps, truth.stamps)


def test_origin_alignment_holds_the_first_pose() -> None:
    estimate, truth = wander(10, 1), wander(10, 2)
    aligned = align(estimate, truth, "origin")
    np.testing.assert_allclose(aligned.poses[0], truth.poses[0], atol=1e-14)
    np.testing.assert_allclose(geometry.relative(aligned.poses), geometry.relative(estimate.poses), atol=1e-13)


def test_unequal_lengths_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="associate"):
        alignment(wander(3), wander(4), "se3")
