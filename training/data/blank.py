"""Clips whose view `image` is black, so that the network learns from its further views (modality dropout).

Of two views with the same information a network otherwise learns from the easier one alone.
"""

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
