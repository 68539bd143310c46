"""What a live feed needs beyond the core, without ROS: the newest-frame slot, clock rules, output gating, health.

Time is injected, so that hours of a robot's life are tested in milliseconds.
"""

from ros2_vodistill.live.body import Body
from ros2_vodistill.live.feed import Feed
from ros2_vodistill.live.health import Health, Level
from ros2_vodistill.live.output import Output
from ros2_vodistill.live.slot import Frame, Slot
from ros2_vodistill.live.speed import Speed
from ros2_vodistill.live.stamps import Stamps, Verdict
from ros2_vodistill.live.worker import Worker

__all__ = ["Body", "Feed", "Frame", "Health", "Level", "Output", "Slot", "Speed", "Stamps", "Verdict", "Worker"]
