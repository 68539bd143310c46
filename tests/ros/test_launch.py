"""The launch files, as a user starts them, on an installed package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not sourced: no rclpy; the node's tests need a real ROS 2")

from ament_index_python.packages import get_packages_with_prefixes
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from ros2_vodistill import geometry, trajectory
from ros2_vodistill.odometry import VisualOdometry
from ros2_vodistill.sources import open_source
from ros2_vodistill.sources.messages import STORE, odometry
from ros2_vodistill.sources.record import LATCHED
from ros2_vodistill.sources.ros_types import ODOMETRY
from tests.ros.camera import COUNT, frames
from tests.ros.process import IMAGE, INFO, PATIENCE, REPOSITORY, Ros, alive
from tests.ros.talk import Listener, core

pytestmark = pytest.mark.slow

CONTENT = LATCHED._replace(durability=QosDurability.VOLATILE, reliability=QosReliability.BEST_EFFORT)


def replaying(ros: Ros, bag: Path, *arguments: str) -> subprocess.Popen[bytes]:
    out = ros.folder / "out"
    return ros.start("ros2", "launch", "ros2_vodistill", "replay.launch.py", f"bag:={bag}", f"out:={out}", *arguments)


def replayed(ros: Ros, bag: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """To its end."""
    process = replaying(ros, bag, *arguments)
    ros.until(lambda: process.poll() is not None, "the end of the replay", PATIENCE * 3)
    return process


def test_a_replayed_bag_gives_the_trajectory_of_vodistill_run_and_its_errors(
    ros: Ros, bag: Path, installed: Path
) -> None:
    out = ros.folder / "out"
    process = replayed(ros, bag, "model:=brightness", "rate:=0.5")
    assert process.returncode == 0, ros.told()
    source = open_source(bag)
    core_run = VisualOdometry(ros.folder / "models" / "brightness", camera=source.require_camera(), mount=source.mount)
    poses = {stamp: core_run.push(image, stamp) for stamp, image in source}
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


def test_a_robots_own_recording_is_replayed_as_any_other(ros: Ros, bag: Path, installed: Path) -> None:
    """Its driver was content with best effort, its profiles were lost on the way, its calibration is not beside the
    images, and wheels have an odom, far away."""
    recorded = ros.folder / "robot"
    with Reader(bag) as reader, Writer(recorded, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        copies = {
            made.id: writer.add_connection(
                "/calibration" if made.topic == INFO else made.topic,
                made.msgtype,
                typestore=STORE,
                offered_qos_profiles=[CONTENT] * (made.topic == IMAGE),
            )
            for made in reader.connections
        }
        wheels = writer.add_connection("/odom", ODOMETRY, typestore=STORE)
        far = geometry.make(np.eye(3), [100.0, 0.0, 0.0])
        for connection, time, raw in reader.messages():
            writer.write(copies[connection.id], time, raw)
            if connection.topic == IMAGE:
                message = odometry(time + 10**7, "odom", "base_link", far, np.zeros(6))
                writer.write(wheels, time + 10**7, STORE.serialize_cdr(message, ODOMETRY))
    process = replayed(ros, recorded, "model:=brightness", "rate:=0.5", "namespace:=robot")
    assert process.returncode == 0, ros.told()
    estimate = trajectory.read_tum(ros.folder / "out" / "trajectory.tum")
    assert len(estimate) == COUNT - 1
    assert np.abs(estimate.poses[:, :3, 3]).max() < 10


def test_a_replay_without_odometry_fails_with_a_code(ros: Ros, bag: Path, installed: Path) -> None:
    process = replayed(ros, bag, "model:=nonsense")
    assert process.returncode != 0
    assert "there is no model 'nonsense'" in ros.told()
    assert not alive(process.pid)


def test_a_player_that_fails_is_what_the_replay_tells(ros: Ros, bag: Path, installed: Path) -> None:
    """Not that no odometry came, which is but what follows from it."""
    broken = ros.folder / "bin" / "ros2"
    broken.parent.mkdir()
    broken.write_text(f'#!/bin/sh\n[ "$1" = bag ] && exit 3\nexec {shutil.which("ros2")} "$@"\n')
    broken.chmod(0o755)
    ros.env["PATH"] = f"{broken.parent}:{os.environ['PATH']}"
    process = replayed(ros, bag, "model:=brightness")
    assert process.returncode != 0
    assert "failed with code 3" in ros.told() and "no odometry came" not in ros.told()
    assert not (ros.folder / "out").exists() and not alive(process.pid)


def test_sigint_to_a_launch_leaves_no_process(ros: Ros, installed: Path) -> None:
    process = ros.start("ros2", "launch", "ros2_vodistill", "vo.launch.py", "model:=brightness", "namespace:=robot")
    ros.until(lambda: ros.node.count_publishers("/robot/odom") > 0, "odom in the namespace")
    assert len(alive(process.pid)) >= 2
    ros.interrupt(process)
    ros.until(lambda: not alive(process.pid), "all processes to end", 20)
    assert not ros.crashed()


def test_sigint_to_a_replay_leaves_no_process(ros: Ros, bag: Path, installed: Path) -> None:
    listener = Listener(ros)
    process = replaying(ros, bag, "model:=brightness", "rate:=0.1")
    ros.until(lambda: listener.odometry, "odometry", PATIENCE * 2)
    ros.interrupt(process)
    ros.until(lambda: not alive(process.pid), "all processes to end")
    assert not ros.crashed()


def test_a_replay_that_is_interrupted_before_it_plays_says_so(ros: Ros, bag: Path) -> None:
    process = ros.start(sys.executable, "-m", "ros2_vodistill.ros.replay", str(bag), "--out", str(ros.folder / "out"))
    ros.until(lambda: "replay" in ros.node.get_node_names(), "the replay, which waits for a node")
    assert ros.interrupt(process) == 1
    assert "interrupted" in ros.told() and "no odometry came" not in ros.told()


def test_a_replay_whose_folder_cannot_be_made_does_not_begin(ros: Ros, bag: Path) -> None:
    out = bag / "metadata.yaml" / "out"
    process = ros.start(sys.executable, "-m", "ros2_vodistill.ros.replay", str(bag), "--out", str(out))
    ros.until(lambda: process.poll() is not None, "its end", 20)
    assert process.returncode == 1
    assert "metadata.yaml is a file, not a folder for results" in ros.told()


def test_sigint_while_it_starts_leaves_no_process(ros: Ros, installed: Path) -> None:
    process = ros.start("ros2", "launch", "ros2_vodistill", "vo.launch.py", "model:=brightness")
    ros.until(lambda: "process started with pid" in ros.told(), "the node's process")  # launch itself is ready
    ros.interrupt(process)
    ros.until(lambda: not alive(process.pid), "all processes to end")


def test_a_launch_test_of_vo(ros: Ros, installed: Path) -> None:
    ros.env["PATIENCE"] = str(PATIENCE)
    test = REPOSITORY / "tests" / "ros" / "launched_vo.py"
    process = ros.start("launch_test", str(test))  # by the Python of ROS 2, which has what launch imports
    ros.until(lambda: process.poll() is not None, "the end of the launch test", PATIENCE * 3)
    assert process.returncode == 0, ros.told()
    assert "test_it_brings_itself_up_under_its_name" in ros.told() and "test_it_ends_with_code_0" in ros.told()


def test_a_bag_that_is_played_in_a_loop_gives_the_core_in_every_round(ros: Ros, bag: Path, installed: Path) -> None:
    listener = Listener(ros)
    vo = ros.start(
        "ros2", "launch", "ros2_vodistill", "vo.launch.py", f"image:={IMAGE}", f"camera_info:={INFO}",
        "model:=brightness", "reliability:=reliable", "depth:=100", "queue_size:=100",
    )  # fmt: skip
    ros.until(listener.is_connected, "the node and this side to have discovered each other")
    ros.start("ros2", "bag", "play", str(bag), "--loop", "--disable-keyboard-controls")

    def rounds() -> list[np.ndarray]:
        """Indices of each round, which begins where stamps go back."""
        backwards = np.flatnonzero(np.diff(listener.stamps()) < 0) + 1
        return np.split(np.arange(len(listener.odometry)), backwards)

    ros.until(lambda: len(rounds()) > 3, "three rounds")
    expected = [pose[:3, 3] for pose in core(ros.folder, frames())]
    for indices in rounds()[1:3]:
        np.testing.assert_array_equal(listener.poses()[indices][:, :3, 3], expected)
    assert listener.value("last restart").startswith("stamps went back by 2.")
    assert vo.poll() is None


def test_the_demo_ends_with_its_errors(ros: Ros, installed: Path) -> None:
    out, model = ros.folder / "out", REPOSITORY / "models" / "swift-s"
    process = ros.start(
        "ros2", "launch", "ros2_vodistill", "demo.launch.py", f"out:={out}", f"model:={model}", "rviz:=false"
    )
    ros.until(lambda: process.poll() is not None, "the end of the demo", PATIENCE * 3)
    assert process.returncode == 0, ros.told()
    source = open_source(REPOSITORY / "demo" / "bag")
    figures = json.loads((out / "metrics.json").read_text())
    assert figures["frames"] == len(list(source)) - 1  # every one but the first
    assert 0 < figures["ate_unaligned_m"] < 0.1 * figures["path_length_m"]
    assert "ate_unaligned_m" in ros.told()
    assert not alive(process.pid)


def test_in_real_time_the_node_stays_near_vodistill_run(ros: Ros, installed: Path) -> None:
    """Frames that come while one is worked on are dropped, as on a robot; what remains gives nearly the same."""
    demo, out, model = REPOSITORY / "demo" / "bag", ros.folder / "out", REPOSITORY / "models" / "swift-s"
    process = replayed(ros, demo, f"model:={model}", "every_frame:=false")
    assert process.returncode == 0, ros.told()
    live = trajectory.read_tum(out / "trajectory.tum")
    source = open_source(demo)
    core_run = VisualOdometry(model, camera=source.require_camera(), mount=source.mount)
    estimates = {stamp: core_run.push(image, stamp) for stamp, image in source}
    place = source.place("base_link")
    pairs = [
        (pose, place @ estimates[stamp].pose @ np.linalg.inv(place))
        for stamp, pose in zip(live.stamps.tolist(), live.poses, strict=True)
        if estimates[stamp] is not None
    ]
    assert len(pairs) > 10
    (live_start, run_start), (live_end, run_end) = pairs[0], pairs[-1]
    by_node, by_run = np.linalg.inv(live_start) @ live_end, np.linalg.inv(run_start) @ run_end
    apart = np.linalg.norm(by_node[:3, 3] - by_run[:3, 3])
    assert apart < 0.05 * np.linalg.norm(by_run[:3, 3]), (apart, len(pairs))


def test_the_example_with_a_filter_names_the_package_that_is_missing(ros: Ros, installed: Path) -> None:
    if "robot_localization" in get_packages_with_prefixes():
        pytest.skip("robot_localization is installed")
    process = ros.start("ros2", "launch", "ros2_vodistill", "ekf.launch.py")
    ros.until(lambda: process.poll() is not None, "the end of the launch")
    assert process.returncode != 0
    assert "robot_localization is not installed: sudo apt install" in ros.told()
    assert not alive(process.pid)


@pytest.mark.parametrize("name", ["vo", "replay", "demo", "ekf"])
def test_every_argument_is_described(ros: Ros, installed: Path, name: str) -> None:
    process = ros.start("ros2", "launch", "ros2_vodistill", f"{name}.launch.py", "--show-args")
    ros.until(lambda: process.poll() is not None, "the arguments")
    told = ros.told()
    assert process.returncode == 0, told
    assert "No description given" not in told
    assert "image" in told or "bag" in told
