"""`vodistill models`: what ships, and whether its cards are right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ros2_vodistill import measured
from tests.cli.recordings import Vodistill, text
from tests.models import brightness_model


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
