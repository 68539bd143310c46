"""`vodistill run --rerun`: a recording for the Rerun viewer."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.cli.recordings import Vodistill


def test_a_missing_viewer_says_what_to_install(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = vodistill(
        "run", sequence, "--model", bright, "--out", tmp_path / "out", "--rerun", tmp_path / "run.rrd"
    )
    assert code == 2
    assert "ros2_vodistill[rerun]" in err


@pytest.mark.parametrize(
    ("place", "problem"), [("", "sequence is a folder"), ("calib.txt/run.rrd", "calib.txt is a file")]
)
def test_a_recording_for_the_viewer_needs_a_place(
    vodistill: Vodistill, sequence: Path, bright: Path, place: str, problem: str
) -> None:
    pytest.importorskip("rerun", reason="the Rerun SDK is not installed")
    folder = sequence.parent
    before = sorted(folder.iterdir())
    options = ("--out", folder / "out", "--rerun", sequence / place)
    code, _, err = vodistill("run", sequence, "--model", bright, *options)
    assert code == 2
    assert problem in err
    assert sorted(folder.iterdir()) == before


def test_a_recording_for_the_viewer_can_be_read_back(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path
) -> None:
    pytest.importorskip("rerun", reason="the Rerun SDK is not installed")
    file = tmp_path / "out" / "viewer" / "run.rrd"
    code, _, _ = vodistill("run", sequence, "--model", bright, "--out", tmp_path / "out", "--rerun", file)
    assert code == 0
    assert file.read_bytes()[:3] == b"RRF"


def test_a_full_disk_leaves_no_half_written_recording_for_the_viewer(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rerun", reason="the Rerun SDK is not installed")
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        write(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    file = tmp_path / "viewer" / "run.rrd"
    file.parent.mkdir()
    code, _, err = vodistill("run", sequence, "--model", bright, "--out", tmp_path / "out", "--rerun", file)
    assert code == 2
    assert "run.rrd cannot be written: No space left" in err
    assert not list(file.parent.iterdir())
