"""Bad input, places and disks: one clear error, and nothing else."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from ros2_vodistill import cli
from ros2_vodistill.sources.record import write_bag
from tests.cli.recordings import CAMERA, STAMPS, Vodistill, frames, text, tum


def images(folder: Path, *sizes: tuple[int, int]) -> Path:
    folder.mkdir()
    for i, (width, height) in enumerate(sizes):
        image = np.random.default_rng(i).integers(0, 255, (height, width), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), image)
    return folder


def yaml_camera(path: Path, fx: object = 120.0, width: int = 160) -> Path:
    return text(
        path,
        f"image_width: {width}\nimage_height: 120\ndistortion_model: plumb_bob\n"
        f"camera_matrix: {{rows: 3, cols: 3, data: [{fx}, 0, 79.5, 0, 120, 59.5, 0, 0, 1]}}\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}\n",
    )


def broken_images(folder: Path) -> Path:
    images(folder, (160, 120), (160, 120), (160, 120))
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:40])
    return folder


def empty_bag(folder: Path) -> Path:
    from rosbags.rosbag2 import Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    with Writer(folder, version=8) as writer:
        connection = writer.add_connection("/chatter", "std_msgs/msg/String", typestore=store)
        message = store.types["std_msgs/msg/String"](data="hello")
        writer.write(connection, 1, store.serialize_cdr(message, "std_msgs/msg/String"))
    return folder


RUNS: dict[str, tuple[Callable[[Path], list[object]], str]] = {
    "no such path": (lambda t: [t / "nowhere"], "nowhere"),
    "empty folder": (lambda t: [images(t / "none")], "none"),
    "a text file": (lambda t: [text(t / "notes.txt", "hello")], "notes.txt"),
    "mixed sizes": (
        lambda t: [images(t / "mixed", (160, 120), (80, 60)), "--calib", yaml_camera(t / "c.yaml"), "--rate", 10],
        "80x60",
    ),
    "unreadable images": (lambda t: [broken_images(t / "cut"), "--calib", yaml_camera(t / "c.yaml")], "cut"),
    "unreadable images and a calibration without a size": (
        lambda t: [broken_images(t / "cut"), "--rate", 10, "--calib", text(t / "c.txt", "120 120 79.5 59.5")],
        "unreadable image",
    ),
    "frames of one time": (lambda t: [bag(t, [100.0] * 3)], "not later"),
    "a calibration of another camera that is no text": (lambda t: [binary_calibration(t / "sequence")], "calib.txt"),
    "a size that changes on the way": (lambda t: [changed_size(t)], "at 100.500000 s: a frame is 80x60"),
    "a single image": (
        lambda t: [images(t / "one", (160, 120)), "--calib", yaml_camera(t / "c.yaml"), "--rate", 10],
        "needs two",
    ),
    "a bag without images": (lambda t: [empty_bag(t / "talk")], "image"),
    "metadata of a bag that is no YAML": (lambda t: [broken_metadata(t)], "bag"),
    "a topic that is not there": (lambda t: [bag(t), "--topic", "/rear/image"], "/rear/image"),
    "a topic for a folder of images": (
        lambda t: [images(t / "two", (160, 120), (160, 120)), "--topic", "/a", "--calib", yaml_camera(t / "c.yaml")],
        "topic",
    ),
    "no calibration anywhere": (lambda t: [images(t / "two", (160, 120), (160, 120)), "--rate", 10], "calibration"),
    "a calibration that is not there": (lambda t: [t / "sequence", "--calib", t / "none.yaml"], "none.yaml"),
    "a calibration that is no calibration": (
        lambda t: [t / "sequence", "--calib", text(t / "c.yaml", "cake: yes\n")],
        "c.yaml",
    ),
    "a calibration of another shape": (
        lambda t: [t / "sequence", "--calib", yaml_camera(t / "c.yaml", width=150)],
        "150",
    ),
    "a focal length that is NaN": (lambda t: [t / "sequence", "--calib", yaml_camera(t / "c.yaml", ".nan")], "nan"),
    "a focal length of zero": (lambda t: [t / "sequence", "--calib", yaml_camera(t / "c.yaml", 0)], "0"),
    "a negative focal length": (lambda t: [t / "sequence", "--calib", yaml_camera(t / "c.yaml", -120)], "-120"),
    "a camera height of zero": (lambda t: [t / "sequence", "--camera-height", 0], "height"),
    "a negative camera height": (lambda t: [t / "sequence", "--camera-height", -1.5], "height"),
    "a camera height that is NaN": (lambda t: [t / "sequence", "--camera-height", "nan"], "height"),
    "a camera that looks straight down": (lambda t: [t / "sequence", "--camera-pitch", 90], "pitch"),
    "a camera turned to where it sees nothing level": (
        lambda t: [t / "sequence", "--camera-pitch", 79, "--model", t / "bright"],
        "view",
    ),
    "a mask that is not there": (lambda t: [t / "sequence", "--mask", t / "mask.png"], "mask.png cannot be read"),
    "a mask of another size": (
        lambda t: [t / "sequence", "--mask", images(t / "masks", (80, 60)) / "0.png"],
        "0.png is 80x60, the camera's images are 160x120",
    ),
    "a rate of zero": (
        lambda t: [images(t / "two", (160, 120), (160, 120)), "--rate", 0, "--calib", yaml_camera(t / "c.yaml")],
        "rate",
    ),
    "an unknown model": (lambda t: [t / "sequence", "--model", "swift-xxl"], "swift-xxl"),
    "a folder that is no model": (lambda t: [t / "sequence", "--model", t / "sequence"], "sequence"),
    "a model that was changed": (lambda t: [t / "sequence", "--model", changed(t / "bright")], "sha256"),
    "an unknown engine": (lambda t: [t / "sequence", "--model", t / "bright", "--engine", "steam"], "steam"),
    "classical, refined": (lambda t: [t / "sequence", "--model", "classical", "--refine"], "refined"),
    "no threads": (lambda t: [t / "sequence", "--threads", 0], "threads"),
    "truth that is not there": (lambda t: [t / "sequence", "--gt", t / "truth.tum"], "truth.tum"),
    "truth at another time": (lambda t: [t / "sequence", "--gt", tum(t / "truth.tum", 5000.0)], "5000"),
    "truth with a word in it": (
        lambda t: [t / "sequence", "--gt", tum(t / "truth.tum", 100.0, last="0 0 0 w")],
        "truth.tum",
    ),
    "truth with NaN": (lambda t: [t / "sequence", "--gt", tum(t / "truth.tum", 100.0, last="0 0 0 nan")], "truth.tum"),
    "truth with a zero quaternion": (
        lambda t: [t / "sequence", "--gt", tum(t / "truth.tum", 100.0, last="0 0 0 0")],
        "truth.tum",
    ),
    "truth that goes back in time": (
        lambda t: [t / "sequence", "--gt", tum(t / "truth.tum", 100.9, -0.1)],
        "truth.tum",
    ),
    "truth with five columns": (
        lambda t: [t / "sequence", "--gt", text(t / "truth.txt", "1 2 3 4 5\n1 2 3 4 5\n")],
        "truth.txt",
    ),
    "poses of another length": (lambda t: [cut_poses(t / "sequence")], "poses.txt"),
    "times of another length": (lambda t: [cut_times(t / "sequence")], "times.txt"),
    "times that are no numbers": (lambda t: [word_in_times(t / "sequence")], "times.txt"),
    "a video that is none": (
        lambda t: [text(t / "film.mp4", "not a film"), "--calib", yaml_camera(t / "c.yaml")],
        "film.mp4",
    ),
    "more threads than the machine can make": (lambda t: [t / "sequence", "--threads", "100000"], "64"),
    "an option that does not exist": (lambda t: [t / "sequence", "--turbo"], "turbo"),
}


def bag(folder: Path, stamps: list[float] = STAMPS[:3]) -> Path:
    write_bag(folder / "bag", frames(3), CAMERA, stamps)
    return folder / "bag"


def changed_size(folder: Path) -> Path:
    """The sixth frame of a bag is smaller."""
    views = [view if index < 5 else view[:60, :80].copy() for index, view in enumerate(frames())]
    write_bag(folder / "bag", views, CAMERA, STAMPS)
    return folder / "bag"


def binary_calibration(folder: Path) -> Path:
    """Of image_1 alone, so that the file is read for its place too."""
    (folder / "image_0").rename(folder / "image_1")
    (folder / "calib.txt").write_bytes(b"\xff\xfe")
    return folder


def broken_metadata(folder: Path) -> Path:
    path = bag(folder)
    (path / "metadata.yaml").write_text("{{{")
    for data in path.glob("*.mcap"):
        data.write_bytes(b"cake")
    return path


def changed(model: Path) -> Path:
    with (model / "model.onnx").open("ab") as file:
        file.write(b"\0")
    return model


def cut_poses(folder: Path) -> Path:
    path = folder / "poses.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:4]) + "\n")
    return folder


def cut_times(folder: Path) -> Path:
    path = folder / "times.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:4]) + "\n")
    return folder


def word_in_times(folder: Path) -> Path:
    path = folder / "times.txt"
    path.write_text(path.read_text().replace("100.5", "noon"))
    return folder


@pytest.mark.parametrize("case", RUNS)
def test_bad_input_costs_an_error_and_nothing_else(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path, case: str
) -> None:
    words, expected = RUNS[case]
    arguments = words(tmp_path)
    if "--model" not in arguments:
        arguments += ["--model", bright]
    before = sorted(tmp_path.iterdir())
    code, out, err = vodistill("run", *arguments, "--out", tmp_path / "out")
    assert code == 2, (out, err)
    assert expected in err
    assert "Traceback" not in err
    assert sorted(tmp_path.iterdir()) == before
    assert out == ""


@pytest.mark.parametrize("out", ["out", "out/further/down"])
def test_an_output_folder_that_is_a_file_is_refused_before_the_work(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.setattr("ros2_vodistill.run.replay", lambda *_, **__: pytest.fail("replayed for nothing"))
    text(tmp_path / "out", "precious")
    code, _, err = vodistill("run", sequence, "--model", bright, "--out", tmp_path / out)
    assert code == 2
    assert f"{tmp_path / 'out'} is a file" in err
    assert (tmp_path / "out").read_text() == "precious"


def test_an_output_folder_that_is_a_link_to_nothing_is_refused_before_the_work(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ros2_vodistill.run.replay", lambda *_, **__: pytest.fail("replayed for nothing"))
    (tmp_path / "out").symlink_to(tmp_path / "gone")
    code, _, err = vodistill("run", sequence, "--model", bright, "--out", tmp_path / "out")
    assert code == 2
    assert "a link to nothing" in err


def test_a_path_that_may_not_be_looked_at_is_an_error_like_others(
    vodistill: Vodistill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists = Path.exists

    def locked(path: Path) -> bool:
        if path.name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", locked)
    code, out, err = vodistill("run", tmp_path / "locked", "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert f"{tmp_path / 'locked'}: Permission denied" in err


@pytest.mark.parametrize("name", ["trajectory.tum", "trajectory.kitti", "metrics.json", "report.html"])
def test_a_full_disk_leaves_no_half_written_file(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write = Path.write_text

    def full(path: Path, content: str, *args: object, **options: object) -> int:
        if path.suffix == Path(name).suffix and Path(name).stem in path.name:
            write(path, content[: len(content) // 2], *args, **options)  # type: ignore[arg-type]
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", full)
    code, _, err = vodistill("run", sequence, "--model", bright, "--out", tmp_path / "out")
    assert code == 2
    assert "No space left" in err
    assert name in err
    assert not (tmp_path / "out" / name).exists()
    assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]


def test_a_full_disk_below_the_output_is_an_error_like_others(
    vodistill: Vodistill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`vodistill models > file`."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cli, "show", full)
    code, _, err = vodistill("models")
    assert code == 2
    assert "the output could not be written: No space left on device" in err
