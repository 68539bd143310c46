#!/bin/bash
# exec, so that SIGINT and SIGTERM reach ROS and not a shell.
set -e
source "/opt/ros/${ROS_DISTRO}/setup.bash"
source /ws/install/setup.bash
exec "$@"
