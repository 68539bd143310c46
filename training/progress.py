"""What a training says while it runs: a progress bar, metrics.jsonl and TensorBoard."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from training import checkpoint

METRICS = "metrics.jsonl"


class Log:
    """Takes losses and evaluations; writes in the main process only. Lines after `step`, of a piece that was killed
    before its checkpoint, are removed when a training resumes there."""

    def __init__(self, folder: Path, step: int, last: float, active: bool, quiet: bool = False) -> None:
        self.folder, self.first, self.last, self.active, self.quiet = folder, step, last, active, quiet
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.before = (0, 0.0)

    def __enter__(self) -> Log:
        if not self.active:
            return self
        self.path = self.folder / METRICS
        known = [row for row in rows(self.path) if row["step"] <= self.first]
        checkpoint.write_text(self.path, "".join(json.dumps(row) + "\n" for row in known))
        self.file = self.path.open("a", buffering=1)
        self.board = SummaryWriter(str(self.folder), purge_step=self.first + 1)
        total = None if math.isinf(self.last) else int(self.last)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            console=Console(stderr=True, soft_wrap=True, quiet=self.quiet),
        )
        self.bar = self.progress.add_task(self.folder.name, total=total, completed=self.first, text="")
        if self.progress.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.active:
            self.progress.stop()
            self.file.close()
            self.board.close()

    def step(self, step: int, samples: int, seconds: float, rate: float, losses: dict[str, Tensor], every: int) -> None:
        """Note a step's losses; every so many steps their means are written."""
        if not self.active:
            return
        for name, value in losses.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.count += 1
        if self.before == (0, 0.0):
            self.before = (samples, seconds)
        if step % every:
            return
        means = {name: float(value) / self.count for name, value in self.sums.items()}
        speed = (samples - self.before[0]) / max(1e-9, seconds - self.before[1])
        self.sums, self.count, self.before = {}, 0, (samples, seconds)
        row = {"step": step, "samples": samples, "seconds": round(seconds, 2), "samples_per_s": round(speed, 2)}
        self._write({**row, "rate": rate, **means}, "train")
        shown = "  ".join(f"{name} {value:.4g}" for name, value in means.items())
        self.progress.update(self.bar, completed=step, text=f"{speed:.1f} samples/s  {shown}")

    def evaluation(self, step: int, values: dict[str, float]) -> None:
        """Write an evaluation's numbers."""
        self._write({"step": step, **{f"evaluation/{k}": v for k, v in values.items()}}, "")
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self.progress.console.print(f"step {step}: {shown}", highlight=False, soft_wrap=True)

    def _write(self, row: dict[str, Any], group: str) -> None:
        self.file.write(json.dumps(row) + "\n")
        for name, value in row.items():
            if name not in ("step", "samples", "seconds"):
                self.board.add_scalar(f"{group}/{name}" if group else name, value, row["step"])


def rows(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a metrics file; a line cut short by a kill is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
