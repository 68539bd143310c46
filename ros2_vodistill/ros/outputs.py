"""What goes out after a frame: odom, TF and path."""

from __future__ import annotations

from collections import deque
from typing import Any

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry, Path
from tf2_msgs.msg import TFMessage

from ros2_vodistill.live import Output
from ros2_vodistill.ros import messages
from ros2_vodistill.ros.entities import Entities


class Outputs:
    """Publishes them as the parameters say at the time.

    Args:
        made: where the publishers go.
        settings: the parameters' values, which may change.
    """

    def __init__(self, made: Entities, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._odometry = made.publisher(Odometry, "odom", 10)
        self._tf = made.publisher(TFMessage, "/tf", 100)
        self._path = made.publisher(Path, "path", 1)
        self._poses: deque[PoseStamped] = deque()
        self._last = 0  # stamp of the path's last pose

    @property
    def subscribers(self) -> str:
        """Of odom, TF and path."""
        return " / ".join(str(out.get_subscription_count()) for out in (self._odometry, self._tf, self._path))

    def forget_path(self) -> None:
        """The next pose is the path's first."""
        self._poses.clear()

    def publish(self, output: Output) -> None:
        """On the worker's thread."""
        odom, base = self._settings["odom_frame"], self._settings["base_frame"]
        odometry = messages.odometry(output, odom, base)
        self._odometry.publish(odometry)
        if self._settings["publish_tf"]:
            self._tf.publish(TFMessage(transforms=[messages.transform(odometry)]))
        if self._settings["path_rate"] > 0:
            self._lengthen(output.stamp, odometry)

    def _lengthen(self, stamp: int, odometry: Odometry) -> None:
        """At a bounded rate, to a bounded length; where stamps go back, the path begins anew."""
        step = (stamp - self._last) / 1e9
        if self._poses and 0 <= step < 1 / self._settings["path_rate"]:
            return
        if step < 0:
            self.forget_path()
        self._last = stamp
        self._poses.append(PoseStamped(header=odometry.header, pose=odometry.pose.pose))
        while len(self._poses) > self._settings["path_length"]:
            self._poses.popleft()
        if self._path.get_subscription_count():
            self._path.publish(Path(header=odometry.header, poses=list(self._poses)))
