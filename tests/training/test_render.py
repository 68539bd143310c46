"""`python -m training render`: what it writes can be read back."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources import open_source
from ros2_vodistill.view import View
from tests.training.worlds import SMALL, config, only
from training.commands import app
from training.render import label_sheet, sheet
from training.world import WorldConfig, render
from training.world.config import Motion

SIZE = ["--size", "96x48", "--frames", "3", "--set", "samples=1"]


def run(*arguments: object) -> None:
    result = CliRunner().invoke(app, ["render", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_a_sheet_shows_all_worlds(tmp_path: Path) -> None:
    run(tmp_path / "sheet.png", "--count", 3, *SIZE)
    image = cv2.imread(str(tmp_path / "sheet.png"), cv2.IMREAD_GRAYSCALE)
    assert image is not None and image.shape == (3 * 48, 3 * 96)
    assert list(tmp_path.iterdir()) == [tmp_path / "sheet.png"]


def test_sheets_are_made_of_the_clip() -> None:
    clip = render(config(), [3, 4], labels=True)
    plain, labelled = sheet(clip), label_sheet(clip)
    assert np.array_equal(plain[: SMALL.height, : SMALL.width], clip.images[0, 0].numpy())
    assert labelled.shape == (2 * SMALL.height, 4 * SMALL.width, 3)
    assert np.array_equal(labelled[: SMALL.height, : SMALL.width, 1], clip.images[0, 0].numpy())
    with pytest.raises(ValueError, match="without labels"):
        label_sheet(render(config(), [3], frames=2))


@pytest.mark.parametrize("form", ["kitti", "bag"])
def test_sequences_read_back_with_their_truth(tmp_path: Path, form: str) -> None:
    run(tmp_path / "out", "--form", form, "--seed", 5, *SIZE)
    source = open_source(tmp_path / "out")
    frames = list(source)
    assert len(frames) == 3 and frames[0][1].shape == (48, 96)
    assert source.camera is not None and (source.camera.width, source.camera.height) == (96, 48)
    assert source.truth is not None and len(source.truth) == 3
    assert np.diff([stamp for stamp, _ in frames]) == pytest.approx(np.diff(source.truth.stamps), abs=1e-6)


def test_a_video_has_the_frames(tmp_path: Path) -> None:
    run(tmp_path / "video.avi", "--form", "video", *SIZE)
    video = cv2.VideoCapture(str(tmp_path / "video.avi"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 3


def test_a_wrong_size_is_told(tmp_path: Path) -> None:
    with pytest.raises(VodistillError, match="WIDTHxHEIGHT"):
        CliRunner().invoke(app, ["render", str(tmp_path / "x.png"), "--size", "96"], catch_exceptions=False)


def test_what_cannot_be_rendered_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, told in (
        (("--set", "places.rom=1"), "did you mean room"),
        (("--set", "frames=9"), "frames is not the world's to say\n  use --frames"),
        (("--set", "view={width: 640}"), "view is not the world's to say\n  use --size and --focal"),
        (("--labels", "--form", "video"), "--labels with --form video"),
        (("--count", 2, "--form", "bag"), "--count with --form bag"),
        (("--compressed", "--form", "kitti"), "--compressed with --form kitti"),
        (("--size", "1x1"), "view.width is 1"),
    ):
        with pytest.raises(VodistillError, match=told):
            run(tmp_path / "sheet.png", *SIZE, *arguments)
    with pytest.raises(AssertionError, match="--seed"):
        run(tmp_path / "sheet.png", "--seed", 2**63)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(VodistillError, match="no GPU"):
        run(tmp_path / "sheet.png", "--device", "cuda")
    assert not list(tmp_path.iterdir())


def never(*_: object, **__: object) -> NoReturn:
    raise AssertionError("rendered in vain")


def test_where_nothing_can_be_written_nothing_is_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.render.render_clips", never)
    (tmp_path / "file").touch()
    for form, name, told in (
        ("sheet", "sheet.nonsense", "sheet.nonsense: OpenCV"),
        ("sheet", "", "is a folder"),
        ("sheet", "file/sheet.png", "is a file"),
        ("video", "video.mp4", "name it video.avi"),
        ("video", "file/video.avi", "is a file"),
        ("kitti", "", "exists already"),
        ("kitti", "file/kitti", "is a file"),
        ("bag", "", "exists already"),
    ):
        with pytest.raises(VodistillError, match=told):
            run(tmp_path / name, "--form", form, *SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("form", "name"), [("sheet", "a.png"), ("video", "a.avi"), ("kitti", "a"), ("bag", "a")])
def test_missing_folders_are_made(tmp_path: Path, form: str, name: str) -> None:
    run(tmp_path / "new" / "folders" / name, "--form", form, *SIZE)
    assert (tmp_path / "new" / "folders" / name).exists()


def test_options_of_a_sequence_are_followed(tmp_path: Path) -> None:
    """The focal length, JPEG, the rate and the camera's height are in what is written."""
    own = (*SIZE, "--focal", 0.8, "--seed", 5, "--set", "motion.fps=[7.5]")
    run(tmp_path / "bag", "--form", "bag", "--compressed", *own)
    source = open_source(tmp_path / "bag")
    expected = render(WorldConfig(3, View(96, 48, 76.8, 76.8, 47.5, 23.5), 1, motion=Motion(fps=(7.5,))), [5])
    assert source.camera is not None and source.camera.fx == pytest.approx(76.8)
    assert source.mount is not None and source.mount.height == pytest.approx(float(expected.height[0]))
    images = np.stack([image for _, image in source]).astype(float)
    error = np.abs(images - expected.images[0].numpy())
    assert 0 < error.mean() < 3  # JPEG is nearly what was rendered
    run(tmp_path / "video.avi", "--form", "video", *own)
    assert cv2.VideoCapture(str(tmp_path / "video.avi")).get(cv2.CAP_PROP_FPS) == pytest.approx(7.5, rel=1e-3)


def test_panels_show_what_they_say() -> None:
    """Brighter where it became brighter; near is brighter than far; what moves is white."""
    clip = render(config(places=only("street")), range(40, 44), labels=True)
    assert clip.depth is not None and clip.moving is not None and clip.objects is not None
    change = sheet(clip)[:, 2 * SMALL.width :].astype(int).reshape(4, SMALL.height, SMALL.width)
    first, last = (clip.images[:, t].numpy().astype(int) for t in (0, -1))
    assert (change[last > first + 1] > 128).all() and (change[last < first - 1] < 128).all()
    labelled = label_sheet(clip)[..., 0].reshape(4, SMALL.height, 4, SMALL.width).transpose(2, 0, 1, 3)
    depth = clip.depth[:, 0].numpy()
    np.testing.assert_allclose(labelled[1], np.minimum(255 * 2 / depth, 255), atol=1)
    assert labelled[1].max() > 100
    moving, objects = clip.moving[:, 0].numpy(), clip.objects[:, 0].numpy() > 0
    assert moving.any() and (labelled[3][moving] == 255).all() and (labelled[3][objects & ~moving] == 128).all()
