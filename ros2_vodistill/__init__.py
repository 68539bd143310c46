"""Metric visual odometry from one camera, with networks distilled to run on the robot."""

import os

__version__ = "0.1.0"

# From 1.32 on, onnxruntime tells its makers what it is used for, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
