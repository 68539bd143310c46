"""Visual odometry of one camera. `ros2 launch ros2_vodistill vo.launch.py --show-args` lists the arguments."""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

ARGUMENTS = {
    "namespace": ("", "Namespace of the node and of its topics."),
    "name": ("vo", "Name of the node."),
    "params_file": (
        PathJoinSubstitution([FindPackageShare("ros2_vodistill"), "config", "vo.yaml"]),
        "Parameters; docs/parameters.md lists them.",
    ),
    "image": ("image", "Topic of the images; compressed ones are on <image>/compressed."),
    "camera_info": ("camera_info", "Topic of the calibration."),
    "image_transport": ("raw", "raw or compressed."),
    "model": ("swift-s", "Name or folder of a model, or classical."),
    "engine": ("auto", "What runs the model: auto, onnxruntime, openvino, ..."),
    "camera_height": ("nan", "Metres above the ground; nan takes it from /tf_static."),
    "camera_pitch": ("nan", "Degrees that it looks down; nan takes them from /tf_static."),
    "camera_roll": ("nan", "Degrees, positive when its right side is lower; nan takes them from /tf_static."),
    "mask": ("", "Image of the camera's size, white where its images show the world; empty uses all of them."),
    "speed_source": ("none", "Take the length of motion from speed/twist or speed/odom: none, twist or odom."),
    "reset_on_time_jump": ("true", "Start at the origin again when stamps jump; false holds the pose."),
    "base_frame": ("base_link", "Frame of the robot."),
    "odom_frame": ("odom", "Frame of the odometry."),
    "publish_tf": ("true", "Broadcast odom_frame -> base_frame; false where an EKF does."),
    "reliability": ("best_effort", "What the image subscription asks for: best_effort or reliable."),
    "depth": ("5", "Queue of the image subscription."),
    "queue_size": ("1", "Frames kept while one is worked on; more than 1 is for replays."),
    "autostart": ("true", "Configure and activate by itself; false leaves it to a lifecycle manager."),
    "use_sim_time": ("false", "Take the time from /clock."),
    "log_level": ("info", "debug, info, warn or error."),
}
TYPES = {
    "camera_height": float,
    "camera_pitch": float,
    "camera_roll": float,
    "reset_on_time_jump": bool,
    "publish_tf": bool,
    "depth": int,
    "queue_size": int,
    "autostart": bool,
    "use_sim_time": bool,
}
NOT_PARAMETERS = ("namespace", "name", "params_file", "image", "camera_info", "log_level")


def generate_launch_description() -> LaunchDescription:
    """The node, which brings itself up."""
    given = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    parameters = {
        name: ParameterValue(value, value_type=TYPES.get(name, str))
        for name, value in given.items()
        if name not in NOT_PARAMETERS
    }
    node = Node(
        package="ros2_vodistill",
        executable="vo",
        name=given["name"],
        namespace=given["namespace"],
        parameters=[parameters, ParameterFile(given["params_file"], allow_substs=True)],
        remappings=[("image", given["image"]), ("camera_info", given["camera_info"])],
        arguments=["--ros-args", "--log-level", given["log_level"]],
        output="screen",
        emulate_tty=True,
    )
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, node])
