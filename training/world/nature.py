"""Trees, bushes and hedges."""

from __future__ import annotations

import torch
from torch import Tensor

from training.world.scene import OBJECT, Solids
from training.world.site import Site, row, size, stand, tones


def trees(site: Site, there: Tensor, near: float, far: float, count: int = 8, pitch: float = 11.0) -> Solids:
    """A trunk and a crown of a few clumps each; some worlds have conifers, narrow and down to the ground.

    Args:
        near, far: metres from the carriageway's edge.
    """
    r = row(site, "tree", there, count, pitch)
    d, k = r.draw, r.scale
    place, heading = site.road.place(r.s, r.side * (site.width[:, None] + d.uniform("away", near, far) * k))
    often = site.draw.uniform("tree.often", 0.0, 1.2, (2,)).repeat_interleave(r.count, 1)
    here = r.there & (d.unit("there") < often)
    conifer = d.chance("conifer", 0.25) & site.draw.chance("conifers", 0.5)[:, None]
    tall, thick = d.uniform("tall", 1.0, 2.8) * k, d.uniform("thick", 0.1, 0.3) * k
    trunk = size(thick, tall, thick, tall)
    bark = site.family(d, "bark", "noise", "planks", "foliage")
    parts = [stand(site, place, heading, trunk, bark, trunk * 0.7, tones(d, "bark", 0.03, 0.12, 0.7), OBJECT,
                   there=here & ~conifer, straight=1.0)]  # fmt: skip
    leaf = site.family(d, "leaf", "foliage")
    green = tones(site.draw, "tree.leaf", 0.05, 0.2, 1.0)[:, None] * d.uniform("shade", 0.7, 1.3)[..., None]
    open_leaves = site.draw.uniform("tree.open", 0.15, 0.55)[:, None]
    crown = d.uniform("crown", 1.2, 3.8) * k
    for i in range(4):
        turn = 2.4 * i + d.uniform("turn", 0.0, 6.3)
        spread = torch.where(conifer, 0.0, (0.6 if i else 0.0) * crown)
        at = place + torch.stack([turn.sin(), turn.cos()], -1) * spread[..., None]
        wide = torch.where(conifer, crown * 0.75 * (1.0 - 0.24 * i), crown * d.uniform(f"wide{i}", 0.55, 0.95))
        high = torch.where(conifer, crown * (1.1 - 0.1 * i), wide * d.uniform(f"high{i}", 0.6, 0.9))
        lift = torch.where(
            conifer, 0.1 + 0.9 * i * crown, 2 * tall - 0.4 * crown + (0.5 * crown if i in (0, 3) else 0.0)
        )
        half = size(wide, high, wide, wide)
        parts.append(stand(site, at, heading + turn, half, leaf, half * 0.4 / k[..., None], green, OBJECT, there=here,
                           lift=lift, leaves=open_leaves, offset=d.unit(f"offset{i}")))  # fmt: skip
    return Solids.join(parts, 1)


def bushes(site: Site, there: Tensor, count: int = 12, pitch: float = 5.0, big: float = 1.0) -> Solids:
    """Mounds of leaves along the edge of the land: shrubs, hedgerows, the border of a wood (`big`)."""
    r = row(site, f"bush{big}", there, count, pitch * big)
    d, k = r.draw, r.scale
    rank = site.draw.uniform(f"bush{big}.rank", 0.3, 1.2 if big < 2 else 2.5, (2,)).repeat_interleave(r.count, 1)
    wide = d.uniform("wide", 0.5, 1.0) * k * big * 0.9
    tall = wide * d.uniform("tall", 0.7, 1.4) * rank
    away = site.width[:, None] + site.verge[:, None] * (1.0 if big > 1.5 else 0.7) + 0.7 * wide
    place, heading = site.road.place(r.s, r.side * (away + d.unit("away") * 1.5 * big * k))
    often = site.draw.uniform(f"bush{big}.often", 0.0, 1.3, (2,)).repeat_interleave(r.count, 1)
    half = size(wide, tall, wide * d.uniform("long", 1.0, 1.8), wide)
    leaf = site.family(d, "leaf", "foliage", "foliage", "grass")
    green = tones(d, "tone", 0.04, 0.18, 1.0)
    return stand(site, place, heading, half, leaf, half * 0.35 / k[..., None], green, OBJECT,
                 there=r.there & (d.unit("there") < often), lift=-0.4 * tall,
                 leaves=d.uniform("open", 0.05, 0.35), offset=d.unit("offset"))  # fmt: skip
