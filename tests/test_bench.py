"""Timing side by side: the figures add up, the ratios compare like with like, and errors reach the user."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros2_vodistill import bench, corridor, scenes, timings
from ros2_vodistill.contender import PARTS, to_and_fro
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources.record import write_bag
from ros2_vodistill.sources.written import write_kitti
from tests.models import brightness_model


def row(model: str, milliseconds: float, **changes: Any) -> dict[str, Any]:
    ms = {part: {"p50": milliseconds} for part in ("total", "step")}
    return {
        "model": model,
        "refine": False,
        "family": None,
        "teacher": None,
        "given_as_teacher": False,
        "engine": "a",
        "size": "1x1",
        "threads": 1,
        "ms": ms,
        "processor_ms": 2.0,
        **changes,
    }


def ratios(*rows: dict[str, Any]) -> list[dict[str, float]]:
    return [{k: v["total"] for k, v in each["times_as_fast"].items()} for each in bench._with_ratios(list(rows))]


def test_a_student_is_compared_with_its_own_teacher_and_all_with_classical() -> None:
    found = ratios(
        row("t", 20.0), row("u", 60.0), row("s", 5.0, teacher="t"), row("v", 10.0, teacher="u"), row("classical", 30.0)
    )
    assert found == [
        {"t": 1.0, "classical": 1.5},
        {"u": 1.0, "classical": 0.5},
        {"t": 4.0, "classical": 6.0},
        {"u": 6.0, "classical": 3.0},
        {"t": pytest.approx(2 / 3), "u": 2.0, "classical": 1.0},
    ]


def test_a_student_whose_card_names_no_teacher_is_compared_with_the_one_given_of_its_family() -> None:
    found = ratios(
        row("swift-t", 20.0, family="swift", given_as_teacher=True),
        row("flow-t", 60.0, family="flow", given_as_teacher=True),
        row("swift-s", 2.0, family="swift"),
        row("flow-s", 20.0, family="flow"),
    )
    assert found == [{"swift-t": 1.0}, {"flow-t": 1.0}, {"swift-t": 10.0}, {"flow-t": 3.0}]


def test_only_equal_threads_and_frames_are_compared_and_equal_engines_first() -> None:
    found = ratios(
        row("t", 20.0),
        row("t", 12.0, engine="b"),
        row("t", 8.0, threads=2),
        row("t", 40.0, size="2x2"),
        row("s", 4.0, teacher="t", engine="b"),
        row("s", 4.0, teacher="t", threads=2),
        row("s", 4.0, teacher="t", size="2x2"),
    )
    assert [each["t"] for each in found[4:]] == [3.0, 2.0, 10.0]


def test_without_a_teacher_the_first_model_is_the_measure() -> None:
    assert ratios(row("a", 4.0), row("b", 8.0)) == [{"a": 1.0}, {"a": 0.5}]


def test_a_spread_is_of_all_frames_and_of_the_rounds_medians() -> None:
    spread = bench._spread([np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 9.0])])
    assert spread["p50"] == 3.5
    assert spread["p99"] == pytest.approx(9 - 0.05 * 4)
    assert (spread["least"], spread["greatest"]) == (2.0, 5.0)


def test_frames_go_to_and_fro() -> None:
    assert [to_and_fro(i, 4) for i in range(9)] == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert [to_and_fro(i, 2) for i in range(4)] == [0, 1, 0, 1]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SIZES", ((160, 120),))
    monkeypatch.setattr(bench, "FRAMES", 6)
    monkeypatch.setattr(bench, "_WARM_UP", 2)


@pytest.mark.usefixtures("small")
def test_a_model_and_classical_side_by_side(tmp_path: Path) -> None:
    model = brightness_model(tmp_path / "bright", teacher="mentor")
    turns: list[tuple[int, int]] = []
    figures = bench.compare([str(model), "classical"], ["auto"], [1], None, 2, lambda *done: turns.append(done))
    assert turns == [(n, 9) for n in range(1, 10)]  # a warm-up and two rounds each
    network, classical, refined = figures["rows"]
    assert [found["refine"] for found in figures["rows"]] == [False, False, True]
    assert refined["ms"]["refine"]["p50"] > 0 == network["ms"]["refine"]["p50"]
    assert (network["model"], network["engine"], network["size"]) == ("bright", "onnxruntime", "160x120")
    assert (classical["model"], classical["engine"], classical["ms"]["warp"]["p50"]) == ("classical", None, 0.0)
    for found in figures["rows"]:
        total = found["ms"]["total"]["p50"]
        assert 0 < found["ms"]["step"]["p50"] < total <= found["ms"]["total"]["p99"]
        assert sum(found["ms"][part]["p50"] for part in PARTS) < 3 * total
        assert 10 < found["memory_mb"]["now"] < 2000
    assert network["ms"]["warp"]["p50"] > 0
    assert network["times_as_fast"]["classical"]["total"] == pytest.approx(
        classical["ms"]["total"]["p50"] / network["ms"]["total"]["p50"]
    )
    bench.write(figures, tmp_path / "figures.json")
    assert json.loads((tmp_path / "figures.json").read_text())["rows"] == json.loads(json.dumps(figures["rows"]))
    lines = (tmp_path / "figures.md").read_text().splitlines()
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert sum(line.startswith(("| bright", "| classical")) for line in lines) == 3
    mixed = {**figures, "rows": [*figures["rows"], {**network, "precision": "int8"}]}
    assert "precision" in timings.markdown(mixed)
    assert "precision" not in timings.markdown(figures)


@pytest.mark.usefixtures("small")
def test_a_recording_is_run_with_its_own_camera(tmp_path: Path) -> None:
    camera = corridor.camera(128, 96)
    write_kitti(tmp_path / "sequence", corridor.frames(camera, 4), camera, [0.0, 0.1, 0.2, 0.3], corridor.poses(4))
    figures = bench.compare(["classical"], ["onnxruntime", "openvino"], [1], tmp_path / "sequence", 1)  # it has neither
    assert [found["size"] for found in figures["rows"]] == ["128x96"]


@pytest.mark.usefixtures("small")
def test_models_of_one_name_are_told_apart_and_what_is_asked_for_twice_is_timed_once(tmp_path: Path) -> None:
    """As a model that ships and one's own that was trained further."""
    one, other = (str(brightness_model(tmp_path / name, name="bright")) for name in ("one", "other"))
    figures = bench.compare([one, other, one, "classical", "classical"], ["auto"], [1, 1], None, 1)
    named = [(found["model"], found["refine"]) for found in figures["rows"]]
    assert named == [(one, False), (other, False), ("classical", False), (one, True), (other, True)]


def test_frames_of_another_size_than_the_calibrations_are_refused(tmp_path: Path) -> None:
    """A contender would take the file of them for other frames."""
    camera = corridor.camera(128, 96)
    write_bag(tmp_path / "bag", corridor.frames(camera, 4), corridor.camera(64, 48), [0.0, 0.1, 0.2, 0.3])
    with pytest.raises(VodistillError, match="128x96, the calibration is for 64x48"):
        scenes.recorded(tmp_path / "bag", 4, tmp_path)


@pytest.mark.usefixtures("small")
def test_what_a_contender_cannot_do_reaches_the_user() -> None:
    with pytest.raises(VodistillError, match="no model 'no-such-model'"):
        bench.compare(["no-such-model"], ["auto"], [1])
