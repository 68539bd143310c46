"""Feature distillation that weighs pixels and channels by how strongly a network responds there: FKD and FGD."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ros2_vodistill.errors import VodistillError
from training.losses.base import Features, LevelLoss


def spatial_attention(feature: Tensor, temperature: float) -> Tensor:
    """H W softmax(mean_c |F| / T) over the pixels: (N, C, H, W) -> (N, 1, H, W), of mean 1."""
    response = feature.abs().mean(1, keepdim=True)
    return torch.softmax(response.flatten(1) / temperature, 1).view_as(response) * response[0].numel()


def channel_attention(feature: Tensor, temperature: float) -> Tensor:
    """C softmax(mean_hw |F| / T) over the channels: (N, C, H, W) -> (N, C, 1, 1), of mean 1."""
    response = feature.abs().mean((2, 3), keepdim=True)
    return torch.softmax(response / temperature, 1) * feature.shape[1]


class NonLocal(nn.Module):
    """Relations of all pixels: an embedded-Gaussian non-local block, (N, C, H, W) -> same."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.out = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (layer(x).flatten(2) for layer in (self.query, self.key, self.value))
        relation = torch.softmax(query.transpose(1, 2) @ key, -1)  # (N, pixels, pixels)
        return x + self.out((value @ relation.transpose(1, 2)).unflatten(2, x.shape[2:]))


class FeatureKnowledge(LevelLoss):
    """FKD: masked features, attentions and non-local relations, each an L2 norm over the whole batch.

    The masks are the mean of the teacher's and the student's attentions, detached.

    Args:
        feature, attention, relation: weights of the three terms.
        temperature: T of the attentions.
        inner: channels inside the non-local blocks, at most half of the feature's.
    """

    def __init__(
        self,
        student: int,
        teacher: int,
        feature: float = 7e-5,
        attention: float = 4e-3,
        relation: float = 7e-5,
        temperature: float = 0.5,
        inner: int = 64,
    ) -> None:
        super().__init__(student, teacher)
        self.feature, self.attention, self.relation, self.temperature = feature, attention, relation, temperature
        self.adapt_channels = nn.Linear(teacher, teacher)
        self.adapt_pixels = nn.Conv2d(1, 1, 3, padding=1)
        self.ours = NonLocal(teacher, min(inner, max(teacher // 2, 1)))
        self.theirs = NonLocal(teacher, min(inner, max(teacher // 2, 1)))
        self.adapt_relation = nn.Conv2d(teacher, teacher, 1)

    def forward(self, student: Tensor, teacher: Tensor, batch: Features) -> Tensor:
        student = self.align(student)
        maps = (student.detach(), teacher)
        pixels = torch.stack([spatial_attention(x, self.temperature) for x in maps]).mean(0)
        channels = torch.stack([channel_attention(x, self.temperature) for x in maps]).mean(0)
        return (
            self.feature * torch.linalg.vector_norm((student - teacher) * (pixels * channels).sqrt())
            + self.attention
            * torch.linalg.vector_norm(self.adapt_channels(student.mean((2, 3))) - teacher.mean((2, 3)))
            + self.attention
            * torch.linalg.vector_norm(self.adapt_pixels(student.mean(1, True)) - teacher.mean(1, True))
            + self.relation * torch.linalg.vector_norm(self.adapt_relation(self.ours(student)) - self.theirs(teacher))
        )


class GlobalContext(nn.Module):
    """A feature with its attention-pooled context added to every pixel; the identity at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 2, 1)
        self.mask = nn.Conv2d(channels, 1, 1)
        self.transform = nn.Sequential(
            nn.Linear(channels, inner), nn.LayerNorm(inner), nn.ReLU(), nn.Linear(inner, channels)
        )
        nn.init.zeros_(self.transform[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.transform[-1].bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.softmax(self.mask(x).flatten(1), 1)
        context = (x.flatten(2) @ weights[..., None]).squeeze(-1)
        return x + self.transform(context)[..., None, None]


class FocalGlobal(LevelLoss):
    """FGD: squared differences on objects and on the background, each pixel weighted by 1/area of its object and by the
    teacher's attentions; the difference of the attentions; and that of the global contexts. Sums, over batch size.

    Needs `Features.objects` (the generated world's masks) where the original has boxes.

    Args:
        objects, background, attention, relation: weights of the four terms.
        temperature: T of the attentions.
    """

    def __init__(
        self,
        student: int,
        teacher: int,
        objects: float = 1e-3,
        background: float = 5e-4,
        attention: float = 1e-3,
        relation: float = 5e-6,
        temperature: float = 0.5,
    ) -> None:
        super().__init__(student, teacher)
        self.objects, self.background, self.attention, self.relation = objects, background, attention, relation
        self.temperature = temperature
        self.ours, self.theirs = GlobalContext(teacher), GlobalContext(teacher)

    def forward(self, student: Tensor, teacher: Tensor, batch: Features) -> Tensor:
        if batch.objects is None:
            raise VodistillError("focal and global distillation needs object masks", "train on the generated world")
        student = self.align(student)
        pixels, channels = spatial_attention(teacher, self.temperature), channel_attention(teacher, self.temperature)
        weighted = (student - teacher).square() * pixels * channels
        on_objects, on_background = area_weights(batch.objects, (teacher.shape[2], teacher.shape[3]))
        attentions = (spatial_attention(student, self.temperature) - pixels).abs().sum() + (
            channel_attention(student, self.temperature) - channels
        ).abs().sum()
        total = (
            self.objects * (weighted * on_objects).sum()
            + self.background * (weighted * on_background).sum()
            + self.attention * attentions
            + self.relation * (self.ours(student) - self.theirs(teacher)).square().sum()
        )
        return total / len(student)


def area_weights(objects: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """1/area of each pixel's object, and of the background, at the size of a feature map; 0 elsewhere.

    Args:
        objects: (N, H, W), 0 is background, every other number an object.
        size: (h, w).

    Returns:
        Two (N, 1, h, w).
    """
    small = functional.interpolate(objects[:, None].float(), size, mode="nearest").long()
    _, labels = torch.unique(small, return_inverse=True)  # consecutive: few bins even where identifiers are large
    flat = labels.flatten(1)
    counts = torch.zeros(len(flat), int(flat.max()) + 1, device=flat.device).scatter_add(
        1, flat, torch.ones_like(flat, dtype=torch.float32)
    )
    weight = (1 / counts.gather(1, flat)).view(small.shape)
    return weight * (small != 0), weight * (small == 0)
