"""The bootstrap: how figures vary when other events had been drawn."""

from collections.abc import Sequence

import numpy as np

from newswatch.model import FloatArray
from newswatch_training.metrics import Outcome

DRAWS = 2000
CONFIDENCE = 0.95


class EventDraws:
    """Draws of whole events with replacement (Efron and Tibshirani 1993): records of one event are no independent witnesses."""

    def __init__(self, groups: Sequence[int], draws: int = DRAWS, seed: int = 0) -> None:
        """Draw as many events as there are, `draws` times.

        Args:
            groups: of each record, its event.
        """
        _, self._event = np.unique(np.asarray(groups), return_inverse=True)
        self._events = int(self._event.max()) + 1
        drawn = np.random.default_rng(seed).multinomial(self._events, np.full(self._events, 1 / self._events), draws)
        self._weights = np.vstack([np.ones(self._events), drawn])

    def f1(self, outcome: Outcome) -> FloatArray:
        """F1 of every tag (1 + draws, T): the first row of the records as they are, the others of the draws."""
        labels, carried = outcome.examples.labels & outcome.examples.known, outcome.carried & outcome.examples.known
        hits, total = np.zeros((self._events, labels.shape[1])), np.zeros((self._events, labels.shape[1]))
        np.add.at(hits, self._event, labels & carried)
        np.add.at(total, self._event, labels.astype(np.float64) + carried)
        return np.asarray(2 * (self._weights @ hits) / np.maximum(self._weights @ total, 1))


def interval(draws: FloatArray) -> tuple[float, float]:
    """The middle 95 % of draws of a figure."""
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def f1_intervals(outcome: Outcome, groups: Sequence[int]) -> dict[str, tuple[float, float]]:
    """95 % intervals of `macro_f1` and of `f1.<tag>` of each tag that occurs, by bootstrap over events.

    Args:
        groups: of each record, its event.
    """
    draws = EventDraws(groups).f1(outcome)[1:]
    occurs = np.flatnonzero((outcome.examples.labels & outcome.examples.known).any(axis=0))
    names = outcome.examples.scheme.names
    return {"macro_f1": interval(draws[:, occurs].mean(axis=1)), **{f"f1.{names[tag]}": interval(draws[:, tag]) for tag in occurs}}
