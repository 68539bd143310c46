"""The loop: resuming, averaging, ending, several processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState

from ros2_vodistill.errors import VodistillError
from tests.training.toy import ShiftStream, description, network
from training import checkpoint
from training.data.batch import Batch, batches
from training.learner import Learner
from training.loop import Trainer
from training.networks import Network
from training.processes import make_accelerator
from training.stages import Pose, Stage, Training
from training.trained import clips_seen

LAST = [name for name, _ in network().named_parameters()][-2]
STAGE = Stage(pose=(Pose("gaussian", options={"beta": 0.0}),))
TASK = Stage(pose=(Pose("baseline"),))


def trainer(folder: Path, dropout: float = 0.25, stage: Stage = STAGE, **settings: Any) -> Trainer:
    known = Training(**{"steps": 8, "rate": 1e-3, "warmup": 2, "log_steps": 1, "evaluate_minutes": 1e9, **settings})
    learner = Learner(network(dropout=dropout), description(dropout=dropout), stage)
    return Trainer(learner, ShiftStream(), known, folder, make_accelerator(known), seed=5)


def last_weight(learnt: Network) -> torch.Tensor:
    return learnt.get_parameter(LAST)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load_tensors(folder / "network.safetensors")[0]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_pieces_train_what_one_run_trains(tmp_path: Path) -> None:
    trainer(tmp_path / "whole").train()
    for _ in range(4):
        state = trainer(tmp_path / "pieces").train(steps=3)
    assert state.finished
    assert state.step == 8
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "pieces")
    assert all(torch.equal(one[k], other[k]) for k in one)
    losses = [[row["loss"] for row in rows(tmp_path / name)] for name in ("whole", "pieces")]
    assert losses[0] == losses[1]


def test_a_kill_between_checkpoints_loses_nothing_but_time(tmp_path: Path) -> None:
    """Steps after the newest checkpoint are trained again, to the same weights; their lines are not doubled."""
    trainer(tmp_path / "whole").train()
    trainer(tmp_path / "killed").train(steps=3)
    kept = checkpoint.latest(tmp_path / "killed" / "checkpoints")
    killed = trainer(tmp_path / "killed")
    killed.save = lambda: None  # type: ignore[method-assign]
    killed.train(steps=2)
    assert checkpoint.latest(tmp_path / "killed" / "checkpoints") == kept
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')
    trainer(tmp_path / "killed").train()
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(one[k], other[k]) for k in one)
    assert [row["step"] for row in rows(tmp_path / "killed")] == list(range(1, 9))


def test_workers_prepare_the_same_batches(tmp_path: Path) -> None:
    trainer(tmp_path / "alone", steps=4).train()
    helped = trainer(tmp_path / "helped", steps=4)
    helped.workers = 2
    helped.train()
    one, other = weights(tmp_path / "alone"), weights(tmp_path / "helped")
    assert all(torch.equal(one[k], other[k]) for k in one)


class Broken(ShiftStream):
    def batch(self, index: int, rank: int = 0, ranks: int = 1) -> Batch:
        if index == 2:
            raise VodistillError("000002.png: cannot be read", "restore it")
        return super().batch(index, rank, ranks)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_worker_cannot_read_is_told_as_it_is(workers: int) -> None:
    made = batches(Broken(), 0, workers, 0, 1)
    assert [next(made)[0] for _ in range(2)] == [0, 1]
    with pytest.raises(VodistillError) as caught:
        next(made)
    assert str(caught.value) == "000002.png: cannot be read\n  restore it"


def test_an_open_ended_training_ends_at_rate_zero(tmp_path: Path) -> None:
    trainer(tmp_path, steps=0, schedule="stable").train(steps=4)
    ending = trainer(tmp_path, steps=0, schedule="stable")
    ending.train(steps=2, decay=4)
    assert [group["lr"] for group in ending.optimiser.param_groups] == pytest.approx([5e-4] * 2)
    state = trainer(tmp_path, steps=0, schedule="stable").train(decay=4)
    assert (state.step, state.finished, state.decay) == (8, True, (4, 4))
    rates = [row["rate"] for row in rows(tmp_path)]
    assert rates[:4] == pytest.approx([5e-4, 1e-3, 1e-3, 1e-3])
    assert rates[4:] == pytest.approx([7.5e-4, 5e-4, 2.5e-4, 0.0])


@pytest.mark.parametrize("clip", [0.0, 1e-3])
def test_gradients_are_clipped_where_that_is_asked_for(tmp_path: Path, clip: float) -> None:
    learning = trainer(tmp_path, clip=clip)
    told = float(learning._step(0, learning.stream.batch(0))["gradient"])
    norm = torch.nn.utils.get_total_norm([p.grad for p in learning.learner.parameters() if p.grad is not None])
    assert told > 1e-2
    assert float(norm) == pytest.approx(clip or told, rel=1e-3)


def test_what_is_random_in_a_step_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one in every step, in every process and for every seed; and dropout is on."""
    drawn: list[int] = []
    for seed, rank in ((5, 0), (5, 1), (6, 0)):
        learning = trainer(tmp_path / f"{seed}{rank}", steps=4)
        learning.seed = seed
        learning.learner.eval()
        learning.learner.register_forward_pre_hook(lambda *_: drawn.append(torch.initial_seed()))
        monkeypatch.setattr(type(learning.accelerator), "process_index", rank)
        for number in range(4):
            learning._step(number, learning.stream.batch(number))
        assert learning.learner.training
    assert len(set(drawn)) == 12


def test_training_learns(tmp_path: Path) -> None:
    learning = trainer(tmp_path, steps=60, rate=3e-3, ema=0.9)
    learning.train()
    losses = [row["loss"] for row in rows(tmp_path)]
    assert sum(losses[-10:]) / 10 < sum(losses[:10]) / 10 - 0.3


def test_the_average_follows_its_definition(tmp_path: Path) -> None:
    learning = trainer(tmp_path, ema=0.5)
    learning.train(steps=1)
    first = last_weight(learning.learner.network).clone()
    learning.train(steps=1)
    second = last_weight(learning.learner.network)
    decay = min(0.5, 2 / 11)
    expected = first + (second - first) * (1 - decay)
    assert torch.allclose(last_weight(learning.network), expected, atol=1e-7)


def test_early_stopping_keeps_the_best(tmp_path: Path) -> None:
    learning = trainer(tmp_path, steps=50, patience=2, evaluate_steps=2)
    values = iter([3.0, 1.0, 2.0, 1.5, 0.1])
    seen = []

    def evaluate(network: Network) -> dict[str, float]:
        seen.append(last_weight(network).clone())
        return {"error": next(values)}

    learning.evaluate = evaluate
    state = learning.train()
    assert (state.step, state.best, state.finished) == (8, 1.0, True)
    assert torch.equal(weights(tmp_path)[LAST], seen[1])


@pytest.mark.parametrize("patience", [0, 3])
def test_the_last_step_is_evaluated_once(tmp_path: Path, patience: int) -> None:
    learning = trainer(tmp_path, steps=5, evaluate_steps=2, patience=patience)
    learning.evaluate = lambda _: {"error": 1.0}
    learning.train()
    assert [row["step"] for row in rows(tmp_path) if "evaluation/error" in row] == [2, 4, 5]
    learning = trainer(tmp_path / "even", steps=4, evaluate_steps=2)
    learning.evaluate = lambda _: {"error": 1.0}
    learning.train()
    assert [row["step"] for row in rows(tmp_path / "even") if "evaluation/error" in row] == [2, 4]


def test_who_is_never_stopped_may_be_best_at_the_end(tmp_path: Path) -> None:
    learning = trainer(tmp_path, steps=5, evaluate_steps=2, patience=9)
    values = iter([3.0, 2.0, 1.0])
    learning.evaluate = lambda _: {"error": next(values)}
    state = learning.train()
    assert (state.best, state.finished) == (1.0, True)
    assert torch.equal(weights(tmp_path)[LAST], last_weight(learning.network))


def test_gradients_that_are_not_finite_end_with_the_reason(tmp_path: Path) -> None:
    learning = trainer(tmp_path, steps=100)
    with torch.no_grad():
        last_weight(learning.learner.network).fill_(float("nan"))
    with pytest.raises(VodistillError, match="not finite"):
        learning.train()


def test_a_few_gradients_that_are_not_finite_are_passed_over(tmp_path: Path) -> None:
    """Nineteen of every twenty here: nothing is learned from them, and the training goes on."""
    learning = trainer(tmp_path, steps=45)

    def spoil(_: object, arguments: tuple[Any, int], losses: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        spoiled = arguments[1] % 20 != 19
        return {**losses, "loss": losses["loss"] * (float("nan") if spoiled else 1.0)}

    learning.learner.register_forward_hook(spoil)
    assert learning.train().finished
    assert all(x.isfinite().all() for x in weights(tmp_path).values())
    assert int(learning.average.n_averaged) == 2


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path).train(steps=1)
    newest = checkpoint.latest(tmp_path / "checkpoints")
    assert newest is not None
    tensors, state = checkpoint.load(newest)
    tensors[f"learner/network.{LAST}"] = torch.zeros(3, 3)
    checkpoint.save(tmp_path / "checkpoints", 1, tensors, state)
    with pytest.raises(VodistillError, match="does not fit"):
        trainer(tmp_path)


@pytest.mark.parametrize("settings", [{"precision": "bf16"}, {"channels_last": True}], ids=["bf16", "channels_last"])
def test_other_arithmetic_learns_about_the_same(tmp_path: Path, settings: dict[str, Any]) -> None:
    trainer(tmp_path / "plain", dropout=0.0).train()
    AcceleratorState._reset_state()
    try:
        trainer(tmp_path / "other", dropout=0.0, **settings).train()
    finally:
        AcceleratorState._reset_state()
    one, other = weights(tmp_path / "plain"), weights(tmp_path / "other")
    assert all(x.dtype == torch.float32 for x in other.values())
    assert max(float((one[k] - other[k]).abs().max()) for k in one) < 0.01
    losses = [[row["loss"] for row in rows(tmp_path / name)] for name in ("plain", "other")]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    if "precision" in settings:
        assert losses[0] != losses[1]


WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.training.test_loop import TASK, trainer
from training.processes import leave
def train():
    learning = trainer(Path(sys.argv[1]), steps=12, dropout=0.0, stage=TASK, optimiser="adam", evaluate_minutes=0.0)
    learning.evaluate = lambda _: {{"error": 1.0}}
    learning.train()
train()
leave()
"""


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    script = tmp_path / "worker.py"
    script.write_text(WORKER.format(root=str(root)))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*launch, str(script), str(tmp_path / "two")], check=False, cwd=root, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    trainer(tmp_path / "one", steps=12, dropout=0.0, stage=TASK, optimiser="adam").train()
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert max(float((one[k] - two[k]).abs().max()) for k in one) < 1e-5
    assert clips_seen(tmp_path / "one") == clips_seen(tmp_path / "two") == 12 * 4
    norms = [[row["gradient"] for row in rows(tmp_path / name) if "gradient" in row] for name in ("one", "two")]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    assert [row["step"] for row in rows(tmp_path / "two") if "evaluation/error" in row] == [10, 12]
