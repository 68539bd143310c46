"""Frames per second of the generated world.

    python -m benchmarks.render --device cpu --threads 1 --json benchmarks/render-cpu.json
    python -m benchmarks.render --device cuda --batch 128 --json benchmarks/render-cuda.json

Clips of 4 frames, each batch of worlds that were not rendered before; the median of several batches, after one to warm
up. Several processes render independently of each other: that is how training uses more cores. Beside frames in a
second by the clock stand frames in a second of one core's time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass, replace

import torch
from torch import multiprocessing

from benchmarks.figures import add_file, command, keep
from ros2_vodistill.view import View
from training.world import WorldConfig, render

FRAMES = 4


@dataclass(frozen=True)
class Case:
    """What is rendered.

    Attributes:
        scale: of the canonical view, 1 is 320 x 96.
        samples: rays per pixel.
        labels: depth, flow and masks too.
    """

    name: str
    scale: int = 1
    samples: int = 4
    labels: bool = False

    def config(self) -> WorldConfig:
        k = self.scale
        view = View(320 * k, 96 * k, 185.0 * k, 185.0 * k, (320 * k - 1) / 2, (96 * k - 1) / 2)
        return replace(WorldConfig(), frames=FRAMES, samples=self.samples, view=view)


CASES = (
    Case("320x96, 4 rays"),
    Case("320x96, 2 rays", samples=2),
    Case("320x96, 1 ray", samples=1),
    Case("320x96, 4 rays, labels", labels=True),
    Case("640x192, 2 rays", scale=2, samples=2),
)


def frames_per_second(case: Case, device: str, batch: int, repeats: int, start: int = 0) -> tuple[float, float]:
    """By the clock, and of a core's time: medians over batches."""
    config, rates = case.config(), []
    for i in range(repeats + 1):
        _wait(device)
        begin, worked = time.perf_counter(), time.process_time()
        render(config, range(start + i * batch, start + (i + 1) * batch), device, labels=case.labels)
        _wait(device)
        spent = time.perf_counter() - begin, time.process_time() - worked
        rates.append([batch * FRAMES / seconds for seconds in spent])
    clock, core = zip(*rates[1:], strict=True)
    return statistics.median(clock), statistics.median(core)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _work(job: tuple[Case, str, int, int, int, int]) -> tuple[float, float]:
    case, device, batch, repeats, threads, start = job
    torch.set_num_threads(threads)
    return frames_per_second(case, device, batch, repeats, start)


def main() -> None:
    """Parse, measure, print."""
    parser = command(__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=16, help="clips rendered together")
    parser.add_argument("--repeats", type=int, default=3, help="batches measured")
    parser.add_argument("--threads", type=int, default=1, help="of torch, in each process")
    parser.add_argument("--processes", type=int, default=1, help="their rates by the clock are summed")
    add_file(parser)
    arguments = parser.parse_args()
    rows = []
    print("| what | frames/s | frames in a core's second |\n|---|---|---|")
    for case in CASES:
        jobs = [
            (case, arguments.device, arguments.batch, arguments.repeats, arguments.threads, 10**6 * i)
            for i in range(arguments.processes)
        ]
        with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
            clock, core = zip(*pool.map(_work, jobs, chunksize=1), strict=True)
        row = {"frames_per_s": round(sum(clock), 1), "frames_per_core_s": round(statistics.mean(core), 1)}
        rows.append({"case": case.name, **row})
        print(f"| {case.name} | {row['frames_per_s']} | {row['frames_per_core_s']} |", flush=True)
    device = torch.cuda.get_device_name() if arguments.device.startswith("cuda") else arguments.device
    keep(arguments.json, "render", device=device, torch=torch.__version__, load=os.getloadavg()[0], rows=rows)


if __name__ == "__main__":
    main()
