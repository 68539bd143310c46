"""Recordings made of image files: KITTI, EuRoC, TUM RGB-D and plain folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from ros2_vodistill import geometry
from ros2_vodistill.camera import Camera
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources import open_source
from ros2_vodistill.sources.base import natural_order
from tests.sources import recordings
from tests.sources.recordings import Sequence


@pytest.fixture
def kitti(tmp_path: Path, sequence: Sequence) -> Path:
    recordings.kitti(tmp_path / "00", sequence)
    return tmp_path / "00"


@pytest.fixture
def folder(tmp_path: Path, sequence: Sequence) -> Path:
    recordings.folder(tmp_path / "images", sequence)
    return tmp_path / "images"


def rewrite(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_natural_order() -> None:
    names = ["b.png", "a10.png", "a9.png", "a9b2.png", "10.png", "9.png", "²9.png"]
    expected = ["9.png", "10.png", "a9.png", "a9b2.png", "a10.png", "b.png", "²9.png"]
    assert [path.name for path in natural_order(map(Path, names))] == expected


# Any image files


def test_unreadable_images_are_noted(folder: Path, sequence: Sequence) -> None:
    (folder / "frame7.png").write_bytes(b"\x89PNG\r\n\x1a\n then nothing")
    (folder / "frame9.png").write_bytes(b"")
    source = open_source(folder)
    assert [stamp for stamp, _ in source] == [stamp for i, stamp in enumerate(sequence.stamps) if i not in (2, 4)]
    assert len(source) == len(sequence.frames)
    (note,) = source.notes
    assert note.startswith(f"unreadable image: {folder / 'frame7.png'}: ")
    assert note.endswith("(and 1 more)")


def test_all_images_unreadable(folder: Path) -> None:
    for file in folder.glob("*.png"):
        file.write_bytes(b"nothing")
    with pytest.raises(VodistillError, match=r"no frame of .*images could be read: unreadable image: .*frame5.png"):
        list(open_source(folder))


def test_mixed_sizes_name_the_two_files(folder: Path) -> None:
    cv2.imwrite(str(folder / "frame8.png"), np.zeros((30, 40), np.uint8))
    with pytest.raises(VodistillError, match=r"80x60 in .*frame5.png, 40x30 in .*frame8.png"):
        list(open_source(folder))


def test_colour_images_become_grey(folder: Path, sequence: Sequence) -> None:
    (folder / "frame5.png").unlink()
    colour = np.zeros((60, 80, 3), np.uint8)
    colour[..., 1] = 200  # green, which weighs 0.587
    cv2.imwrite(str(folder / "frame5.png"), colour)
    assert set(next(iter(open_source(folder)))[1].ravel().tolist()) == {round(0.587 * 200)}


def test_images_in_16_bits(folder: Path) -> None:
    cv2.imwrite(str(folder / "frame5.png"), np.full((60, 80), 0x4000, np.uint16))
    assert next(iter(open_source(folder)))[1].max() == 0x40


def test_a_calibration_of_another_size_of_the_same_shape(folder: Path, tmp_path: Path) -> None:
    (folder / "camera.yaml").unlink()
    recordings.folder(tmp_path / "half", recordings.make_sequence(3, 40, 30))
    rewrite(tmp_path / "half" / "camera.yaml", "70", "35")
    source = open_source(folder, calibration=tmp_path / "half" / "camera.yaml")
    assert source.require_camera().width == 80
    assert source.require_camera().fx == pytest.approx(70)


def test_no_calibration_lists_the_names(folder: Path) -> None:
    (folder / "camera.yaml").unlink()
    with pytest.raises(VodistillError, match="has no calibration") as error:
        open_source(folder).require_camera()
    for name in ("calib.txt", "camera.yaml", "sensor.yaml"):
        assert str(folder / name) in error.value.problem


@pytest.mark.parametrize("text", ["", "P0: 1 2 3", "P0: " + "nan " * 12, "fx: 1", "\x00\x01"])
def test_a_broken_calibration_names_its_file(kitti: Path, text: str) -> None:
    (kitti / "calib.txt").write_text(text)
    with pytest.raises(VodistillError, match=r"calib\.txt"):
        open_source(kitti)


def test_a_calibration_that_is_not_there(folder: Path) -> None:
    with pytest.raises(VodistillError, match=r"nowhere\.yaml"):
        open_source(folder, calibration="nowhere.yaml")


def test_a_truth_that_is_not_there(folder: Path) -> None:
    with pytest.raises(VodistillError, match=r"nowhere\.txt"):
        open_source(folder, truth="nowhere.txt")


# Times


def test_a_folder_without_times(folder: Path, sequence: Sequence) -> None:
    (folder / "times.txt").unlink()
    with pytest.raises(VodistillError, match=r"8 images and no times: .*times\.txt is not there") as error:
        open_source(folder)
    assert "--rate" in error.value.remedy
    stamps = [stamp for stamp, _ in open_source(folder, rate=20.0)]
    assert stamps == [index / 20 for index in range(8)]


def test_a_rate_instead_of_times(kitti: Path, sequence: Sequence) -> None:
    """The truth goes with the frames."""
    source = open_source(kitti, rate=2.0)
    assert source.truth is not None
    np.testing.assert_array_equal(source.truth.stamps, np.arange(8) / 2)


def test_times_shorter_than_the_images(kitti: Path) -> None:
    (kitti / "times.txt").write_text("0\n1\n2\n")
    with pytest.raises(VodistillError, match=r"times\.txt has 3 times for 8 images, the last of which is 000007\.png"):
        open_source(kitti)


@pytest.mark.parametrize(("old", "new"), [("100.3", "noon"), ("100.3", "nan"), ("100.3", "99.0"), ("100.3", "100.3 7")])
def test_times_that_are_none(kitti: Path, old: str, new: str) -> None:
    rewrite(kitti / "times.txt", old, new)
    with pytest.raises(VodistillError, match=r"times\.txt, line 4"):
        open_source(kitti)


def test_an_extract_of_a_sequence_keeps_its_numbers(kitti: Path, sequence: Sequence) -> None:
    """Frames 3 to 5 with the whole sequence's times and poses."""
    for number in (0, 1, 2, 6, 7):
        (kitti / "image_0" / f"{number:06d}.png").unlink()
    source = open_source(kitti)
    stamps, frames = zip(*source, strict=True)
    assert list(stamps) == sequence.stamps[3:6]
    np.testing.assert_array_equal(frames, sequence.frames[3:6])
    assert source.truth is not None
    assert len(source.truth) == 8


# KITTI


def test_the_truth_where_the_data_set_has_it(tmp_path: Path, sequence: Sequence) -> None:
    recordings.kitti(tmp_path / "sequences" / "07", sequence)
    (tmp_path / "poses").mkdir()
    (tmp_path / "sequences" / "07" / "poses.txt").rename(tmp_path / "poses" / "07.txt")
    truth = open_source(tmp_path / "sequences" / "07").truth
    assert truth is not None
    np.testing.assert_allclose(truth.poses, sequence.poses, atol=1e-12)


def test_no_truth(kitti: Path) -> None:
    (kitti / "poses.txt").unlink()
    assert open_source(kitti).truth is None


def test_poses_of_wrong_width(kitti: Path) -> None:
    text = (kitti / "poses.txt").read_text().splitlines()
    text[2] = " ".join(text[2].split()[:11])
    (kitti / "poses.txt").write_text("\n".join(text))
    with pytest.raises(VodistillError, match=r"poses\.txt, line 3: 11 numbers, expected 12"):
        open_source(kitti)


def test_fewer_poses_than_times(kitti: Path) -> None:
    text = (kitti / "poses.txt").read_text().splitlines()
    (kitti / "poses.txt").write_text("\n".join(text[:5]))
    with pytest.raises(VodistillError, match=r"poses\.txt has frames 0 to 4, but there are 8 times"):
        open_source(kitti)


def test_a_colour_camera_is_beside_camera_0(kitti: Path, sequence: Sequence) -> None:
    """P2 = K [1 | -position]; the truth is of camera 0 and is moved."""
    shutil.copytree(kitti / "image_0", kitti / "image_2")
    position = np.array([0.06, -0.002, 0.003])
    p0 = np.hstack([sequence.camera.matrix, np.zeros((3, 1))])
    p2 = np.hstack([sequence.camera.matrix, -sequence.camera.matrix @ position[:, None]])
    rows = [f"{name}: {' '.join(map(str, p.ravel().tolist()))}" for name, p in (("P0", p0), ("P2", p2))]
    (kitti / "calib.txt").write_text("\n".join(rows))
    first, second = open_source(kitti), open_source(kitti, topic="image_2")
    assert first.truth is not None and second.truth is not None
    np.testing.assert_allclose(first.truth.poses, sequence.poses, atol=1e-12)
    np.testing.assert_allclose(second.truth.poses, sequence.poses @ geometry.make(np.eye(3), position), atol=1e-12)
    assert second.camera == sequence.camera
    (kitti / "calib.txt").write_text(rows[0])
    with pytest.raises(VodistillError, match=r"calib\.txt has no sound line P2"):
        open_source(kitti, topic="image_2")


def test_only_a_colour_camera(kitti: Path, sequence: Sequence) -> None:
    (kitti / "image_0").rename(kitti / "image_2")
    (kitti / "poses.txt").unlink()
    assert len(list(open_source(kitti))) == len(sequence.frames)


def test_a_kitti_camera_that_is_not_there(kitti: Path) -> None:
    with pytest.raises(VodistillError, match="no camera 'image_1'") as error:
        open_source(kitti, topic="image_1")
    assert "image_0" in error.value.remedy


def test_an_empty_image_folder(tmp_path: Path) -> None:
    (tmp_path / "image_0").mkdir()
    (tmp_path / "times.txt").write_text("0\n")
    with pytest.raises(VodistillError, match="has no images"):
        open_source(tmp_path)


# EuRoC


@pytest.fixture
def euroc(tmp_path: Path, sequence: Sequence) -> Path:
    recordings.euroc(tmp_path / "V1_01", sequence)
    return tmp_path / "V1_01"


def test_the_other_camera_of_a_pair(euroc: Path, sequence: Sequence) -> None:
    shutil.copytree(euroc / "mav0" / "cam0", euroc / "mav0" / "cam1")
    rewrite(euroc / "mav0" / "cam1" / "sensor.yaml", "intrinsics: [70", "intrinsics: [50")
    assert open_source(euroc).require_camera().fx == 70
    assert open_source(euroc, topic="cam1").require_camera().fx == 50
    with pytest.raises(VodistillError, match="no camera 'cam7'") as error:
        open_source(euroc, topic="cam7")
    assert "cam0, cam1" in error.value.remedy


def test_a_listed_image_that_is_missing(euroc: Path, sequence: Sequence) -> None:
    missing = sorted((euroc / "mav0" / "cam0" / "data").iterdir())[1]
    missing.unlink()
    source = open_source(euroc)
    assert len(list(source)) == len(sequence.frames) - 1
    assert any(str(missing) in note for note in source.notes)


@pytest.mark.parametrize("line", ["100100000000", "soon,1.png", "1,2,3", "nan,1.png"])
def test_a_listing_with_a_broken_line(euroc: Path, line: str) -> None:
    table = euroc / "mav0" / "cam0" / "data.csv"
    table.write_text(table.read_text() + line + "\n")
    with pytest.raises(VodistillError, match=rf"data\.csv, line 10: '{line}'"):
        open_source(euroc)


def test_an_empty_listing(euroc: Path) -> None:
    (euroc / "mav0" / "cam0" / "data.csv").write_text("#timestamp [ns],filename\n")
    with pytest.raises(VodistillError, match=r"data\.csv lists no images"):
        open_source(euroc)


@pytest.mark.parametrize("text", ["T_BS: {data: [1, 2]}", "T_BS: 5", "nothing: here", "]["])
def test_a_broken_extrinsic(euroc: Path, text: str) -> None:
    (euroc / "mav0" / "state_groundtruth_estimate0" / "sensor.yaml").write_text(text)
    with pytest.raises(VodistillError, match=r"sensor\.yaml has no sound T_BS"):
        open_source(euroc)


def test_truth_with_a_broken_row(euroc: Path) -> None:
    table = euroc / "mav0" / "state_groundtruth_estimate0" / "data.csv"
    lines = table.read_text().splitlines()
    for broken, message in (("1,2,3", r"data\.csv, line 4: 3 numbers"), ("1" + ",nan" * 16, r"data\.csv: pose 2")):
        table.write_text("\n".join([*lines[:3], broken, *lines[4:]]))
        with pytest.raises(VodistillError, match=message):
            open_source(euroc)


def test_euroc_without_truth(euroc: Path) -> None:
    shutil.rmtree(euroc / "mav0" / "state_groundtruth_estimate0")
    assert open_source(euroc).truth is None


# TUM RGB-D


def test_tum_has_no_calibration_of_its_own(tmp_path: Path, sequence: Sequence) -> None:
    recordings.tum(tmp_path / "fr1", sequence)
    (tmp_path / "fr1" / "calib.txt").unlink()
    (tmp_path / "fr1" / "groundtruth.txt").unlink()
    source = open_source(tmp_path / "fr1")
    assert source.camera is None
    assert source.truth is None
    (tmp_path / "fr1.txt").write_text("525 525 39.5 29.5")
    assert open_source(tmp_path / "fr1", calibration=tmp_path / "fr1.txt").camera == Camera(
        80, 60, "pinhole", 525, 525, 39.5, 29.5
    )


def test_tum_stamps_keep_every_digit(tmp_path: Path, sequence: Sequence) -> None:
    stamps = [1305031452.791720 + 0.033 * index for index in range(len(sequence.frames))]
    stamps = [float(f"{stamp:.6f}") for stamp in stamps]
    moved = Sequence(sequence.frames, stamps, sequence.poses, sequence.camera, sequence.mount)
    recordings.tum(tmp_path / "fr1", moved)
    assert [stamp for stamp, _ in open_source(tmp_path / "fr1")] == stamps
