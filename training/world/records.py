"""Records of tensors that share their leading axis, one entry for each world of a batch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

R = TypeVar("R", bound="Record")


@dataclass(frozen=True)
class Record:
    """A dataclass of tensors (and of further records) that can be indexed and joined as one."""

    def select(self: R, index: Tensor) -> R:
        """The entries `index` of the leading axis."""
        return replace(self, **{f.name: _select(getattr(self, f.name), index) for f in fields(self)})

    @classmethod
    def join(cls: type[R], parts: list[R], axis: int) -> R:
        return cls(*(torch.cat([getattr(p, f.name) for p in parts], axis) for f in fields(cls)))


def _select(value: Any, index: Tensor) -> Any:
    return value.select(index) if isinstance(value, Record) else value[index]


def per(value: Tensor, like: Tensor) -> Tensor:
    """(B,) or (B, ...) with axes of one appended, to broadcast against `like`."""
    return value.reshape(*value.shape, *[1] * (like.dim() - value.dim()))
