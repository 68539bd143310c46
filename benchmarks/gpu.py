"""Teachers against students on a GPU: one frame at a time, training and rendering, in one run.

    python -m benchmarks.gpu [--network swift-t --network swift-s ...] [--json benchmarks/gpu.json]

Times are of batch 1, by the GPU's own events, in rounds that the contenders take in turns: torch as it is, torch as a
CUDA graph, and, where they are there, onnxruntime's providers and TensorRT, whose steps hold the copies and the wait.
Needs an NVIDIA GPU and `pip install -e '.[train]'`; onnxruntime-gpu in place of onnxruntime for its provider. With
`--device cpu` it runs anywhere, by the clock, to see that it works.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.figures import add_file, command, write
from benchmarks.untrained import export
from ros2_vodistill.engines import Engine, make
from ros2_vodistill.errors import VodistillError
from training import networks
from training.networks import Network, StepModule
from training.world import WorldConfig, render

NETWORKS = ("swift-t", "swift-s", "swift-xs", "flownet-t", "flownet-7-2", "flownet-6-2", "flownet-5-3", "flownet-3-3")
ENGINES = ("onnxruntime-cuda", "onnxruntime-tensorrt", "tensorrt")
Run = Callable[[], object]


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("--network", action="append", help=f"repeat for several; default: {', '.join(NETWORKS)}")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100, help="in a round")
    parser.add_argument("--batch", type=int, default=32, help="clips in a batch, for training and rendering")
    add_file(parser)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: torch finds no GPU\n  Run this where there is one, or with --device cpu to see that it works.")
    torch.manual_seed(0)
    names = options.network or list(NETWORKS)
    built = {name: networks.build(name) for name in names}
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        contenders = steps(built, options.device, Path(folder), notes)
        times = take_turns(contenders, options.device, options.rounds, options.steps)
    device = torch.cuda.get_device_name() if options.device == "cuda" else "processor, by the clock"
    figures = {
        "command": " ".join(["python -m benchmarks.gpu", *sys.argv[1:]]),
        "machine": {"device": device, "system": platform.platform()},
        "versions": {"torch": torch.__version__, "cuda": torch.version.cuda, "python": platform.python_version()},
        "notes": notes,
        "step_ms": with_ratios(times, built),
        "training": {name: training(network, options.device, options.batch) for name, network in built.items()},
        "rendering": rendering(options.device, options.batch),
    }
    text = json.dumps(figures, indent=2)
    print(text)
    if options.json is not None:
        write(options.json, text)


def steps(built: dict[str, Network], device: str, folder: Path, notes: list[str]) -> dict[str, Run]:
    """What computes one step, by 'NETWORK, HOW'."""
    found: dict[str, Run] = {}
    for name, network in built.items():
        module = StepModule(network).to(device)
        found[f"{name}, torch"] = eager(module, device)
        if device == "cuda":
            found[f"{name}, torch, CUDA graph"] = graphed(module, device)
        model = export(name, network, folder / name)
        for engine in ENGINES if device == "cuda" else ("onnxruntime",):
            try:
                found[f"{name}, {engine}"] = stepping(make(model, engine)[0])
            except VodistillError as error:
                notes.append(f"{name}, {engine}: {error.problem}")
    return found


def eager(module: StepModule, device: str) -> Run:
    """One call of the module, on inputs that stay."""
    inputs = [tensor.to(device) for tensor in module.example()]

    @torch.inference_mode()
    def run() -> None:
        module(*inputs)

    return run


def graphed(module: StepModule, device: str) -> Run:
    """The same as one CUDA graph."""
    run = eager(module, device)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def stepping(engine: Engine) -> Run:
    """A step of an engine, which becomes the reference."""

    def run() -> None:
        engine.step()
        engine.advance()

    return run


def take_turns(contenders: dict[str, Run], device: str, rounds: int, count: int) -> dict[str, Any]:
    """Milliseconds of each step by the device's events, and by the clock."""
    on_device: dict[str, list[float]] = {name: [] for name in contenders}
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    for index in range(rounds + 1):
        for name, run in contenders.items():
            events, clock = timed(run, device, count)
            if index:  # the first round warms up
                on_device[name] += events
                wall[name].append(clock)
    return {
        name: {
            "p50": float(np.percentile(times, 50)),
            "p99": float(np.percentile(times, 99)),
            "wall": float(np.median(wall[name])),
        }
        for name, times in on_device.items()
    }


def timed(run: Run, device: str, count: int) -> tuple[list[float], float]:
    """Milliseconds of each of so many runs, and their mean by the clock."""
    if device != "cuda":
        times = []
        for _ in range(count):
            start = time.perf_counter()
            run()
            times.append(1e3 * (time.perf_counter() - start))
        return times, float(np.mean(times))
    pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(count)]
    torch.cuda.synchronize()
    start = time.perf_counter()
    for before, after in pairs:
        before.record()
        run()
        after.record()
    torch.cuda.synchronize()
    clock = 1e3 * (time.perf_counter() - start) / count
    return [before.elapsed_time(after) for before, after in pairs], clock


def with_ratios(times: dict[str, Any], built: dict[str, Network]) -> dict[str, Any]:
    """Each with its d_rate, and how many times as fast it is as its family's teacher, run in the same way."""
    rows = {}
    for key, row in times.items():
        name, _, how = key.partition(", ")
        teacher = f"{name.partition('-')[0]}-t"
        extra: dict[str, Any] = {"parameters": built[name].parameter_count()}
        if f"{teacher}, {how}" in times:
            extra["d_rate"] = networks.d_rate(built[name], built[teacher])
            extra["times_as_fast_as_teacher"] = times[f"{teacher}, {how}"]["p50"] / row["p50"]
        rows[key] = {**row, **extra}
    return rows


def training(network: Network, device: str, batch: int, frames: int = 5, steps: int = 10) -> dict[str, float]:
    """Clips and motions per second, forward and backward, of clips of random images."""
    network = network.to(device).train()
    views = {
        name: torch.randint(0, 256, (batch, frames, view.height, view.width), dtype=torch.uint8, device=device)
        for name, view in network.views.items()
    }

    def step() -> None:
        network.zero_grad()
        network(views).motion.square().mean().backward()

    step()
    seconds = clocked(step, device, steps)
    return {"clips_per_s": batch / seconds, "motions_per_s": batch * (frames - 1) / seconds}


def rendering(device: str, batch: int) -> dict[str, float]:
    """Clips and frames per second of the generated world."""
    config = WorldConfig()
    frames = render(config, range(batch), device).images.shape[1]
    seconds = clocked(lambda: render(config, range(batch), device), device, 5)
    return {"clips_per_s": batch / seconds, "frames_per_s": batch * frames / seconds}


def clocked(run: Run, device: str, count: int) -> float:
    """Mean seconds of a run, once all of its work is done."""
    wait: Run = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    wait()
    start = time.perf_counter()
    for _ in range(count):
        run()
    wait()
    return (time.perf_counter() - start) / count


if __name__ == "__main__":
    main()
