"""The subscription to the images: what it asks for, who offers, and why it hears nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.qos import HistoryPolicy, QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

from ros2_vodistill.live import Frame
from ros2_vodistill.ros.decoder import Decoder
from ros2_vodistill.ros.entities import Entities
from ros2_vodistill.ros.messages import nanoseconds
from ros2_vodistill.sources.transforms import plain


class Images:
    """Gives every image as a frame, not yet decoded.

    Args:
        node: that subscribes, once `listen` is called.
        settings: the parameters' values.
        offer: called with each frame and its frame_id.

    Attributes:
        topic: with its namespace.
        rectified: so the images are, by parameter or by the topic's name.
        decoder: of the images.
    """

    def __init__(self, node: Any, settings: dict[str, Any], offer: Callable[[Frame, str], None]) -> None:
        self._made, self._offer = Entities(node), offer
        self._clock = node.get_clock()
        self._kind: Any = CompressedImage if settings["image_transport"] == "compressed" else Image
        name = node.resolve_topic_name("image")
        self.topic = f"{name}/compressed" if self._kind is CompressedImage else name
        self.rectified = settings["rectified"] or name.rpartition("/")[2].startswith("image_rect")
        self.decoder = Decoder()
        self._asked = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=settings["depth"],
            reliability=ReliabilityPolicy[settings["reliability"].upper()],
        )

    def listen(self) -> None:
        """Subscribe, with the profile of the parameters or of `qos_overrides`."""
        overriding = QoSOverridingOptions.with_default_policies()
        made = self._made.subscription(
            self._kind, self.topic, self._on_image, self._asked, qos_overriding_options=overriding
        )
        self._asked = made.qos_profile

    def silence(self) -> None:
        """Unsubscribe."""
        self._made.destroy()

    def publishers(self) -> list[Any]:
        """Endpoints that publish the topic, whether their messages can arrive or not."""
        return list(self._made.node.get_publishers_info_by_topic(self.topic))

    def incompatible(self, publishers: list[Any]) -> str:
        """Why no message of these can arrive, with both types or profiles; '' if some can."""
        told, own = [], f"sensor_msgs/msg/{self._kind.__name__}"
        for info in publishers:
            if info.topic_type != own:
                told.append(f"{info.node_name} publishes {info.topic_type}, not {own}")
                continue
            compatibility, reason = qos_check_compatible(info.qos_profile, self._asked)
            if compatibility != QoSCompatibility.ERROR:
                return ""
            told.append(f"{info.node_name} offers {_words(info.qos_profile)} ({reason.strip().removesuffix(';')})")
        if not told:
            return ""
        asked = f"this node asks for {_words(self._asked)}, but {'; '.join(told)}"
        return f"no frame of {self.topic} can arrive: {asked}"

    def _on_image(self, message: Any) -> None:
        frame = Frame(
            nanoseconds(message.header.stamp),
            self._clock.now().nanoseconds,
            time.monotonic(),
            self.decoder.later(message),
        )
        self._offer(frame, plain(message.header.frame_id))


def _words(profile: QoSProfile) -> str:
    return f"{profile.reliability.name.lower()}, {profile.durability.name.lower()}"
