"""Files for RViz, Foxglove and robot_localization name what the node publishes. No ROS is needed to read them."""

from __future__ import annotations

import json
from typing import Any

import yaml

from ros2_vodistill.ros.parameters import by_name
from tests.ros.process import REPOSITORY

ODOM, BASE = (by_name()[name].default for name in ("odom_frame", "base_frame"))


def leaves(tree: Any) -> list[str]:
    """Panels of a Foxglove layout."""
    return [tree] if isinstance(tree, str) else leaves(tree["first"]) + leaves(tree["second"])


def test_the_foxglove_layout_shows_each_of_its_panels_and_the_nodes_topics() -> None:
    layout = json.loads((REPOSITORY / "config" / "foxglove.json").read_text())
    panels = layout["configById"]
    assert sorted(leaves(layout["layout"])) == sorted(panels)
    kinds = {name.partition("!")[0]: panel for name, panel in panels.items()}
    assert set(kinds) == {"3D", "Image", "Plot", "DiagnosticSummary"}
    assert set(kinds["3D"]["topics"]) == {"/odom", "/path"} and kinds["3D"]["followTf"] == BASE
    assert kinds["DiagnosticSummary"]["topicToRender"] == "/diagnostics"
    assert all(path["value"].startswith("/odom.twist.twist.") for path in kinds["Plot"]["paths"])


def test_the_rviz_layout_shows_the_nodes_topics_in_its_frame() -> None:
    manager = yaml.safe_load((REPOSITORY / "rviz" / "vo.rviz").read_text())["Visualization Manager"]
    shown = {display["Name"]: display for display in manager["Displays"]}
    assert {name: shown[name]["Topic"]["Value"] for name in ("Path", "Odometry", "Image")} == {
        "Path": "path", "Odometry": "odom", "Image": "image",
    }  # fmt: skip
    assert all(display["Class"] == f"rviz_default_plugins/{name}" for name, display in shown.items())
    assert manager["Global Options"]["Fixed Frame"] == ODOM
    assert manager["Views"]["Current"]["Target Frame"] == BASE


def test_the_filter_takes_velocities_and_alone_broadcasts_odom() -> None:
    """robot_localization: 15 switches; x, y, z, roll, pitch, yaw, their rates, then accelerations."""
    given = yaml.safe_load((REPOSITORY / "config" / "ekf.yaml").read_text())["/**"]["ros__parameters"]
    names = [
        f"{n}{rate}" for rate in ("", "'") for group in ("xyz", ("roll", "pitch", "yaw")) for n in group
    ] + ["x''", "y''", "z''"]  # fmt: skip
    taken = {
        source: {n for n, on in zip(names, given[f"{source}_config"], strict=True) if on}
        for source in ("odom0", "imu0")
    }
    assert taken == {"odom0": {"x'", "y'", "yaw'"}, "imu0": {"yaw'"}}
    assert (given["odom0"], given["odom_frame"], given["world_frame"], given["base_link_frame"]) == (
        "odom", ODOM, ODOM, BASE,
    )  # fmt: skip
    assert given["publish_tf"] is True
    assert '"publish_tf": "false"' in (REPOSITORY / "launch" / "ekf.launch.py").read_text()
