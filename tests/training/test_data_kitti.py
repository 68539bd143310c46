"""KITTI's recordings, in small folders of the real form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from ros2_vodistill import geometry
from ros2_vodistill.camera import Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import View
from tests.training.sequences import HEIGHT, VIEW, WIDTH, poses, write_kitti
from training.data import kitti


def test_kitti_gives_motions_in_camera_heights(tmp_path: Path) -> None:
    write_kitti(tmp_path)
    recording = kitti.read_sequence(tmp_path, "00", height=1.65)
    assert len(recording) == 6
    expected = geometry.to_motion(geometry.relative(poses(6)))
    assert recording.motions("metre") == pytest.approx(expected, abs=1e-7)
    expected[:, :3] /= 1.65
    assert recording.motions("camera_height") == pytest.approx(expected, abs=1e-7)
    twice = recording.motions("metre", skip=2)
    assert twice == pytest.approx(geometry.to_motion(geometry.invert(poses(6)[:-2]) @ poses(6)[2:]), abs=1e-7)


def test_the_mount_is_taken_out_of_views_and_motions(tmp_path: Path) -> None:
    """A camera that looks down by 0.2 rad: a step along its own axis goes ahead and down in the level frame."""
    write_kitti(tmp_path)
    recording = kitti.read_sequence(tmp_path, "00")
    tilted = kitti.read_folder(
        tmp_path / "sequences" / "00", tmp_path / "poses" / "00.txt", mount=Mount(1.65, pitch=0.2)
    )
    step = recording.motions("metre")[0, :3]
    assert tilted.motions("metre")[0, :3] == pytest.approx(Mount(1.65, pitch=0.2).level_from_camera @ step, abs=1e-7)
    assert step @ [0, 0, 1] == pytest.approx(0.5, abs=1e-6)
    assert tilted.motions("metre")[0, 1] == pytest.approx(0.5 * np.sin(0.2), abs=1e-6)


def test_the_colour_camera_sits_beside_the_grey_one(tmp_path: Path) -> None:
    """KITTI's P2 has a fourth column: its camera is elsewhere, and moves otherwise in bends."""
    write_kitti(tmp_path, camera=2, offset=-0.06)
    recording = kitti.read_sequence(tmp_path, "00", colour=True)
    assert recording.poses is not None
    offset = np.eye(4)
    offset[0, 3] = 0.06
    assert recording.poses == pytest.approx(poses(6) @ offset, abs=1e-7)
    assert recording.views(0, {"image": VIEW})["image"].shape == (32, 48)


def test_views_of_a_recording_are_the_warped_frames(tmp_path: Path) -> None:
    """The view has half the resolution: each of its pixels is near the mean of the four that it covers."""
    folder = write_kitti(tmp_path)
    columns = np.tile(np.linspace(0, 255, WIDTH), (HEIGHT, 1)).astype(np.uint8)
    cv2.imwrite(str(folder / "image_0" / "000000.png"), columns)
    seen = kitti.read_sequence(tmp_path, "00").views(0, {"image": VIEW})["image"].astype(float)
    blocks = columns.reshape(32, 2, 48, 2).mean((1, 3))
    assert np.abs(seen[2:-2, 2:-2] - blocks[2:-2, 2:-2]).max() <= 2.0


def calibrated(numbers: str) -> Callable[[Path], int]:
    return lambda folder: (folder / "calib.txt").write_text(f"P0: {numbers}\n")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda f: (f / "calib.txt").write_text("P1: 1 2 3\n"), "calib.txt"),
        (lambda f: (f / "calib.txt").write_bytes(b"\xff\xfe\x00P0"), "calib.txt"),
        (calibrated("1 2 3"), "calib.txt"),
        (calibrated("x " * 12), "calib.txt"),
        (calibrated("0 " * 12), "calib.txt"),
        (calibrated("-60 0 47.5 0 0 -60 31.5 0 0 0 1 0"), "calib.txt: P0 is -60"),
        (calibrated("60 0 nan 0 0 60 31.5 0 0 0 1 0"), "calib.txt: P0 is 60 0 nan"),
        (calibrated("60 0 47.5 inf 0 60 31.5 0 0 0 1 0"), "calib.txt: P0 is 60 0 47.5 inf"),
        (calibrated("60 5 47.5 0 0 60 31.5 0 0 0 1 0"), "calib.txt: P0 is 60 5"),
        (calibrated("60 0 47.5 0 0 60 31.5 0 0 0 2 0"), "calib.txt: P0 is 60 0"),
        (lambda f: (f / "calib.txt").unlink(), "calib.txt"),
        (lambda f: (f / "times.txt").write_text("0\n1\n"), "times.txt"),
        (lambda f: (f / "times.txt").write_text("a\nb\n"), "times.txt"),
        (lambda f: (f.parents[1] / "poses" / "00.txt").unlink(), "00.txt"),
        (lambda f: (f.parents[1] / "poses" / "00.txt").write_text("1 2 3\n"), "00.txt"),
        (lambda f: number_poses(f, [7, 12, 17, 22, 27, 32]), "00.txt: 6 poses, of frames 7 to 32, for the 6 images"),
        (lambda f: number_poses(f, [0, 1, 2, 3, 5]), "00.txt: 5 poses, of frames 0 to 5, for the 6 images"),
        (lambda f: (f / "image_0" / "000000.png").write_text("no"), "000000.png"),
        (lambda f: [p.unlink() for p in (f / "image_0").iterdir()], "image_0"),
    ],
)
def test_errors_name_the_file(tmp_path: Path, damage: object, named: str) -> None:
    folder = write_kitti(tmp_path)
    damage(folder)  # type: ignore[operator]
    with pytest.raises(VodistillError) as caught:
        kitti.read_sequence(tmp_path, "00")
    assert named in caught.value.problem
    assert caught.value.remedy
    assert "--calib" not in caught.value.remedy


def number_poses(folder: Path, frames: list[int]) -> None:
    """Poses with the frames' numbers before them: the 13 columns of a truth that does not have every frame."""
    rows = poses(len(frames))[:, :3].reshape(-1, 12)
    np.savetxt(folder.parents[1] / "poses" / "00.txt", np.column_stack([frames, rows]))


def test_poses_may_say_which_frame_they_are_of(tmp_path: Path) -> None:
    folder = write_kitti(tmp_path)
    number_poses(folder, [0, 1, 2, 3, 4, 5])
    assert kitti.read_sequence(tmp_path, "00").poses == pytest.approx(poses(6), abs=1e-7)


def test_images_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """8.png, 9.png, 10.png, ...: not as words would be; and what other systems leave beside them is no frame."""
    folder = write_kitti(tmp_path)
    for i in range(6):
        (folder / "image_0" / f"{i:06d}.png").rename(folder / "image_0" / f"{i + 8}.png")
    (folder / "image_0" / "._8.png").write_bytes(b"of a Macintosh")
    names = [path.name for path in kitti.read_sequence(tmp_path, "00").images]
    assert names == ["8.png", "9.png", "10.png", "11.png", "12.png", "13.png"]


def test_a_frame_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = write_kitti(tmp_path)
    recording = kitti.read_sequence(tmp_path, "00")
    (folder / "image_0" / "000003.png").write_bytes(b"no image")
    with pytest.raises(VodistillError, match=r"000003\.png"):
        recording.views(3, {"image": VIEW})
    cv2.imwrite(str(folder / "image_0" / "000004.png"), np.zeros((5, 5), np.uint8))
    with pytest.raises(VodistillError, match="5x5"):
        recording.views(4, {"image": VIEW})


def test_kitti00_is_read(shared_data: Path) -> None:
    recording = kitti.read_folder(shared_data / "kitti00", mount=Mount(1.65)).first(5)
    steps = recording.motions("metre")
    assert len(recording) == 5
    assert 0.3 < np.linalg.norm(steps[0, :3]) < 1.5
    seen = recording.views(0, {"image": View(320, 96, 185.0, 185.0, 159.5, 47.5)})["image"]
    assert seen.shape == (96, 320)
    assert seen.std() > 20
