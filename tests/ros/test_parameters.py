"""Parameters that nothing else here sets: each has the effect that its description promises."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not sourced: no rclpy; the node's tests need a real ROS 2")

from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import CameraInfo

from tests.ros.camera import CAMERA, frames
from tests.ros.process import Ros
from tests.ros.talk import Driver, Listener, answered, core, drive, ready, set_parameter

pytestmark = pytest.mark.slow


def test_parameters_of_the_mount_overrule_the_transform(ros: Ros) -> None:
    _, listener = ready(ros, camera_height=0.9, camera_pitch=12.0, camera_roll=-3.0)
    ros.until(lambda: "camera: height 0.9 m, pitch 12.00, roll -3.00 deg" in ros.told(), "the mount to be told")
    listener.shows("camera height (m)", "0.9")


def test_camera_frame_stands_in_for_the_images_own(ros: Ros) -> None:
    driver, listener = Driver(ros), Listener(ros)
    ros.vo(camera_frame="eye")
    driver.place()
    driver.calibrated(listener)
    listener.says("waiting for the camera's place (tf_static): waiting for the transform from base_link to eye")
    driver.place(child="eye")
    driver.greet(listener, lambda: driver.image(1000.0, frames(1)[0]))
    drive(driver, listener, count=4)
    np.testing.assert_array_equal(listener.poses()[:, :3, 3], [pose[:3, 3] for pose in core(ros.folder, frames(4))])


def test_of_rectified_images_p_holds(ros: Ros) -> None:
    driver, listener = Driver(ros), Listener(ros)
    ros.vo(rectified=True)
    driver.place()
    projection = np.hstack([CAMERA.matrix, np.zeros((3, 1))]).ravel().tolist()
    info = CameraInfo(width=CAMERA.width, height=CAMERA.height, p=projection)
    ros.repeat(lambda: driver.infos.publish(info), lambda: listener.last().startswith("waiting for the"), "calibration")
    driver.greet(listener, lambda: driver.image(1000.0, frames(1)[0]))
    drive(driver, listener, count=4)
    np.testing.assert_array_equal(listener.poses()[:, :3, 3], [pose[:3, 3] for pose in core(ros.folder, frames(4))])


def test_after_a_jump_of_time_the_pose_is_held_if_so_wished(ros: Ros) -> None:
    driver, listener = ready(ros, reset_on_time_jump=False)
    drive(driver, listener, count=5)
    held, spread = listener.poses()[-1], listener.odometry[-1].pose.covariance[0]
    driver.image(990.0, frames()[5])
    after = answered(driver, listener, 990.1, frames()[6])
    assert held[0, 3] < after[0, 3] < held[0, 3] + 0.1
    assert listener.odometry[-1].pose.covariance[0] > spread + 0.5
    assert set_parameter(ros, "reset_on_time_jump", True) == (True, "")
    driver.image(980.0, frames()[7])
    assert answered(driver, listener, 980.1, frames()[8])[0, 3] < after[0, 3]


def test_what_is_not_to_be_trusted_is_withheld_if_so_wished(ros: Ros) -> None:
    driver, listener = ready(ros, max_gap=0.3, withhold_degraded=True, refine=False)
    drive(driver, listener, count=4)
    driver.image(1001.0, frames()[4])  # after a gap: held, and degraded
    listener.says("withheld, because restarted after no frame for 0.7 s")
    assert round(listener.stamps()[-1], 6) == 1000.3
    assert set_parameter(ros, "withhold_degraded", False) == (True, "")
    answered(driver, listener, 1002.0, frames()[5])


def test_a_speed_that_is_too_old_gives_no_scale(ros: Ros) -> None:
    driver, listener = ready(ros, speed_source="twist", speed_timeout=10.0)
    publisher = ros.node.create_publisher(TwistStamped, "/speed/twist", 10)
    message = TwistStamped()
    message.header.stamp.sec, message.twist.linear.x = 999, 3.0
    ros.repeat(
        lambda: publisher.publish(message), lambda: listener.value("speed given (m/s)") == "3.00", "the speed"
    )  # fmt: skip
    answered(driver, listener, 1000.1, frames()[1])
    listener.shows("scale from", "speed")
    assert set_parameter(ros, "speed_timeout", 0.5) == (True, "")
    answered(driver, listener, 1000.2, frames()[2])
    listener.shows("scale from", "camera height")
    listener.says("no speed has come on /speed/twist that is of the last frame's time")
