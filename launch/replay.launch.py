"""A bag through the node, measured against its own truth: `ros2 launch ros2_vodistill replay.launch.py bag:=DIR`."""

from pathlib import Path

import yaml
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

IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
INFOS = ("sensor_msgs/msg/CameraInfo",)
SHARE = FindPackageShare("ros2_vodistill")
ARGUMENTS = {
    "bag": (None, "Folder of a rosbag2."),
    "image": ("", "Topic of the images, where the bag has several; empty takes the only one."),
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
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    bag = Path(given["bag"])
    topic = given["image"] or _image_topic(bag)
    image = topic.removesuffix("/compressed")
    every = given["every_frame"].lower() == "true"
    arguments = {
        "image": image,
        "camera_info": _info_topic(bag, f"{image.rpartition('/')[0]}/camera_info"),
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
    namespace = LaunchConfiguration("namespace", default="").perform(context)  # an argument of vo.launch.py
    measured = Node(
        package="ros2_vodistill",
        executable="replay",
        namespace=namespace,
        arguments=[given["bag"], "--out", given["out"], "--rate", given["rate"], "--topic", topic],
        output="screen",
    )
    shown = ExecuteProcess(
        cmd=[
            FindExecutable(name="rviz2"), "-d", PathJoinSubstitution([SHARE, "rviz", "vo.rviz"]),
            "--ros-args", "-r", f"image:={image}", "-r", f"__ns:=/{namespace.strip('/')}",
        ],
        condition=IfCondition(given["rviz"]),
    )  # fmt: skip
    return [node, shown, measured, RegisterEventHandler(OnProcessExit(target_action=measured, on_exit=_end))]


def _image_topic(bag: Path) -> str:
    """The only one; of a stream and its compressed copy, the stream."""
    found = {name for name in _topics(bag, IMAGES) if not name.endswith("/compressedDepth")}
    streams = sorted(name for name in found if name.removesuffix("/compressed") not in found - {name})
    if len(streams) != 1:
        raise RuntimeError(f"{bag} has {len(streams)} image topics ({', '.join(streams)}): choose one with image:=")
    return streams[0]


def _info_topic(bag: Path, beside: str) -> str:
    """The only one, else the one beside the images."""
    found = _topics(bag, INFOS) if bag.is_dir() else set()
    return found.pop() if len(found) == 1 else beside


def _topics(bag: Path, types: tuple[str, ...]) -> set[str]:
    """Not empty ones, by the metadata alone: the Python that runs `ros2 launch` may have nothing that reads bags."""
    path = bag / "metadata.yaml"
    if not path.is_file():
        raise RuntimeError(f"there is no {path}: give the folder of a rosbag2 (`ros2 bag reindex` makes the file anew)")
    entries = yaml.safe_load(path.read_text())["rosbag2_bagfile_information"]["topics_with_message_count"]
    return {
        entry["topic_metadata"]["name"]
        for entry in entries
        if entry["topic_metadata"]["type"] in types and entry["message_count"]
    }


def _end(event: ProcessExited, _: LaunchContext) -> Shutdown:
    """An exception is what gives the launch an exit code other than 0."""
    if event.returncode:
        raise RuntimeError(f"the replay failed with code {event.returncode}")
    return Shutdown(reason="the replay is done")
