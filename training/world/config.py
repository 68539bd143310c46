"""What decides how generated worlds are distributed. The docstrings are the help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from ros2_vodistill.view import View
from training.limits import Amount, Amounts, Limited, Limits, Positive, Positives, Range, Share, Shares
from training.settings import SettingError, build
from training.world.platform import Platform, usual_platforms

KINDS = ("street", "motorway", "country", "park", "tunnel", "field", "corridor", "room")
"""Of places."""
INDOORS, FAST = ("corridor", "room"), ("motorway", "tunnel")
"""Where only platforms come that go inside, and only those that keep to a road."""
SAMPLES = (1, 2, 4, 8)
"""Rays that a pixel can have."""


@dataclass(frozen=True)
class Places(Limited):
    """How often each kind of place comes up (weights), and what varies in all of them.

    Attributes:
        street: between houses, with pavements, trees and parked cars.
        motorway: wide curved roads between vegetation, with guard rails.
        country: narrow roads and tracks through fields, hedges and woods.
        park: car parks, open or under a roof.
        tunnel: walls and a roof along a road.
        field: scattered things on open ground.
        corridor: walls close on both sides, under a ceiling.
        room: one room with furniture.
        junction: share of streets and country roads with another road crossing them.
        resized: share of worlds in which all objects are scaled by one factor, so that only the ground tells scale.
        resize: bounds of that factor, log-uniform.
        plain: share of worlds in which the carriageway is nearly without texture.
        hilly: share of worlds outside with a slope ahead, or a bank beside the road.
    """

    street: Amount = 0.42
    motorway: Amount = 0.16
    country: Amount = 0.1
    park: Amount = 0.06
    tunnel: Amount = 0.03
    field: Amount = 0.08
    corridor: Amount = 0.07
    room: Amount = 0.08
    junction: Share = 0.5
    resized: Share = 0.4
    resize: Positives = (0.5, 2.0)
    plain: Share = 0.6
    hilly: Share = 0.4


@dataclass(frozen=True)
class Rig(Limited):
    """What is known only nearly about the camera, and what its image covers.

    Attributes:
        pitch_error_deg: standard deviation of the mount's true pitch around the assumed one.
        roll_error_deg: the same for roll.
        focal_error: standard deviation of the true focal length around the calibrated one, as a share.
        centre_error: standard deviation of the true principal point, as a share of the focal length.
        narrow: share of cameras whose image does not cover the view: its borders are black.
    """

    pitch_error_deg: Amount = 1.2
    roll_error_deg: Amount = 0.7
    focal_error: Amount = 0.01
    centre_error: Amount = 0.004
    narrow: Share = 0.15


@dataclass(frozen=True)
class Motion(Limited):
    """How cameras move.

    Attributes:
        platforms: what carries them, by name.
        fps: frame rates to choose from, frames per second; a repeated one is likelier.
        reach: longest step between frames, in camera heights: a longer one leaves too little ground in both frames.
        still: share of clips that stand still.
        reverse: share of clips that go backwards, at half the speed.
        spot: share of clips off the road that turn on the spot.
        turn: share of clips on roads with a junction that turn there.
        turn_after: bounds of where such a turn begins, metres from the first frame.
    """

    platforms: dict[str, Platform] = field(default_factory=usual_platforms)
    fps: tuple[float, ...] = (10.0, 10.0, 10.0, 10.0, 10.0, 5.0, 7.5, 15.0, 20.0, 30.0)
    reach: Positive = 2.2
    still: Share = 0.04
    reverse: Share = 0.05
    spot: Share = 0.1
    turn: Share = 0.5
    turn_after: Range = (-12.0, 6.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any(platform.share for platform in self.platforms.values()):
            raise SettingError(
                f"platforms are {', '.join(self.platforms) or 'none'}", "give one of them a share above 0"
            )
        if not self.fps or not all(Limits(0, above=True).hold(rate) for rate in self.fps):
            raise SettingError(f"fps is {list(self.fps)}", "list frame rates of more than 0, say [10.0]")


@dataclass(frozen=True)
class Photometry(Limited):
    """What lens, sensor and exposure do.

    Attributes:
        exposure: bounds of the mean brightness that the exposure aims at, 0..1.
        noise: bounds of the pixel noise's standard deviation, grey levels, log-uniform; [0, 0] for none.
        gamma: bounds of the response's exponent, log-uniform.
        adapt: bounds of how far the exposure follows the scene's brightness in each frame, as a share.
        flicker: standard deviation of the exposure's change from frame to frame, as a share.
        vignetting: greatest loss of light in the corners, as a share.
        shutter: bounds of the exposure time as a share of the time between frames; most are short.
        rolling: share of cameras with a rolling shutter; its rows take up to half of the time between frames.
        blur: bounds of the blur by the lens, and again of that by the warp into the view; standard deviation, pixels.
        defocus: share of cameras that are out of focus: up to one pixel more.
        jpeg: share of clips with the blocks that compression leaves.
        dust: share of clips with spots that stay where they are in the image.
        rain: share of outdoor clips with rain streaks.
    """

    exposure: Shares = (0.3, 0.6)
    noise: Annotated[tuple[float, float], Limits(0, above=True, none=True)] = (0.2, 3.0)
    gamma: Positives = (0.65, 1.2)
    adapt: Shares = (0.0, 0.3)
    flicker: Amount = 0.015
    vignetting: Share = 0.35
    shutter: Shares = (0.0, 0.35)
    rolling: Share = 0.15
    blur: Amounts = (0.3, 0.65)
    defocus: Share = 0.15
    jpeg: Share = 0.2
    dust: Share = 0.1
    rain: Share = 0.05


@dataclass(frozen=True)
class WorldConfig(Limited):
    """The generated world.

    Attributes:
        frames: in a clip.
        view: the canonical view that `Clip.images` shows.
        samples: rays per pixel (1, 2, 4 or 8); each has its own moment within the exposure.
        places: which worlds.
        rig: which cameras.
        motion: which motions.
        photometry: what the images suffer.
    """

    frames: Annotated[int, Limits(1)] = 4
    view: View = field(default_factory=lambda: View(320, 96, 185.0, 185.0, 159.5, 47.5))
    samples: int = 4
    places: Places = field(default_factory=Places)
    rig: Rig = field(default_factory=Rig)
    motion: Motion = field(default_factory=Motion)
    photometry: Photometry = field(default_factory=Photometry)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples not in SAMPLES:
            raise SettingError(f"samples is {self.samples}", f"it can be {', '.join(map(str, SAMPLES))}")
        if self.view.width < 2:
            raise SettingError(f"view.width is {self.view.width}", "it must be at least 2")
        weights = {kind: getattr(self.places, kind) for kind in KINDS}
        if not any(weights.values()):
            raise SettingError(
                "places has no weight above 0", f"set one of {', '.join(f'places.{kind}' for kind in KINDS)}"
            )
        carriers = [platform for platform in self.motion.platforms.values() if platform.share]
        for trait, kinds in (("inside", INDOORS), ("road", FAST)):
            alone = [kind for kind in kinds if weights[kind]]
            if alone and not any(getattr(carrier, trait) for carrier in carriers):
                raise SettingError(
                    f"places.{alone[0]} is {weights[alone[0]]}, and none of motion.platforms goes there",
                    f"set {' and '.join(f'places.{kind}' for kind in alone)} to 0, or a platform's {trait} to true",
                )

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> WorldConfig:
        """From plain values, as in a YAML file."""
        return build(WorldConfig, values, "data.world")
