"""Metric visual odometry from one camera, with networks distilled to run on the robot."""

__version__ = "0.1.0"
