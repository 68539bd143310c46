"""For `launch_test`: vo.launch.py brings its node up, and all ends with code 0 when told to."""

import os
import unittest
from pathlib import Path

import launch_testing
from ament_index_python.packages import get_package_share_directory
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_testing.actions import ReadyToTest
from launch_testing.io_handler import ActiveIoHandler
from launch_testing.proc_info_handler import ProcInfoHandler

from launch import LaunchDescription

PATIENCE = float(os.environ.get("PATIENCE", "60"))


def generate_test_description() -> LaunchDescription:
    """The launch file as a user includes it."""
    path = Path(get_package_share_directory("ros2_vodistill")) / "launch" / "vo.launch.py"
    arguments = {"model": "brightness", "namespace": "robot", "name": "eye", "publish_tf": "false"}
    source = PythonLaunchDescriptionSource(str(path))
    return LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments.items()), ReadyToTest()])


class WhileItRuns(unittest.TestCase):
    """In the order of the names."""

    def test_it_brings_itself_up_under_its_name(self, proc_output: ActiveIoHandler) -> None:
        proc_output.assertWaitFor("[robot.eye]: active: brightness on onnxruntime", timeout=PATIENCE)
        proc_output.assertWaitFor("images from /robot/image", timeout=PATIENCE)


@launch_testing.post_shutdown_test()
class AfterItsEnd(unittest.TestCase):
    """Once launch has told it to end."""

    def test_it_ends_with_code_0(self, proc_info: ProcInfoHandler) -> None:
        launch_testing.asserts.assertExitCodes(proc_info)
