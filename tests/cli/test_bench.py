"""`vodistill bench`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.recordings import Vodistill


def test_bench_needs_a_thread(vodistill: Vodistill) -> None:
    code, out, err = vodistill("bench", "--threads", 0)
    assert (code, out) == (2, "")
    assert "threads" in err


@pytest.mark.parametrize("name", ["bench.md", "bench.json/", "there"])
def test_bench_refuses_a_file_that_would_not_hold_its_figures(
    vodistill: Vodistill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Before the work: bench.md is where the table goes."""
    monkeypatch.setattr("ros2_vodistill.bench.compare", lambda *_: pytest.fail("timed for nothing"))
    (tmp_path / "there").mkdir()
    (tmp_path / "bench.json").mkdir()
    code, out, err = vodistill("bench", "--json", tmp_path / name)
    assert (code, out) == (2, "")
    assert "Name a .json file." in err


def test_bench_writes_what_it_prints(
    vodistill: Vodistill, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ros2_vodistill.bench.SIZES", ((160, 120),))
    monkeypatch.setattr("ros2_vodistill.bench.FRAMES", 4)
    options = ("--rounds", 1, "--threads", 1, "--json", tmp_path / "bench.json")
    code, out, _ = vodistill("bench", "--teacher", bright, "--model", "classical", *options)
    assert code == 0
    assert "x classical" in out and "frames/s" in out
    rows = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert [row["model"] for row in rows] == ["bright", "classical"]
    head, _, *lines = (tmp_path / "bench.md").read_text().splitlines()
    place = head.split(" | ").index("frames/s")
    assert [line.split(" | ")[place] for line in lines[:2]] == [f"{row['frames_per_s']:.1f}" for row in rows]
