"""The launch files, as a user starts them, on an installed package."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not sourced: no rclpy; the node's tests need a real ROS 2")

from ros2_vodistill import trajectory
from ros2_vodistill.odometry import VisualOdometry
from ros2_vodistill.sources import open_source
from tests.ros.conftest import COUNT, PATIENCE, REPOSITORY, Ros

pytestmark = pytest.mark.slow


@pytest.fixture
def installed(ros: Ros, tmp_path: Path) -> Path:
    """An ament prefix whose programs are the checkout's, so that nothing has to be built."""
    prefix = tmp_path / "install"
    share, library = prefix / "share" / "ros2_vodistill", prefix / "lib" / "ros2_vodistill"
    index = prefix / "share" / "ament_index" / "resource_index" / "packages"
    for folder in (share, library, index):
        folder.mkdir(parents=True)
    (index / "ros2_vodistill").touch()
    for name in ("launch", "config", "rviz"):
        shutil.copytree(REPOSITORY / name, share / name)
    for name, module in (("vo", "node"), ("replay", "replay")):
        script = library / name
        script.write_text(
            f"#!{sys.executable}\nimport sys\nfrom ros2_vodistill.ros.{module} import main\nsys.exit(main())\n"
        )
        script.chmod(0o755)
    ros.env["AMENT_PREFIX_PATH"] = f"{prefix}:{os.environ['AMENT_PREFIX_PATH']}"
    return prefix


def alive(session: int) -> list[str]:
    """Command lines of the processes that are left of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_a_replayed_bag_gives_the_trajectory_of_vodistill_run_and_its_errors(
    ros: Ros, bag: Path, installed: Path
) -> None:
    out = ros.folder / "out"
    process = ros.start(
        "ros2", "launch", "ros2_vodistill", "replay.launch.py", f"bag:={bag}", f"out:={out}", "model:=brightness",
        "rate:=0.5",
    )  # fmt: skip
    ros.until(lambda: process.poll() is not None, "the end of the replay", PATIENCE * 3)
    assert process.returncode == 0, ros.told()
    source = open_source(bag)
    odometry = VisualOdometry(ros.folder / "models" / "brightness", camera=source.require_camera(), mount=source.mount)
    poses = {stamp: odometry.push(image, stamp) for stamp, image in source}
    estimate = trajectory.read_tum(out / "trajectory.tum")
    assert len(estimate) == COUNT - 1
    place = source.place("base_link")
    camera = np.linalg.inv(place) @ estimate.poses @ place
    expected = np.stack([poses[stamp].pose for stamp in estimate.stamps.tolist()])
    np.testing.assert_allclose(camera, expected, atol=1e-12)
    figures = json.loads((out / "metrics.json").read_text())
    assert figures["frames"] == COUNT - 1
    assert 0 < figures["ate_unaligned_m"] < 1
    assert "ate_unaligned_m" in ros.told()
    assert not alive(process.pid)


def test_a_replay_without_odometry_fails_with_a_code(ros: Ros, bag: Path, installed: Path) -> None:
    process = ros.start(
        "ros2", "launch", "ros2_vodistill", "replay.launch.py", f"bag:={bag}", f"out:={ros.folder / 'out'}",
        "model:=nonsense",
    )  # fmt: skip
    ros.until(lambda: process.poll() is not None, "the end of the replay", PATIENCE * 3)
    assert process.returncode != 0
    assert "there is no model 'nonsense'" in ros.told()
    assert not alive(process.pid)


def test_sigint_to_a_launch_leaves_no_process(ros: Ros, installed: Path) -> None:
    process = ros.start("ros2", "launch", "ros2_vodistill", "vo.launch.py", "model:=brightness", "namespace:=robot")
    ros.until(lambda: ros.node.count_publishers("/robot/odom") > 0, "odom in the namespace")
    assert len(alive(process.pid)) >= 2
    ros.interrupt(process)
    ros.until(lambda: not alive(process.pid), "all processes to end", 20)
    assert "Traceback" not in ros.told()


@pytest.mark.parametrize("name", ["vo", "replay", "demo"])
def test_every_argument_is_described(ros: Ros, installed: Path, name: str) -> None:
    process = ros.start("ros2", "launch", "ros2_vodistill", f"{name}.launch.py", "--show-args")
    ros.until(lambda: process.poll() is not None, "the arguments")
    told = ros.told()
    assert process.returncode == 0, told
    assert "No description given" not in told
    assert "model" in told
