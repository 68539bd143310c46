"""The generated world: an endless, exactly labelled, freely usable source of clips."""

from training.world.clip import Clip, render
from training.world.config import WorldConfig

__all__ = ["Clip", "WorldConfig", "render"]
