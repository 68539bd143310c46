"""`vodistill doctor`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path

import pytest

from ros2_vodistill.model import Model
from ros2_vodistill.sources.written import write_kitti
from tests.cli.recordings import CAMERA, STAMPS, Vodistill, frames


def absent(name: str) -> str:
    raise importlib.metadata.PackageNotFoundError(name)


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


def test_without_onnxruntime_doctor_says_what_to_do(
    vodistill: Vodistill, bright: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ros2_vodistill.engines import make

    for name in [name for name in sys.modules if name.startswith("ros2_vodistill.engines.onnx")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, out, _ = vodistill("doctor")
    assert code in (0, 1)
    assert "onnxruntime cannot be imported" in out and "pip install onnxruntime" in out
    if importlib.util.find_spec("openvino"):
        assert make(Model.load(bright))[0].name == "openvino"
