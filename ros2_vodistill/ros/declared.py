"""The table of parameters, declared to ROS and checked when someone changes them."""

from __future__ import annotations

import math
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterException

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.ros.parameters import CONFIGURE, PARAMETERS, START, Parameter, by_name

_REMEDY = "See docs/parameters.md."


def declare(node: Any) -> dict[str, Any]:
    """Declare all parameters and give their values; a wrong one in a file or on the command line is an error."""
    values = {}
    for parameter in PARAMETERS:
        try:
            value = node.declare_parameter(parameter.name, parameter.default, descriptor(parameter)).value
        except ParameterException as error:
            raise VodistillError(str(error), f"{_REMEDY} 1.0 is a double, 1 an integer.") from None
        if fault := parameter.fault(value):
            raise VodistillError(fault, _REMEDY)
        values[parameter.name] = value
    return values


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """What `ros2 param describe` shows."""
    described = ParameterDescriptor(
        description=parameter.description,
        read_only=parameter.when == START,
        additional_constraints=", ".join(parameter.choices) or f"May be changed {parameter.when}.",
    )
    default, least, most = parameter.default, parameter.least, parameter.most
    if least is None or most is None:
        return described
    if isinstance(default, int):
        described.integer_range = [IntegerRange(from_value=int(least), to_value=int(most), step=1)]
    elif not math.isnan(default):  # a range would refuse the default
        described.floating_point_range = [FloatingPointRange(from_value=least, to_value=most, step=0.0)]
    return described


def check(changes: list[Any], values: dict[str, Any], configured: bool) -> tuple[SetParametersResult, dict[str, Any]]:
    """Whether these changes may be made, and the values after them."""
    known, new = by_name(), dict(values)
    for change in changes:
        parameter = known.get(change.name)
        if parameter is None:  # ROS's own, such as use_sim_time
            continue
        if parameter.when == CONFIGURE and configured:
            reason = f"{change.name} takes effect on configure: clean the node up first (ros2 lifecycle set)"
            return SetParametersResult(successful=False, reason=reason), values
        if fault := parameter.fault(change.value):
            return SetParametersResult(successful=False, reason=fault), values
        new[change.name] = change.value
    return SetParametersResult(successful=True), new
