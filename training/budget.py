"""How long a call may train."""

from __future__ import annotations

import time
from collections.abc import Callable

from training.loop import Trainer


class Budget:
    """How much of a training one call may do, over all runs and stages; 0 is no limit.

    Attributes:
        decay: end an open-ended stage by a fall of the rate over so many steps.
    """

    def __init__(self, minutes: float = 0.0, steps: int = 0, decay: int = 0) -> None:
        self.end = time.monotonic() + 60 * minutes if minutes else None
        self.steps: int | None = steps or None
        self.decay = decay

    @property
    def spent(self) -> bool:
        late = self.end is not None and time.monotonic() >= self.end
        return late or (self.steps is not None and self.steps <= 0)

    def train(self, trainer: Trainer, say: Callable[[str], None]) -> bool:
        """Let a trainer use what is left; True when it is finished."""
        before = trainer.state.step
        minutes = 0.0 if self.end is None else max(1e-6, (self.end - time.monotonic()) / 60)
        state = trainer.train(minutes, self.steps or 0, self.decay if trainer.open_ended else 0)
        if self.steps is not None:
            self.steps -= state.step - before
        if trainer.accelerator.is_main_process:
            say(f"{trainer.folder}: step {state.step}, {state.samples} clips, {state.seconds / 60:.1f} min")
        return state.finished
