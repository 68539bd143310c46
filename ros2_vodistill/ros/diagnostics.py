"""What goes to /diagnostics."""

from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ros2_vodistill.live import Health


def array(stamp: Any, name: str, hardware: str, health: Health, more: dict[str, str]) -> DiagnosticArray:
    """A message with one entry; `more` goes before the health's own values."""
    status = DiagnosticStatus(
        level=bytes([int(health.level)]),
        name=name,
        message=health.message,
        hardware_id=hardware,
        values=[KeyValue(key=key, value=value) for key, value in {**more, **health.values}.items()],
    )
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp
    return message
