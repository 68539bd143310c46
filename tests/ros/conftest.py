"""Fixtures of the tests against a real ROS 2."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ros2_vodistill.sources.record import write_bag
from tests.models import brightness_model
from tests.ros.camera import CAMERA, COUNT, MOUNT, frames, stamps
from tests.ros.process import IMAGE, REPOSITORY, Ros


@pytest.fixture
def ros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ros]:
    from domain_coordinator import domain_id

    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    brightness_model(tmp_path / "models" / "brightness")
    with domain_id() as domain:
        made = Ros(domain, tmp_path)
        yield made
        made.close()


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    poses = np.broadcast_to(np.eye(4), (COUNT, 4, 4)).copy()
    poses[:, 2, 3] = 0.016 * np.arange(COUNT)
    folder = tmp_path / "bag"
    write_bag(folder, frames(), CAMERA, stamps(), poses, mount=MOUNT, topic=IMAGE)
    return folder


@pytest.fixture
def installed(ros: Ros, tmp_path: Path) -> Path:
    """An ament prefix whose programs are the checkout's, so that nothing has to be built."""
    prefix = tmp_path / "install"
    share, library = prefix / "share" / "ros2_vodistill", prefix / "lib" / "ros2_vodistill"
    index = prefix / "share" / "ament_index" / "resource_index" / "packages"
    for folder in (share, library, index):
        folder.mkdir(parents=True)
    (index / "ros2_vodistill").touch()
    for name in ("launch", "config", "rviz", "demo"):
        shutil.copytree(REPOSITORY / name, share / name)
    for name, module in (("vo", "node"), ("replay", "replay")):
        script = library / name
        script.write_text(
            f"#!{sys.executable}\nimport sys\nfrom ros2_vodistill.ros.{module} import main\nsys.exit(main())\n"
        )
        script.chmod(0o755)
    ros.env["AMENT_PREFIX_PATH"] = f"{prefix}:{os.environ['AMENT_PREFIX_PATH']}"
    return prefix
