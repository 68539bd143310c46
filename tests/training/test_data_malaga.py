"""An extract of Malaga, in a small folder of the real form."""

from __future__ import annotations

from pathlib import Path

import pytest

from ros2_vodistill.errors import VodistillError
from tests.training.sequences import MALAGA_CAMERA, write_malaga
from training.data import malaga


def test_malaga_is_read_with_its_gps(tmp_path: Path) -> None:
    folder = tmp_path / "malaga-urban-dataset-extract-07"
    write_malaga(folder)
    assert malaga.is_extract(folder)
    recording = malaga.read_extract(folder)
    assert len(recording) == 4
    assert recording.stamps - recording.stamps[0] == pytest.approx([0, 1, 2, 3])
    assert (recording.camera.fx, recording.camera.cy, recording.camera.width) == (62.1, 30.9, 80)
    assert recording.gps is not None
    assert recording.gps[2] == pytest.approx([1261230002.0, 20.0, 25.0, 1.5])  # east, north, up
    with pytest.raises(VodistillError, match="no true poses"):
        recording.motions("metre")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda f: (f / MALAGA_CAMERA).unlink(), "camera_params"),
        (lambda f: (f / MALAGA_CAMERA).write_text("[CAMERA_RIGHT]\ncx=1\n"), "camera_params"),
        (lambda f: (f / MALAGA_CAMERA).write_text("no"), "camera_params"),
        (lambda f: (f / f"{f.name}_all-sensors_GPS.txt").write_text("% nothing\n"), "GPS.txt"),
        (lambda f: (f / f"{f.name}_all-sensors_GPS.txt").write_text("1 2 3\n1 2 3\n"), "GPS.txt"),
        (lambda f: min(f.glob("*/*_left.jpg")).write_text("no"), "_left.jpg"),
        (lambda f: min(f.glob("*/*_left.jpg")).rename(next(f.glob("*_Images")) / "a_left.jpg"), "a_left"),
        (lambda f: [p.unlink() for p in f.glob("*/*_left.jpg")], "_Images"),
        (lambda f: focal(f, "-62.1"), "a=0_800x600.txt: the camera's focal length fx is -62.1"),
        (lambda f: focal(f, "nan"), "a=0_800x600.txt: the camera's fx is nan"),
        (lambda f: fixes(f, "1261230001.0 1 1 1 1 1 1 1 nan 20 1.5"), "GPS.txt: a fix of 1261230001.0 nan 20.0 1.5"),
        (lambda f: fixes(f, "nan 1 1 1 1 1 1 1 10 20 1.5"), "GPS.txt: a fix of nan 10.0 20.0 1.5"),
        (lambda f: fixes(f, "1261230000.0 1 1 1 1 1 1 1 10 20 1.5"), "GPS.txt: fixes at 1 time"),
        (lambda f: call_first(f, "img_CAMERA1_nan_left.jpg"), "img_CAMERA1_nan_left.jpg: no time in its name"),
        (lambda f: call_first(f, "img_CAMERA2_1261230001.080210_left.jpg"), "img_CAMERA2_1261230001.080210_left.jpg"),
    ],
)  # fmt: skip
def test_errors_of_an_extract_name_the_file(tmp_path: Path, damage: object, named: str) -> None:
    folder = tmp_path / "malaga-urban-dataset-extract-07"
    write_malaga(folder)
    damage(folder)  # type: ignore[operator]
    with pytest.raises(VodistillError) as caught:
        malaga.read_extract(folder)
    assert named in caught.value.problem
    assert caught.value.remedy
    assert "--calib" not in caught.value.remedy


def focal(folder: Path, value: str) -> None:
    """The left camera with another fx."""
    path = folder / MALAGA_CAMERA
    path.write_text(path.read_text().replace("fx=62.1", f"fx={value}"))


def fixes(folder: Path, second: str) -> None:
    """GPS of a fix that is sound and this one."""
    path = folder / f"{folder.name}_all-sensors_GPS.txt"
    path.write_text(f"1261230000.0 1 1 1 1 1 1 1 0 20 1.5\n{second}\n")


def call_first(folder: Path, name: str) -> None:
    """The first image under another name."""
    first = min(folder.glob("*/*_left.jpg"))
    first.rename(first.with_name(name))


def test_images_of_an_extract_are_in_the_order_of_their_times(tmp_path: Path) -> None:
    """Whatever comes before the time in their names; and what other systems leave beside the files is none of them."""
    folder = tmp_path / "malaga-urban-dataset-extract-07"
    write_malaga(folder)
    images = next(folder.glob("*_Images"))
    call_first(folder, "img_CAMERA9_1261230000.080210_left.jpg")
    for path in (*images.iterdir(), *folder.iterdir()):
        path.with_name(f"._{path.name}").write_bytes(b"of a Macintosh")
    recording = malaga.read_extract(folder)
    assert recording.stamps - recording.stamps[0] == pytest.approx([0, 1, 2, 3])
    assert [path.name.split("_")[1] for path in recording.images] == ["CAMERA9", "CAMERA1", "CAMERA1", "CAMERA1"]
    assert recording.gps is not None
