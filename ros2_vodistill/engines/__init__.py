"""What runs a model's step function; `make` chooses by what is really there."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

from ros2_vodistill.engines.base import Engine, LayerTime, UnavailableError
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import Model

__all__ = ["ENGINES", "Engine", "LayerTime", "UnavailableError", "engine_module", "make"]

_INSTALL = "Install it again: pip install onnxruntime, or on a GPU onnxruntime-gpu in its place."


def engine_module(module: str) -> ModuleType:
    """A module of this package; UnavailableError where the library that it needs is not installed."""
    try:
        return import_module(f"{__name__}.{module}")
    except ImportError as error:
        raise UnavailableError(f"{error.name or module} cannot be imported: {error}", _INSTALL) from error


def _later(module: str, maker: str) -> Callable[[Model, int], Engine]:
    """What makes an engine, imported when it is asked for: each brings megabytes that the others don't need."""

    def made(model: Model, threads: int) -> Engine:
        engine: Engine = getattr(engine_module(module), maker)(model, threads)
        return engine

    return made


ENGINES: dict[str, Callable[[Model, int], Engine]] = {
    "tensorrt": _later("tensorrt", "open_tensorrt"),
    "onnxruntime-tensorrt": _later("onnx_gpu", "OnnxTensorRtEngine"),
    "onnxruntime-cuda": _later("onnx_gpu", "OnnxCudaEngine"),
    "onnxruntime": _later("onnx", "OnnxEngine"),
    "openvino": _later("openvino", "OpenVinoEngine"),
}
"""Makers by name, in the order in which 'auto' tries them; arguments: model, CPU threads."""


def make(model: Model, engine: str = "auto", threads: int = 1) -> tuple[Engine, list[str]]:
    """The engine of that name, or the first that this machine can run, warmed up; and what 'auto' passed over, and why.

    An engine that is asked for by name and is not there is an error, never another engine.
    """
    if engine != "auto" and engine not in ENGINES:
        raise VodistillError(f"there is no engine '{engine}'", f"Known: auto, {', '.join(ENGINES)}.")
    passed: dict[str, list[str]] = {}
    for name in ENGINES if engine == "auto" else [engine]:
        try:
            made = ENGINES[name](model, threads)
            made.warm_up()
        except UnavailableError as error:
            if engine != "auto":
                raise
            passed.setdefault(error.problem, []).append(name)
            continue
        except VodistillError:
            raise
        except Exception as error:  # what engines raise has no common base
            raise VodistillError(f"{name} cannot run {model.path}: {error}", "Export the model again.") from error
        return made, _told(passed)
    raise VodistillError(f"no engine can run {model.path}: {'; '.join(_told(passed))}", "See `vodistill doctor`.")


def _told(passed: dict[str, list[str]]) -> list[str]:
    """Reasons, each with the engines that it holds for."""
    return [f"{', '.join(names)}: {why}" for why, names in passed.items()]
