"""Permutation tests: how often chance alone parts a pool as far as it is parted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from newswatch.model import FloatArray

BLOCK = 100

Masks = NDArray[np.bool_]
"""(P, N): for each of P permutations, which of the N articles of the pool count as new."""
Statistic = Callable[[Masks], FloatArray]
"""Distances (P, K) of K figures; the larger, the farther apart are new and old."""


@dataclass(frozen=True)
class Tested:
    """K figures: the distance observed, its mean under permutation, and the p-value, all (K,)."""

    observed: FloatArray
    expected: FloatArray
    p: FloatArray


def permutation_test(statistic: Statistic, new: NDArray[np.bool_], draws: int, seed: int) -> Tested:
    """Test that the new articles of a pool are drawn as the others are.

    p = (1 + draws with a distance as large) / (1 + draws): never 0, and valid at any number of draws (Phipson and Smyth 2010).

    Args:
        new: (N,), which articles of the pool are new.
    """
    random = np.random.default_rng(seed)
    observed = statistic(new[None])[0]
    reached, total = np.zeros(len(observed)), np.zeros(len(observed))
    for start in range(0, draws, BLOCK):
        masks = random.permuted(np.tile(new, (min(BLOCK, draws - start), 1)), axis=1)
        drawn = statistic(masks)
        reached += (drawn >= observed - 1e-12).sum(axis=0)
        total += drawn.sum(axis=0)
    return Tested(observed, total / draws, (1 + reached) / (1 + draws))


def holm(p: Sequence[float]) -> list[float]:
    """P-values adjusted for their number (Holm 1979): one below a holds, with all others, at a chance of error of a in all."""
    order = sorted(range(len(p)), key=lambda number: p[number])
    adjusted = [0.0] * len(p)
    highest = 0.0
    for rank, number in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[number]))
        adjusted[number] = highest
    return adjusted


def rate_distance(flags: NDArray[np.bool_]) -> Statistic:
    """Absolute difference of the shares of K flags (N, K)."""
    values = flags.astype(np.float64)

    def distance(masks: Masks) -> FloatArray:
        count = masks[0].sum()
        inside = masks @ values
        return np.asarray(np.abs(inside / count - (values.sum(axis=0) - inside) / (len(values) - count)))

    return distance


def ks_distance(values: FloatArray) -> Statistic:
    """Kolmogorov and Smirnov's largest gap between the two distribution functions of K values (N, K)."""
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    # Among equal values the gap is read behind the last.
    ends = np.vstack([ordered[1:] > ordered[:-1], np.ones((1, values.shape[1]), dtype=np.bool_)])

    def distance(masks: Masks) -> FloatArray:
        count = masks[0].sum()
        steps = np.where(masks, 1 / count, -1 / (len(values) - count)).astype(np.float32)
        gaps = [np.abs(steps[:, own].cumsum(axis=1)[:, end]).max(axis=1) for own, end in zip(order.T, ends.T, strict=True)]
        return np.stack(gaps, axis=1).astype(np.float64)

    return distance


def word_distance(counts: Any) -> Statistic:
    """Jensen and Shannon's divergence in bits, 0 to 1, of the two word distributions (Lin 1991, eq. 4.1, equal weights).

    Args:
        counts: scipy.sparse matrix (N, V), how often each article has each word.
    """
    columns = counts.T.tocsr().astype(np.float32)
    whole = np.asarray(counts.sum(axis=0)).ravel()

    def distance(masks: Masks) -> FloatArray:
        inside = (columns @ masks.T.astype(np.float32)).T.astype(np.float64)
        new, old = (part / np.maximum(1, part.sum(axis=1, keepdims=True)) for part in (inside, whole - inside))
        return np.asarray(word_terms(new, old).sum(axis=1, keepdims=True))

    return distance


def word_terms(new: FloatArray, old: FloatArray) -> FloatArray:
    """Each word's part of the divergence, of two arrays of shares (..., V)."""
    middle = np.maximum((new + old) / 2, 1e-300)
    return np.asarray(0.5 * sum(part * np.log2(np.maximum(part, 1e-300) / middle) for part in (new, old)))


def auc_distance(scores: FloatArray) -> Statistic:
    """How well scores (N,) tell new from old: the area under the ROC curve, from the ranks (Mann and Whitney 1947)."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)

    def distance(masks: Masks) -> FloatArray:
        count = masks[0].sum()
        return np.asarray((masks @ ranks - count * (count + 1) / 2) / (count * (len(ranks) - count)))[:, None]

    return distance
