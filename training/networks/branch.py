"""The branch of a view in a Swift network: what is seen in one frame, and what two frames say together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from ros2_vodistill.view import Patch, View
from training.networks.align import smoothed
from training.networks.base import Match
from training.networks.correlation import Correlation, distinctive
from training.networks.layers import ScaledConv2d, box_mean, convolution, frame_mean, stage

if TYPE_CHECKING:
    from training.networks.swift import SwiftConfig

_HIGH_PASS, _CONTRAST = 15, 31  # pixels: boxes of the local mean and of the local contrast
_FAINTEST = 2.0  # grey levels of contrast that are brought to half of the variance


class Encoder(nn.Module):
    """One frame (N, H, W) uint8 -> context (N, C, H/8, W/8), what is matched at 1/4 and 1/8, and as an image if that is
    aligned, and feature maps.

    Every frame is brought to zero mean and unit variance, so that exposure and gain do not matter: as a whole, or
    `locally`, pixel by pixel, where faint textures are all that there is to see.
    """

    def __init__(self, config: SwiftConfig) -> None:
        super().__init__()
        self.aligned = config.polish > 0
        (quarter, eighth), (blocks4, blocks8), slim = config.encoder, config.encoder_blocks, config.separable
        self.quarter = stage(ScaledConv2d(1, quarter, 7, 4), quarter, blocks4)
        self.eighth = stage(convolution(quarter, eighth, 2, separable=slim), eighth, blocks8, slim)
        self.match4 = ScaledConv2d(quarter, config.match[0], 1)
        self.match8 = ScaledConv2d(eighth, config.match[1], 1)

    def forward(self, view: Tensor, locally: bool) -> tuple[Tensor, tuple[Tensor, ...], dict[str, Tensor]]:
        x = view[:, None].to(self.match4.weight.dtype)
        if locally:
            x = x - box_mean(x, _HIGH_PASS)
            x = x * torch.rsqrt(box_mean(x.square(), _CONTRAST) + _FAINTEST**2)
        else:
            x = x - frame_mean(x)
            x = x * torch.rsqrt(frame_mean(x.square()) + 1.0)
        quarter = self.quarter(x)
        eighth = self.eighth(quarter)
        kept: tuple[Tensor, ...] = distinctive(self.match4(quarter)), distinctive(self.match8(eighth))
        kept += (smoothed(x),) if self.aligned else ()
        return eighth, kept, {"level0": quarter, "level1": eighth, "match4": kept[0], "match8": kept[1]}


class Decoder(nn.Module):
    """What is matched of two frames, and the context of the newer -> a vector (N, vector), and feature maps."""

    directions: Tensor

    def __init__(self, config: SwiftConfig, view: View | Patch) -> None:
        super().__init__()
        self.register_buffer("directions", _cell_directions(view), persistent=False)
        self.fine, self.middle, self.coarse = (Correlation(radius) for radius in config.radii)
        (width8, width16, width32), (blocks8, blocks16, blocks32) = config.decoder, config.decoder_blocks
        slim = config.separable
        inputs = self.fine.channels + self.middle.channels + 2 + config.encoder[1]
        self.eighth = stage(ScaledConv2d(inputs, width8, 1), width8, blocks8, slim)
        self.down = stage(convolution(width8, width16, 2, separable=slim), width16, 0)
        self.sixteenth = stage(ScaledConv2d(self.coarse.channels + width16, width16, 1), width16, blocks16, slim)
        self.thirtysecond = stage(convolution(width16, width32, 2, separable=slim), width32, blocks32, slim)
        self.squeeze = ScaledConv2d(width32, config.squeeze, 1)
        cells = (view.height // 32) * (view.width // 32)
        self.vector = nn.Linear((config.squeeze + 6) * cells, config.vector)

    def forward(
        self, last: tuple[Tensor, ...], this: tuple[Tensor, ...], context: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        fine, fine_flow = self.fine(this[0][:, :, ::2, ::2], last[0])
        middle, flow = self.middle(this[1], last[1])
        coarse, coarse_flow = self.coarse(*(functional.avg_pool2d(match[1], 2) for match in (this, last)))
        directions = self.directions.expand(len(context), -1, -1, -1)
        eighth = self.eighth(torch.cat([fine, middle, directions, context], 1))
        sixteenth = self.sixteenth(torch.cat([self.down(eighth), coarse], 1))
        thirtysecond = self.thirtysecond(sixteenth)
        flows = torch.cat([functional.avg_pool2d(torch.cat([fine_flow, flow], 1), 2), coarse_flow], 1)
        condensed = torch.cat([functional.relu(self.squeeze(thirtysecond)), functional.avg_pool2d(flows, 2)], 1)
        vector = functional.relu(self.vector(condensed.flatten(1)))
        in_pixels = {"fine_flow": 4 * fine_flow, "flow": 8 * flow, "coarse_flow": 16 * coarse_flow}
        scores = {
            name: seen[:, :-2] * correlation.temperature.exp()
            for name, seen, correlation in (
                ("fine_match", fine, self.fine),
                ("match", middle, self.middle),
                ("coarse_match", coarse, self.coarse),
            )
        }
        return vector, {"level2": eighth, "level3": sixteenth, "level4": thirtysecond, **in_pixels, **scores}


def matches(config: SwiftConfig, view: str = "image") -> dict[str, Match]:
    """What the correlations of a view compare."""
    fine, middle, coarse = config.radii
    return {
        "fine_match": Match(fine, cell=4, spacing=8, view=view),
        "match": Match(middle, cell=8, spacing=8, view=view),
        "coarse_match": Match(coarse, cell=16, spacing=16, offset=4, view=view),
    }


def _cell_directions(view: View | Patch) -> Tensor:
    """(1, 2, H/8, W/8) where each cell, centred at pixel (8i, 8j), looks: the two coordinates of its ray that vary over
    the view, standardised."""
    rays = torch.from_numpy(view.rays()[::8, ::8]).float().permute(2, 0, 1)
    varying = rays[rays.std((1, 2)) > 0]
    spread, centre = torch.std_mean(varying, (1, 2), keepdim=True)
    return ((varying - centre) / spread)[None]
