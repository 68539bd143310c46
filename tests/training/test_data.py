"""Recorded data in small folders of the real form, windows, augmentation, and the generated world as a stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.camera import Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import Patch, View
from tests.training.toy import ShiftStream
from training import checkpoint
from training.config import Augmentation, Confidence, Data
from training.data import kitti, malaga, streams
from training.data.augment import augment
from training.data.batch import batches, share
from training.data.generated import PARTS, WorldStream
from training.data.kept import ClipSet, Kept, numbers
from training.data.windows import WindowStream
from training.world import render

WIDTH, HEIGHT, FOCAL = 96, 64, 60.0
VIEW = View(48, 32, 30.0, 30.0, 23.5, 15.5)
OBSERVER = SimpleNamespace(views={"image": VIEW}, unit="camera_height")
CPU = torch.device("cpu")


def poses(count: int) -> NDArray[np.float64]:
    """A drive that speeds up and turns."""
    steps = np.zeros((count - 1, 6))
    steps[:, 2] = 0.5 + 0.1 * np.arange(count - 1)
    steps[:, 4] = 0.02
    return geometry.accumulate(geometry.from_motion(steps))


def write_kitti(root: Path, name: str = "00", count: int = 6, camera: int = 0, offset: float = 0.0) -> Path:
    folder = root / "sequences" / name
    (folder / f"image_{camera}").mkdir(parents=True)
    random = np.random.default_rng(int(name))
    for i in range(count):
        image = random.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
        image = np.repeat(image[..., None], 3, 2) if camera == 2 else image
        cv2.imwrite(str(folder / f"image_{camera}" / f"{i:06d}.png"), image)
    matrix = np.array([[FOCAL, 0, 47.5, FOCAL * offset], [0, FOCAL, 31.5, 0], [0, 0, 1, 0]])
    (folder / "calib.txt").write_text(f"P{camera}: {' '.join(map(str, matrix.ravel()))}\n")
    np.savetxt(folder / "times.txt", 0.1 * np.arange(count))
    (root / "poses").mkdir(exist_ok=True)
    np.savetxt(root / "poses" / f"{name}.txt", poses(count)[:, :3].reshape(count, 12))
    return folder


def test_what_decides_which_windows_there_are_is_in_their_key(tmp_path: Path) -> None:
    """Their number is the same: three of each."""
    write_kitti(tmp_path, count=7)

    def key(**settings: object) -> object:
        data = Data(kind="kitti", root=str(tmp_path), train=("00",), **settings)  # type: ignore[arg-type]
        stream, count = streams.confidence(data, OBSERVER, 1, Confidence(), CPU)
        assert count == 3
        return stream.key()

    whole = key(stride=2)
    assert key(stride=2) == whole
    assert key(stride=2, skips=(2,)) != whole
    truth = tmp_path / "poses" / "00.txt"
    rows = np.loadtxt(truth)
    rows[:, 3::4] *= 2
    np.savetxt(truth, rows)
    assert key(stride=2) != whole


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


def test_windows_are_seen_once_in_an_epoch(tmp_path: Path) -> None:
    write_kitti(tmp_path, "00", 6)
    write_kitti(tmp_path, "01", 5)
    recordings = [kitti.read_sequence(tmp_path, name) for name in ("00", "01")]
    stream = WindowStream(recordings, OBSERVER, frames=3, batch_size=7, seed=1)
    assert len(stream.windows) == 4 + 3
    one, again, next_epoch = stream.batch(0), stream.batch(0), stream.batch(1)
    assert torch.equal(one.views["image"], again.views["image"])
    assert one.views["image"].shape == (7, 3, 32, 48)
    totals = [x.views["image"].long().sum((1, 2, 3)).sort().values for x in (one, next_epoch)]
    assert torch.equal(*totals)
    assert not torch.equal(one.views["image"], next_epoch.views["image"])


def test_windows_may_skip_frames(tmp_path: Path) -> None:
    write_kitti(tmp_path, count=6)
    recording = kitti.read_sequence(tmp_path, "00")
    stream = WindowStream([recording], OBSERVER, frames=3, batch_size=2, skips=(2,), shuffle=False)
    batch = stream.batch(0)
    expected = torch.from_numpy(recording.motions("camera_height", 2)).float()
    assert torch.equal(batch.motions[0], expected[[0, 2]])
    assert torch.equal(batch.motions[1], expected[[1, 3]])
    with pytest.raises(VodistillError, match="less than a batch"):
        WindowStream([recording], OBSERVER, frames=6, batch_size=2)


def test_the_papers_splits_are_the_defaults(tmp_path: Path) -> None:
    assert Data().train == tuple(f"{i:02d}" for i in range(9))
    assert Data().test == ("09", "10")
    write_kitti(tmp_path, "09")
    write_kitti(tmp_path, "10")
    data = Data(kind="kitti", root=str(tmp_path), frames=2, held_out=4)
    assert len(streams.held_out(data, OBSERVER, CPU).batch(0)) == 4
    with pytest.raises(VodistillError, match=r"sequences/00"):
        streams.training(data, OBSERVER, 2, 0, CPU)


def test_eta_is_over_the_whole_recorded_training_set(tmp_path: Path) -> None:
    write_kitti(tmp_path, "00", 6)
    data = Data(kind="kitti", root=str(tmp_path), train=("00",), augmentation=Augmentation(gain=0.5))
    stream, count = streams.confidence(data, OBSERVER, 4, Confidence(samples=3), CPU)
    assert count == 5
    recording = kitti.read_sequence(tmp_path, "00")
    seen = torch.stack([stream.batch(i).views["image"][0, 0] for i in range(count)])
    frames = [torch.from_numpy(recording.views(i, {"image": VIEW})["image"]) for i in range(count)]
    assert torch.equal(seen, torch.stack(frames))


def test_no_window_is_measured_twice(tmp_path: Path) -> None:
    """Of 11 frames: five windows, fewer than are asked for at once, or in all."""
    write_kitti(tmp_path, "09", 11)
    data = Data(kind="kitti", root=str(tmp_path), test=("09",), frames=3, held_out=512)
    stream = streams.held_out(data, OBSERVER, CPU)
    seen = torch.cat([stream.batch(i).motions for i in numbers(stream, data.held_out)]).flatten(0, 1)
    truth = kitti.read_sequence(tmp_path, "09").motions("camera_height")
    assert sorted(seen[:, 2].tolist()) == pytest.approx(sorted(truth[:, 2].tolist()))
    assert len(numbers(stream, 1)) == 1
    assert len(numbers(ShiftStream(4), 10)) == 3


@pytest.mark.parametrize(
    ("settings", "low", "high"),
    [
        (Augmentation(gain=1.0), 0.5, 2.0),
        (Augmentation(flicker=1.0), 0.5, 2.0),
        (Augmentation(gamma=0.5), 0.64, 1.36),
    ],
)
def test_augmentation_stays_within_its_bounds(settings: Augmentation, low: float, high: float) -> None:
    views = {"image": np.full((3, 4, 5), 100, np.uint8), "view_ground": np.full((3, 2, 2), 100, np.uint8)}
    for seed in range(20):
        changed = augment(views, settings, np.random.default_rng(seed))
        ratios = changed["image"][:, 0, 0] / 100
        assert (ratios >= low - 0.01).all()
        assert (ratios <= high + 0.01).all()
        assert (changed["view_ground"][:, 0, 0] == changed["image"][:, 0, 0]).all()
        assert len(set(ratios)) == (1 if settings.flicker == 0 else 3)


def test_no_augmentation_changes_nothing() -> None:
    views = {"image": np.arange(60, dtype=np.uint8).reshape(3, 4, 5)}
    assert augment(views, Augmentation(), np.random.default_rng(0))["image"] is views["image"]


def test_gamma_bends_the_levels_between_black_and_white() -> None:
    """One exponent for all levels: of a level's share of white, the logarithm is stretched by the same factor."""
    levels = np.arange(256, dtype=np.uint8)[None, None]
    exponents = []
    for seed in range(20):
        bent = augment({"image": levels}, Augmentation(gamma=0.5), np.random.default_rng(seed))["image"][0, 0] / 255.0
        assert (bent[0], bent[-1]) == (0.0, 1.0)
        middle = np.log(bent[64:224]) / np.log(np.arange(64, 224) / 255.0)
        assert np.ptp(middle) < 0.04  # levels are whole numbers
        exponents.append(float(np.median(middle)))
    assert 1 / 1.5 - 0.01 < min(exponents) < 0.8
    assert 1.25 < max(exponents) < 1.5 + 0.01


def test_noise_has_its_deviation() -> None:
    views = {"image": np.full((2, 200, 200), 128, np.uint8)}
    changed = augment(views, Augmentation(noise=4.0), np.random.default_rng(0))["image"].astype(float)
    assert changed.std() == pytest.approx(4.0, rel=0.03)
    assert np.corrcoef(changed[0].ravel(), changed[1].ravel())[0, 1] == pytest.approx(0.0, abs=0.02)


CALIBRATION = "camera_params_rectified_a=0_800x600.txt"


def write_malaga(folder: Path, count: int = 4) -> None:
    images = folder / f"{folder.name}_rectified_800x600_Images"
    images.mkdir(parents=True)
    for i in range(count):
        for side in ("left", "right"):
            cv2.imwrite(str(images / f"img_CAMERA1_12612300{i:02d}.080210_{side}.jpg"), np.full((60, 80), 40, np.uint8))
    (folder / CALIBRATION).write_text(
        "# rectified\n[CAMERA_LEFT]\nresolution=[80 60]\ncx=40.4\ncy=30.9\nfx=62.1\nfy=62.2\n[CAMERA_RIGHT]\ncx=1\n"
    )
    rows = [[1261230000.0 + i, 0.64, -0.07, 5, 2, 7, 1, 2, 10.0 * i, 25.0, 1.5, 3, 1, 1, 1] for i in range(count + 1)]
    text = "\n".join(" ".join(map(str, row)) for row in rows)
    (folder / f"{folder.name}_all-sensors_GPS.txt").write_text("% Time Lat Lon Alt fix #sats speed dir X Y Z\n" + text)


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
        (lambda f: (f / CALIBRATION).unlink(), "camera_params"),
        (lambda f: (f / CALIBRATION).write_text("[CAMERA_RIGHT]\ncx=1\n"), "camera_params"),
        (lambda f: (f / CALIBRATION).write_text("no"), "camera_params"),
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
    path = folder / CALIBRATION
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


def test_processes_share_a_batch_equally() -> None:
    stream = ShiftStream(batch_size=4)
    whole = stream.batch(3)
    parts = [stream.batch(3, rank, 2) for rank in range(2)]
    assert torch.equal(torch.cat([p.motions for p in parts]), whole.motions[[0, 2, 1, 3]])
    with pytest.raises(VodistillError, match="multiple"):
        share(range(5), 0, 2)


def test_batches_come_in_order_from_any_number_on() -> None:
    stream = ShiftStream()
    for workers in (0, 2):
        loaded = batches(stream, 5, workers, 0, 1)
        for number in (5, 6, 7):
            index, batch = next(loaded)
            assert index == number
            assert torch.equal(batch.motions, stream.batch(number).motions)


class Counting(ShiftStream):
    """Counts what it is asked for."""

    asked = 0

    def key(self) -> dict[str, object]:
        return {**super().key(), "counting": id(self)}

    def batch(self, index: int, rank: int = 0, ranks: int = 1):  # type: ignore[no-untyped-def]  # noqa: ANN201
        self.asked += 1
        return super().batch(index, rank, ranks)


class Remembered(Counting):
    """The same clips whoever makes it; interrupted after batch `last`."""

    def __init__(self, batch_size: int, last: int = 99) -> None:
        super().__init__(batch_size)
        self.last = last

    def key(self) -> dict[str, object]:
        return {"kind": "remembered"}

    def batch(self, index: int, rank: int = 0, ranks: int = 1):  # type: ignore[no-untyped-def]  # noqa: ANN201
        if index > self.last:
            raise KeyboardInterrupt
        return super().batch(index, rank, ranks)


def test_kept_batches_are_made_once() -> None:
    source = Counting()
    kept = Kept(source)
    assert torch.equal(kept.batch(1).motions, kept.batch(1).motions)
    assert torch.equal(Kept(source).batch(1).motions, kept.batch(1).motions)
    assert source.asked == 1


def test_a_finite_set_is_rendered_once_and_seen_whole(tmp_path: Path) -> None:
    source = Remembered(batch_size=4)
    clips = ClipSet(source, 12, 6, tmp_path)
    seen = torch.cat([clips.batch(i).motions for i in range(2)])
    all_of_them = torch.cat([ShiftStream(4).batch(i).motions for i in range(3)])
    assert sorted(map(str, seen.tolist())) == sorted(map(str, all_of_them.tolist()))
    assert not torch.equal(clips.batch(0).motions, clips.batch(2).motions)
    asked = source.asked
    again = ClipSet(source, 12, 6, tmp_path)
    assert source.asked == asked == 3
    assert torch.equal(again.batch(3).views["image"], clips.batch(3).views["image"])
    with pytest.raises(VodistillError, match=r"data\.clips"):
        ClipSet(source, 10, 6, tmp_path)


def test_an_interrupted_rendering_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.kept.PIECE", 1)
    whole = ClipSet(Remembered(batch_size=4), 12, 4, tmp_path / "whole").clips
    killed = Remembered(batch_size=4, last=1)
    with pytest.raises(KeyboardInterrupt):
        ClipSet(killed, 12, 4, tmp_path / "killed")
    again = Remembered(batch_size=4)
    assert torch.equal(ClipSet(again, 12, 4, tmp_path / "killed").clips.motions, whole.motions)
    assert again.asked == 1


def test_clips_of_other_settings_in_the_place_of_these_are_refused(tmp_path: Path) -> None:
    ClipSet(Remembered(batch_size=4), 4, 4, tmp_path)
    (file,) = tmp_path.glob("*/*.safetensors")
    tensors, metadata = checkpoint.load_tensors(file)
    checkpoint.save_tensors(file, tensors, {"key": metadata["key"].replace("remembered", "mistaken")})
    with pytest.raises(VodistillError, match=r"000000\.safetensors: was rendered by other settings"):
        ClipSet(Remembered(batch_size=4), 4, 4, tmp_path)


def test_clips_with_masks_serve_those_who_ask_for_none(tmp_path: Path) -> None:
    def clips(masks: bool) -> ClipSet:
        source = WorldStream(world(), OBSERVER, 2, masks=masks)
        return ClipSet(source, 4, 2, tmp_path, shuffle=False)

    plain = clips(masks=False)
    masked = clips(masks=True)
    (file,) = tmp_path.glob("*/*.safetensors")
    written = file.stat().st_mtime_ns
    again = clips(masks=False)
    assert file.stat().st_mtime_ns == written
    assert masked.batch(1).masks is not None
    assert plain.batch(1).masks is None
    assert again.batch(1).masks is None
    for other in (plain, again):
        assert torch.equal(other.batch(1).views["image"], masked.batch(1).views["image"])


def test_a_set_that_learns_a_label_keeps_the_others(tmp_path: Path) -> None:
    def clips(**labels: bool) -> ClipSet:
        return ClipSet(WorldStream(world(), OBSERVER, 2, **labels), 4, 2, tmp_path, shuffle=False)

    flowing = clips(flow=True).batch(1)
    masked = clips(masks=True).batch(1)
    (file,) = tmp_path.glob("*/*.safetensors")
    written = file.stat().st_mtime_ns
    again = clips(flow=True).batch(1)
    assert file.stat().st_mtime_ns == written
    assert masked.masks is not None
    assert not masked.flow
    assert torch.equal(flowing.flow["image"].nan_to_num(9e9), again.flow["image"].nan_to_num(9e9))


def test_a_finite_set_can_be_shown_again_changed_and_with_its_flow(tmp_path: Path) -> None:
    data = world(clips=4, cache=str(tmp_path), reuse=2, augmentation=Augmentation(mirror=1.0))
    reused = streams.training(data, OBSERVER, 2, 0, CPU, flow=True).batch(0)
    once = streams.training(replace(data, reuse=1), OBSERVER, 2, 0, CPU, flow=True).batch(0)
    assert reused.flow.keys() == once.flow.keys() == {"image"}
    shown = [frame.flip(-1) for frame in once.views["image"]]
    assert all(any(torch.equal(clip, known) for known in shown) for clip in reused.views["image"])


def world(**settings: object) -> Data:
    return Data(frames=2, held_out=2, world={"samples": 1}, **settings)  # type: ignore[arg-type]


def test_flow_of_every_eighth_pixel_is_in_pixels_of_the_whole_view() -> None:
    """Beside that of all pixels of the same clips, whose numbers go up by `PARTS`."""
    stream = WorldStream(world(), OBSERVER, 2, flow=True)
    batch = stream.batch(0)
    whole = render(stream.config, [0, PARTS], labels=True)
    assert torch.equal(batch.views["image"], whole.images)
    assert whole.flow_back is not None
    expected = whole.flow_back[..., ::8, ::8]
    assert batch.flow["image"].shape == expected.shape == (2, 1, 2, 4, 6)
    assert ((batch.flow["image"] - expected).abs() < 0.02).float().mean() > 0.9
    assert (expected.abs() > 0.2).float().mean() > 0.5


def test_the_generated_world_is_a_pure_function_of_seed_and_number() -> None:
    one = streams.training(world(), OBSERVER, 2, 5, CPU).batch(3)
    again = streams.training(world(), OBSERVER, 2, 5, CPU).batch(3)
    other = streams.training(world(), OBSERVER, 2, 6, CPU).batch(3)
    assert torch.equal(one.views["image"], again.views["image"])
    assert torch.equal(one.motions, again.motions)
    assert not torch.equal(one.views["image"], other.views["image"])
    assert one.views["image"].shape == (2, 2, 32, 48)
    halves = [streams.training(world(), OBSERVER, 2, 5, CPU).batch(3, rank, 2) for rank in range(2)]
    assert torch.equal(torch.cat([h.views["image"] for h in halves]), one.views["image"])


def test_training_held_out_and_fixed_clips_are_disjoint() -> None:
    parts = [
        streams.training(world(), OBSERVER, 2, 0, CPU),
        streams.held_out(world(), OBSERVER, CPU),
        streams.confidence(world(), OBSERVER, 2, Confidence(), CPU)[0],
    ]
    motions = [part.batch(0).motions for part in parts]
    assert not torch.equal(motions[0], motions[1])
    assert not torch.equal(motions[0], motions[2])
    assert len({str(part.key()) for part in parts}) == 3


def test_further_views_show_the_same_moments() -> None:
    part = View(24, 16, VIEW.fx, VIEW.fy, VIEW.cx - 12, VIEW.cy - 8)
    both = SimpleNamespace(views={"image": VIEW, "view_same": VIEW, "view_part": part}, unit="camera_height")
    plain_view, stream = streams.training(world(), OBSERVER, 2, 5, CPU), streams.training(world(), both, 2, 5, CPU)
    batch = stream.batch(3)
    assert torch.equal(batch.views["image"], plain_view.batch(3).views["image"])
    assert torch.equal(batch.views["view_same"], batch.views["image"])
    for own, whole in zip(batch.views["view_part"].flatten(0, 1), batch.views["image"].flatten(0, 1), strict=True):
        assert np.corrcoef(own.flatten(), whole[8:24, 12:36].flatten())[0, 1] > 0.9
    assert stream.key() != plain_view.key()


def test_a_patch_of_ground_is_not_rendered() -> None:
    observer = SimpleNamespace(views={"image": VIEW, "view_ground": Patch(64, 32, 1.0, 5.0, 3.0)}, unit="metre")
    with pytest.raises(VodistillError, match="'view_ground' is a patch"):
        streams.training(world(), observer, 2, 5, CPU)


def test_the_unit_of_the_labels_is_the_observers() -> None:
    heights = streams.training(world(), OBSERVER, 2, 0, CPU).batch(0).motions
    metre = SimpleNamespace(views={"image": VIEW}, unit="metre")
    metres = streams.training(world(), metre, 2, 0, CPU).batch(0).motions
    assert torch.equal(metres[..., 3:], heights[..., 3:])
    ratio = metres[..., :3].norm(dim=-1) / heights[..., :3].norm(dim=-1)
    assert torch.isfinite(ratio).any()
    assert ((ratio > 0.1) & (ratio < 13))[torch.isfinite(ratio)].all()


def test_masks_are_there_when_asked_for() -> None:
    batch = streams.training(world(), OBSERVER, 2, 0, CPU, masks=True).batch(0)
    assert batch.masks is not None
    assert batch.masks.shape == (2, 2, 32, 48)
    assert streams.training(world(), OBSERVER, 2, 0, CPU).batch(0).masks is None


def test_kitti00_is_read(shared_data: Path) -> None:
    recording = kitti.read_folder(shared_data / "kitti00", mount=Mount(1.65)).first(5)
    steps = recording.motions("metre")
    assert len(recording) == 5
    assert 0.3 < np.linalg.norm(steps[0, :3]) < 1.5
    seen = recording.views(0, {"image": View(320, 96, 185.0, 185.0, 159.5, 47.5)})["image"]
    assert seen.shape == (96, 320)
    assert seen.std() > 20
