"""Clocks, loops, and publishers that come and go."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not sourced: no rclpy; the node's tests need a real ROS 2")

from rosgraph_msgs.msg import Clock

from tests.ros.camera import frames
from tests.ros.process import Ros
from tests.ros.talk import Driver, Listener, drive, heard, ready

pytestmark = pytest.mark.slow


def test_a_publisher_that_goes_and_comes_back_and_a_bag_that_loops(ros: Ros) -> None:
    driver, listener = ready(ros, stall_timeout=0.5)
    drive(driver, listener, count=5)
    ros.node.destroy_publisher(driver.images)
    listener.says("nobody publishes it")
    again = Driver(ros)
    again.greet(listener, lambda: again.image(1000.0, frames(1)[0]))  # the same stamps again
    drive(again, listener, count=5)
    np.testing.assert_array_equal(listener.poses()[:4], listener.poses()[4:])
    listener.shows("last restart", "stamps went back by 0.40 s")


def test_sim_time_is_waited_for_aloud_and_may_jump(ros: Ros) -> None:
    driver, listener = Driver(ros), Listener(ros)
    ros.vo(use_sim_time=True, speed_source="twist")
    listener.says("use_sim_time is set, but no time has come on /clock")
    assert listener.last().startswith("waiting for a calibration")  # it has brought itself up all the same
    clock = ros.node.create_publisher(Clock, "/clock", 1)

    def tell(seconds: int) -> None:
        message = Clock()
        message.clock.sec = seconds
        ros.repeat(lambda: clock.publish(message), lambda: listener.time == seconds, f"time {seconds}")

    tell(1001)
    driver.connected(listener)
    drive(driver, listener, count=4)
    first = listener.poses()[0]
    ros.until(lambda: listener.value("stamp to publish p50 / p99 (ms)").startswith("800.00"), "ages by /clock")
    tell(1003)
    driver.image(0.0, frames()[4])
    held = heard(listener, 1003.0)  # without a stamp, it is of the time of its arrival
    np.testing.assert_allclose(held, listener.poses()[2], atol=1e-12)
    tell(1000)
    listener.shows("clock jumps", "1")
    assert listener.value("last clock jump (s)") == "-3.00"
    assert "restarts" not in listener.health.values  # frames are judged by their own stamps alone
    drive(driver, listener, count=3)
    listener.shows("last restart", "stamps went back by 3.00 s")
    np.testing.assert_array_equal(listener.poses()[-2], first)
