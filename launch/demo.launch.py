"""A newcomer's first minute: the bundled recording through the node, shown in RViz where it is, then the errors."""

import shutil
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

ARGUMENTS = {
    "out": ("vo_demo", "Folder for trajectory.tum and metrics.json."),
    "model": ("swift-s", "Name or folder of a model, or classical."),
    "rviz": (str(shutil.which("rviz2") is not None).lower(), "Show the path in RViz."),
}


def generate_launch_description() -> LaunchDescription:
    """replay.launch.py on the bag that comes with the package."""
    share = Path(get_package_share_directory("ros2_vodistill"))
    declared = [
        DeclareLaunchArgument("bag", default_value=str(share / "demo" / "bag"), description="Folder of a rosbag2."),
        *(DeclareLaunchArgument(n, default_value=d, description=text) for n, (d, text) in ARGUMENTS.items()),
    ]
    replay = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "replay.launch.py")),
        launch_arguments={name: LaunchConfiguration(name) for name in ("bag", *ARGUMENTS)}.items(),
    )
    return LaunchDescription([*declared, replay])
