"""Frames per second of the generated world.

    python benchmarks/render.py --device cpu --threads 1 --json benchmarks/render-cpu.json
    python benchmarks/render.py --device cuda --batch 128 --json benchmarks/render-cuda.json

Clips of 4 frames, each batch of worlds that were not rendered before; the median of several batches, after one to warm
up. Several processes render independently of each other: that is how training uses more cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import multiprocessing

from ros2_vodistill.files import replacing
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


def frames_per_second(case: Case, device: str, batch: int, repeats: int, start: int = 0) -> float:
    """Median over batches."""
    config, rates = case.config(), []
    for i in range(repeats + 1):
        _wait(device)
        begin = time.perf_counter()
        render(config, range(start + i * batch, start + (i + 1) * batch), device, labels=case.labels)
        _wait(device)
        rates.append(batch * FRAMES / (time.perf_counter() - begin))
    return statistics.median(rates[1:])


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _work(job: tuple[Case, str, int, int, int, int]) -> float:
    case, device, batch, repeats, threads, start = job
    torch.set_num_threads(threads)
    return frames_per_second(case, device, batch, repeats, start)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=16, help="clips rendered together")
    parser.add_argument("--repeats", type=int, default=3, help="batches measured")
    parser.add_argument("--threads", type=int, default=1, help="of torch, in each process")
    parser.add_argument("--processes", type=int, default=1, help="their rates are summed")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    rows = []
    print("| what | frames/s |\n|---|---|")
    for case in CASES:
        jobs = [
            (case, arguments.device, arguments.batch, arguments.repeats, arguments.threads, 10**6 * i)
            for i in range(arguments.processes)
        ]
        with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
            rate = sum(pool.map(_work, jobs, chunksize=1))
        rows.append({"case": case.name, "frames_per_s": round(rate, 1)})
        print(f"| {case.name} | {rate:.1f} |", flush=True)
    if arguments.json is not None:
        cuda = arguments.device.startswith("cuda")
        result = {
            "command": f"python {' '.join(sys.argv)}",
            "machine": torch.cuda.get_device_name() if cuda else f"{platform.processor()}, {os.cpu_count()} cores",
            "torch": torch.__version__,
            "load": os.getloadavg()[0],
            "rows": rows,
        }
        with replacing(arguments.json) as path:
            path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
