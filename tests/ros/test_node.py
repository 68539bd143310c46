"""The node against a real ROS 2, in a process of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not sourced: no rclpy; the node's tests need a real ROS 2")

from geometry_msgs.msg import PoseWithCovarianceStamped, TwistStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from std_srvs.srv import Trigger

from ros2_vodistill import geometry
from ros2_vodistill.image import decode_compressed
from ros2_vodistill.live import Body
from ros2_vodistill.odometry import VisualOdometry
from ros2_vodistill.sources import messages
from ros2_vodistill.sources.transforms import mount_of
from tests.ros.conftest import CALIBRATED, CAMERA, COUNT, MOUNT, PERIOD, Driver, Listener, Ros, frames, stamps

pytestmark = pytest.mark.slow


def ready(ros: Ros, **parameters: object) -> tuple[Driver, Listener]:
    """A node that has all it needs but images."""
    driver, listener = Driver(ros), Listener(ros)
    ros.vo(**parameters)
    ros.until(lambda: ros.node.count_publishers("/odom") > 0, "odom")
    driver.connected(listener)
    return driver, listener


def drive(driver: Driver, listener: Listener, start: float = 1000.0, count: int = COUNT) -> None:
    """All frames, each after the answer to the one before."""
    before = len(listener.odometry)
    for i, (stamp, image) in enumerate(zip(stamps(count, start), frames(count), strict=True)):
        driver.image(stamp, image)
        if i:
            listener.ros.until(lambda n=i: len(listener.odometry) >= before + n, f"odometry of frame {i}")


def core(folder: Path, images: list[np.ndarray], start: float = 1000.0) -> list[np.ndarray]:
    """What Python gives for the same frames: base_link in odom."""
    from ros2_vodistill.sources.record import _base_from_camera
    from ros2_vodistill.sources.transforms import Transforms

    transforms = Transforms()
    transforms.add_message(messages.transform(0, "base_link", "camera_optical_frame", _base_from_camera(MOUNT)))
    place = transforms.lookup("base_link", "camera_optical_frame")
    assert place is not None
    mount = mount_of(transforms, "camera_optical_frame")[0]
    odometry = VisualOdometry(folder / "models" / "brightness", camera=CAMERA, mount=mount)
    estimates = [odometry.push(image, stamp) for image, stamp in zip(images, stamps(len(images), start), strict=True)]
    return [Body(place).pose(estimate.pose) for estimate in estimates if estimate is not None]


def set_parameter(ros: Ros, name: str, value: object) -> tuple[bool, str]:
    kinds = {bool: (1, "bool_value"), int: (2, "integer_value"), float: (3, "double_value"), str: (4, "string_value")}
    kind, field = kinds[type(value)]
    request = SetParameters.Request(
        parameters=[Parameter(name=name, value=ParameterValue(type=kind, **{field: value}))]
    )
    result = ros.call(SetParameters, "/vo/set_parameters", request).results[0]
    return result.successful, result.reason


def change(ros: Ros, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(ros.call(ChangeState, "/vo/change_state", request).success)


def state(ros: Ros) -> str:
    return str(ros.call(GetState, "/vo/get_state", GetState.Request()).current_state.label)


def test_the_same_frames_give_the_trajectory_of_the_core_to_the_last_digit(ros: Ros) -> None:
    driver, listener = ready(ros)
    drive(driver, listener)
    expected = core(ros.folder, frames())
    assert len(expected) == COUNT - 1
    for message, pose in zip(listener.odometry, expected, strict=True):
        at, turn = message.pose.pose.position, message.pose.pose.orientation
        assert [at.x, at.y, at.z] == pose[:3, 3].tolist()
        assert [turn.x, turn.y, turn.z, turn.w] == geometry.to_quaternion(pose[:3, :3]).tolist()
        assert (message.header.frame_id, message.child_frame_id) == ("odom", "base_link")
        assert np.linalg.eigvalsh(np.reshape(message.pose.covariance, (6, 6))).min() > 0
        assert np.linalg.eigvalsh(np.reshape(message.twist.covariance, (6, 6))).min() > 0
    np.testing.assert_allclose(listener.stamps(), stamps()[1:])
    assert expected[-1][0, 3] > 0.1  # base_link has moved ahead
    ros.until(lambda: len(listener.transforms) >= COUNT - 1, "TF")
    last, odometry = listener.transforms[-1], listener.odometry[-1]
    assert (last.header.frame_id, last.child_frame_id) == ("odom", "base_link")
    assert last.transform.translation.x == odometry.pose.pose.position.x
    assert last.header.stamp == odometry.header.stamp
    assert listener.value("decoder").startswith(("cv_bridge", "own"))
    assert "brightness on onnxruntime" in listener.value("engine")
    ros.until(lambda: listener.paths, "a path")


def test_compressed_images_give_the_core_of_the_decoded_ones(ros: Ros) -> None:
    driver, listener = Driver(ros), Listener(ros)
    ros.vo(image_transport="compressed")
    images = frames(6)
    driver.place()
    ros.repeat(driver.info, lambda: listener.last().startswith(CALIBRATED), "calibration")
    driver.greet(listener, lambda: driver.jpeg(1000.0, images[0]))
    for i, (stamp, image) in enumerate(zip(stamps(6), images, strict=True)):
        driver.jpeg(stamp, image)
        ros.until(lambda n=i: len(listener.odometry) >= n, f"odometry of frame {i}")
    decoded = [decode_compressed(messages.compressed(0, "", image, "jpeg").data.tobytes()) for image in images]
    np.testing.assert_array_equal([pose[:3, 3] for pose in core(ros.folder, decoded)], listener.poses()[:, :3, 3])


def test_reset_and_set_pose(ros: Ros) -> None:
    driver, listener = ready(ros)
    drive(driver, listener, count=5)
    answer = ros.call(Trigger, "/vo/reset", Trigger.Request())
    assert answer.success, answer.message
    drive(driver, listener, start=2000.0, count=5)
    np.testing.assert_array_equal(listener.poses()[:4], listener.poses()[4:])
    publisher = ros.node.create_publisher(PoseWithCovarianceStamped, "/vo/set_pose", 1)
    ros.until(publisher.get_subscription_count, "set_pose")
    message = PoseWithCovarianceStamped()
    message.header.frame_id = "map"
    message.pose.pose.position.x, message.pose.pose.orientation.w = 100.0, 1.0
    refused = "set_pose in 'map' is ignored: it must be in odom"
    ros.repeat(lambda: publisher.publish(message), lambda: refused in ros.told(), "the refusal of a pose in map")
    message.header.frame_id = "odom"
    publisher.publish(message)
    ros.until(lambda: "set_pose: at 100.00, 0.00, 0.00" in ros.told(), "the pose to be set")
    drive(driver, listener, start=3000.0, count=2)
    assert listener.poses()[-1, 0, 3] == pytest.approx(100.0, abs=1.0)


def test_a_model_that_is_not_there_is_told_and_configuring_can_be_tried_again(ros: Ros) -> None:
    listener = Listener(ros)
    ros.vo(model="nonsense")
    listener.says("there is no model 'nonsense'")
    assert state(ros) == "unconfigured"
    assert not change(ros, Transition.TRANSITION_CONFIGURE)
    assert set_parameter(ros, "model", "brightness") == (True, "")
    assert change(ros, Transition.TRANSITION_CONFIGURE)
    assert set_parameter(ros, "model", "other")[0] is False
    assert change(ros, Transition.TRANSITION_ACTIVATE)
    assert state(ros) == "active"
    driver = Driver(ros)
    driver.connected(listener)
    drive(driver, listener, count=3)
    assert change(ros, Transition.TRANSITION_DEACTIVATE)
    assert not ros.call(Trigger, "/vo/reset", Trigger.Request()).success
    assert change(ros, Transition.TRANSITION_CLEANUP)
    assert change(ros, Transition.TRANSITION_CONFIGURE)


def test_parameters_are_checked_and_take_effect_at_run_time(ros: Ros) -> None:
    driver, listener = ready(ros)
    for name, value in (("stall_timeout", 1e9), ("path_length", 0), ("autostart", False), ("queue_size", 3)):
        done, reason = set_parameter(ros, name, value)
        assert not done and reason, name
    assert "clean the node up" in set_parameter(ros, "queue_size", 3)[1]
    drive(driver, listener, count=4)
    ros.until(lambda: len(listener.transforms) >= 3, "TF")
    assert set_parameter(ros, "publish_tf", False) == (True, "")
    drive(driver, listener, start=2000.0, count=4)
    assert len(listener.odometry) >= 6
    assert len(listener.transforms) == 3
    assert set_parameter(ros, "stall_timeout", 0.2) == (True, "")
    listener.says("stalled: no frame on /camera/image_raw")


def test_what_is_missing_is_named_and_latched_calibration_is_heard(ros: Ros) -> None:
    driver, listener = Driver(ros, latched_info=True), Listener(ros)
    driver.info()
    ros.vo()
    driver.greet(listener, lambda: driver.image(1000.0, frames()[0]))
    listener.says("waiting for the camera's place (tf_static): waiting for the transform from base_link to camera_opt")
    assert not listener.odometry
    driver.place()
    listener.says("initialising")
    driver.image(1000.1, frames()[1])
    driver.image(1000.2, frames()[2])
    ros.until(lambda: listener.odometry, "odometry once the transform is there")


def test_a_camera_pose_by_parameter_needs_no_transform(ros: Ros) -> None:
    driver, listener = Driver(ros), Listener(ros)
    ros.vo(camera_pose="[0.2, 0.0, 0.5, -0.5, 0.5, -0.5, 0.5]", base_frame="robot", odom_frame="world")
    ros.repeat(driver.info, lambda: listener.last().startswith(CALIBRATED), "calibration")
    driver.greet(listener, lambda: driver.image(1000.0, frames()[0]))
    listener.says("initialising")
    driver.image(1000.1, frames()[1])
    ros.until(lambda: listener.odometry, "odometry")
    assert listener.odometry[0].child_frame_id == "robot"
    assert listener.odometry[0].header.frame_id == "world"
    assert listener.odometry[0].pose.pose.position.x > 0


def test_profiles_that_do_not_fit_are_both_named(ros: Ros) -> None:
    driver, listener = Driver(ros, best_effort=True), Listener(ros)
    ros.vo(reliability="reliable")
    driver.place()
    ros.repeat(driver.info, lambda: "this node" in listener.last(), "the warning")
    listener.says("this node asks for reliable, volatile, but tester offers best_effort, volatile")


def test_a_qos_override_is_obeyed(ros: Ros) -> None:
    driver, listener = Driver(ros, best_effort=True), Listener(ros)
    ros.vo(**{"qos_overrides./camera/image_raw.subscription.reliability": "best_effort"})
    driver.connected(listener)
    sent = iter(zip(stamps(), frames(), strict=True))
    ros.repeat(lambda: driver.image(*next(sent)), lambda: listener.odometry, "odometry")


def test_a_publisher_that_goes_and_comes_back_and_a_bag_that_loops(ros: Ros) -> None:
    driver, listener = ready(ros, stall_timeout=0.5)
    drive(driver, listener, count=5)
    ros.node.destroy_publisher(driver.images)
    listener.says("nobody publishes it")
    again = Driver(ros)
    again.greet(listener, lambda: again.image(1000.0, frames(1)[0]))  # the same stamps again
    drive(again, listener, count=5)
    np.testing.assert_array_equal(listener.poses()[:4], listener.poses()[4:])
    ros.until(lambda: listener.value("last restart") == "stamps went back by 0.40 s", "the restart to be told")


def test_speed_gives_the_scale(ros: Ros) -> None:
    driver, listener = ready(ros, speed_source="twist", refine=False)
    publisher = ros.node.create_publisher(TwistStamped, "/speed/twist", 10)
    ros.until(publisher.get_subscription_count, "speed")
    for i, (stamp, image) in enumerate(zip(stamps(6), frames(6), strict=True)):
        message = TwistStamped()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(messages.nanoseconds(stamp), 10**9)
        message.twist.linear.x = 2.0 + i
        ros.repeat(
            lambda message=message: publisher.publish(message),
            lambda i=i: listener.value("speed given (m/s)") == f"{2 + i}.00",
            "the speed to be heard before its frame",
        )
        driver.image(stamp, image)
        ros.until(lambda n=i: len(listener.odometry) >= n, "odometry")
    steps = np.linalg.norm(np.diff(listener.poses()[:, :3, 3], axis=0), axis=1)
    np.testing.assert_allclose(steps, PERIOD * np.array([4.0, 5.0, 6.0, 7.0]), rtol=1e-3)
    assert listener.value("scale from") == "speed"


def test_two_nodes_in_two_namespaces_do_not_hear_each_other(ros: Ros) -> None:
    sides = ("left", "right")
    pairs = {name: (Driver(ros, prefix=f"/{name}"), Listener(ros, prefix=f"/{name}")) for name in sides}
    for name, (driver, listener) in pairs.items():
        ros.vo(namespace=f"/{name}")
        driver.connected(listener)
    drive(*pairs["left"], count=5)
    assert len(pairs["left"][1].odometry) == 4
    assert not pairs["right"][1].odometry
    drive(*pairs["right"], count=3)
    assert len(pairs["left"][1].odometry) == 4


def test_sigint_ends_it_cleanly_at_work(ros: Ros) -> None:
    driver, listener = ready(ros)
    drive(driver, listener, count=3)
    assert ros.interrupt(ros.processes[0]) == 0, ros.told()
    assert "Traceback" not in ros.told()


@pytest.mark.soak
def test_memory_stays_flat(ros: Ros) -> None:
    """For VODISTILL_SOAK_S seconds; 1800 is what a release is given."""
    driver, listener = ready(ros, queue_size=1)
    pid, seconds = ros.processes[0].pid, float(os.environ.get("VODISTILL_SOAK_S", "20"))
    image, began, memory, i = frames()[0], time.monotonic(), [], 0
    while time.monotonic() - began < seconds:
        driver.image(1000.0 + 0.03 * i, np.roll(image, i, axis=1))
        i += 1
        ros.executor.spin_once(timeout_sec=0.03)
        if i % 20 == 0:
            memory.append(_resident(pid))
            listener.odometry.clear()
            listener.transforms.clear()
            listener.paths.clear()
    assert len(memory) > 4
    settled = memory[len(memory) // 4 :]
    assert max(settled) - settled[0] < 20e6, [round(m / 1e6) for m in settled]


def _resident(pid: int) -> float:
    """Bytes of a process."""
    return float(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
