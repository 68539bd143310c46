"""What benchmarks are told, and their files, which come after hours of work."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks import figures


def parsed(file: Path) -> Path:
    parser = argparse.ArgumentParser()
    figures.add_file(parser)
    path: Path = parser.parse_args(["--json", str(file)]).json
    return path


def test_a_sequence_may_have_a_height(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    figures.add_sequences(parser)
    named = parser.parse_args(["kitti00@1.65", "parking", "me@home/drive@2"]).sequences
    assert named == [("kitti00", 1.65), ("parking", None), ("me@home/drive", 2.0)]
    with pytest.raises(SystemExit):
        parser.parse_args(["kitti00@high"])
    assert "'high' of 'kitti00@high' is no height in metres" in capsys.readouterr().err


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    path = parsed(tmp_path / "new" / "folder" / "figures.json")
    assert not path.parent.exists()
    figures.keep(path, "nothing", rows=[1, 2])
    assert json.loads(path.read_text())["rows"] == [1, 2]


def test_a_folder_that_cannot_be_is_refused_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit):
        parsed(tmp_path / "file" / "figures.json")
    assert f"{tmp_path / 'file'} is a file" in capsys.readouterr().err
