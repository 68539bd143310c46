"""What goes to /diagnostics, and why a subscription hears nothing."""

from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible

from ros2_vodistill.live import Health


def status(health: Health, name: str, hardware: str, more: dict[str, str]) -> DiagnosticStatus:
    """One entry; `more` goes before the health's own values."""
    values = [KeyValue(key=key, value=value) for key, value in {**more, **health.values}.items()]
    level = bytes([int(health.level)])
    return DiagnosticStatus(level=level, name=name, message=health.message, hardware_id=hardware, values=values)


def array(stamp: Any, entry: DiagnosticStatus) -> DiagnosticArray:
    """A message with one entry."""
    message = DiagnosticArray(status=[entry])
    message.header.stamp = stamp
    return message


def incompatible(topic: str, wanted: QoSProfile, publishers: list[Any]) -> str:
    """Why no message of these publishers (TopicEndpointInfo) can arrive, with both profiles; '' if some can."""
    told = []
    for info in publishers:
        compatibility, reason = qos_check_compatible(info.qos_profile, wanted)
        if compatibility != QoSCompatibility.ERROR:
            return ""
        told.append(f"{info.node_name} offers {_words(info.qos_profile)} ({reason.strip().removesuffix(';')})")
    if not told:
        return ""
    return f"no frame of {topic} can arrive: this node asks for {_words(wanted)}, but {'; '.join(told)}"


def _words(profile: QoSProfile) -> str:
    return f"{profile.reliability.name.lower()}, {profile.durability.name.lower()}"
