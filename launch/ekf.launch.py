"""An example: the visual odometry and an IMU in robot_localization's EKF, which then broadcasts odom -> base_link."""

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchContext, LaunchDescription

SHARE = FindPackageShare("ros2_vodistill")
ARGUMENTS = {
    "image": ("image", "Topic of the images."),
    "camera_info": ("camera_info", "Topic of the calibration."),
    "imu": ("imu", "Topic of the IMU."),
    "ekf_file": (PathJoinSubstitution([SHARE, "config", "ekf.yaml"]), "Parameters of the EKF."),
}


def generate_launch_description() -> LaunchDescription:
    """vo.launch.py without TF, and the filter."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    arguments = {name: LaunchConfiguration(name) for name in ("image", "camera_info")}
    odometry = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "vo.launch.py"])),
        launch_arguments={**arguments, "publish_tf": "false"}.items(),
    )
    ekf = Node(
        package="robot_localization",
        executable="ekf_node",
        name="ekf_filter_node",
        namespace=LaunchConfiguration("namespace", default=""),  # an argument of vo.launch.py
        parameters=[LaunchConfiguration("ekf_file")],
        remappings=[("imu", LaunchConfiguration("imu")), ("odometry/filtered", "odom/filtered")],
        output="screen",
    )
    return LaunchDescription([*declared, OpaqueFunction(function=_check), odometry, ekf])


def _check(_: LaunchContext) -> None:
    """Before anything starts."""
    try:
        get_package_prefix("robot_localization")
    except PackageNotFoundError:
        remedy = "sudo apt install ros-$ROS_DISTRO-robot-localization"
        raise RuntimeError(f"robot_localization is not installed: {remedy}") from None
