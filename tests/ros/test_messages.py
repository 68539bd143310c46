"""Between arrays and ROS messages."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not sourced: no rclpy; the node's tests need a real ROS 2")

from sensor_msgs.msg import Image

from ros2_vodistill import geometry
from ros2_vodistill.live import Output
from ros2_vodistill.odometry import Estimate, Scale, Status
from ros2_vodistill.ros import messages
from ros2_vodistill.ros.decoder import Decoder

CHANNELS = {"mono8": 1, "8UC1": 1, "bgr8": 3, "8UC3": 3, "bgra8": 4, "8UC4": 4, "mono16": 2, "16UC1": 2}
OTHERS = {"rgb8": 3, "rgba8": 4, "yuv422": 2, "bayer_rggb8": 1}


@pytest.mark.parametrize("encoding", [*CHANNELS, *OTHERS])
def test_cv_bridge_and_the_own_decoder_give_equal_arrays(encoding: str) -> None:
    bridge, own = Decoder(), Decoder(bridge=False)
    if not bridge.told.startswith("cv_bridge"):
        pytest.skip(f"decoder: {bridge.told}")
    step = 22 * (CHANNELS | OTHERS)[encoding]
    data = np.random.default_rng(1).integers(0, 256, 14 * step, dtype=np.uint8)
    message = Image(height=14, width=22, encoding=encoding, step=step, data=data.tobytes())
    by_bridge, by_own = bridge.later(message)(), own.later(message)()
    assert by_bridge.dtype == np.uint8 and by_bridge.shape == (14, 22)
    np.testing.assert_array_equal(by_bridge, by_own)
    assert bridge.told == f"{'cv_bridge' if encoding in CHANNELS else 'own'} for {encoding}"
    assert own.told == f"own for {encoding} (cv_bridge is not asked for)"


@pytest.mark.parametrize("encoding", [*CHANNELS, *OTHERS])
def test_cv_bridge_is_asked_for_no_conversion(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """They are compiled: with another numpy than they were built for, they end the process."""
    asked = []

    class Bridge:
        def cv2_to_imgmsg(self, *_: object) -> None:
            pass

        def imgmsg_to_cv2(self, message: Image, desired_encoding: str) -> np.ndarray:
            asked.append(desired_encoding)
            return np.zeros((message.height, message.width), np.uint8)

    monkeypatch.setitem(sys.modules, "cv_bridge", SimpleNamespace(CvBridge=Bridge))
    step = 22 * (CHANNELS | OTHERS)[encoding]
    message = Image(height=14, width=22, encoding=encoding, step=step, data=bytes(14 * step))
    assert Decoder().later(message)().shape == (14, 22)
    assert asked == ["passthrough"] * (encoding in CHANNELS)


@pytest.mark.parametrize(
    ("encoding", "padding", "big_endian"), [("mono16", 0, True), ("bgr8", 1, False), ("mono16", 1, False)]
)
def test_rows_and_bytes_that_cv_bridge_takes_for_others_are_decoded_by_the_own(
    encoding: str, padding: int, big_endian: bool
) -> None:
    """It looks for whole pixels in a row with its padding, and asks an array for what numpy 2 has no more."""
    step = 22 * CHANNELS[encoding] + padding
    data = np.random.default_rng(1).integers(0, 256, 14 * step, dtype=np.uint8)
    message = Image(
        height=14, width=22, encoding=encoding, step=step, is_bigendian=int(big_endian), data=data.tobytes()
    )
    decoder = Decoder()
    image = decoder.later(message)()
    np.testing.assert_array_equal(image, Decoder(bridge=False).later(message)())
    assert decoder.told.startswith(f"own for {encoding}")


def test_without_cv_bridge_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    assert Decoder().told.startswith("own (cv_bridge does not work here: ")


def test_an_odometry_message_has_its_covariances_row_by_row() -> None:
    estimate = Estimate(0.0, np.eye(4), np.eye(6), np.zeros(6), np.eye(6), Scale.MODEL, Status.TRACKING)
    pose = geometry.make(geometry.so3_exp([0, 0, np.pi / 2]), [1.0, 2.0, 3.0])
    covariance, other = np.arange(36.0).reshape(6, 6), np.arange(36.0, 72.0).reshape(6, 6)
    output = Output(3_000_000_005, pose, covariance, np.arange(6.0), other, estimate)
    message = messages.odometry(output, "odom", "base_link")
    assert (message.header.frame_id, message.child_frame_id) == ("odom", "base_link")
    assert messages.nanoseconds(message.header.stamp) == 3_000_000_005
    assert list(message.pose.covariance) == list(range(36))
    assert list(message.twist.covariance) == list(range(36, 72))
    position, turn, twist = message.pose.pose.position, message.pose.pose.orientation, message.twist.twist
    assert (position.x, position.y, position.z) == (1.0, 2.0, 3.0)
    np.testing.assert_allclose([turn.x, turn.y, turn.z, turn.w], [0, 0, 0.5**0.5, 0.5**0.5])
    assert (twist.linear.y, twist.angular.z) == (1.0, 5.0)
    stamped = messages.transform(message)
    assert stamped.transform.translation.z == 3.0 and stamped.transform.rotation == turn
