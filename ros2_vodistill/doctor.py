"""What this machine can run, and why not the rest."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from ros2_vodistill.engines import ENGINES, UnavailableError, engine_module, make, tensorrt
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.machine import cores, version
from ros2_vodistill.model import DEFAULT, Model, shipped


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        what: was looked for.
        works: whether it can be used.
        found: what is there, or why it cannot be used.
        remedy: what would change that; '' where nothing needs to.
    """

    what: str
    works: bool
    found: str
    remedy: str = ""


_PACKAGES = {
    "numpy": "",
    "opencv-python-headless": "",
    "onnxruntime": "pip install onnxruntime",
    "openvino": "pip install 'ros2_vodistill[openvino]', for --engine openvino",
    "rosbags": "",
    "rerun-sdk": "pip install 'ros2_vodistill[rerun]', for `vodistill run --rerun`",
    "torch": "pip install 'ros2_vodistill[train]', only to train networks",
}


def examine() -> list[Finding]:
    """Look at everything that a user may ask for; none of it is needed to get an answer here."""
    return [*_machine(), *_packages(), *_models(), *_engines(), *_ros()]


def _machine() -> Iterator[Finding]:
    yield Finding("machine", True, f"{platform.machine()}, {cores()} cores, {platform.platform(terse=True)}")
    yield Finding("Python", True, platform.python_version())
    driver = shutil.which("nvidia-smi")
    yield Finding("NVIDIA GPU", driver is not None, driver or "no nvidia-smi on the path")


def _packages() -> Iterator[Finding]:
    import cv2

    for name, remedy in _PACKAGES.items():
        if found := version(name):
            yield Finding(name, True, found)
        elif name == "onnxruntime" and (instead := version("onnxruntime-gpu")):
            yield Finding("onnxruntime-gpu", True, instead)
        elif name.startswith("opencv"):
            below = int(cv2.__version__.split(".")[0]) < 5
            advice = "" if below else "OpenCV 5 breaks cv_bridge: pip install 'opencv-python-headless<5'"
            yield Finding("opencv", below, f"{cv2.__version__} from elsewhere", advice)
        else:
            yield Finding(name, False, "not installed", remedy)


def _models() -> Iterator[Finding]:
    folders = list(shipped())
    names = ", ".join(folder.name for folder in folders)
    yield Finding("models", bool(folders), names or "none found", "" if folders else "set VODISTILL_MODELS")
    for folder in folders:
        try:
            Model.load(folder)
        except VodistillError as error:
            yield Finding(f"model {folder.name}", False, error.problem, error.remedy)


def _engines() -> Iterator[Finding]:
    try:
        model = Model.load(DEFAULT)
    except VodistillError:
        return
    for name in ENGINES:
        what = f"engine {name}"
        try:
            if name == "tensorrt":
                ready, found = tensorrt.examine(model)
                yield Finding(what, True, found, "" if ready else f"vodistill engine build {DEFAULT}")
            elif name == "onnxruntime-tensorrt":  # making it would build for minutes
                engine_module("onnx_gpu").OnnxTensorRtEngine.require()
                yield Finding(what, True, "this onnxruntime has it; the first start builds for minutes")
            else:
                yield Finding(what, True, f"runs {DEFAULT} on {make(model, name)[0].device}")
        except UnavailableError as error:
            yield Finding(what, False, error.problem, error.remedy)
        except VodistillError as error:
            yield Finding(what, False, f"does not run {DEFAULT}: {error.problem}", error.remedy)


def _ros() -> Iterator[Finding]:
    distribution = os.environ.get("ROS_DISTRO")
    if importlib.util.find_spec("rclpy") is None:
        yield Finding(
            "ROS 2", False, "no rclpy", "source your ROS 2, for the node: source /opt/ros/<distro>/setup.bash"
        )
        return
    yield Finding("ROS 2", True, distribution or "rclpy without ROS_DISTRO")
    try:
        importlib.import_module("cv_bridge")
        yield Finding("cv_bridge", True, "imports")
    except Exception as error:  # a cv_bridge built for numpy 1 raises whatever numpy 2 makes of it
        yield Finding("cv_bridge", False, f"{type(error).__name__}: {error}", "the node decodes images by itself")
