"""onnxruntime on the CPU: the engine that is always there."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ros2_vodistill.engines.base import HostEngine, LayerTime, Shapes, check
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import Model


class OnnxEngine(HostEngine):
    """A model in onnxruntime on the CPU, bound once to fixed buffers."""

    name: ClassVar[str] = "onnxruntime"

    def __init__(self, model: Model, threads: int = 1) -> None:
        self.device = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
        self.model, self._threads = model, threads
        self._session = self._open(profile=None)  # first: what does not fit its card may be of any size there
        super().__init__(model)
        self._bindings = [self._bind(self._session, reference) for reference in range(2)]

    def step(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self._session.run_with_iobinding(self._bindings[self._reference])
        return self._motion[0], self._log_variance[0]

    def profile(self, steps: int = 20) -> list[LayerTime]:
        with tempfile.TemporaryDirectory() as folder:
            session = self._open(profile=Path(folder) / "profile")
            return layer_times(session, self._bind(session, self._reference), steps)

    def _open(self, profile: Path | None) -> ort.InferenceSession:
        options = session_options(self._threads, profile)
        try:
            session = ort.InferenceSession(str(self.model.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises classes of its own, without a common base
            raise VodistillError(
                f"onnxruntime {ort.__version__} cannot load {self.model.path}: {error}", "Export the model again."
            ) from error
        check(self.model, shapes(session.get_inputs()), shapes(session.get_outputs()))
        return session

    def _bind(self, session: ort.InferenceSession, reference: int) -> Any:
        binding = session.io_binding()
        for name, buffer in self._read(reference).items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(buffer))
        for name, buffer in self._written(reference).items():
            binding.bind_output(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        return binding


def session_options(threads: int, profile: Path | None) -> ort.SessionOptions:
    """Of every session; with a profile, its file's name begins like that path."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A thread that waits for work must not burn a core that the robot needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return options


def layer_times(session: ort.InferenceSession, binding: Any, steps: int) -> list[LayerTime]:
    """Run a session that profiles for so many steps: mean times of its layers, slowest first."""
    for _ in range(steps):
        session.run_with_iobinding(binding)
    events = json.loads(Path(session.end_profiling()).read_text())
    total: dict[tuple[str, str], float] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            key = event["name"].removesuffix("_kernel_time"), event["args"]["op_name"]
            total[key] = total.get(key, 0.0) + event["dur"] / 1e3 / steps
    times = [LayerTime(name, kind, milliseconds) for (name, kind), milliseconds in total.items()]
    return sorted(times, key=lambda layer: -layer.milliseconds)


def shapes(nodes: list[Any]) -> Shapes:
    """Of a session's inputs or outputs."""
    types = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
    return {node.name: (tuple(node.shape), types.get(node.type, node.type)) for node in nodes}
