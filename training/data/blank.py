"""Clips without the view `image`: what further views see has to do. Two views that tell the same are not both learnt
from otherwise; the one that comes first, or easier, explains all, and is believed alone where it is wrong."""

from __future__ import annotations

from dataclasses import replace

import torch

from training.data.batch import Batch


def blanked(batch: Batch, share: float) -> Batch:
    """With a black `image`, whose flow is unknown, in a share of the clips, drawn by torch's own random numbers."""
    image = batch.views["image"]
    black = torch.rand(len(batch), device=image.device) < share
    views = {**batch.views, "image": image.masked_fill(black[:, None, None, None], 0)}
    flow = dict(batch.flow)
    if "image" in flow:
        flow["image"] = flow["image"].masked_fill(black[:, None, None, None, None], torch.nan)
    return replace(batch, views=views, flow=flow)
