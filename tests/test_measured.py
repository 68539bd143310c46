"""Figures on cards: measured, kept, recomputed, and found out where they are not true."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ros2_vodistill import measured
from ros2_vodistill.camera import Camera
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import Model, read_card, shipped
from ros2_vodistill.sources.written import write_kitti
from tests.models import brightness_model

CAMERA = Camera(96, 64, "pinhole", 60.0, 60.0, 47.5, 31.5)
COUNT = 12


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return brightness_model(tmp_path / "models" / "bright")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a sequence that grows brighter by four grey levels, and the camera goes ahead by 0.1 m, a step."""
    noise = np.random.default_rng(0).integers(0, 60, (COUNT, 64, 96))
    poses = np.broadcast_to(np.eye(4), (COUNT, 4, 4)).copy()
    poses[:, 2, 3] = 0.1 * np.arange(COUNT)
    images = [(noise[i] + 40 + 4 * i).astype(np.uint8) for i in range(COUNT)]
    write_kitti(tmp_path / "data" / "ahead", images, CAMERA, [0.1 * i for i in range(COUNT)], poses)
    return tmp_path / "data"


def test_figures_are_those_of_the_motion_that_the_model_sees(model: Path, data: Path) -> None:
    """Four grey levels are a motion of 0.04 camera heights; at 2 m that is 0.08 m for 0.1 m."""
    row = measured.measure(model, data / "ahead", 2.0)
    assert row["camera_height_m"] == 2.0 and row["refined"] is False and row["frames"] == COUNT
    assert row["rpe_t_m"] == pytest.approx(0.02, abs=0.004)
    assert row["rpe_r_deg"] == pytest.approx(0.0, abs=1e-6)


def test_what_is_kept_is_recomputed_and_what_is_made_up_is_found_out(model: Path, data: Path) -> None:
    row = {"recording": "ahead", **measured.measure(model, data / "ahead", 2.0)}
    measured.keep(model, [row])
    begun: list[str] = []
    assert measured.recomputable(read_card(model / "card.json"), data) == 1
    assert measured.verify(model, data, begun.append) == ("yes", "ahead: recomputed")
    assert begun == ["ahead"]
    measured.keep(model, [{**row, "rpe_t_m": row["rpe_t_m"] / 2}])
    verdict, told = measured.verify(model, data)
    assert verdict == "figures differ"
    assert f"rpe_t_m {row['rpe_t_m']:.4g}, on the card {row['rpe_t_m'] / 2:.4g}" in told
    assert len(read_card(model / "card.json").measured) == 1


def test_what_others_measured_stays_on_the_card(model: Path, data: Path) -> None:
    card = json.loads((model / "card.json").read_text())
    clips = {"data": "clips", "error": 0.1}
    (model / "card.json").write_text(json.dumps({**card, "measured": [clips]}))
    row = {"recording": "ahead", **measured.measure(model, data / "ahead")}
    measured.keep(model, [row])
    measured.keep(model, [row])
    assert read_card(model / "card.json").measured == (clips, row)
    assert Model.load(model).card.name == "bright"


def test_a_recording_that_is_not_here_is_told(model: Path, tmp_path: Path) -> None:
    measured.keep(model, [{"recording": "far/away", "refined": True, "camera_height_m": None}])
    assert measured.verify(model, tmp_path) == ("intact; no figure recomputed", "far/away, refined: not here")


def test_a_card_without_figures_is_intact(model: Path) -> None:
    assert measured.verify(model, None) == ("intact; no figure recomputed", "none on the card")


@pytest.mark.parametrize(
    "row",
    [
        "the recording was lost",
        {"recording": 7, "refined": False},
        {"recording": "ahead"},
        {"recording": "ahead", "refined": False, "camera_height_m": "high"},
        {"recording": "ahead", "refined": False, "rpe_t_m": "small"},
    ],
)
def test_a_measurement_that_is_none_is_told(model: Path, data: Path, row: object) -> None:
    card = json.loads((model / "card.json").read_text())
    (model / "card.json").write_text(json.dumps({**card, "measured": [row]}))
    assert measured.recomputable(read_card(model / "card.json"), data) == 0
    verdict, _ = measured.verify(model, data)
    assert "bright: its card holds a measurement that is none" in verdict


def test_recordings_are_looked_for_where_models_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed from a wheel: below share/ of the prefix."""
    package = tmp_path / "lib" / "python3" / "site-packages" / "ros2_vodistill"
    share = tmp_path / "share" / "ros2_vodistill"
    for folder in (package, share / "demo" / "bag", share / "models"):
        folder.mkdir(parents=True)
    monkeypatch.setattr("ros2_vodistill.model.__file__", str(package / "model.py"))
    assert measured.find("demo/bag", None) == share / "demo" / "bag"
    assert measured.find("demo/bag", tmp_path) == share / "demo" / "bag"
    brightness_model(share / "models" / "bright")
    assert [folder.name for folder in shipped()] == ["bright"]


@pytest.mark.parametrize(
    ("refined", "height", "change", "verdict", "told"),
    [
        (False, None, {"ate_m": 1.3}, "figures differ", "ahead: ate_m 1, on the card 1.3"),
        (True, 1.5, {"ate_m": 1.3}, "figures differ", "ahead, refined: ate_m 1, on the card 1.3"),
        (True, None, {"ate_m": 4.0}, "yes", "ahead, refined: recomputed (may stray: ate_m 1, on the card 4)"),
        (True, None, {"ate_m": 40.0}, "figures differ", "ahead, refined: ate_m 1, on the card 40"),
        (True, None, {"rpe_r_deg": 1.2}, "yes", "ahead, refined: recomputed (may stray: rpe_r_deg 1, on the card 1.2)"),
        (True, None, {"rpe_r_deg": 4.0}, "figures differ", "ahead, refined: rpe_r_deg 1, on the card 4"),
        (True, None, {"rpe_t_m": None}, "figures differ", "ahead, refined: rpe_t_m 1, on the card -"),
    ],
)
def test_what_nothing_ties_down_may_stray(
    model: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    refined: bool,
    height: float | None,
    change: dict[str, float | None],
    verdict: str,
    told: str,
) -> None:
    """Refined, and of unknown scale: steps within a factor of two, paths within the order of magnitude."""
    found = dict.fromkeys(measured.FIGURES, 1.0)
    monkeypatch.setattr(measured, "measure", lambda *_, **__: found)
    measured.keep(model, [{"recording": "ahead", "refined": refined, "camera_height_m": height, **found, **change}])
    assert measured.verify(model, data) == (verdict, told)


def test_a_card_that_is_broken_stays_as_it_is(model: Path) -> None:
    (model / "card.json").write_text("{")
    with pytest.raises(VodistillError, match="not a model card"):
        measured.keep(model, [])
    assert (model / "card.json").read_text() == "{"
    assert measured.verify(model, None)[0].endswith("card.json is not a model card: " + _complaint())


def _complaint() -> str:
    try:
        json.loads("{")
    except ValueError as error:
        return str(error)
    raise AssertionError


@pytest.mark.parametrize("folder", list(shipped()), ids=lambda folder: folder.name)
def test_the_cards_that_ship_say_what_comes_out_here(folder: Path) -> None:
    card = read_card(folder / "card.json")
    checks = measured.recompute(folder, card, None)
    assert {(check.recording, check.refined) for check in checks if check.found} >= {
        ("demo/bag", False),
        ("demo/bag", True),
    }
    assert [str(check) for check in checks if check.wrong] == []
