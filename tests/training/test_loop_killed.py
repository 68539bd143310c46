"""A training that is killed before or after anything that it does to files goes on and ends as if undisturbed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.test_loop import STAGE, last_weight, rows, trainer, weights
from training import checkpoint
from training.networks import Network


class Killed(BaseException):
    """Nothing catches it, as nothing catches kill -9."""


class Killer:
    """Counts the moments around every renaming and removal of files, of which one may be the last."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.moments, self.last = 0, 0
        patch.setattr(Path, "replace", self._around(Path.replace))
        removed = self._around(shutil.rmtree)

        def one_file_after_the_other(folder: Path, *arguments: Any, **named: Any) -> None:
            for file in sorted(path for path in Path(folder).glob("*") if path.is_file()):
                file.unlink()
                self._moment()
            removed(folder, *arguments, **named)

        patch.setattr(shutil, "rmtree", one_file_after_the_other)

    def until(self, last: int) -> None:
        """Begin to count; 0 kills nothing."""
        self.moments, self.last = 0, last

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def around(*arguments: Any, **named: Any) -> Any:
            self._moment()
            result = function(*arguments, **named)
            self._moment()
            return result

        return around

    def _moment(self) -> None:
        self.moments += 1
        if self.moments == self.last:
            raise Killed


def last_bias(network: Network) -> dict[str, float]:
    return {"error": float(last_weight(network).square().sum())}


@pytest.mark.slow
@pytest.mark.parametrize("patience", [0, 1])
def test_a_kill_at_any_moment_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: int
) -> None:
    """Every step has its evaluation and its checkpoint. What is left is the whole training's: the weights, also those
    that are shown to others, the evaluations, and the word that it is finished."""
    killer = Killer(monkeypatch)

    def train(folder: Path) -> None:
        settings = {"steps": 2, "rate": 3e-2, "evaluate_steps": 1, "checkpoint_minutes": 0.0, "patience": patience}
        learning = trainer(folder / "stage", stage=STAGE, **settings)
        learning.shown, learning.evaluate = folder, last_bias
        learning.train()

    def left(folder: Path) -> tuple[list[float], bool, dict[str, Any]]:
        evaluations = [row["evaluation/error"] for row in rows(folder / "stage") if "evaluation/error" in row]
        newest = checkpoint.latest(folder / "stage" / "checkpoints")
        assert newest is not None
        state = checkpoint.load(newest)[1]
        assert state.pop("seconds") > 0
        shown, own = weights(folder), weights(folder / "stage")
        return evaluations, all(torch.equal(shown[k], own[k]) for k in own), {**state, "weights": own}

    train(tmp_path / "whole")
    expected = left(tmp_path / "whole")
    assert expected[2]["finished"]
    for moment in range(1, killer.moments + 1):
        folder = tmp_path / str(moment)
        killer.until(moment)
        with pytest.raises(Killed):
            train(folder)
        killer.until(0)
        train(folder)
        found = left(folder)
        assert found[:2] == expected[:2], moment
        ours, theirs = found[2].pop("weights"), expected[2]["weights"]
        assert all(torch.equal(ours[k], theirs[k]) for k in theirs), moment
        assert found[2] == {k: v for k, v in expected[2].items() if k != "weights"}, moment
        shutil.rmtree(folder)
