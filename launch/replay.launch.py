"""A bag through the node, measured against its own truth: `ros2 launch ros2_vodistill replay.launch.py bag:=DIR`."""

from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import FindExecutable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

SHARE = FindPackageShare("ros2_vodistill")
ARGUMENTS = {
    "bag": (None, "Folder of a rosbag2."),
    "out": ("vo_replay", "Folder for trajectory.tum and metrics.json."),
    "rate": ("1.0", "Rate of playing; 1 is as recorded."),
    "model": ("swift-s", "Name or folder of a model, or classical."),
    "engine": ("auto", "What runs the model."),
    "camera_height": ("nan", "Metres above the ground; nan takes it from the bag."),
    "every_frame": ("true", "Work on every frame, however late; false drops frames as on the robot."),
    "rviz": ("false", "Show the path in RViz."),
}


def generate_launch_description() -> LaunchDescription:
    """The node, and what plays, records and measures."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_replay)])


def _replay(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """What depends on what is in the bag."""
    from ros2_vodistill.sources.bag import BagSource, image_base
    from ros2_vodistill.sources.base import Options

    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    topic = BagSource(Path(given["bag"]), Options()).topic
    image = image_base(topic)
    every = given["every_frame"].lower() == "true"
    arguments = {
        "image": image,
        "camera_info": f"{image.rpartition('/')[0]}/camera_info",
        "image_transport": "raw" if topic == image else "compressed",
        "reliability": "reliable" if every else "best_effort",
        "depth": "1000" if every else "5",
        "queue_size": "1000" if every else "1",
        **{name: given[name] for name in ("model", "engine", "camera_height")},
    }
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "vo.launch.py"])),
        launch_arguments=arguments.items(),
    )
    measured = Node(
        package="ros2_vodistill",
        executable="replay",
        arguments=[given["bag"], "--out", given["out"], "--rate", given["rate"]],
        output="screen",
    )
    shown = ExecuteProcess(
        cmd=[FindExecutable(name="rviz2"), "-d", PathJoinSubstitution([SHARE, "rviz", "vo.rviz"])],
        condition=IfCondition(given["rviz"]),
    )
    return [node, shown, measured, RegisterEventHandler(OnProcessExit(target_action=measured, on_exit=_end))]


def _end(event: ProcessExited, _: LaunchContext) -> Shutdown:
    """An exception is what gives the launch an exit code other than 0."""
    if event.returncode:
        raise RuntimeError(f"the replay failed with code {event.returncode}")
    return Shutdown(reason="the replay is done")
