"""The node's parameters: declared from one table, checked by it, and written to docs/parameters.md from it.

This file imports no ROS, so that the page can be made and tested everywhere.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

from ros2_vodistill.model import DEFAULT

Value = Any
START, CONFIGURE, ANY = "at start only", "until configured", "at any time"
UNSET = math.nan


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        name, default, description: as users see them. The default gives the type.
        least, most: range of a number.
        choices: of a string.
        when: it may be changed: START, CONFIGURE (while the node is unconfigured) or ANY.
        unset: what the default means, where it is no value.
    """

    name: str
    default: Value
    description: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    when: str = CONFIGURE
    unset: str = ""

    def fault(self, value: Value) -> str:
        """Why this cannot be the value; '' if it can."""
        if isinstance(value, float) and math.isnan(value):
            return "" if self.unset and isinstance(self.default, float) else f"{self.name} is not a number"
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if self.least is not None and not self.least <= value:
                return f"{self.name} is {value}; the least is {self.least}"
            if self.most is not None and not value <= self.most:
                return f"{self.name} is {value}; the most is {self.most}"
        if self.choices and value not in self.choices:
            return f"{self.name} is '{value}'; choices: {', '.join(self.choices)}"
        if self.name == "camera_pose":
            return _pose_fault(list(value))
        return ""


PARAMETERS = (
    Parameter("autostart", True, "Configure and activate without being told to.", when=START),
    Parameter("model", DEFAULT, "Name or folder of a model, or 'classical'."),
    Parameter("engine", "auto", "What runs the model: auto, or the name of an engine (see `vodistill doctor`)."),
    Parameter("threads", 1, "CPU threads of the engine.", 1, 64),
    Parameter("refine", True, "Polish the network's motion with tracked corners."),
    Parameter("image_transport", "raw", "Form of the images.", choices=("raw", "compressed")),
    Parameter(
        "reliability",
        "best_effort",
        "What the image subscription asks for; best_effort connects with every publisher.",
        choices=("best_effort", "reliable"),
        when=START,  # rclpy declares the profile it first subscribes with, for good
    ),
    Parameter("depth", 5, "Queue of the image subscription.", 1, 10000, when=START),
    Parameter(
        "queue_size", 1, "Frames kept while one is worked on; 1 keeps the newest alone. More is for replays.", 1, 100000
    ),
    Parameter("rectified", False, "The images are rectified, camera_info's P holds; image_rect topics always are."),
    Parameter(
        "camera_info_file",
        "",
        "Calibration file instead of the topic: ROS, Kalibr or EuRoC.",
        unset="the topic",
    ),
    Parameter(
        "mask",
        "",
        "Image of the camera's size, white where its images show the world, black elsewhere, as on the robot itself.",
        unset="all is used",
    ),
    Parameter("camera_frame", "", "Optical frame of the camera.", unset="the images' frame_id"),
    Parameter("odom_frame", "odom", "Frame of the odometry."),
    Parameter("base_frame", "base_link", "Frame of the robot, child of odom_frame."),
    Parameter(
        "camera_pose",
        [0.0] * 7,
        "Camera's optical frame in base_frame: x, y, z (m), then quaternion x, y, z, w. All zero: from /tf_static.",
        unset="from /tf_static",
    ),
    Parameter(
        "camera_height", UNSET, "Metres above the ground; gives the scale.", 1e-3, 100.0, unset="from /tf_static"
    ),
    Parameter(
        "camera_pitch",
        UNSET,
        "Degrees, positive looks down; overrules the transform.",
        -79.0,
        79.0,
        unset="from /tf_static",
    ),
    Parameter(
        "camera_roll",
        UNSET,
        "Degrees, positive when the right side is lower; overrules the transform.",
        -180.0,
        180.0,
        unset="from /tf_static",
    ),
    Parameter(
        "speed_source",
        "none",
        "Take the length of base_frame's motion from a topic: speed/twist (TwistStamped) or speed/odom (Odometry).",
        choices=("none", "twist", "odom"),
    ),
    Parameter("speed_timeout", 0.5, "Seconds by which a speed's stamp may differ from a frame's.", 0.0, 10.0, when=ANY),
    Parameter("max_gap", 1.0, "Seconds between frames beyond which the motion in between is unknown.", 0.05, 60.0),
    Parameter("stall_timeout", 2.0, "Seconds without a frame that are reported as a stall.", 0.1, 600.0, when=ANY),
    Parameter(
        "reset_on_time_jump",
        True,
        "When stamps jump (a bag that loops, a clock that was set), start at the origin again; else hold the pose.",
        when=ANY,
    ),
    Parameter(
        "withhold_degraded", False, "Publish nothing that is not to be trusted fully, or without scale.", when=ANY
    ),
    Parameter("publish_tf", True, "Broadcast odom_frame -> base_frame. Switch it off where an EKF does.", when=ANY),
    Parameter("path_rate", 2.0, "Poses a second that are added to the path; 0 publishes none.", 0.0, 30.0, when=ANY),
    Parameter("path_length", 2000, "Poses that the path keeps.", 2, 100000, when=ANY),
    Parameter("diagnostics_period", 1.0, "Seconds between diagnostics.", 0.1, 60.0, when=START),
)


def by_name() -> dict[str, Parameter]:
    """All parameters."""
    return {parameter.name: parameter for parameter in PARAMETERS}


def page() -> str:
    """docs/parameters.md."""
    rows = [
        "# Parameters of the node",
        "",
        "Made by `python -m ros2_vodistill.ros.parameters`; change the table there, not this page.",
        "",
        "*Until configured*: change it while the node is unconfigured (`ros2 lifecycle set /vo cleanup`). Wrong values",
        "are refused with a reason, also at run time. `use_sim_time` and `qos_overrides.<topic>.subscription.*`",
        "(history, depth, reliability) are ROS 2's own.",
        "",
        "| name | type | default | range | change | |",
        "|---|---|---|---|---|---|",
    ]
    for p in PARAMETERS:
        bounds = f"{p.least:g} to {p.most:g}" if p.least is not None and p.most is not None else ", ".join(p.choices)
        default = p.unset or f"`{str(p.default).lower() if isinstance(p.default, bool) else p.default}`"
        rows.append(f"| `{p.name}` | {_type(p.default)} | {default} | {bounds} | {p.when} | {p.description} |")
    return "\n".join([*rows, ""])


def _type(default: Value) -> str:
    names = {list: "double array", bool: "bool", int: "integer", float: "double", str: "string"}
    return names[type(default)]


def _pose_fault(value: list[float]) -> str:
    if len(value) != 7 or not all(math.isfinite(x) for x in value):
        return "camera_pose must be seven finite numbers: x, y, z, then quaternion x, y, z, w"
    if any(value) and abs(math.hypot(*value[3:]) - 1) > 1e-3:
        return f"camera_pose has a quaternion of length {math.hypot(*value[3:]):.4f} instead of 1"
    return ""


if __name__ == "__main__":
    sys.stdout.write(page())
