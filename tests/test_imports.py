"""What a robot installs loads neither torch nor ROS, nor anything of training."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ros2_vodistill

PACKAGE = Path(ros2_vodistill.__file__).parent
HEAVY = ("torch", "rclpy", "training", "onnx", "matplotlib", "tensorrt", "openvino", "rerun")


def modules() -> list[str]:
    """All modules of the package but those of ROS."""
    names = [path.relative_to(PACKAGE.parent).with_suffix("") for path in sorted(PACKAGE.rglob("*.py"))]
    dotted = [".".join(name.parts).removesuffix(".__init__") for name in names]
    return [name for name in dotted if not name.startswith("ros2_vodistill.ros")]


def test_every_module_imports_without_torch_rclpy_and_other_heavy_ones() -> None:
    assert len(modules()) > 30
    code = (
        "import importlib, sys\n"
        f"heavy = {HEAVY!r}\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in heavy: raise ModuleNotFoundError('loads ' + name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"for name in {modules()!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", ["node", "replay"])
def test_without_ros_its_programs_say_to_source_it(program: str) -> None:
    code = (
        "import sys; sys.modules['rclpy'] = None\n"
        f"from ros2_vodistill.ros.{program} import main\n"
        "sys.exit(main(['--help']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: there is no ROS 2 here: no rclpy",
        "  Source your ROS 2: source /opt/ros/<distro>/setup.bash",
    ]


def imported(file: Path) -> set[str]:
    """Dotted names of all that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{each.name}" for each in node.names}
    return found


def test_the_core_imports_neither_its_wrappers_nor_training() -> None:
    wrappers = tuple(f"ros2_vodistill.{name}." for name in ("cli", "live", "ros", "report", "run"))
    core = ("geometry", "camera", "lens", "view", "image", "model", "network", "odometry", "trajectory", "metrics")
    for name in core:
        files = [PACKAGE / f"{name}.py"] if (PACKAGE / f"{name}.py").exists() else sorted((PACKAGE / name).glob("*.py"))
        assert files
        for file in files:
            assert not [each for each in imported(file) if f"{each}.".startswith((*wrappers, "training."))], file
