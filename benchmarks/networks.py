"""Parameters, multiply-accumulates and time per step of every registered network, as exported.

python benchmarks/networks.py [--json benchmarks/networks.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch.utils.flop_counter import FlopCounterMode

from training import networks
from training.networks import Network, StepModule


def export(network: Network, file: Path) -> StepModule:
    """The step function as ONNX."""
    module = StepModule(network)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            module.example(),
            dynamo=True,
            opset_version=20,
            input_names=module.input_names,
            output_names=module.output_names,
            verbose=False,
        )
    assert program is not None
    program.save(file)
    return module


def seconds(file: Path, module: StepModule, repeats: int) -> list[float]:
    """Time of each step, one thread, states fed back as they are."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    images, states = {}, []
    for name, tensor in zip(module.input_names, module.example(), strict=True):
        if tensor.dtype == torch.uint8:
            images[name] = generator.integers(0, 256, tensor.shape, dtype=np.uint8)
        else:
            states.append(tensor.numpy())
    times = []
    for _ in range(repeats + 5):
        feeds = dict(zip(module.input_names, [*images.values(), *states], strict=True))
        start = time.perf_counter()
        _, _, *states = session.run(None, feeds)
        times.append(time.perf_counter() - start)
    return times[5:]


def measure(name: str, teacher: Network, repeats: int) -> dict[str, Any]:
    network = networks.build(name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        module = export(network, file)
        times = [1e3 * t for t in seconds(file, module, repeats)]
        size = file.stat().st_size
    with FlopCounterMode(display=False) as counter:
        module(*module.example())
    image = network.views["image"]
    return {
        "network": name,
        "view": f"{image.height}x{image.width}",
        "parameters": network.parameter_count(),
        "d_rate": round(networks.d_rate(network, teacher), 4),
        "mmac": round(counter.get_total_flops() / 2e6, 1),
        "onnx_mb": round(size / 1e6, 2),
        "p50_ms": round(float(np.percentile(times, 50)), 3),
        "p99_ms": round(float(np.percentile(times, 99)), 3),
        "min_ms": round(min(times), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repeats", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in networks.REGISTRY:
        teacher = networks.build(f"{name.split('-')[0]}-t")
        rows.append(measure(name, teacher, arguments.repeats))
        print(rows[-1], flush=True)
    machine = {"machine": platform.machine(), "cpus": os.cpu_count(), "threads": 1}
    versions = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    result = {"command": "python benchmarks/networks.py", **machine, **versions, "networks": rows}
    if arguments.json:
        partial = arguments.json.with_suffix(".partial")
        partial.write_text(json.dumps(result, indent=1) + "\n")
        partial.replace(arguments.json)


if __name__ == "__main__":
    main()
