"""Trajectory files, association in time and alignment, with what users get wrong."""

from __future__ import annotations

import errno
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
    read_kitti,
    read_times,
    read_tum,
    write_kitti,
    write_tum,
)

some = settings(deadline=None, max_examples=30)
IDENTITY_LINE = "1 0 0 0 0 1 0 0 0 0 1 0"


def wander(count: int, seed: int = 0, start: float = 0.0, step: float = 0.1, covariances: bool = False) -> Trajectory:
    """A random smooth-ish drive of `count` poses."""
    rng = np.random.default_rng(seed)
    motions = geometry.from_motion(rng.normal([0, 0, 1, 0, 0, 0], [0.1, 0.1, 0.3, 0.05, 0.05, 0.05], (count - 1, 6)))
    roots = rng.normal(size=(count, 6, 6))
    return Trajectory(
        start + step * np.arange(float(count)),
        geometry.accumulate(motions, geometry.from_motion(rng.normal(size=6))),
        roots @ roots.swapaxes(1, 2) if covariances else None,
    )


# files


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.7e9]))
@some
def test_tum_round_trip(tmp_path_factory: pytest.TempPathFactory, seed: int, start: float) -> None:
    path = tmp_path_factory.mktemp("tum") / "trajectory.tum"
    written = wander(20, seed, start, step=1 / 29.97)
    write_tum(path, written)
    for read in (read_tum(path), load(path)):
        np.testing.assert_allclose(read.stamps, written.stamps, rtol=0, atol=5e-10)
        np.testing.assert_array_equal(read.positions, written.positions)
        np.testing.assert_allclose(read.poses, written.poses, atol=1e-15)
        assert not read.indexed


@given(st.integers(0, 2**32 - 1))
@some
def test_kitti_round_trip_is_exact(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    path = tmp_path_factory.mktemp("kitti") / "trajectory.kitti"
    written = wander(20, seed)
    write_kitti(path, written)
    for read in (read_kitti(path, written.stamps), load(path, written.stamps)):
        np.testing.assert_array_equal(read.poses, written.poses)
        np.testing.assert_array_equal(read.stamps, written.stamps)
        assert not read.indexed


def test_tum_files_read_as_others_write_them(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(
        "\ufeff# stamp x y z qx qy qz qw\n\n1.5, 1, 2, 3, 0, 0, 0.7071, 0.7071  # a quarter turn\n2.5,1,2,4,0,0,0,-1\n"
    )
    trajectory = load(path)
    np.testing.assert_array_equal(trajectory.stamps, [1.5, 2.5])
    np.testing.assert_allclose(
        trajectory.poses[0], [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]], atol=1e-15
    )
    np.testing.assert_array_equal(trajectory.poses[1, :3, :3], np.eye(3))


def test_tum_output_is_what_the_format_says(tmp_path: Path) -> None:
    path = tmp_path / "trajectory.tum"
    pose = geometry.make(geometry.so3_exp([0, 0, np.pi / 2]), [1, 2, 3.25])
    write_tum(path, Trajectory(np.array([1700000000.123456]), pose[None]))
    header, line = path.read_text().splitlines()
    assert header.startswith("#")
    assert line.startswith("1700000000.123456001 1.0 2.0 3.25 0.0 0.0 0.707106781186547")


def test_repeated_stamps_of_a_tum_file_are_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "mocap.tum"
    path.write_text("# rounded\n1 0 0 0 0 0 0 1\n2 1 0 0 0 0 0 1\n2 9 0 0 0 0 0 1\n3 2 0 0 0 0 0 1\n")
    trajectory = load(path)
    np.testing.assert_array_equal(trajectory.positions[:, 0], [0, 1, 2])
    assert "line 4" in caplog.text
    assert str(path) in caplog.text


def test_kitti_without_times_counts_frames(tmp_path: Path) -> None:
    path = tmp_path / "poses.txt"
    path.write_text(f"{IDENTITY_LINE}\n{IDENTITY_LINE[:-1]}7\n")
    trajectory = load(path)
    assert trajectory.indexed
    np.testing.assert_array_equal(trajectory.stamps, [0, 1])
    np.testing.assert_array_equal(trajectory.positions, [[0, 0, 0], [0, 0, 7]])


def test_indexed_kitti_takes_the_times_of_its_frames(tmp_path: Path) -> None:
    path, times = tmp_path / "poses.txt", tmp_path / "times.txt"
    path.write_text(f"2 {IDENTITY_LINE}\n5 {IDENTITY_LINE}\n")
    times.write_text("".join(f"{0.1 * i:e}\n" for i in range(6)))
    np.testing.assert_array_equal(load(path).stamps, [2, 5])
    assert load(path).indexed
    trajectory = load(path, times)
    np.testing.assert_allclose(trajectory.stamps, [0.2, 0.5])
    assert not trajectory.indexed
    np.testing.assert_allclose(load(path, read_times(times)).stamps, [0.2, 0.5])


IDENTITY_TUM = "0 0 0 0 0 0 1"
BAD_FILES = {
    "empty": ("", "holds no numbers"),
    "only comments": ("# nothing\n", "holds no numbers"),
    "word": (f"1 {IDENTITY_TUM}\n2 0 0 zero 0 0 0 1\n", "line 2: .*'zero'"),
    "EuRoC's": (f"1403636580838555648 {IDENTITY_TUM.replace(' ', ',')}\n", "in nanoseconds"),
    "seven columns": ("1 2 3 0 0 0 1\n", "line 1: 7 numbers"),
    "columns change": (f"1 {IDENTITY_TUM}\n{IDENTITY_LINE}\n", "line 2: 12 numbers, expected 8"),
    "truncated": (f"{IDENTITY_LINE}\n1 0 0 0 0 1\n", "line 2: 6 numbers"),
    "nan position": (f"1 {IDENTITY_TUM}\n2 nan 0 0 0 0 0 1\n", "line 2: its pose is not finite"),
    "diverged": (f"1 {IDENTITY_TUM}\n2 0 1e160 0 0 0 0 1\n", "line 2: its place is further than 1e\\+12 m"),
    "infinite stamp": (f"inf {IDENTITY_TUM}\n", "line 1: its stamp is not finite"),
    "nan quaternion": ("1 0 0 0 nan 0 0 1\n", "line 1: a quaternion of length nan"),
    "zero quaternion": ("# c\n1 0 0 0 0 0 0 0\n", "line 2: a quaternion of length 0"),
    "back in time": (f"2 {IDENTITY_TUM}\n1 {IDENTITY_TUM}\n", "line 2: its stamp is not later"),
    "no rotation": ("1 0 0 0 0 2 0 0 0 0 1 0\n", "line 1: its rotation is no rotation"),
    "mirror": ("1 0 0 0 0 1 0 0 0 0 -1 0\n", "line 1: its rotation is no rotation"),
    "frames repeat": (f"3 {IDENTITY_LINE}\n\n3 {IDENTITY_LINE}\n", "line 3: its stamp is not later"),
    "fractional frame": (f"0.5 {IDENTITY_LINE}\n", "line 1: 0.5 is not a frame number"),
    "negative frame": (f"-1 {IDENTITY_LINE}\n", "line 1: -1 is not a frame number"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_is_refused_with_its_name_and_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(content)
    with pytest.raises(VodistillError, match=message) as error:
        load(path)
    assert str(path) in error.value.problem
    assert error.value.remedy


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "image.png"
    binary.write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")
    for path, message in [(tmp_path / "absent", "No such file"), (tmp_path, "directory"), (binary, "not a text file")]:
        with pytest.raises(VodistillError, match=message):
            load(path)


def test_the_asked_format_is_the_only_one(tmp_path: Path) -> None:
    tum, kitti = tmp_path / "a.tum", tmp_path / "a.kitti"
    write_tum(tum, wander(3))
    write_kitti(kitti, wander(3))
    with pytest.raises(VodistillError, match="expected 8"):
        read_tum(kitti)
    with pytest.raises(VodistillError, match="expected 12 or 13"):
        read_kitti(tum)
    with pytest.raises(VodistillError, match="expected 1"):
        read_times(kitti)


@pytest.mark.parametrize("frames", ["", "7 "])
def test_times_must_belong_to_the_poses(tmp_path: Path, frames: str) -> None:
    path, times = tmp_path / "poses.txt", tmp_path / "times.txt"
    path.write_text(f"{frames}{IDENTITY_LINE}\n")
    times.write_text("0\n1\n2\n")
    with pytest.raises(VodistillError, match="3 times"):
        load(path, times)
    times.write_text("0\n1\n1\n")
    with pytest.raises(VodistillError, match=r"times\.txt, line 3: its stamp is not later"):
        load(path, times)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trajectory.tum"
    write_tum(path, wander(3))
    before = path.read_text()

    def full(self: Path, text: str, **_: Any) -> None:
        self.write_bytes(text[:10].encode())
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(VodistillError, match="No space left") as error:
        patch.setattr(Path, "write_text", full)
        write_tum(path, wander(5))
    assert str(path) in error.value.problem
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(VodistillError, match="cannot be written"):
        write_kitti(tmp_path / "absent" / "x.kitti", wander(3))


# the class


BAD_TRAJECTORIES: dict[str, tuple[dict[str, Any], str]] = {
    "no pose": ({"stamps": [], "poses": np.zeros((0, 4, 4))}, "shape"),
    "scalar stamp": ({"stamps": 1.0, "poses": np.eye(4)[None]}, "shape"),
    "too few poses": ({"stamps": [0, 1], "poses": np.eye(4)[None]}, "shape"),
    "three rows": ({"stamps": [0], "poses": np.eye(4)[None, :3]}, "shape"),
    "small covariance": ({"stamps": [0], "poses": np.eye(4)[None], "covariances": np.eye(3)[None]}, "covariances"),
    "nan covariance": ({"stamps": [0], "poses": np.eye(4)[None], "covariances": np.full((1, 6, 6), np.nan)}, "pose 0"),
    "same stamp": ({"stamps": [0, 1, 1], "poses": np.stack([np.eye(4)] * 3)}, "pose 2 .*not later"),
    "nan pose": ({"stamps": [0, 1], "poses": [np.eye(4), np.full((4, 4), np.nan)]}, "pose 1 .*not finite"),
    "projective": ({"stamps": [0], "poses": [np.eye(4) + np.eye(4, k=-1) * [0, 0, 1, 0]]}, "last row"),
    "scaled": ({"stamps": [0], "poses": [np.diag([2, 2, 2, 1])]}, "no rotation matrix"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_TRAJECTORIES.values(), ids=BAD_TRAJECTORIES.keys())
def test_impossible_trajectories_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(VodistillError, match=message):
        Trajectory(**arguments)


def test_lengths_and_selection() -> None:
    poses = np.tile(np.eye(4), (4, 1, 1))
    poses[:, :3, 3] = [[0, 0, 0], [3, 4, 0], [3, 4, 0], [3, 4, 2]]
    trajectory = Trajectory(np.arange(4.0), poses, np.arange(4.0)[:, None, None] * np.eye(6))
    assert len(trajectory) == 4
    assert trajectory.path_length == 7
    np.testing.assert_array_equal(trajectory.distances, [0, 5, 5, 7])
    for rows in ([1, 3], np.array([False, True, False, True])):
        part = trajectory.select(rows)
        np.testing.assert_array_equal(part.stamps, [1, 3])
        np.testing.assert_array_equal(part.positions, poses[[1, 3], :3, 3])
        np.testing.assert_array_equal(part.covariances, np.array([1.0, 3.0])[:, None, None] * np.eye(6))
        assert part.path_length == 2


def test_a_part_knows_where_poses_were_left_out() -> None:
    whole = wander(8)
    assert whole.follows().tolist() == [True] * 7
    assert whole.follows(9).tolist() == []
    part = whole.select([1, 2, 3, 5, 6])
    assert part.follows().tolist() == [True, True, False, True]
    assert part.follows(2).tolist() == [True, False, False]
    again = part.transformed(np.eye(4)).select(np.array([True, False, True, True, True]))
    assert again.follows().tolist() == [False, False, True]


# association


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


# alignment


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


def test_scaling_scales_the_covariance_of_the_translation() -> None:
    once = wander(5, covariances=True)
    twice = once.transformed(geometry.exp([1, 2, 3, 0.1, 0.2, 0.3]), scale=2.0)
    assert once.covariances is not None
    assert twice.covariances is not None
    np.testing.assert_allclose(twice.covariances[:, :3, :3], 4 * once.covariances[:, :3, :3])
    np.testing.assert_allclose(twice.covariances[:, :3, 3:], 2 * once.covariances[:, :3, 3:])
    np.testing.assert_allclose(twice.covariances[:, 3:, 3:], once.covariances[:, 3:, 3:])
    assert twice.path_length == pytest.approx(2 * once.path_length)


def test_origin_alignment_holds_the_first_pose() -> None:
    estimate, truth = wander(10, 1), wander(10, 2)
    aligned = align(estimate, truth, "origin")
    np.testing.assert_allclose(aligned.poses[0], truth.poses[0], atol=1e-14)
    np.testing.assert_allclose(geometry.relative(aligned.poses), geometry.relative(estimate.poses), atol=1e-13)


def test_unequal_lengths_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="associate"):
        alignment(wander(3), wander(4), "se3")


# real files


def test_real_files_load(shared_data: Path) -> None:
    reference = shared_data / "reference"
    assert len(load(reference / "kitti_gt_poses" / "00.txt", reference / "kitti_times" / "00.txt")) == 4541
    assert load(reference / "kitti_estimates" / "kitti-odom-eval_example_0" / "10.txt").stamps[0] == 4
    assert len(load(reference / "tum_rgbd" / "freiburg1_xyz-groundtruth.txt")) == 3000
    with pytest.raises(VodistillError, match="7 numbers"):
        load(reference / "kitti_estimates" / "tartanvo_1914" / "10_original_ned_quat.txt")
    for sequence in ("kitti00", "kitti01", "parking", "tartanair", "newtsukuba"):
        trajectory = load(shared_data / sequence / "poses.txt", shared_data / sequence / "times.txt")
        np.testing.assert_allclose(trajectory.poses[0], np.eye(4), atol=1e-6)
