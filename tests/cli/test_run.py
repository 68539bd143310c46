"""`vodistill run`: results that are whole, the same from every source, and say what they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from ros2_vodistill import trajectory
from ros2_vodistill.model import DEFAULT
from ros2_vodistill.sources import open_source
from ros2_vodistill.sources.record import write_bag
from tests.cli.recordings import CAMERA, COUNT, POSES, STAMPS, Vodistill, frames


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


def test_what_a_mask_hides_does_not_count(vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path) -> None:
    """The model tells motions by brightness alone, and what is hidden glows more and more."""
    mask = np.full((CAMERA.height, CAMERA.width), 255, np.uint8)
    mask[CAMERA.height // 2 :] = 0
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    still = frames(1)[0]
    write_bag(tmp_path / "bag", [np.where(mask, still, 10 * k).astype(np.uint8) for k in range(COUNT)], CAMERA, STAMPS)
    lengths = []
    for given in [], ["--mask", tmp_path / "mask.png"]:
        options = "--model", bright, "--no-refine", "--camera-height", 1.5, "--out", tmp_path / "out"
        assert vodistill("run", tmp_path / "bag", *options, *given)[0] == 0
        figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
        lengths.append(figures["path_length_m"])
        assert figures["options"]["mask"] == (str(tmp_path / "mask.png") if given else None)
    assert lengths[0] > 0.3
    assert lengths[1] == pytest.approx(0.0, abs=1e-6)


def test_a_name_that_is_no_text_does_not_cost_the_report(vodistill: Vodistill, sequence: Path, bright: Path) -> None:
    odd = sequence.rename(sequence.with_name(os.fsdecode(b"Gr\xf6\xdfe")))
    out = odd.with_name("out")
    code, _, err = vodistill("run", odd, "--model", bright, "--out", out)
    assert code == 0, err
    assert "Gr\\udcf6\\udcdfe" in (out / "report.html").read_text()


def test_classical_takes_no_engine(vodistill: Vodistill, sequence: Path, tmp_path: Path) -> None:
    code, _, err = vodistill("run", sequence, "--model", "classical", "--engine", "steam", "--out", tmp_path / "out")
    assert code == 2
    assert "'classical' runs on no engine, not on 'steam'" in err
    assert not (tmp_path / "out").exists()
