"""What was made on a node and is destroyed together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Entities:
    """Makes publishers, subscriptions and services, and remembers them.

    Attributes:
        node: on which they are made.
    """

    def __init__(self, node: Any) -> None:
        self.node = node
        self._made: list[tuple[Any, Callable[[Any], Any]]] = []

    def publisher(self, kind: Any, topic: str, depth: int) -> Any:
        """A reliable one."""
        return self._keep(self.node.create_publisher(kind, topic, depth), self.node.destroy_publisher)

    def subscription(self, kind: Any, topic: str, callback: Callable[[Any], None], profile: Any, **more: Any) -> Any:
        """`more` as rclpy has it."""
        made = self.node.create_subscription(kind, topic, callback, profile, **more)
        return self._keep(made, self.node.destroy_subscription)

    def service(self, kind: Any, name: str, callback: Callable[[Any, Any], Any]) -> Any:
        """As rclpy has it."""
        return self._keep(self.node.create_service(kind, name, callback), self.node.destroy_service)

    def destroy(self) -> None:
        """All of them, the last first."""
        while self._made:
            made, destroy = self._made.pop()
            destroy(made)

    def _keep(self, made: Any, destroy: Callable[[Any], Any]) -> Any:
        self._made.append((made, destroy))
        return made
