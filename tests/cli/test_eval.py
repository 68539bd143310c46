"""`vodistill eval`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.recordings import Vodistill, text, tum


def test_eval_prints_json_of_two_files(vodistill: Vodistill, sequence: Path, tmp_path: Path) -> None:
    code, out, _ = vodistill("eval", sequence / "poses.txt", sequence / "poses.txt", "--json")
    assert code == 0
    assert json.loads(out)["ate_m"] == pytest.approx(0.0, abs=1e-9)


def test_times_that_are_not_there_are_told_whatever_reads_them(vodistill: Vodistill, tmp_path: Path) -> None:
    code, out, err = vodistill("eval", tum(tmp_path / "a.tum", 0), tum(tmp_path / "b.tum", 0), "--times", "none.txt")
    assert (code, out) == (2, "")
    assert "none.txt" in err


@pytest.mark.parametrize(
    ("estimate", "truth", "expected"),
    [
        (lambda t: t / "none.tum", lambda t: tum(t / "b.tum", 0), "none.tum"),
        (lambda t: tum(t / "a.tum", 0), lambda t: t / "none.tum", "none.tum"),
        (lambda t: tum(t / "a.tum", 0), lambda t: tum(t / "b.tum", 900), "900"),
        (lambda t: text(t / "a.tum", ""), lambda t: tum(t / "b.tum", 0), "a.tum"),
        (lambda t: text(t / "a.tum", "1 2 3\n"), lambda t: tum(t / "b.tum", 0), "a.tum"),
        (lambda t: t / "sequence" / "poses.txt", lambda t: tum(t / "b.tum", 0), "times"),
        (lambda t: t / "sequence", lambda t: tum(t / "b.tum", 0), "sequence"),
    ],
)
def test_eval_refuses_bad_files(
    vodistill: Vodistill,
    sequence: Path,
    tmp_path: Path,
    estimate: Callable[[Path], Path],
    truth: Callable[[Path], Path],
    expected: str,
) -> None:
    code, out, err = vodistill("eval", estimate(tmp_path), truth(tmp_path))
    assert code == 2
    assert expected in err
    assert out == ""
