"""The one training loop: in pieces of any length, on any number of processes, resumable to the very next step."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from ros2_vodistill.errors import VodistillError
from training import checkpoint, schedule
from training.data.batch import Stream, batches
from training.learner import Learner
from training.networks.base import Network
from training.optimise import averaging, optimiser
from training.processes import agreed, interrupts
from training.progress import Log
from training.stages import Training
from training.trained import WEIGHTS

BEST = "best.safetensors"
BAD_STEPS = 20
AGREE_STEPS = 10

Evaluate = Callable[[Network], dict[str, float]]


@dataclass
class State:
    """What a checkpoint says beside its tensors.

    Attributes:
        step: steps done.
        samples: clips seen.
        seconds: of training, over all pieces.
        best: the lowest value of the evaluation's first number so far.
        stale: evaluations since then.
        evaluated: step of the last evaluation.
        decay: (first step, number of steps) of the final fall of the rate, if it has begun.
        finished: nothing is left to do.
    """

    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    best: float = math.inf
    stale: int = 0
    evaluated: int = -1
    decay: tuple[int, int] | None = None
    finished: bool = False


class Trainer:
    """Trains the parameters of a learner that ask for gradients.

    In `folder`: checkpoints/ (model, averaged weights, optimiser, step), network.safetensors (the averaged weights,
    refreshed with every checkpoint, also in the folder `shown`), best.safetensors, metrics.jsonl and TensorBoard's
    events.
    """

    def __init__(
        self,
        learner: Learner,
        stream: Stream,
        settings: Training,
        folder: Path,
        accelerator: Accelerator,
        *,
        seed: int = 0,
        workers: int = 0,
        evaluate: Evaluate | None = None,
        shown: Path | None = None,
        quiet: bool = False,
    ) -> None:
        schedule.check(settings)
        self.learner, self.stream, self.settings, self.folder = learner, stream, settings, folder
        self.accelerator, self.seed, self.workers, self.evaluate = accelerator, seed, workers, evaluate
        self.shown, self.quiet = shown, quiet
        if settings.threads:
            torch.set_num_threads(settings.threads)
        learner.to(accelerator.device)
        if settings.channels_last:
            learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(learner.network, multi_avg_fn=averaging(settings.ema))
        self.average.requires_grad_(False)
        self.model, self.optimiser = accelerator.prepare(learner, optimiser(learner, settings))
        self.state = State()
        self.bad_steps = 0
        self._restore()
        steps = accelerator.gather(torch.tensor([self.state.step], device=accelerator.device)).tolist()
        if len(set(steps)) > 1:
            raise VodistillError(
                f"{folder}: the processes found checkpoints of steps {', '.join(map(str, steps))}",
                "let all hosts see one folder, and give it with --runs",
            )

    def train(self, minutes: float = 0.0, steps: int = 0, decay: int = 0) -> State:
        """Go on for so many minutes or steps (0: no such limit) or to the end; with `decay` end after so many more."""
        schedule.check(self.settings, decaying=decay > 0)
        state, settings, accelerator = self.state, self.settings, self.accelerator
        if decay and state.decay is None:
            state.decay = (state.step, decay)
        last = sum(state.decay) if state.decay else settings.steps or math.inf
        if state.finished:
            return state
        stop_at = min(last, state.step + steps if steps else math.inf)
        start = time.monotonic()
        clock = {"checkpoint": start, "evaluation": start, "step": start}
        ranks, rank = accelerator.num_processes, accelerator.process_index
        stream = batches(self.stream, state.step, self.workers, rank, ranks, pin=accelerator.device.type == "cuda")
        with interrupts() as interrupted, self._log(last) as log:
            while state.step < stop_at:
                number, batch = next(stream)
                losses = self._step(number, batch.to(accelerator.device))
                now = time.monotonic()
                state.step, state.samples = number + 1, state.samples + self.stream.batch_size
                state.seconds, clock["step"] = state.seconds + now - clock["step"], now
                rate = schedule.rate(settings, number, state.decay)
                log.step(state.step, state.samples, state.seconds, rate, losses, settings.log_steps)
                if self._due(clock, "evaluation", settings.evaluate_minutes, settings.evaluate_steps):
                    self._evaluate(log)
                    if self._stale():
                        state.finished = True
                        break
                if self._due(clock, "checkpoint", settings.checkpoint_minutes):
                    self.save()
                if self._agreed(interrupted.is_set() or 0 < 60 * minutes < now - start):
                    break
                clock["step"] = time.monotonic()
            if state.step >= last or state.finished:
                state.finished = True
                self._evaluate(log)
            self.save()
        if interrupted.is_set():
            raise KeyboardInterrupt
        return state

    def save(self) -> None:
        """Write the averaged weights, and only then a checkpoint, which may say that nothing is left to do."""
        if not self.accelerator.is_main_process:
            return
        best = self.folder / BEST
        stopped = self.state.finished and self.settings.patience and best.exists()
        weights, metadata = checkpoint.load_tensors(best) if stopped else self._averaged()
        for folder in filter(None, (self.folder, self.shown)):
            checkpoint.save_tensors(folder / WEIGHTS, weights, metadata)
        tensors = {
            **checkpoint.prefixed("learner", self.learner.state_dict()),
            **checkpoint.prefixed("average", self.average.state_dict()),
            **checkpoint.optimiser_tensors(self.optimiser.optimizer),
        }
        checkpoint.save(self.folder / "checkpoints", self.state.step, tensors, asdict(self.state))

    @property
    def open_ended(self) -> bool:
        """Whether only `--decay` ends it."""
        return self.settings.steps <= 0

    @property
    def network(self) -> Network:
        """The averaged network, on the training device."""
        return cast(Network, self.average.module)

    def _log(self, last: float) -> Log:
        return Log(self.folder, self.state.step, last, self.accelerator.is_main_process, self.quiet)

    def _step(self, number: int, batch: Any) -> dict[str, Tensor]:
        settings, accelerator = self.settings, self.accelerator
        torch.manual_seed((self.seed * 1_000_003 + number) * 4096 + accelerator.process_index)
        for group in self.optimiser.param_groups:
            group["lr"] = schedule.rate(settings, number, self.state.decay)
        self.model.train()
        losses = self.model(batch, number)
        self.optimiser.zero_grad(set_to_none=True)
        accelerator.backward(losses["loss"])
        parameters = [p for p in self.learner.parameters() if p.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings.clip or math.inf)
        if torch.isfinite(norm):
            self.optimiser.step()
            self.average.update_parameters(self.learner.network)
            self.bad_steps = 0
        else:
            self.bad_steps += 1
            if self.bad_steps >= BAD_STEPS:
                raise VodistillError(
                    f"{self.folder}: the gradient was not finite for {BAD_STEPS} steps, up to step {number}",
                    "lower training.rate, or look at the losses in metrics.jsonl",
                )
        return {**{k: v.detach() for k, v in losses.items()}, "gradient": norm.detach()}

    def _due(self, clock: dict[str, float], what: str, minutes: float, steps: int = 0) -> bool:
        """Whether so many steps, or else minutes, have passed."""
        if steps:
            return self.state.step % steps == 0
        due = self._agreed(time.monotonic() - clock[what] >= 60 * minutes)
        if due:
            clock[what] = time.monotonic()
        return due

    def _agreed(self, word: bool) -> bool:
        """What depends on the time happens after the same step in every process: asked every few steps."""
        if self.accelerator.num_processes > 1 and self.state.step % AGREE_STEPS:
            return False
        return agreed(self.accelerator, word)

    def _evaluate(self, log: Log) -> None:
        state = self.state
        if self.evaluate is None or state.evaluated == state.step:
            return
        state.evaluated = state.step
        if self.accelerator.is_main_process:
            values = self.evaluate(self.network)
            log.evaluation(state.step, values)
            value = next(iter(values.values()))
            state.stale += 1
            if value < state.best:
                state.best, state.stale = value, 0
                checkpoint.save_tensors(self.folder / BEST, *self._averaged())
        if self.accelerator.num_processes > 1:
            word = torch.tensor([state.best, state.stale], dtype=torch.float64, device=self.accelerator.device)
            torch.distributed.broadcast(word, 0)
            state.best, state.stale = float(word[0]), int(word[1])

    def _stale(self) -> bool:
        return 0 < self.settings.patience <= self.state.stale

    def _averaged(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """The averaged weights, and what their file says of them."""
        metadata = {"network": json.dumps(self.learner.description), "step": str(self.state.step)}
        return self.network.state_dict(), {**metadata, "samples": str(self.state.samples)}

    def _restore(self) -> None:
        newest = checkpoint.latest(self.folder / "checkpoints")
        if newest is None:
            return
        tensors, state = checkpoint.load(newest)
        state["decay"] = tuple(state["decay"]) if state["decay"] else None
        try:
            self.learner.load_state_dict(checkpoint.under("learner", tensors))
            self.average.load_state_dict(checkpoint.under("average", tensors))
            checkpoint.restore_optimiser(self.optimiser.optimizer, tensors)
            self.state = State(**state)
        except (RuntimeError, ValueError, TypeError) as error:
            raise VodistillError(
                f"{newest}: does not fit the configured network: {error}",
                "give the experiment another name, or remove the run's folder",
            ) from error
