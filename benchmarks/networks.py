"""Parameters, multiply-accumulates and time per step of every registered network, as exported.

    python -m benchmarks.networks --json benchmarks/networks.json

One thread of onnxruntime. The networks take turns, and times are processor time, so that other work on the machine
hardly matters. Each is compared with its family's teacher.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.figures import add_file, command, keep
from benchmarks.untrained import export
from ros2_vodistill.engines import make
from ros2_vodistill.engines.base import Engine
from ros2_vodistill.machine import versions
from training import networks
from training.networks import StepModule

_STEPS = 10  # of a turn


def main() -> None:
    parser = command(__doc__)
    add_file(parser)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        about, engines = {}, {}
        for name in networks.REGISTRY:
            model = export(name, networks.build(name), Path(folder) / name)
            about[name] = describe(name, model.path.stat().st_size)
            engines[name] = make(model, "onnxruntime")[0]
        times = take_turns(engines, arguments.rounds)
    rows = [{**about[name], **spread(times, name)} for name in networks.REGISTRY]
    print(table(rows))
    keep(
        arguments.json,
        "networks",
        versions=versions(),
        clock="milliseconds of processor time, one thread",
        rounds=arguments.rounds,
        steps_per_round=_STEPS,
        networks=rows,
    )


def describe(name: str, size: int) -> dict[str, Any]:
    """Of a network whose graph takes so many bytes."""
    network = networks.build(name)
    module = StepModule(network)
    with FlopCounterMode(display=False) as counter:
        module(*module.example())
    image = network.views["image"]
    return {
        "network": name,
        "view": f"{image.height}x{image.width}",
        "parameters": network.parameter_count(),
        "d_rate": round(networks.d_rate(network, networks.build(teacher(name))), 4),
        "mmac": round(counter.get_total_flops() / 2e6, 1),
        "onnx_mb": round(size / 1e6, 2),
    }


def teacher(name: str) -> str:
    """The teacher of a network's family."""
    return f"{name.partition('-')[0]}-t"


def take_turns(engines: dict[str, Engine], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of processor time of each step, by network; the first round warms up."""
    random = np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in engines}
    for index in range(rounds + 1):
        for name, engine in engines.items():
            engine.inputs["image"][...] = random.integers(0, 256, engine.inputs["image"].shape)
            for _ in range(_STEPS):
                start = time.process_time()
                engine.step()
                engine.advance()
                if index:
                    times[name].append(1e3 * (time.process_time() - start))
    return times


def spread(times: dict[str, list[float]], name: str) -> dict[str, float]:
    """Of a network's steps, and how many times as fast as its teacher's they are."""
    least, p50, p99 = (float(x) for x in np.percentile(times[name], [0, 50, 99]))
    ratio = float(np.median(times[teacher(name)])) / p50
    return {
        "p50_ms": round(p50, 3),
        "p99_ms": round(p99, 3),
        "least_ms": round(least, 3),
        "times_as_fast_as_teacher": round(ratio, 2),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    head = f"| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}"
    return "\n".join([head, *(f"| {' | '.join(str(value) for value in row.values())} |" for row in rows)])


if __name__ == "__main__":
    main()
