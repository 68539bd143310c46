"""What all networks can be told, and how that is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import Patch, View
from training.limits import Limited, Positive

if TYPE_CHECKING:
    from training.networks.base import Network

DEFAULT_VIEW = View(320, 96, 185.0, 185.0, 159.5, 47.5)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(Limited):
    """What all families can be told.

    Attributes:
        views: the canonical views that it sees, by name; the first is 'image', further ones 'view_...'.
        unit: of the translation, 'camera_height' or 'metre'.
        translation_scale: typical translation per step, in that unit: the layers predict multiples of it.
        rotation_scale: typical rotation per step, in radians.
    """

    views: Mapping[str, View | Patch] = field(default_factory=lambda: {"image": DEFAULT_VIEW})
    unit: Literal["camera_height", "metre"] = "camera_height"
    translation_scale: Positive = 0.5
    rotation_scale: Positive = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if next(iter(self.views), None) != "image":
            raise VodistillError(f"the views of a network are {list(self.views)}", "name the first one 'image'")
        if strange := [name for name in list(self.views)[1:] if not name.startswith("view_")]:
            raise VodistillError(f"further views of a network are called {strange}", "begin their names with 'view_'")

    def build(self) -> Network:
        """A network of this description, freshly initialised."""
        raise NotImplementedError


def describe(config: Any) -> Any:
    """Plain data (for JSON or YAML) that a configuration is rebuilt from."""
    if isinstance(config, View | Patch):
        return config.to_dict()
    if isinstance(config, Mapping):
        return {key: describe(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [describe(value) for value in config]
    return config
