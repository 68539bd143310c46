"""Calibration of a network's variances: the factors that make them fit its errors."""

from __future__ import annotations

import numpy as np

from training.measure import Motions

KEPT = 0.99
"""Share of the squared errors that count: the rest are gross errors, which no normal distribution describes."""
MEAN_OF_KEPT = 0.92477
"""Mean of the square of a standard normal number, among those below its 99 % quantile."""


def covariance_scale(motions: Motions) -> tuple[float, ...]:
    """The factor of exp(log_variance), axis by axis, that makes the normalised squared error 1 on these motions."""
    squares = (motions.estimate - motions.truth) ** 2 / np.exp(motions.log_variance)
    limits = np.quantile(squares, KEPT, axis=0)
    kept = np.where(squares <= limits, squares, np.nan)
    return tuple(float(x) for x in np.maximum(np.nanmean(kept, axis=0) / MEAN_OF_KEPT, 1e-6))
