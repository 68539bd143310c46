"""The command line as a user meets it: results that are whole, and for bad input one clear error and nothing else."""

from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from ros2_vodistill import cli, geometry, measured, prepare, trajectory
from ros2_vodistill.camera import Camera
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import DEFAULT, Model
from ros2_vodistill.run import Run
from ros2_vodistill.sources import open_source
from ros2_vodistill.sources.record import write_bag, write_kitti
from tests.models import brightness_model

CAMERA = Camera(160, 120, "pinhole", 120.0, 120.0, 79.5, 59.5)
COUNT = 10

Outcome = tuple[int, str, str]
Vodistill = Callable[..., Outcome]


@pytest.fixture
def vodistill(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Vodistill:
    """Type a command; gives exit code, output, errors."""

    def type_in(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["vodistill", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "200")
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return type_in


def frames(count: int = COUNT) -> list[np.ndarray]:
    """A texture that grows, as seen by a camera that goes forward."""
    texture = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 255, (480, 640), dtype=np.uint8), (0, 0), 2)
    texture = cv2.normalize(texture, None, 20, 235, cv2.NORM_MINMAX)
    centre = np.array([319.5, 239.5])
    views = []
    for i in range(count):
        zoom = 1.03**i
        to_view = np.hstack([zoom * np.eye(2), (np.array([79.5, 59.5]) - zoom * centre)[:, None]])
        views.append(cv2.warpAffine(texture, to_view, (160, 120), flags=cv2.INTER_LINEAR))
    return views


STAMPS = [100.0 + 0.1 * i for i in range(COUNT)]
POSES = geometry.accumulate(np.repeat(geometry.from_motion([0, 0, 0.3, 0, 0.01, 0])[None], COUNT - 1, axis=0))


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    write_kitti(tmp_path / "sequence", frames(), CAMERA, STAMPS, POSES)
    return tmp_path / "sequence"


@pytest.fixture
def bright(tmp_path: Path) -> Path:
    return brightness_model(tmp_path / "bright")


def test_run_writes_its_files_and_they_hold_what_they_should(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path
) -> None:
    code, out, _ = vodistill("run", sequence, "--model", bright, "--camera-height", 1.5, "--out", tmp_path / "out")
    assert code == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "metrics.json", "report.html", "trajectory.kitti", "trajectory.tum",
    ]  # fmt: skip
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert figures["frames"] == COUNT
    assert figures["options"]["model"] == "bright"
    assert figures["options"]["camera_height_m"] == 1.5
    assert {"rpe_t_m", "rpe_r_deg", "ate_m", "ate_se3_m", "ate_unaligned_m", "scale", "kitti_t_percent", "nees",
            "kitti_r_deg_per_100m", "path_length_m", "frames_per_s", "latency_ms"} <= set(figures)  # fmt: skip
    assert figures["path_length_m"] == pytest.approx(0.3 * (COUNT - 1))
    estimate = trajectory.load(tmp_path / "out" / "trajectory.tum")
    np.testing.assert_allclose(estimate.stamps, STAMPS, atol=1e-9)
    kitti = trajectory.load(tmp_path / "out" / "trajectory.kitti")
    np.testing.assert_allclose(kitti.poses, estimate.poses, atol=1e-9)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert "<script" not in page
    assert page.count("<svg") == 5
    assert page.count("data:image/jpeg") >= 12
    assert "rpe_t_m" in out


def test_a_report_of_the_folder_that_one_is_in_has_its_name(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sequence)
    assert vodistill("run", ".", "--model", bright, "--out", tmp_path / "out")[0] == 0
    assert "<h1>bright on sequence</h1>" in (tmp_path / "out" / "report.html").read_text()


def test_every_door_gives_the_same_trajectory(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path
) -> None:
    from ros2_vodistill.camera import Mount
    from ros2_vodistill.odometry import VisualOdometry

    write_bag(tmp_path / "bag", frames(), CAMERA, STAMPS, POSES)
    write_bag(tmp_path / "bag3", frames(), CAMERA, STAMPS, POSES, storage="sqlite3", compressed="png")
    for model in (bright, "classical", DEFAULT):
        results = []
        for source in ("sequence", "bag", "bag3"):
            out = tmp_path / f"out-{source}-{Path(model).name}"
            assert vodistill("run", tmp_path / source, "--model", model, "--camera-height", 1.5, "--out", out)[0] == 0
            results.append((out / "trajectory.tum").read_text())
        assert results[0] == results[1] == results[2]
        odometry = VisualOdometry(model, camera=CAMERA, mount=Mount(1.5))
        poses = [np.eye(4)]
        for stamp, image in open_source(sequence):
            if (estimate := odometry.push(image, stamp)) is not None:
                poses.append(estimate.pose)
        np.testing.assert_array_equal(
            trajectory.load(tmp_path / f"out-bag-{Path(model).name}" / "trajectory.kitti").poses[:, :3],
            np.array(poses)[:, :3],
        )


def test_eval_prints_json_of_two_files(vodistill: Vodistill, sequence: Path, tmp_path: Path) -> None:
    code, out, _ = vodistill("eval", sequence / "poses.txt", sequence / "poses.txt", "--json")
    assert code == 0
    assert json.loads(out)["ate_m"] == pytest.approx(0.0, abs=1e-9)


def test_models_lists_and_verifies(
    vodistill: Vodistill, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VODISTILL_MODELS", str(tmp_path))
    code, out, _ = vodistill("models", "--verify", "--json")
    assert code == 0
    listed = {row["name"]: row for row in json.loads(out)}
    assert listed["bright"]["verified"] == "intact; no figure recomputed"
    with (bright / "model.onnx").open("ab") as file:
        file.write(b"\0")
    code, out, _ = vodistill("models", "--verify", "--json")
    assert code == 1
    assert "sha256" in {row["name"]: row for row in json.loads(out)}["bright"]["verified"]


@pytest.mark.parametrize("options", [(), ("--verify",)])
def test_a_card_that_is_none_does_not_hide_the_other_models(
    vodistill: Vodistill, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("VODISTILL_MODELS", str(tmp_path))
    monkeypatch.setattr("ros2_vodistill.model.homes", lambda: iter(()))
    text(brightness_model(tmp_path / "broken") / "card.json", "{")
    code, out, _ = vodistill("models", *options)
    assert code == 1
    assert "broken: verified: " in out and "is not a model card" in out
    assert any("bright" in line and "fp32" in line for line in out.splitlines())


def test_verifying_says_which_recording_is_measured(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no terminal shows a bar."""
    monkeypatch.setenv("VODISTILL_MODELS", str(bright.parent))
    monkeypatch.setattr("ros2_vodistill.model.homes", lambda: iter(()))
    rows = [{"recording": sequence.name, **measured.measure(bright, sequence, 1.5, refine=r)} for r in (False, True)]
    measured.keep(bright, rows)
    code, out, err = vodistill("models", "--verify", "--data", tmp_path)
    assert code == 0
    assert err.splitlines() == ["1/2 bright: sequence", "2/2 bright: sequence, refined"]
    assert "bright: verified: yes; figures: sequence: recomputed; sequence, refined: recomputed" in out


def test_models_refuses_a_folder_of_recordings_that_is_not_there(vodistill: Vodistill, tmp_path: Path) -> None:
    code, _, err = vodistill("models", "--verify", "--data", str(tmp_path / "nowhere"))
    assert code == 2
    assert "nowhere" in err


def test_doctor_finds_python_and_an_engine(
    vodistill: Vodistill, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VODISTILL_MODELS", str(tmp_path))
    code, out, _ = vodistill("doctor", "--json")
    assert code == 0
    found = {finding["what"]: finding for finding in json.loads(out)}
    assert found["Python"]["works"]
    assert "bright" in found["models"]["found"]


def test_what_is_in_brackets_is_printed(
    vodistill: Vodistill, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rich takes [this] for markup, unless it is told not to."""
    monkeypatch.setenv("VODISTILL_MODELS", str(tmp_path))
    monkeypatch.setattr("ros2_vodistill.doctor._engines", lambda: iter(()))
    monkeypatch.setattr("importlib.metadata.version", absent)
    _, out, _ = vodistill("doctor")
    assert "ros2_vodistill[openvino]" in out
    assert "[green]" not in out
    write_kitti(tmp_path / "seq[bold]", frames(), CAMERA, STAMPS)
    _, out, _ = vodistill("run", tmp_path / "seq[bold]", "--model", bright, "--out", tmp_path / "out[red]")
    assert f"report: {tmp_path / 'out[red]' / 'report.html'}" in out


def absent(name: str) -> str:
    raise importlib.metadata.PackageNotFoundError(name)


def test_without_onnxruntime_doctor_says_what_to_do(
    vodistill: Vodistill, bright: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ros2_vodistill.engines import make
    from ros2_vodistill.model import Model

    for name in [name for name in sys.modules if name.startswith("ros2_vodistill.engines.onnx")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, out, _ = vodistill("doctor")
    assert code in (0, 1)
    assert "onnxruntime cannot be imported" in out and "pip install onnxruntime" in out
    if importlib.util.find_spec("openvino"):
        assert make(Model.load(bright))[0].name == "openvino"


@pytest.mark.parametrize("command", ["", "run", "eval", "models", "doctor", "bench", "engine build"])
def test_help_has_an_example(vodistill: Vodistill, command: str) -> None:
    code, out, _ = vodistill(*command.split(), "--help")
    assert code == 0
    assert "Example" in out or not command


def test_version(vodistill: Vodistill) -> None:
    assert vodistill("--version")[1].strip()[0].isdigit()


def images(folder: Path, *sizes: tuple[int, int]) -> Path:
    folder.mkdir()
    for i, (width, height) in enumerate(sizes):
        image = np.random.default_rng(i).integers(0, 255, (height, width), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), image)
    return folder


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


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


def tum(path: Path, start: float, step: float = 0.1, last: str = "0 0 0 1") -> Path:
    rows = [f"{start + step * i} 0 0 {0.3 * i} 0 0 0 1" for i in range(9)]
    return text(path, "\n".join([*rows, f"{start + step * 9} 0 0 2.7 {last}"]) + "\n")


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


def test_a_missing_viewer_says_what_to_install(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = vodistill(
        "run", sequence, "--model", bright, "--out", tmp_path / "out", "--rerun", tmp_path / "run.rrd"
    )
    assert code == 2
    assert "ros2_vodistill[rerun]" in err


@pytest.mark.parametrize(
    ("place", "problem"), [("", "sequence is a folder"), ("calib.txt/run.rrd", "calib.txt is a file")]
)
def test_a_recording_for_the_viewer_needs_a_place(
    vodistill: Vodistill, sequence: Path, bright: Path, place: str, problem: str
) -> None:
    pytest.importorskip("rerun", reason="the Rerun SDK is not installed")
    folder = sequence.parent
    before = sorted(folder.iterdir())
    options = ("--out", folder / "out", "--rerun", sequence / place)
    code, _, err = vodistill("run", sequence, "--model", bright, *options)
    assert code == 2
    assert problem in err
    assert sorted(folder.iterdir()) == before


def test_a_recording_for_the_viewer_can_be_read_back(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path
) -> None:
    pytest.importorskip("rerun", reason="the Rerun SDK is not installed")
    file = tmp_path / "out" / "viewer" / "run.rrd"
    code, _, _ = vodistill("run", sequence, "--model", bright, "--out", tmp_path / "out", "--rerun", file)
    assert code == 0
    assert file.read_bytes()[:3] == b"RRF"


def test_a_full_disk_leaves_no_half_written_recording_for_the_viewer(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rerun", reason="the Rerun SDK is not installed")
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        write(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    file = tmp_path / "viewer" / "run.rrd"
    file.parent.mkdir()
    code, _, err = vodistill("run", sequence, "--model", bright, "--out", tmp_path / "out", "--rerun", file)
    assert code == 2
    assert "run.rrd cannot be written: No space left" in err
    assert not list(file.parent.iterdir())


@pytest.mark.parametrize("fitting", [False, True])
def test_a_truth_of_another_time_costs_nothing_unless_it_must_fit(bright: Path, fitting: bool) -> None:
    """As that of a bag whose tracking system has its own clock."""
    from ros2_vodistill.odometry import VisualOdometry
    from ros2_vodistill.run import replay

    odometry = VisualOdometry(bright, camera=CAMERA)
    truth = trajectory.Trajectory(np.array(STAMPS) + 5000, POSES)

    def run() -> Run:
        return replay(zip(STAMPS, frames(), strict=True), odometry, truth=truth, fitting=fitting)

    if fitting:
        with pytest.raises(VodistillError, match="5100"):
            run()
        return
    result = run()
    assert result.truth is None and result.metrics["frames"] == COUNT
    assert "rpe_t_m" not in result.metrics
    assert any(line.startswith("truth: not used: ") for line in result.metrics["notes"])


def test_a_truth_that_turns_out_not_to_fit_does_not_cost_the_trajectory(
    vodistill: Vodistill, bright: Path, tmp_path: Path
) -> None:
    """Only the end of a bag tells."""
    write_bag(tmp_path / "bag", frames(), CAMERA, STAMPS)
    truth, out = tum(tmp_path / "truth.tum", 5000.0), tmp_path / "out"
    code, printed, err = vodistill("run", tmp_path / "bag", "--model", bright, "--gt", truth, "--out", out)
    assert code == 2
    assert "truth: not used" in err and "5000" in err and "nothing was measured" in err
    assert len(trajectory.load(out / "trajectory.tum")) == COUNT
    assert "rpe_t_m" not in printed + (out / "metrics.json").read_text()


def test_a_truth_without_times_is_refused_before_the_work(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path
) -> None:
    write_bag(tmp_path / "bag", frames(), CAMERA, STAMPS)
    poses, out = sequence / "poses.txt", tmp_path / "out"
    code, _, err = vodistill("run", tmp_path / "bag", "--model", bright, "--gt", poses, "--out", out)
    assert code == 2
    assert f"{poses} has no times" in err
    assert not out.exists()


def test_a_truth_that_covers_a_part_is_told(vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path) -> None:
    part, out = tmp_path / "part.tum", tmp_path / "out"
    trajectory.write_tum(part, trajectory.Trajectory(np.array(STAMPS[:5]), POSES[:5]))
    code, _, err = vodistill("run", sequence, "--model", bright, "--gt", part, "--out", out)
    told = f"it covers 5 of {COUNT} poses"
    assert code == 0 and told in err
    assert any(told in note for note in json.loads((out / "metrics.json").read_text())["notes"])
    code, _, err = vodistill("eval", out / "trajectory.tum", part)
    assert code == 0 and told in err


@pytest.mark.parametrize("height", [None, 1.5])
def test_an_unknown_scale_is_told_wherever_lengths_are(
    vodistill: Vodistill, bright: Path, tmp_path: Path, height: float | None
) -> None:
    write_bag(tmp_path / "bag", frames(), CAMERA, STAMPS)
    out = tmp_path / "out"
    known = [] if height is None else ["--camera-height", height]
    code, _, err = vodistill("run", tmp_path / "bag", "--model", bright, *known, "--out", out)
    assert code == 0
    heights, figures = "lengths are in camera heights", json.loads((out / "metrics.json").read_text())
    assert (heights in err) == (height is None)
    assert (figures["path_length_m"] is None) == (height is None)
    assert (heights in (out / "trajectory.tum").read_text()) == (height is None)
    page = (out / "report.html").read_text()
    assert ("(camera heights)" in page) == (height is None)
    assert ("forward (m)" in page) == (height is not None)


def test_a_name_that_is_no_text_does_not_cost_the_report(vodistill: Vodistill, sequence: Path, bright: Path) -> None:
    odd = sequence.rename(sequence.with_name(os.fsdecode(b"Gr\xf6\xdfe")))
    out = odd.with_name("out")
    code, _, err = vodistill("run", odd, "--model", bright, "--out", out)
    assert code == 0, err
    assert "Gr\\udcf6\\udcdfe" in (out / "report.html").read_text()


def test_times_that_are_not_there_are_told_whatever_reads_them(vodistill: Vodistill, tmp_path: Path) -> None:
    code, out, err = vodistill("eval", tum(tmp_path / "a.tum", 0), tum(tmp_path / "b.tum", 0), "--times", "none.txt")
    assert (code, out) == (2, "")
    assert "none.txt" in err


def test_classical_takes_no_engine(vodistill: Vodistill, sequence: Path, tmp_path: Path) -> None:
    code, _, err = vodistill("run", sequence, "--model", "classical", "--engine", "steam", "--out", tmp_path / "out")
    assert code == 2
    assert "'classical' runs on no engine, not on 'steam'" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("estimate", "truth", "expected"),
    [
        (lambda t: t / "none.tum", lambda t: tum(t / "b.tum", 0), "none.tum"),
        (lambda t: tum(t / "a.tum", 0), lambda t: t / "none.tum", "none.tum"),
        (lambda t: tum(t / "a.tum", 0), lambda t: tum(t / "b.tum", 900), "900"),
        (lambda t: text(t / "a.tum", ""), lambda t: tum(t / "b.tum", 0), "a.tum"),
        (lambda t: text(t / "a.tum", "1 2 3\n"), lambda t: tum(t / "b.tum", 0), "a.tum"),
        (lambda t: t / "sequence" / "poses.txt", lambda t: tum(t / "b.tum", 0), "times"),
        (lambda t: t / "sequence", lambda t: tum(t / "b.tum", 0), "sequence"),
    ],
)
def test_eval_refuses_bad_files(
    vodistill: Vodistill,
    sequence: Path,
    tmp_path: Path,
    estimate: Callable[[Path], Path],
    truth: Callable[[Path], Path],
    expected: str,
) -> None:
    code, out, err = vodistill("eval", estimate(tmp_path), truth(tmp_path))
    assert code == 2
    assert expected in err
    assert out == ""


def test_engine_build_without_a_gpu_says_so(
    vodistill: Vodistill, bright: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ros2_vodistill.engines.gpu._LIBRARY", "libno-such-driver.so")
    code, out, err = vodistill("engine", "build", bright)
    assert (code, out) == (2, "")
    assert "there is no NVIDIA driver" in err
    code, _, err = vodistill("engine", "build", bright, "--precision", "fp16")
    assert code == 2
    assert "no fp16 variant" in err


def test_the_example_of_engine_build_names_what_ships() -> None:
    example = re.search(r"`vodistill engine build (\S+) --precision (\S+)`", prepare.build.__doc__ or "")
    assert example is not None
    assert Model.load(example[1]).variant(example[2]).card.precision == example[2]


def test_engine_build_prints_the_plan(
    vodistill: Vodistill, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ros2_vodistill.engines import gpu, tensorrt
    from tests.engines.fakes import FakeCuda, FakeTensorRt

    def built(trt: object, model: object, progress: Callable[[str, int, int], object]) -> bytes:
        progress("Building", 1, 2)
        progress("Building", 2, 2)
        return b"plan"

    cuda = FakeCuda()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tensorrt, "machine", lambda: (FakeTensorRt(cuda), gpu.Gpu(cuda)))
    monkeypatch.setattr(tensorrt, "build", built)
    code, out, _ = vodistill("engine", "build", bright)
    assert code == 0
    assert Path(out.split(": ", 1)[1].strip()).is_file()


def test_bench_needs_a_thread(vodistill: Vodistill) -> None:
    code, out, err = vodistill("bench", "--threads", 0)
    assert (code, out) == (2, "")
    assert "threads" in err


@pytest.mark.parametrize("name", ["bench.md", "bench.json/", "there"])
def test_bench_refuses_a_file_that_would_not_hold_its_figures(
    vodistill: Vodistill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Before the work: bench.md is where the table goes."""
    monkeypatch.setattr("ros2_vodistill.bench.compare", lambda *_: pytest.fail("timed for nothing"))
    (tmp_path / "there").mkdir()
    (tmp_path / "bench.json").mkdir()
    code, out, err = vodistill("bench", "--json", tmp_path / name)
    assert (code, out) == (2, "")
    assert "Name a .json file." in err


def test_bench_writes_what_it_prints(
    vodistill: Vodistill, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ros2_vodistill.bench.SIZES", ((160, 120),))
    monkeypatch.setattr("ros2_vodistill.bench.FRAMES", 4)
    options = ("--rounds", 1, "--threads", 1, "--json", tmp_path / "bench.json")
    code, out, _ = vodistill("bench", "--teacher", bright, "--model", "classical", *options)
    assert code == 0
    assert "x classical" in out
    rows = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert [row["model"] for row in rows] == ["bright", "classical"]
    assert (tmp_path / "bench.md").is_file()
