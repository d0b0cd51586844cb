"""Thresholds: from which probability a tag is carried, and around it the band that a person reviews."""

import numpy as np
from sklearn.metrics import precision_recall_curve

from newswatch.model import FloatArray
from newswatch_training.examples import BoolArray

SHRINKAGE = 60.0
LOWEST, HIGHEST = 0.1, 0.9
REVIEW_MISS = 0.05
REVIEW_WRONG = 0.10


def choose_thresholds(probabilities: FloatArray, labels: BoolArray, known: BoolArray) -> FloatArray:
    """Thresholds (T,) that maximise each tag's F1 on held-out probabilities, shrunk towards a common one.

    The common threshold maximises macro F1. A tag with n positives keeps n / (n + SHRINKAGE) of its own: the maximum of
    an F1 curve over few examples is mostly noise.
    """
    grid = np.linspace(LOWEST, HIGHEST, 81)
    f1 = np.stack([_f1(probabilities >= t, labels, known) for t in grid])  # (81, T)
    common = grid[f1.mean(axis=1).argmax()]
    own = grid[f1.argmax(axis=0)]
    weight = (labels & known).sum(axis=0) / ((labels & known).sum(axis=0) + SHRINKAGE)
    return np.asarray(weight * own + (1 - weight) * common)


def review_band(probabilities: FloatArray, labels: BoolArray, threshold: float) -> tuple[float, float]:
    """Band [low, high) of one tag around its threshold, from held-out probabilities (N,).

    Below `low` lies at most a share `REVIEW_MISS` of the true tags: the split-conformal quantile (Vovk et al. 2005) of the
    positives, floor(a (n + 1))-th smallest. From `high` on at most a share `REVIEW_WRONG` of the carried tags is wrong.
    """
    positives = np.sort(probabilities[labels])
    rank = int(REVIEW_MISS * (len(positives) + 1))
    low = float(positives[rank - 1]) if rank >= 1 else 0.0
    low = min(low, threshold)
    precision, _, cuts = precision_recall_curve(labels, probabilities) if labels.any() else (np.zeros(1), None, np.zeros(0))
    sure = cuts[(precision[:-1] >= 1 - REVIEW_WRONG) & (cuts >= threshold)] if len(cuts) else cuts
    high = float(sure.min()) if len(sure) else 1.0
    return low, high


def _f1(carried: BoolArray, labels: BoolArray, known: BoolArray) -> FloatArray:
    hits = (carried & labels & known).sum(axis=0)
    total = (carried & known).sum(axis=0) + (labels & known).sum(axis=0)
    return np.asarray(2 * hits / np.maximum(total, 1))
