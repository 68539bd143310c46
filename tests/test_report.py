"""The report's figures: what they show, whatever world the truth lives in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros2_vodistill import geometry, plots, report, viewer
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.odometry import VisualOdometry
from ros2_vodistill.run import Run, replay
from ros2_vodistill.trajectory import Trajectory
from tests.test_odometry import Scripted, frame

CAMERA = Camera(64, 48, "pinhole", 40.0, 40.0, 31.5, 23.5)


def run(world: np.ndarray, *missing: int, height: float | None = 1.0) -> Run:
    """A run that is right, against a truth in another world, which has some poses not."""
    odometry = VisualOdometry("classical", camera=CAMERA, mount=Mount(height))
    odometry.frontend = Scripted()
    stamps = 0.1 * np.arange(8)
    motion = geometry.from_motion([0, 0, 0.5, 0, 0.02, 0])
    poses = geometry.accumulate(np.repeat(motion[None], 7, axis=0))
    frames = ((float(stamp), frame(0.5 * i)) for i, stamp in enumerate(stamps))
    known = ~np.isin(np.arange(8), missing)
    return replay(frames, odometry, truth=Trajectory(stamps[known], (world @ poses)[known]), length=8)


@pytest.mark.parametrize("turn", [[0.0, 0.0, 0.0], [np.pi / 2, 0.0, 0.0], [0.3, -1.2, 0.8]])
def test_paths_are_drawn_from_above_in_the_cameras_axes(turn: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, np.ndarray] = {}
    draw = plots._path

    def watch(axes: Any, path: Trajectory, colour: str, label: str, *rest: Any) -> None:
        drawn[label] = path.positions
        draw(axes, path, colour, label, *rest)

    monkeypatch.setattr(plots, "_path", watch)
    monkeypatch.setattr(plots, "_svg", lambda figure: "")
    world = geometry.make(geometry.so3_exp(turn), [5.0, -3.0, 7.0])
    plots.from_above(run(world))
    assert len(drawn) == 3
    for positions in drawn.values():
        np.testing.assert_allclose(positions, drawn["estimate, as it is"], atol=1e-9)


def test_figures_of_a_right_estimate_show_no_error() -> None:
    result = run(np.eye(4))
    assert result.metrics["rpe_t_m"] == pytest.approx(0.0, abs=1e-9)
    assert result.metrics["nees"] == pytest.approx(0.0, abs=1e-9)
    assert all(svg.startswith("<svg") for svg in (plots.errors(result), plots.over_time(result), plots.speed(result)))


@pytest.mark.parametrize("draw", [plots.from_above, plots.over_time])
def test_no_line_is_drawn_across_a_hole_in_the_truth(draw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(plots, "_svg", figures.append)
    draw(run(np.eye(4), 3, 4, 5))
    lines = [line for axes in figures[0].axes for line in axes.lines if line.get_label() == "truth"]
    assert lines
    for line in lines:
        assert np.isnan(line.get_xydata()).all(axis=1).tolist() == [False] * 3 + [True] + [False] * 2


def test_the_viewer_compares_lengths_of_unknown_scale_as_the_report_does() -> None:
    """The truth is drawn beside an estimate in camera heights; errors are in metres, of what was aligned."""
    pytest.importorskip("rerun", reason="the Rerun SDK is not installed")
    result = run(np.eye(4), 3, 4, height=None)
    assert result.truth is not None
    result.truth = result.truth.transformed(np.eye(4), 3.0)
    shown: dict[str, list[Any]] = {}

    class Stream:
        def log(self, name: str, what: Any, **_: Any) -> None:
            shown.setdefault(name, []).append(what)

        def set_time(self, *_: Any, **__: Any) -> None: ...

    viewer._log_truth(Stream(), result)
    strips = shown["world/truth"][0].strips.as_arrow_array().to_pylist()
    assert [len(strip) for strip in strips] == [3, 3]
    np.testing.assert_allclose(strips[1], result.estimate.positions[5:], atol=1e-6)
    errors = [scalars.scalars.as_arrow_array().to_pylist() for scalars in shown["plots/error"]]
    np.testing.assert_allclose(np.ravel(errors), np.zeros(4), atol=1e-9)


def test_the_page_has_every_figure_that_the_documentation_says(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "recordings.md").read_text(encoding="utf-8")
    table = text.split("| figure | what it is |")[1].split("\n\n")[0]
    documented = {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    result = run(np.eye(4))
    assert documented <= result.metrics.keys()
    report.write_html(result, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(f"<td>{report._LABELS[name]}</td>" in page for name in documented)
