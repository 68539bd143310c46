"""Training runs on a bare GPU image: what it imports is little, and comes with what it names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEEDED = (
    "torch", "accelerate", "safetensors", "numpy", "opencv-python-headless", "onnx", "onnxscript", "onnxruntime",
    "rich", "typer", "tensorboard", "matplotlib",
)  # fmt: skip
CODE = f"""
import importlib, re, sys
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from packaging.requirements import Requirement

def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()

present = {{plain(each.metadata["Name"]): each for each in metadata.distributions()}}
known, asked = set(), list({NEEDED!r})
while asked:
    name = plain(asked.pop())
    if name in present and name not in known:
        known.add(name)
        needs = map(Requirement, present[name].requires or [])
        asked += [need.name for need in needs if need.marker is None or need.marker.evaluate({{"extra": ""}})]
own = "training", "ros2_vodistill"
others = {{
    module for module, names in metadata.packages_distributions().items()
    if module not in own and not known & set(map(plain, names))
}}
assert "rosbags" in others and "cv2" not in others

find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *where: None if name.partition(".")[0] in others else find(name, *where)
for file in sorted(Path("training").rglob("*.py")):
    name = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
    if file.stem != "__main__":
        importlib.import_module(name)
"""


def test_training_imports_nothing_that_a_bare_image_lacks() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
