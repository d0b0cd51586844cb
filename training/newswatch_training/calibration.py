"""Calibration: logits to probabilities that hold what they say."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from newswatch.decision import probability
from newswatch.model import FloatArray
from newswatch_training.examples import BoolArray

TAG_STRENGTH = 8.0


def fit_platt(logits: FloatArray, labels: BoolArray, known: BoolArray) -> NDArray[Any]:
    """Slope and intercept per tag (Platt 1999), drawn towards those of all tags together.

    A common pair is fitted first; each tag's pair then minimises its log loss plus `TAG_STRENGTH` / 2 times the squared
    distance from the common one, so that a tag with few examples keeps close to what all tags say.

    Args:
        logits, labels, known: (N, T), held-out; rows that are not `known` are left out.

    Returns:
        (T, 2), slope > 0 and intercept per tag.
    """
    targets = labels.astype(np.float64)
    common = _fit_pair(logits[known], targets[known], np.array([1.0, 0.0]), 1e-3)
    return np.array([_fit_pair(z[rows], y[rows], common, TAG_STRENGTH) for z, y, rows in zip(logits.T, targets.T, known.T, strict=True)])


def _fit_pair(logits: FloatArray, targets: FloatArray, centre: FloatArray, strength: float) -> NDArray[Any]:
    def loss(pair: FloatArray) -> tuple[float, FloatArray]:
        z = pair[0] * logits + pair[1]
        residual = probability(z) - targets
        away = pair - centre
        value = np.logaddexp(0, z).sum() - targets @ z + strength / 2 * away @ away
        return float(value), np.array([residual @ logits, residual.sum()]) + strength * away

    bounds = [(1e-2, 20.0), (-20.0, 20.0)]
    return minimize(loss, centre, jac=True, bounds=bounds, method="L-BFGS-B").x  # type: ignore[no-any-return]
