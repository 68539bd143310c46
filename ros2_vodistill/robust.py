"""Robust statistics: medians, and deviations that a few outliers do not move."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_NORMAL = 1.4826  # standard deviations of a normal distribution in the median of its absolute values


def median(values: NDArray[np.floating[Any]]) -> float:
    """Median of values (N,), N > 0; several times as fast as numpy's for a few hundred."""
    ordered, half = np.sort(values), len(values) // 2
    return float(ordered[half] if len(ordered) % 2 else 0.5 * (ordered[half - 1] + ordered[half]))


def quantile(values: NDArray[np.generic], share: float) -> float:
    """The value below which that share of values (N,) is, N > 0; several times as fast as numpy's."""
    place = share * (len(values) - 1)
    ranks = math.floor(place), math.ceil(place)
    lower, upper = np.partition(values, ranks)[list(ranks)].tolist()
    return float(lower + (place - ranks[0]) * (upper - lower))


def deviation(values: Array) -> float:
    """Standard deviation about 0 of values (N,), most of which are normally distributed (from their median)."""
    return _NORMAL * median(np.abs(values))


def weighted_median(values: Array, weights: Array) -> float:
    """The value below which half of the weight is."""
    order = values.argsort()
    total = weights[order].cumsum()
    return float(values[order[total.searchsorted(total[-1] / 2)]])
