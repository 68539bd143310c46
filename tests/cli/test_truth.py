"""`vodistill run` with a truth that fits, fits in part, or does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ros2_vodistill import trajectory
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.run import Run
from ros2_vodistill.sources.record import write_bag
from tests.cli.recordings import CAMERA, COUNT, POSES, STAMPS, Vodistill, frames, tum


@pytest.mark.parametrize("fitting", [False, True])
def test_a_truth_of_another_time_costs_nothing_unless_it_must_fit(bright: Path, fitting: bool) -> None:
    """As that of a bag whose tracking system has its own clock."""
    from ros2_vodistill.odometry import VisualOdometry
    from ros2_vodistill.run import replay

    odometry = VisualOdometry(bright, camera=CAMERA)
    truth = trajectory.Trajectory(np.array(STAMPS) + 5000, POSES)

    def run() -> Run:
        return replay(zip(STAMPS, frames(), strict=True), odometry, truth=truth, fitting=fitting)

    if fitting:
        with pytest.raises(VodistillError, match="5100"):
            run()
        return
    result = run()
    assert result.truth is None and result.metrics["frames"] == COUNT
    assert "rpe_t_m" not in result.metrics
    assert any(line.startswith("truth: not used: ") for line in result.metrics["notes"])


def test_a_truth_that_turns_out_not_to_fit_does_not_cost_the_trajectory(
    vodistill: Vodistill, bright: Path, tmp_path: Path
) -> None:
    """Only the end of a bag tells."""
    write_bag(tmp_path / "bag", frames(), CAMERA, STAMPS)
    truth, out = tum(tmp_path / "truth.tum", 5000.0), tmp_path / "out"
    code, printed, err = vodistill("run", tmp_path / "bag", "--model", bright, "--gt", truth, "--out", out)
    assert code == 2
    assert "truth: not used" in err and "5000" in err and "nothing was measured" in err
    assert len(trajectory.load(out / "trajectory.tum")) == COUNT
    assert "rpe_t_m" not in printed + (out / "metrics.json").read_text()


def test_a_truth_without_times_is_refused_before_the_work(
    vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path
) -> None:
    write_bag(tmp_path / "bag", frames(), CAMERA, STAMPS)
    poses, out = sequence / "poses.txt", tmp_path / "out"
    code, _, err = vodistill("run", tmp_path / "bag", "--model", bright, "--gt", poses, "--out", out)
    assert code == 2
    assert f"{poses} has no times" in err
    assert not out.exists()


def test_a_truth_that_covers_a_part_is_told(vodistill: Vodistill, sequence: Path, bright: Path, tmp_path: Path) -> None:
    part, out = tmp_path / "part.tum", tmp_path / "out"
    trajectory.write_tum(part, trajectory.Trajectory(np.array(STAMPS[:5]), POSES[:5]))
    code, _, err = vodistill("run", sequence, "--model", bright, "--gt", part, "--out", out)
    told = f"it covers 5 of {COUNT} poses"
    assert code == 0 and told in err
    assert any(told in note for note in json.loads((out / "metrics.json").read_text())["notes"])
    code, _, err = vodistill("eval", out / "trajectory.tum", part)
    assert code == 0 and told in err
