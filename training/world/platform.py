"""What carries a camera, and how that moves. The docstring is the help."""

from __future__ import annotations

from dataclasses import dataclass, replace

from training.limits import Amount, Amounts, Limited, Positive, Positives, Range, Share


@dataclass(frozen=True)
class Platform(Limited):
    """What carries the camera. What shakes does so while it moves, or always if it hovers.

    Attributes:
        share: how often it comes up (a weight).
        road: it keeps to a road where there is one.
        inside: it goes into corridors and rooms.
        height: bounds of the camera's height above the ground, metres; most are near the middle.
        speed: bounds, m/s.
        slow: exponent of a uniform number; more than 1 favours low speeds.
        grip: greatest sideways acceleration in bends, m/s2.
        hover: 1 where it also moves when it does not travel.
        yaw_rate_deg: typical rate of turning off the road, degrees a second.
        yaw_deg, pitch_deg, roll_deg: typical shaking, degrees.
        heave: typical shaking up and down, metres.
        shake_hz: bounds of the frequencies of shaking.
        slide: typical speed sideways, m/s.
        climb: typical change of height, metres.
        dive: pitch for each m/s2 of slowing down, radians.
        lever: bounds of how far the camera is ahead of the axis that the platform turns about, metres.
        gaze_deg: standard deviation of where the camera looks relative to where it goes.
        sideways: share of cameras that look anywhere.
    """

    share: Amount = 1.0
    road: bool = False
    inside: bool = True
    height: Positives = (0.2, 1.0)
    speed: Amounts = (0.0, 2.0)
    slow: Positive = 1.0
    grip: Amount = 2.0
    hover: Share = 0.0
    yaw_rate_deg: Amount = 15.0
    yaw_deg: Amount = 0.2
    pitch_deg: Amount = 0.3
    roll_deg: Amount = 0.3
    heave: Amount = 0.003
    shake_hz: Positives = (0.5, 4.0)
    slide: Amount = 0.0
    climb: Amount = 0.0
    dive: float = 0.002
    lever: Range = (0.0, 0.0)
    gaze_deg: Amount = 1.0
    sideways: Share = 0.05


def usual_platforms() -> dict[str, Platform]:
    """Cars, vans, robots on wheels and legs, drones and hands."""
    walking = Platform(
        yaw_rate_deg=25.0, yaw_deg=0.8, pitch_deg=1.2, roll_deg=1.2, heave=0.012, shake_hz=(1.2, 4.0), dive=0.0
    )
    driving = Platform(
        road=True,
        inside=False,
        grip=8.0,
        yaw_rate_deg=10.0,
        yaw_deg=0.08,
        pitch_deg=0.25,
        roll_deg=0.25,
        heave=0.01,
        shake_hz=(0.4, 3.0),
        dive=0.004,
        lever=(0.0, 2.2),
        gaze_deg=0.6,
    )
    robot = Platform(
        yaw_rate_deg=20.0, pitch_deg=0.4, roll_deg=0.4, shake_hz=(1.0, 8.0), lever=(-0.2, 0.4), sideways=0.08
    )
    drone = Platform(hover=1.0, yaw_rate_deg=25.0, yaw_deg=1.0, pitch_deg=2.5, roll_deg=2.5, heave=0.02, dive=0.0)
    van = replace(driving, lever=(-2.0, 3.0), pitch_deg=0.35, roll_deg=0.35, gaze_deg=1.5, sideways=0.1)
    hand = replace(walking, hover=1.0, yaw_deg=3.0, pitch_deg=3.0, roll_deg=2.0, heave=0.02, shake_hz=(0.3, 3.0))
    return {
        "car": replace(driving, share=0.75, height=(1.4, 1.85), speed=(0.0, 33.0), slow=1.15, sideways=0.02),
        "van": replace(van, share=0.08, height=(1.2, 2.5), speed=(0.0, 28.0), slow=1.3),
        "robot": replace(robot, share=0.16, height=(0.2, 1.2), speed=(0.0, 2.5)),
        "legged": replace(walking, share=0.05, height=(0.3, 1.0), speed=(0.0, 1.8), hover=0.1, slide=0.08),
        "drone": replace(drone, share=0.07, height=(0.6, 12.0), speed=(0.0, 8.0), slow=1.3, shake_hz=(0.2, 1.5),
                         slide=0.6, climb=0.6, gaze_deg=5.0, sideways=0.25),
        "hand": replace(hand, share=0.07, height=(1.0, 1.9), speed=(0.0, 1.6), slide=0.15, climb=0.1, gaze_deg=10.0,
                        sideways=0.2),
    }  # fmt: skip
