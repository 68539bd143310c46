"""The node against a real ROS 2, in a process of its own: what it gives, its services, parameters and states."""

from __future__ import annotations

import ast
import inspect
import signal
import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not sourced: no rclpy; the node's tests need a real ROS 2")

import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped
from lifecycle_msgs.msg import Transition
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.parameter import Parameter as RclpyParameter
from std_srvs.srv import Trigger

from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.image import decode_compressed
from ros2_vodistill.ros import lifecycle, node
from ros2_vodistill.sources import messages
from tests.ros.camera import COUNT, frames, stamps
from tests.ros.process import Ros
from tests.ros.talk import Driver, Listener, change, core, drive, ready, set_parameter, state

pytestmark = pytest.mark.slow


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
    driver.calibrated(listener)
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
    ros.until(lambda: listener.paths[-1].poses[-1].pose.position.x > 50, "the path from there")
    assert all(one.pose.position.x > 50 for one in listener.paths[-1].poses)
    assert change(ros, Transition.TRANSITION_DEACTIVATE)
    inactive = "set_pose is ignored: the node is not active"
    ros.repeat(lambda: publisher.publish(message), lambda: inactive in ros.told(), "the refusal while inactive")


def test_a_model_that_is_not_there_is_told_and_configuring_can_be_tried_again(ros: Ros) -> None:
    listener = Listener(ros)
    ros.vo(model="nonsense")
    listener.says("there is no model 'nonsense'")
    assert state(ros) == "unconfigured"
    assert not change(ros, Transition.TRANSITION_CONFIGURE)
    assert set_parameter(ros, "model", "brightness") == (True, "")
    for name, value in (("reliability", "reliable"), ("depth", 7)):
        assert "read-only" in set_parameter(ros, name, value)[1], name
    assert change(ros, Transition.TRANSITION_CONFIGURE)
    assert set_parameter(ros, "model", "other")[0] is False
    assert change(ros, Transition.TRANSITION_ACTIVATE)
    assert state(ros) == "active"
    driver = Driver(ros)
    driver.connected(listener)
    drive(driver, listener, count=3)
    assert change(ros, Transition.TRANSITION_DEACTIVATE)
    assert change(ros, Transition.TRANSITION_ACTIVATE)
    listener.shows("state", "active")
    before = len(listener.odometry)
    sent = iter(zip(stamps(start=1010.0), frames(), strict=True))
    ros.repeat(lambda: driver.image(*next(sent)), lambda: len(listener.odometry) > before, "odometry once more")
    assert change(ros, Transition.TRANSITION_DEACTIVATE)
    assert not ros.call(Trigger, "/vo/reset", Trigger.Request()).success
    assert change(ros, Transition.TRANSITION_CLEANUP)
    assert change(ros, Transition.TRANSITION_CONFIGURE)
    assert change(ros, Transition.TRANSITION_INACTIVE_SHUTDOWN)
    assert state(ros) == "finalized"
    listener.says("shut down")


def test_a_transition_that_is_none_here_is_refused_and_the_node_lives_on(ros: Ros) -> None:
    driver, listener = ready(ros)
    for wrong in (Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP):
        assert not change(ros, wrong)
    assert state(ros) == "active"
    drive(driver, listener, count=3)
    assert change(ros, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert not change(ros, Transition.TRANSITION_CONFIGURE)
    assert state(ros) == "finalized"


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
    assert not ros.crashed()


def test_sigint_again_and_again_does_not_break_off_its_end(ros: Ros) -> None:
    """What ends a whole group of processes tells launch, which tells the node once more."""
    ready(ros)
    (process,) = ros.processes

    def told_once_more() -> bool:
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
        return process.poll() is not None

    ros.until(told_once_more, "its end")
    assert process.returncode == 0 and not ros.crashed(), ros.told()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"image_transport": "nonsense"}, "error: image_transport is 'nonsense'; choices: raw, compressed"),
        ({"camera_height": 1}, "1.0 is a double, 1 an integer."),
        ({"camera_pose": "[0, 0, 0.5, 0, 0, 0, 1]"}, "error: failed to initialize rcl"),
    ],
)
def test_a_parameter_that_cannot_be_ends_it_with_what_is_wrong(ros: Ros, wrong: dict[str, object], told: str) -> None:
    process = ros.vo(**wrong)
    ros.until(lambda: process.poll() is not None, "its end")
    assert process.returncode == 2
    assert told in ros.told() and not ros.crashed()


def test_one_that_could_not_be_made_can_be_ended(ros: Ros, monkeypatch: pytest.MonkeyPatch) -> None:
    """After Jazzy a context that ends destroys its nodes, half made ones, too."""
    half: list[lifecycle.VoNode] = []

    def refuse(vo: lifecycle.VoNode) -> None:
        half.append(vo)
        raise VodistillError("a wrong parameter")

    monkeypatch.setattr(lifecycle.declared, "declare", refuse)
    with pytest.raises(VodistillError, match="a wrong parameter"):
        lifecycle.VoNode(context=ros.context)
    half[0].destroy_node()


def test_told_to_end_while_it_is_made_it_ends_with_code_0(monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> None:
        rclpy.shutdown()  # as a signal does
        raise RuntimeError("Failed to create publisher: rcl node's context is invalid")

    monkeypatch.setattr(lifecycle, "VoNode", made)
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        assert node.main([]) == 0
    finally:
        signal.signal(signal.SIGINT, interrupt)


def test_of_rclpys_own_names_it_takes_the_transitions_and_its_end_alone(ros: Ros) -> None:
    """A name that one distribution leaves free is taken in another: Humble declares parameters by _set_parameters."""
    plain = LifecycleNode("plain", context=ros.context)
    taken = {name for name in dir(plain) if not name.startswith("__")} | {"_set_parameters"}
    plain.destroy_node()
    own = ast.walk(ast.parse(inspect.getsource(lifecycle.VoNode)))
    kept = {name.attr for name in own if isinstance(name, ast.Attribute) and isinstance(name.ctx, ast.Store)}
    assert "_pipeline" in kept and not taken & kept
    transitions = {f"on_{name}" for name in ("configure", "activate", "deactivate", "cleanup", "shutdown", "error")}
    assert taken & set(vars(lifecycle.VoNode)) == {*transitions, "destroy_node"}


def test_what_nobody_expected_while_configuring_is_told(ros: Ros, monkeypatch: pytest.MonkeyPatch) -> None:
    """rclpy lets the exceptions of transitions pass in silence."""

    def bug(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("ros2_vodistill.ros.lifecycle.Pipeline", bug)
    vo = lifecycle.VoNode(context=ros.context, parameter_overrides=[RclpyParameter("autostart", value=False)])
    try:
        assert vo.trigger_configure() == TransitionCallbackReturn.FAILURE
        ros.executor.add_node(vo)
        Listener(ros).says("cannot configure: ZeroDivisionError: a bug")
    finally:
        ros.executor.remove_node(vo)
        vo.destroy_node()


def test_a_node_of_another_program_ends_its_thread_when_it_is_destroyed(
    ros: Ros, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VODISTILL_MODELS", str(ros.folder / "models"))
    overrides = [RclpyParameter("model", value="brightness"), RclpyParameter("autostart", value=False)]
    vo = lifecycle.VoNode(context=ros.context, parameter_overrides=overrides)
    assert vo.trigger_configure() == vo.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert "odometry" in {thread.name for thread in threading.enumerate()}
    vo.destroy_node()
    assert "odometry" not in {thread.name for thread in threading.enumerate()}


def test_the_path_is_bounded_in_rate_and_length(ros: Ros) -> None:
    driver, listener = ready(ros, path_rate=5.0, path_length=3)
    drive(driver, listener)
    due = stamps()[1::2]
    ros.until(lambda: len(listener.paths) >= len(due), "the path")
    told = [[p.header.stamp.sec + p.header.stamp.nanosec / 1e9 for p in path.poses] for path in listener.paths]
    np.testing.assert_allclose([path[-1] for path in told], due)
    np.testing.assert_allclose(told[-1], due[-3:])
    assert {path.header.frame_id for path in listener.paths} == {"odom"}
    assert listener.paths[-1].poses[-1].pose == listener.odometry[-1].pose.pose
    assert set_parameter(ros, "path_length", 2) == (True, "")
    assert ros.call(Trigger, "/vo/reset", Trigger.Request()).success
    drive(driver, listener, start=1010.0, count=9)
    ros.until(lambda: len(listener.paths) >= len(due) + 4, "the path")
    assert [len(path.poses) for path in listener.paths[len(due) :]] == [1, 2, 2, 2]
    assert set_parameter(ros, "path_rate", 0.0) == (True, "")
    drive(driver, listener, start=1020.0, count=5)
    assert len(listener.paths) == len(due) + 4
