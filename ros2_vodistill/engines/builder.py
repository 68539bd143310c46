"""TensorRT's builder: a model's plan for the GPU of this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ros2_vodistill.engines.base import Shapes, check
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import Model

_WORKSPACE = 1 << 30  # bytes
_LEVEL = 3  # of optimisation while building; more takes longer and gained nothing in the documentation's figures
FLAGS = f"strongly typed, no TF32, level {_LEVEL}, workspace {_WORKSPACE}"
"""What a plan depends on beside the model, TensorRT and the GPU; a part of its key in the cache."""

Progress = Callable[[str, int, int], object]
"""Told the phase of a build, its step and the number of steps."""


def build(trt: Any, model: Model, progress: Progress | None = None) -> bytes:
    """The plan of a model; a node that TensorRT cannot run is named."""
    messages = _messages(trt)
    builder = trt.Builder(messages)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, messages)
    if not parser.parse_from_file(str(model.path)):
        raise VodistillError(
            f"TensorRT {trt.__version__} cannot run {model.path}: {'; '.join(_errors(parser)) or messages.text()}",
            "Use --engine onnxruntime, or another model.",
        )
    check(model, *_shapes(trt, network))
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE)
    config.builder_optimization_level = _LEVEL
    config.clear_flag(trt.BuilderFlag.TF32)
    if progress is not None:
        config.progress_monitor = _monitor(trt, progress)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise VodistillError(
            f"TensorRT {trt.__version__} cannot build {model.path}: {messages.text()}",
            "See `vodistill doctor`; use --engine onnxruntime meanwhile.",
        )
    return bytes(plan)


def _messages(trt: Any) -> Any:
    """A logger that keeps errors, to be told."""

    class Messages(trt.ILogger):
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(msg.strip())

        def text(self) -> str:
            return "; ".join(self.errors) or "it gave no reason"

    return Messages()


def _monitor(trt: Any, progress: Progress) -> Any:
    """Tells `progress` of the outermost phases of a build."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            super().__init__()
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self.steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self.steps:
                progress(phase_name, step + 1, self.steps[phase_name])
            return True

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()


def _errors(parser: Any) -> list[str]:
    """What the parser refused, with the node."""
    errors = (parser.get_error(index) for index in range(parser.num_errors))
    return [f"node {e.node_name() or e.node()} ({e.node_operator()}): {e.desc()}" for e in errors]


def _shapes(trt: Any, network: Any) -> tuple[Shapes, Shapes]:
    types = {trt.DataType.UINT8: "uint8", trt.DataType.FLOAT: "float32"}

    def of(tensor: Any) -> tuple[tuple[int, ...], str]:
        return tuple(tensor.shape), types.get(tensor.dtype, str(tensor.dtype))

    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    return {tensor.name: of(tensor) for tensor in inputs}, {tensor.name: of(tensor) for tensor in outputs}
