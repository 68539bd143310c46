"""TensorRT on an NVIDIA GPU: plans from the cache or the builder, and the engine that runs one.

Only what every version from 10.3 to 11 has is used. TensorRT is passed in as a module: tests pass `tensorrt_rtx`, which
has the same interface and needs no GPU to build plans.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.engines.base import Engine, LayerTime, UnavailableError
from ros2_vodistill.engines.builder import FLAGS, Progress, build
from ros2_vodistill.engines.gpu import Gpu, open_gpu, require_driver
from ros2_vodistill.engines.plan import Key, PlanCache
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import Model

OLDEST = (10, 3)
T = TypeVar("T")


class RefusedError(UnavailableError):
    """TensorRT does not take a plan, although it is whole and was built by this version for this GPU."""


class TensorRtEngine(Engine):
    """A plan on a GPU, as two CUDA graphs: a step launches the one that reads the reference's states.

    Args:
        model: of which the plan was built.
        trt: TensorRT.
        gpu: for which it was built.
        plan: what `build` made.
    """

    name: ClassVar[str] = "tensorrt"

    def __init__(self, model: Model, trt: Any, gpu: Gpu, plan: bytes) -> None:
        self.model, self.device = model, f"{gpu.name}, TensorRT {trt.__version__}"
        self._trt, self._gpu = trt, gpu
        self._runtime, self._engine = _loaded(trt, model, plan)
        card = model.card
        self._sets = [{name: self._new(4 * int(np.prod(s))) for name, s in card.states.items()} for _ in range(2)]
        self._views = {name: gpu.pinned((1, 1, v.height, v.width), np.uint8) for name, v in card.views.items()}
        self._results = {name: gpu.pinned((1, 6), np.float32) for name in ("motion", "log_variance")}
        self._on_gpu = {name: self._new(a.nbytes) for name, a in {**self._views, **self._results}.items()}
        self.inputs = {name: buffer[0, 0] for name, buffer in self._views.items()}
        self._reference = 0
        self._contexts = [self._context(reference) for reference in range(2)]
        self._graphs = [gpu.capture(partial(self._enqueue, context)) for context in self._contexts]

    def step(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self._gpu.launch(self._graphs[self._reference])
        self._gpu.wait()
        return self._results["motion"][0], self._results["log_variance"][0]

    def advance(self) -> None:
        self._reference = 1 - self._reference

    def reset(self) -> None:
        for name, shape in self.model.card.states.items():
            self._gpu.clear(self._sets[self._reference][name], 4 * int(np.prod(shape)))
        self._gpu.wait()

    def states(self) -> dict[str, NDArray[np.float32]]:
        found = {name: np.empty(shape, np.float32) for name, shape in self.model.card.states.items()}
        for name, array in found.items():
            self._gpu.download(self._sets[1 - self._reference][name], array)
        self._gpu.wait()
        return found

    def profile(self, steps: int = 20) -> list[LayerTime]:
        total: dict[str, float] = {}
        trt: Any = self._trt

        class Profiler(trt.IProfiler):
            def __init__(self) -> None:
                super().__init__()

            def report_layer_time(self, layer_name: str, ms: float) -> None:
                total[layer_name] = total.get(layer_name, 0.0) + ms / steps

        context = self._context(self._reference)
        context.profiler = profiler = Profiler()
        for _ in range(steps):
            self._enqueue(context)
            self._gpu.wait()
        del profiler
        times = [LayerTime(name, _kind(name), milliseconds) for name, milliseconds in total.items()]
        return sorted(times, key=lambda layer: -layer.milliseconds)

    def _new(self, size: int) -> int:
        return self._gpu.allocate(size)

    def _context(self, reference: int) -> Any:
        """A context that reads its states from that set and writes to the other; run once, for capturing needs that."""
        context = self._engine.create_execution_context()
        if context is None:
            raise VodistillError(f"the GPU has no room for {self.model.path}", "Stop what else uses it.")
        following = {f"next_{name}": address for name, address in self._sets[1 - reference].items()}
        for name, address in {**self._on_gpu, **self._sets[reference], **following}.items():
            context.set_tensor_address(name, address)
        self._enqueue(context)
        self._gpu.wait()
        return context

    def _enqueue(self, context: Any) -> None:
        for name, view in self._views.items():
            self._gpu.upload(view, self._on_gpu[name])
        if not context.execute_async_v3(self._gpu.stream):
            raise VodistillError(f"TensorRT cannot run {self.model.path}", "Its messages are above.")
        for name, result in self._results.items():
            self._gpu.download(self._on_gpu[name], result)


def open_tensorrt(model: Model, threads: int) -> TensorRtEngine:
    """The model on this machine's GPU; its plan comes from the user's cache, or is built, which takes minutes."""
    log = logging.getLogger(__name__)
    trt, gpu = machine()

    def made() -> bytes:
        log.warning("building the plan of %s for %s: this takes minutes, once", model.card.name, gpu.name)
        return build(trt, model)

    cache, wanted = PlanCache(say=log.warning), key(trt, gpu, model)
    return _used(cache, wanted, made, partial(TensorRtEngine, model, trt, gpu))


def prepare(model: Model, say: Callable[[str], object], progress: Progress) -> Path:
    """Build the plan for this machine's GPU unless one that it takes is there, and keep it; its file."""
    trt, gpu = machine()
    cache, wanted = PlanCache(say=say), key(trt, gpu, model)
    _used(cache, wanted, lambda: build(trt, model, progress), partial(_loaded, trt, model), must_keep=True)
    return cache.folder / wanted.file


def _used(
    cache: PlanCache, wanted: Key, made: Callable[[], bytes], use: Callable[[bytes], T], *, must_keep: bool = False
) -> T:
    """What `use` makes of the plan (see `PlanCache.get`); one that TensorRT refuses is built again, once."""
    try:
        return use(cache.get(wanted, made, must_keep=must_keep))
    except RefusedError as error:
        cache.forget(wanted, error.problem)
        return use(cache.get(wanted, made, must_keep=must_keep))


def examine(model: Model) -> tuple[bool, str]:
    """Whether the plan of the model is there, and in words what is there or why it does not fit."""
    trt, gpu = machine()
    said: list[str] = []
    wanted = key(trt, gpu, model)
    found = PlanCache(say=said.append).load(wanted)
    on = f"{wanted.software} on {wanted.gpu}"
    if found is None:
        return False, "; ".join([f"{on}, no plan yet", *said])
    try:
        _loaded(trt, model, found)
    except RefusedError as error:
        return False, f"{on}, {error.problem}"
    return True, f"{on}, the plan is built"


def _loaded(trt: Any, model: Model, plan: bytes) -> tuple[Any, Any]:
    """TensorRT's runtime, and the engine that a plan is."""
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise RefusedError(
            f"TensorRT {trt.__version__} cannot load the plan of {model.path}",
            "Its messages are above. Use --engine onnxruntime meanwhile.",
        )
    return runtime, engine


def machine() -> tuple[ModuleType, Gpu]:
    """This machine's TensorRT and GPU."""
    require_driver()
    return import_tensorrt(), open_gpu()


def import_tensorrt() -> ModuleType:
    """The system's TensorRT."""
    try:
        import tensorrt
    except ImportError as error:
        raise UnavailableError(
            f"TensorRT cannot be imported: {error}", "Install the system's, with its Python package: docs/jetson.md."
        ) from error
    version = tuple(int(number) for number in re.findall(r"\d+", tensorrt.__version__)[:2])
    if version < OLDEST:
        raise UnavailableError(f"TensorRT is {tensorrt.__version__}", "Install 10.3 or newer (JetPack 6.1 or newer).")
    return tensorrt


def key(trt: Any, gpu: Gpu, model: Model) -> Key:
    """What a plan of this model for this GPU belongs to."""
    software = f"{trt.__name__} {trt.__version__}"
    return Key(model.card.sha256, software, f"{gpu.name} ({gpu.capability})", model.card.precision, FLAGS)


def _kind(layer: str) -> str:
    """The first word of a layer's name, which is all that TensorRT tells of its kind."""
    return re.split(r"[^A-Za-z]", layer.lstrip("_{[( "), maxsplit=1)[0] or "layer"
