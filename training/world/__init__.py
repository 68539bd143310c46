"""The generated world: an endless, exactly labelled, freely usable source of clips."""

from training.world.clip import Clip, render
from training.world.config import WorldConfig
from training.world.through import render_through

__all__ = ["Clip", "WorldConfig", "render", "render_through"]
