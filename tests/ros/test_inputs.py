"""What the node is given, and what it says when it is not."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not sourced: no rclpy; the node's tests need a real ROS 2")

from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from ros2_vodistill.ros.decoder import Decoder
from ros2_vodistill.sources import messages
from tests.ros.camera import CAMERA, PERIOD, frames, stamps
from tests.ros.process import IMAGE, Ros
from tests.ros.talk import Driver, Listener, answered, core, drive, heard, ready

pytestmark = pytest.mark.slow


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


def test_transforms_that_are_not_latched_are_heard(ros: Ros) -> None:
    """A bag that was converted has lost its profiles: /tf_static is played as any topic."""
    driver, listener = Driver(ros), Listener(ros)
    driver.static = ros.node.create_publisher(TFMessage, "/tf_static", 10)
    ros.vo()
    driver.calibrated(listener)
    driver.greet(listener, lambda: driver.image(1000.0, frames()[0]))
    ros.repeat(driver.place, lambda: not listener.last().startswith("waiting"), "the transform")


def test_a_calibration_that_nobody_publishes_is_told_by_its_topic(ros: Ros) -> None:
    listener = Listener(ros)
    ros.vo()
    listener.says(
        "a calibration (camera_info) and the camera's place (tf_static): nobody publishes /camera/camera_info"
    )
    Driver(ros)
    listener.says("no message yet on /camera/camera_info")


def test_a_camera_pose_by_parameter_needs_no_transform(ros: Ros) -> None:
    driver, listener = Driver(ros), Listener(ros)
    ros.vo(camera_pose="[0.2, 0.0, 0.5, -0.5, 0.5, -0.5, 0.5]", base_frame="robot", odom_frame="world")
    driver.calibrated(listener)
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


def test_images_of_another_type_are_told(ros: Ros) -> None:
    driver, listener = Driver(ros), Listener(ros)
    ros.node.destroy_publisher(driver.images)
    ros.node.create_publisher(CompressedImage, IMAGE, 10)
    ros.vo()
    listener.says("no frame of /camera/image_raw can arrive")
    listener.says("tester publishes sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image")


def test_a_driver_that_comes_back_with_another_profile_is_told(ros: Ros) -> None:
    driver, listener = ready(ros)
    drive(driver, listener, count=3)
    ros.node.destroy_publisher(driver.images)
    Driver(ros, best_effort=True)
    listener.says("this node asks for reliable, volatile, but tester offers best_effort, volatile")


def test_a_qos_override_is_obeyed(ros: Ros) -> None:
    driver, listener = Driver(ros, best_effort=True), Listener(ros)
    ros.vo(**{"qos_overrides./camera/image_raw.subscription.reliability": "best_effort"})
    driver.connected(listener)
    sent = iter(zip(stamps(), frames(), strict=True))
    ros.repeat(lambda: driver.image(*next(sent)), lambda: listener.odometry, "odometry")


def test_a_transform_without_a_rotation_is_no_place(ros: Ros) -> None:
    driver, listener = Driver(ros), Listener(ros)
    ros.vo()
    driver.calibrated(listener)
    driver.place(np.full((4, 4), np.nan))
    driver.greet(listener, lambda: driver.image(1000.0, frames()[0]))
    listener.says("the transform from base_link to camera_optical_frame holds no rotation, or numbers that are not")
    driver.place()
    listener.says("initialising")
    answered(driver, listener, 1000.1, frames()[1])


def test_a_frame_that_is_not_optical_and_images_that_name_none_are_told(ros: Ros) -> None:
    driver, listener = Driver(ros), Listener(ros)
    ros.vo()
    driver.calibrated(listener)
    driver.place(np.eye(4))
    driver.greet(listener, lambda: driver.image(1000.0, frames()[0]))
    listener.says("the mount's pitch is -1.5708 rad (-90 degrees). It must be less than 80 degrees up or down")
    listener.says("must be an optical one: x right, y down, z forward")
    driver.greet(listener, lambda: driver.images.publish(Image()))
    listener.says("(tf_static): the images name no frame: their frame_id is empty. Set it in the driver, or")


def test_a_calibration_file_stands_in_for_camera_info(ros: Ros) -> None:
    path = ros.folder / "camera.yaml"
    path.write_text(yaml.safe_dump({
        "image_width": CAMERA.width, "image_height": CAMERA.height, "distortion_model": "plumb_bob",
        "camera_matrix": {"rows": 3, "cols": 3, "data": CAMERA.matrix.ravel().tolist()},
        "distortion_coefficients": {"rows": 1, "cols": 5, "data": [0.0] * 5},
    }))  # fmt: skip
    driver, listener = Driver(ros), Listener(ros)
    ros.vo(camera_info_file=path)
    driver.place()
    driver.greet(listener, lambda: driver.image(1000.0, frames(1)[0]))
    drive(driver, listener, count=6)
    np.testing.assert_array_equal(listener.poses()[:, :3, 3], [pose[:3, 3] for pose in core(ros.folder, frames(6))])
    assert driver.infos.get_subscription_count() == 0


def test_a_calibration_file_that_is_not_there_is_told(ros: Ros) -> None:
    listener = Listener(ros)
    ros.vo(camera_info_file="/nowhere.yaml")
    listener.says("cannot configure: calibration /nowhere.yaml: no such file")


def test_a_mask_is_read_when_the_node_is_configured(ros: Ros) -> None:
    listener = Listener(ros)
    ros.vo(mask="/nowhere.png")
    listener.says("cannot configure: the mask /nowhere.png cannot be read: No such file or directory")


def test_a_mask_of_another_size_than_the_cameras_is_told(ros: Ros) -> None:
    path = ros.folder / "mask.png"
    cv2.imwrite(str(path), np.full((CAMERA.height, CAMERA.width + 2), 255, np.uint8))
    driver, listener = Driver(ros), Listener(ros)
    ros.vo(mask=path)
    driver.place()
    driver.calibrated(listener)
    driver.greet(listener, lambda: driver.image(1000.0, frames(1)[0]))
    listener.says(f"the mask {path} is {CAMERA.width + 2}x{CAMERA.height}, the camera's images are")


def test_a_calibration_that_changes_is_used_and_the_pose_goes_on(ros: Ros) -> None:
    driver, listener = ready(ros, refine=False)
    driver.infos.publish(CameraInfo(width=CAMERA.width, height=CAMERA.height))
    ros.until(lambda: "camera_info's K is all zero" in ros.told(), "the refusal of no calibration")
    drive(driver, listener, count=6)
    held = listener.poses()[-1]
    driver.info(replace(CAMERA, fx=45.0, fy=45.0))
    ros.until(lambda: "the calibration has changed" in ros.told(), "the change to be told")
    np.testing.assert_allclose(answered(driver, listener, 1000.6, frames()[6]), held, atol=1e-12)
    listener.says("restarted after a new calibration")
    assert answered(driver, listener, 1000.7, frames()[7])[0, 3] > held[0, 3] + 0.01
    driver.info(replace(CAMERA, width=48, height=32, cx=24.0, cy=16.0))
    ros.repeat(lambda: driver.image(1000.8, frames()[8]), lambda: "is for 48x32" in listener.last(), "the refusal")
    assert "a frame is 96x64, the calibration is for 48x32" in listener.last()
    driver.info()
    ros.until(lambda: ros.told().count("the calibration has changed") == 3, "the change to be told")
    answered(driver, listener, 1000.9, frames()[9])


def test_every_encoding_gives_the_core_and_the_diagnostics_say_by_which_decoder(ros: Ros) -> None:
    """Grey as it is, three equal channels, and the Y of YUV, in turns."""
    driver, listener = ready(ros)
    works = Decoder().told == "cv_bridge"
    made = {
        "mono8": (lambda grey: grey[..., None], works),
        "bgr8": (lambda grey: np.repeat(grey[..., None], 3, axis=2), works),
        "rgba8": (lambda grey: np.repeat(grey[..., None], 4, axis=2), False),
        "yuv422_yuy2": (lambda grey: np.stack([grey, np.full_like(grey, 128)], axis=2), False),
    }
    turns = list(made.items()) * 2
    for i, (encoding, (encode, by_bridge)) in enumerate(turns):
        stamp = stamps()[i]
        driver.encoded(stamp, encoding, encode(frames()[i]))
        if i:
            heard(listener, stamp)
            listener.shows("decoder", f"{'cv_bridge' if by_bridge else 'own'} for {encoding}")
    expected = [pose[:3, 3] for pose in core(ros.folder, frames()[: len(turns)])]
    np.testing.assert_array_equal(listener.poses()[:, :3, 3], expected)


@pytest.mark.parametrize(("source", "kind"), [("twist", TwistStamped), ("odom", Odometry)])
def test_speed_gives_the_scale(ros: Ros, source: str, kind: type) -> None:
    driver, listener = ready(ros, speed_source=source, refine=False)
    publisher = ros.node.create_publisher(kind, f"/speed/{source}", 10)
    for i, (stamp, image) in enumerate(zip(stamps(6), frames(6), strict=True)):
        message = kind()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(messages.nanoseconds(stamp), 10**9)
        twist = message.twist.twist if source == "odom" else message.twist
        twist.linear.x, twist.linear.y = -0.6 * (2.0 + i), 0.8 * (2.0 + i)
        ros.repeat(
            lambda message=message: publisher.publish(message),
            lambda i=i: listener.value("speed given (m/s)") == f"{2 + i}.00",
            "the speed to be heard before its frame",
        )
        driver.image(stamp, image)
        ros.until(lambda n=i: len(listener.odometry) >= n, "odometry")
    steps = np.linalg.norm(np.diff(listener.poses()[:, :3, 3], axis=0), axis=1)
    np.testing.assert_allclose(steps, PERIOD * np.array([4.0, 5.0, 6.0, 7.0]), rtol=1e-3)
    listener.shows("scale from", "speed")
