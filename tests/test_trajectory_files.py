"""Trajectory files, and what users get wrong in them."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.trajectory import (
    Trajectory,
    load,
    read_kitti,
    read_times,
    read_tum,
    write_kitti,
    write_tum,
)
from tests.drives import wander

some = settings(deadline=None, max_examples=30)
IDENTITY_LINE = "1 0 0 0 0 1 0 0 0 0 1 0"


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
    write_tum(path, Trajectory(np.array([1700000000.123456]), pose[None]), "by hand")
    header, remark, line = path.read_text().splitlines()
    assert header.startswith("#")
    assert remark == "# by hand"
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


@pytest.mark.parametrize("poses", [IDENTITY_LINE, f"0 {IDENTITY_LINE}\n7 {IDENTITY_LINE}"])
def test_times_must_belong_to_the_poses(tmp_path: Path, poses: str) -> None:
    path, times = tmp_path / "poses.txt", tmp_path / "times.txt"
    path.write_text(f"{poses}\n")
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
