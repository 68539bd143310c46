"""The lifecycle node `vo`: images in; odometry, TF, path and diagnostics out. Thin: the rules are in `live`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from ros2_vodistill.errors import line_of
from ros2_vodistill.live import Health, Level
from ros2_vodistill.ros import declared, diagnostics
from ros2_vodistill.ros.entities import Entities
from ros2_vodistill.ros.pipeline import Pipeline


class VoNode(LifecycleNode):
    """See docs/robot.md for its topics, docs/parameters.md for its parameters."""

    def __init__(self, **options: Any) -> None:
        self._made = Entities(self)
        self._pipeline: Pipeline | None = None  # rclpy destroys a node, too, that it could not make to its end
        super().__init__("vo", **options)
        self._values = declared.declare(self)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._problem = "unconfigured"
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # ROS time may stand still
        self._timer = self.create_timer(self._values["diagnostics_period"], self._tell, clock=steady)
        if self._values["autostart"]:
            self._autostart = self.create_timer(0.0, self._start, clock=steady)
        jumps = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jumps = self.get_clock().create_jump_callback(jumps, post_callback=self._jumped)
        for service in self.services:
            if service.srv_type is ChangeState:
                self._change_state, service.callback = service.callback, self._asked

    # Lifecycle

    def _asked(self, request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
        """For a transition. One that there is not from this state would end the process: ros2/rclpy#1209."""
        try:
            return self._change_state(request, response)
        except RuntimeError:  # RCLError, which rcl has logged
            response.success = False
            return response

    def _start(self) -> None:
        self.destroy_timer(self._autostart)
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make the engine; a failure says what and why and may be tried again."""
        return self._try("configure", self._configure, "inactive") or super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen to images and work on them."""
        assert self._pipeline is not None
        return self._try("activate", self._pipeline.start, "") or super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Be silent; the pose is kept."""
        assert self._pipeline is not None
        return self._try("deactivate", self._pipeline.stop, "inactive") or super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give the engine back."""
        return self._try("cleanup", self.close, "unconfigured") or super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End."""
        return self._try("shutdown", self.close, "shut down") or super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, from where it can be tried again."""
        self.close()
        self._problem = "unconfigured"
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Give back all that configuring made."""
        if self._pipeline is not None:
            self._pipeline.stop()
        self._pipeline = None
        self._made.destroy()

    def destroy_node(self) -> None:
        """With all that configuring made: publishers that are gone must not be worked for."""
        self.close()
        super().destroy_node()

    def _configure(self) -> None:
        try:
            self._pipeline = Pipeline(self._made, self._values)
        except Exception:
            self.close()
            raise

    def _try(self, transition: str, action: Callable[[], None], state: str) -> TransitionCallbackReturn | None:
        """None if that worked. rclpy would let an exception pass in silence."""
        try:
            action()
        except Exception as error:
            self._problem = f"cannot {transition}: {line_of(error)}"
            if self.context.ok():
                again = f"ros2 lifecycle set {self.get_fully_qualified_name()} {transition}"
                self.get_logger().error(f"{self._problem} To try again: {again}")
            return TransitionCallbackReturn.FAILURE
        self._problem = state
        return None

    # Parameters and time

    def _on_parameters(self, changes: list[Any]) -> Any:
        result, values = declared.check(changes, self._values, configured=self._pipeline is not None)
        self._values.update(values)
        if self._pipeline is not None:
            self._pipeline.apply()
        return result

    def _jumped(self, jump: Any) -> None:
        seconds = jump.delta.nanoseconds / 1e9
        self.get_logger().warning(f"the ROS clock jumped by {seconds:.2f} s")
        if self._pipeline is not None:
            self._pipeline.clock_jumped(seconds)

    # Diagnostics

    def _tell(self) -> None:
        now, health = self.get_clock().now(), self._health()
        if self.get_clock().ros_time_is_active and not now.nanoseconds:
            why = f"{health.message}; use_sim_time is set, but no time has come on /clock"
            health = replace(health, level=max(Level.WARN, health.level), message=why)
        more = {"state": self._problem or "active", **(self._pipeline.values() if self._pipeline else {})}
        name = f"{self.get_fully_qualified_name().lstrip('/')}: visual odometry"
        self._diagnostics.publish(diagnostics.array(now.to_msg(), name, self._values["model"], health, more))

    def _health(self) -> Health:
        if self._pipeline is None or self._problem:
            return Health(Level.ERROR if self._problem.startswith("cannot") else Level.WARN, self._problem)
        return self._pipeline.health()
