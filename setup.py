"""One description for pip and for colcon (ament_python); Humble's setuptools reads no [project]."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "ros2_vodistill"
ROOT = Path(__file__).resolve().parent


def share(*folders: str) -> list[tuple[str, list[str]]]:
    """data_files that keep the tree below each folder, under share/ros2_vodistill."""
    entries: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                relative = path.relative_to(ROOT)
                entries.setdefault(f"share/{NAME}/{relative.parent.as_posix()}", []).append(relative.as_posix())
    return list(entries.items())


# ROS 2 is no extra: rclpy, cv_bridge and the messages come with the distribution (package.xml, docs/robot.md).
EXTRAS = {
    "train": [
        "torch==2.13.0",
        "accelerate>=1.0,<2",
        "safetensors>=0.4,<1",
        "onnx>=1.16,<2",
        "onnxscript>=0.3,<1",
        "tensorboard>=2.14,<3",
    ],
    "openvino": ["openvino>=2024.4"],
    "tensorrt": ["cuda-bindings>=12.6"],  # TensorRT itself is the system's: docs/jetson.md
    # Builds plans without a GPU, for the tests; under NVIDIA's own licence.
    "dev-tensorrt": ["tensorrt-rtx>=1.1; sys_platform == 'linux' and platform_machine == 'x86_64'"],
    "rerun": ["rerun-sdk>=0.22,<1"],
    "test": ["pytest>=8,<9"],  # by this name colcon knows to run pytest
    "dev": [
        "evo>=1.30,<2",
        "hypothesis>=6.100,<7",
        "mypy>=1.11",
        "pytest>=8,<9",
        "pytest-timeout>=2.3,<3",
        "ruff>=0.9",
        "scipy>=1.11,<2",
        "types-PyYAML",
    ],
}

setup(
    name=NAME,
    version="0.1.0",
    description="Metric visual odometry from one camera, with networks distilled to run on the robot",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author="The ros2_vodistill authors",
    maintainer="The ros2_vodistill authors",
    maintainer_email="ros2-vodistill@users.noreply.github.com",
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *share("models", "launch", "config", "rviz", "demo"),
    ],
    install_requires=[
        "setuptools",
        "numpy>=1.21,<3",
        "opencv-python-headless>=4.5.4,<5",
        "onnxruntime>=1.18,<2",
        "rosbags>=0.11.9,<0.12",
        "lz4>=4,<5",
        'backports.zstd>=1; python_version < "3.14"',
        "PyYAML>=5.4,<7",
        "rich>=13,<16",
        "typer>=0.16,<1",
        "matplotlib>=3.5,<4",
    ],
    extras_require=EXTRAS,
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "vodistill = ros2_vodistill.cli:main",
            "vo = ros2_vodistill.ros.node:main",
            "replay = ros2_vodistill.ros.replay:main",
        ]
    },
)
