"""The command line, a recording and a model for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ros2_vodistill import cli
from ros2_vodistill.sources.written import write_kitti
from tests.cli.recordings import CAMERA, POSES, STAMPS, Outcome, Vodistill, frames
from tests.models import brightness_model


@pytest.fixture
def vodistill(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Vodistill:
    """Type a command; gives exit code, output, errors."""

    def type_in(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["vodistill", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "200")
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return type_in


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    write_kitti(tmp_path / "sequence", frames(), CAMERA, STAMPS, POSES)
    return tmp_path / "sequence"


@pytest.fixture
def bright(tmp_path: Path) -> Path:
    return brightness_model(tmp_path / "bright")
