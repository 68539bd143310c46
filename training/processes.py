"""The processes of a training: their devices and precision, what they agree on, and how they end."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from training.stages import Training


def make_accelerator(settings: Training) -> Accelerator:
    """The processes and devices of this call, and its precision."""
    cuda = torch.cuda.is_available()
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and cuda and torch.cuda.is_bf16_supported())
    if cuda:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    # A loss may leave parameters alone: the log-variance, say, where only the motion is judged.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(cpu=not cuda, mixed_precision="bf16" if bf16 else "no", kwargs_handlers=[unused])


def agreed(accelerator: Accelerator, word: bool) -> bool:
    """The word of the first process, in all of them."""
    if accelerator.num_processes == 1:
        return word
    told = torch.tensor([float(word)], device=accelerator.device)
    torch.distributed.broadcast(told, 0)
    return bool(told.item())


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM end the piece after the step in progress, with a checkpoint."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {s: signal.signal(s, lambda *_: event.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave() -> None:
    """End the group of processes together: one that exits while others go on, or with a model that is still shared
    with them, may abort and take them with it."""
    if torch.distributed.is_initialized():
        gc.collect()
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
