"""A batch of worlds from their seeds: the kind of place, the camera and its path, the roads, and what stands there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.world import inside, looks, nature, street
from training.world.cast import Stage
from training.world.config import KINDS, WorldConfig
from training.world.draw import Draw
from training.world.motion import STEPS, Path, Route, platforms, travel
from training.world.records import Record
from training.world.scene import Hill, Road, Solids
from training.world.site import Site, stretch
from training.world.textures import Textures

PART = 8
"""Frames for which the same part of a world is built."""
BOXES, ROUNDS = 128, 144
"""At most so many of each are kept, the nearest to the camera."""
BEHIND, AHEAD = 14.0, 110.0
"""Metres of the road that are populated before and after the camera, at least, so that nothing shows up near it where
another part of a world begins."""


@dataclass(frozen=True)
class World(Record):
    """B worlds.

    Attributes:
        kind: (B,) index into KINDS; `inside` (B,) whether it has walls and a roof.
        height: (B,) float64, of the camera above the ground at frame 0, metres.
        path: of the camera.
        tilt: (B, 2) pitch and roll by which the true mount differs from the assumed one, radians.
        lens: (B, 3, 3) takes assumed rays to true ones.
        stage: what rays meet.
    """

    kind: Tensor
    inside: Tensor
    height: Tensor
    path: Path
    tilt: Tensor
    lens: Tensor
    stage: Stage


def build(config: WorldConfig, seeds: Tensor, textures: Textures, first: int, frames: int) -> World:
    """The worlds of `seeds` (B,), on their device, for clips of so many frames, with what is to be seen from
    frame `first` and the others of its part. Clips of one part are populated around their first frame alone."""
    d = Draw(seeds, "world.")
    places, motion = config.places, config.motion
    kind = d.choice("kind", [getattr(places, name) for name in KINDS])
    is_ = {name: kind == i for i, name in enumerate(KINDS)}
    indoors = is_["corridor"] | is_["room"]
    on_road = is_["street"] | is_["motorway"] | is_["country"] | is_["tunnel"] | is_["park"]

    platform, height = _platform(d, config, indoors, is_["motorway"] | is_["tunnel"])
    roads = torch.tensor([p.road for p in platforms(motion)[1]], device=seeds.device)[platform]
    follow = roads & on_road
    gentle, sharp = d.normal("gentle", 0.003), d.normal("sharp", 0.012)
    curvature = torch.where(is_["motorway"] & d.chance("ramp", 0.45), sharp, gentle)
    curvature = torch.where(is_["country"], d.normal("winding", 0.012), curvature)
    curvature = torch.where(is_["street"] | is_["park"] | indoors, 0.3 * gentle, curvature)
    width = looks.choose(
        [is_["motorway"], is_["country"], is_["corridor"], is_["park"]],
        [d.uniform("w.motorway", 3.5, 9.0), d.uniform("w.country", 1.8, 4.0), d.uniform("w.corridor", 0.8, 3.0),
         d.uniform("w.park", 2.6, 4.0)], d.uniform("w.street", 2.6, 5.5),
    )  # fmt: skip
    lane = torch.where(is_["motorway"], d.uniform("lane", -0.7, 0.7), d.uniform("side", -0.1, 0.6)) * width
    lane = torch.where(roads | is_["corridor"], lane, d.normal("aside", 1.5).clamp(-4.0, 4.0))
    lane = torch.where(is_["room"], lane.clamp(-1.0, 1.0), lane)

    crossed = d.chance("junction", places.junction) & (is_["street"] | is_["country"])
    angle = (d.unit("turn.side") - 0.5).sign() * d.normal("turn.angle", 0.15).add(math.pi / 2)
    turns = crossed & follow & d.chance("turn", motion.turn)
    begin, radius = d.uniform("turn.begin", *motion.turn_after), d.uniform("turn.radius", 5.0, 13.0)
    route = Route(*(v.double() for v in (follow, curvature, begin, radius, torch.where(turns, angle, 0.0))))
    path = travel(d.within("travel"), motion, platform, frames, height, route, torch.where(is_["room"], 1.5, 100.0))
    hilly = d.chance("hilly", places.hilly) & ~(indoors | is_["tunnel"] | is_["park"])
    hill = _hill(d.within("hill"), hilly, width, lane, crossed)
    path = path.over(hill)

    # The road heads the way the camera goes at frame 0, which is at the origin, `lane` to the right of its middle.
    # A vehicle that is in its bend at frame 0 has left the road, which lies where it was before.
    road, cross = _roads(d, route, curvature, lane, turns)
    cross_width = torch.where(crossed, d.uniform("w.cross", 2.5, 5.0), -1e4)
    scale = torch.where(d.chance("resized", places.resized), d.log_uniform("resize", *places.resize), 1.0)
    several = frames > PART
    when = STEPS * (torch.arange(first, min(first + PART, frames) if several else first + 1, device=seeds.device) + 1)
    way = path.position[:, when, ::2].float()
    start, end = stretch(road, way, BEHIND, AHEAD)
    home = road.locate(torch.zeros_like(lane), torch.zeros_like(lane))[0]
    paved = is_["street"] | (is_["park"] & d.chance("kerbed", 0.3))
    paved = paved & (lane.abs() < width) & d.chance("kerbs", 0.85)
    verge = torch.where(is_["street"], d.uniform("verge", 1.2, 7.0), d.uniform("margin", 0.8, 8.0))
    site = Site(d.within("main"), textures, hill, road, width, verge, scale, start, home, torch.ones_like(crossed),
                end if several else None)  # fmt: skip
    start, end = stretch(cross, way, 40.0, 80.0)
    across = cross_width.abs().clamp_max(10.0)
    side = Site(d.within("cross"), textures, hill, cross, across, verge, scale, start, start + 40.0, crossed,
                end if several else None)  # fmt: skip
    pace = d.uniform("pace", 0.0, 1.0) * torch.where(is_["motorway"], 30.0, 12.0)
    covered = is_["park"] & d.chance("covered", 0.5)
    boxes, rounds = _solids(site, side, is_, lane, pace, covered)

    marked = is_["motorway"] | (is_["street"] & d.chance("lined", 0.5))
    ground = looks.ground(site, places, cross, cross_width, paved, marked, indoors | is_["tunnel"])
    roofed = indoors | is_["tunnel"] | covered
    kept = _keep(boxes, path, when, BOXES), _keep(rounds, path, when, ROUNDS)
    stage = Stage(*kept, ground, looks.light(site, roofed))
    rig = config.rig
    tilt = torch.stack([d.normal("tilt", rig.pitch_error_deg), d.normal("bank", rig.roll_error_deg)], -1)
    onset = path.position[:, STEPS]
    above = -onset[:, 1] - hill.up(onset[:, 0], onset[:, 2])
    return World(kind, indoors | is_["tunnel"], above, path, torch.deg2rad(tilt.double()), _lens(d, config), stage)


def _platform(d: Draw, config: WorldConfig, indoors: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the platform and height of the camera."""
    kinds = platforms(config.motion)[1]
    within = d.choice("platform.inside", [k.share * k.inside for k in kinds])
    outside = d.choice("platform", [k.share for k in kinds])
    driving = d.choice("platform.fast", [k.share * k.road for k in kinds])
    platform = torch.where(indoors, within, torch.where(fast, driving, outside))
    low, high = (torch.tensor([k.height[i] for k in kinds], device=d.device)[platform] for i in (0, 1))
    mixed = 0.5 * (d.unit("height") + d.unit("height'"))
    height = low + (high - low) * mixed
    return platform, torch.where(indoors, height.clamp_max(2.2), height)


def _hill(d: Draw, there: Tensor, width: Tensor, lane: Tensor, crossed: Tensor) -> Hill:
    """A slope ahead, or a bank beside a road that none crosses."""
    ahead = d.chance("ahead", 0.5) | crossed
    side = (d.unit("side") - 0.5).sign()
    turn = torch.where(ahead, d.normal("turn", 0.2), side * math.pi / 2)
    bank = width - side * lane + d.uniform("away", 0.5, 6.0)
    rise = torch.where(ahead, d.normal("rise", 0.05), d.uniform("bank", -0.5, 0.7))
    start = torch.where(ahead, d.uniform("start", 1.0, 50.0), bank.clamp_min(0.5))
    return Hill(torch.stack([turn.sin(), turn.cos()], -1), start, torch.where(there, rise, 0.0))


def _roads(d: Draw, route: Route, curvature: Tensor, lane: Tensor, turns: Tensor) -> tuple[Road, Road]:
    """The road that is followed at first, and one that crosses it; a vehicle that turns ends in a lane of that."""
    # The way past the bend, from far before frame 0 on, in steps of half a metre.
    steps = torch.arange(-60, 160, device=lane.device).double() * 0.5
    ways = route.heading(steps[None].expand(len(lane), -1))
    x, z = (0.5 * f(ways) for f in (torch.sin, torch.cos))
    x, z = (v.cumsum(1) - v.cumsum(1)[:, 60:61] for v in (x, z))
    before = ((route.begin - 1.0).clamp(-29.0, 0.0) * 2 + 60).long()[:, None]
    beyond = ((route.begin + route.radius * route.angle.abs() + 1.0).clamp(-29.0, 79.0) * 2 + 60).long()[:, None]

    def pose(index: Tensor) -> tuple[Tensor, Tensor]:
        return torch.stack([x.gather(1, index), z.gather(1, index)], -1)[:, 0].float(), ways.gather(1, index)[
            :, 0
        ].float()

    def beside(point: Tensor, heading: Tensor, shift: Tensor) -> Tensor:
        return point + torch.stack([heading.cos(), -heading.sin()], -1) * shift[:, None]

    point, heading = pose(before)
    road = Road(beside(point, heading, -lane), heading, curvature)
    point, heading = pose(beyond)
    own = d.uniform("cross.lane", -0.2, 2.5)
    ahead = d.uniform("cross.s", -5.0, 60.0)
    across, turn = road.place(ahead, torch.zeros_like(ahead))
    skew = turn + math.pi / 2 + d.normal("cross.skew", 0.15)
    return road, Road(
        torch.where(turns[:, None], beside(point, heading, -own), across),
        torch.where(turns, heading, skew),
        torch.zeros_like(curvature),
    )


def _solids(
    site: Site, side: Site, is_: dict[str, Tensor], lane: Tensor, pace: Tensor, covered: Tensor
) -> tuple[Solids, Solids]:
    d = site.draw
    urban, rural = is_["street"], is_["country"] | is_["motorway"]
    few = d.chance("few", 0.3)
    high = d.uniform("ceiling", 1.2, 1.8) + torch.where(is_["tunnel"], 1.5, 0.0)
    reach = torch.where(is_["room"], d.uniform("room", 2.5, 8.0), d.uniform("reach", 10.0, 40.0))
    clutter, things = inside.clutter(
        site, is_["field"] | is_["room"] | (is_["corridor"] & few) | (is_["street"] & few) | (is_["park"] & few), reach
    )
    spread = reach[:, None] * d.uniform("shell", 0.8, 1.3, (2,))
    uprights, signs = street.poles(site, urban | is_["motorway"] | is_["country"] | is_["park"])
    moving = [
        street.traffic(site, urban | is_["motorway"] | is_["tunnel"] | is_["country"], lane, pace),
        street.people(site, urban | is_["park"] | is_["corridor"] | is_["room"] | is_["field"]),
    ]
    boxes = [
        street.houses(site, urban | (is_["country"] & few)),
        street.parked(site, urban),
        street.rows_of_cars(site, is_["park"]),
        street.fences(site, urban | is_["country"]),
        street.rails(site, is_["motorway"]),
        inside.passage(site, is_["corridor"] | is_["tunnel"], torch.where(is_["tunnel"], high, high.clamp_max(1.6))),
        inside.doors(site, is_["corridor"]),
        inside.columns(site, covered, high),
        inside.shell(site, is_["room"], high, spread),
        clutter,
        signs,
    ]
    wooded = is_["country"] | is_["motorway"] | is_["field"] | (urban & few)
    rounds = [
        nature.trees(site, urban | rural | is_["field"] | is_["park"], 0.6, 7.0),
        nature.bushes(site, urban | rural | is_["field"]),
        nature.bushes(site, wooded, 10, 5.0, 2.5),
        uprights,
        things,
    ]
    across = [street.houses(side, urban, 8), street.parked(side, urban, 8), street.fences(side, urban, 12)]
    green = [nature.trees(side, urban | is_["country"], 0.6, 7.0, 8), nature.bushes(side, urban | is_["country"], 12)]
    return (
        Solids.gather([*moving, _off(side, boxes), _off(site, across)]),
        Solids.gather([_off(side, rounds), _off(site, green)]),
    )


def _off(other: Site, parts: list[Solids]) -> Solids:
    """Without those that stand on another road."""
    solids = Solids.gather(parts)
    width = torch.where(other.there, other.width, -1e4)[:, None]
    reach = 0.7 * solids.half[..., ::2].amax(-1)
    away = other.road.across(solids.centre[..., 0], solids.centre[..., 2]).abs()
    return solids.without(solids.there & (away < width + 0.5 + reach))


def _keep(solids: Solids, path: Path, now: Tensor, count: int) -> Solids:
    """Those nearest to the camera at grid times `now` (P,), without those that it would run into anywhere."""
    index = torch.arange(STEPS, path.heading.shape[1] - STEPS, STEPS // 2, device=solids.yaw.device)
    time = ((index - STEPS) * path.dt[:, None]).float()
    near = []
    for part, when in zip(index.split(64), time.split(64, 1), strict=True):
        way = path.position[:, part].float()
        away = solids.centre[:, :, None] + solids.velocity[:, :, None] * when[:, None, :, None] - way[:, None]
        c, s = solids.yaw.cos()[..., None], solids.yaw.sin()[..., None]
        x = (away[..., 0] * c - away[..., 2] * s).abs() - solids.half[..., 0, None]
        z = (away[..., 0] * s + away[..., 2] * c).abs() - solids.half[..., 2, None]
        y = away[..., 1].abs() - solids.half[..., 1, None]
        near.append(((torch.maximum(x, z) < 0.5) & (y < 0.35)).any(-1))
    solids = solids.without(torch.stack(near).any(0) & solids.there)
    shift = solids.velocity[:, :, None] * ((now - STEPS) * path.dt[:, None]).float()[:, None, :, None]
    away = solids.centre[:, :, None] + shift - path.position[:, None, now].float()
    distance = away.square().sum(-1).sqrt().amin(-1)
    return solids.nearest(torch.where(solids.there, distance - solids.half.amax(-1), 1e6), count)


def _lens(d: Draw, config: WorldConfig) -> Tensor:
    """(B, 3, 3): what takes the rays of the assumed pinhole to those of the true one."""
    rig = config.rig
    focal = 1 + d.normal("focal", rig.focal_error).double()
    aspect = 1 + d.normal("aspect", 0.2 * rig.focal_error).double()
    lens = torch.eye(3, dtype=torch.float64, device=d.device).repeat(len(d.seeds), 1, 1)
    lens[:, 0, 0], lens[:, 1, 1] = 1 / (focal * aspect), 1 / focal
    lens[:, 0, 2], lens[:, 1, 2] = d.normal("cx", rig.centre_error).double(), d.normal("cy", rig.centre_error).double()
    return lens
