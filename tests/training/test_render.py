"""`python -m training render`: what it writes can be read back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources import open_source
from tests.training.worlds import SMALL, config
from training.commands import app
from training.render import label_sheet, sheet
from training.world import render

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


def test_what_cannot_be_written_or_rendered_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, told in (
        ((tmp_path / "sheet.nonsense",), "sheet.nonsense"),
        ((tmp_path / "nowhere" / "sheet.png",), "no such folder"),
        ((tmp_path / "sheet.png", "--set", "places.rom=1"), "did you mean room"),
    ):
        with pytest.raises(VodistillError, match=told):
            run(*arguments, "--count", 1, *SIZE)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(VodistillError, match="no GPU"):
        run(tmp_path / "sheet.png", "--device", "cuda")
    assert not list(tmp_path.iterdir())
