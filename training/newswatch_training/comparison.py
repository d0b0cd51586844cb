"""The comparison: what two models say of the same records, and how sure the difference is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from newswatch.model import FloatArray
from newswatch_training.bootstrap import DRAWS, EventDraws, interval
from newswatch_training.metrics import Outcome, measure


@dataclass(frozen=True)
class Difference:
    """A figure of the champion and of the challenger, and their difference (challenger less champion) over the draws.

    Attributes:
        low, high: the middle 95 % of the differences.
        worse: share of the draws in which the challenger is below the champion; a tie counts half.
    """

    champion: float
    challenger: float
    low: float
    high: float
    worse: float

    @property
    def gain(self) -> float:
        """Challenger less champion."""
        return self.challenger - self.champion


@dataclass(frozen=True)
class Comparison:
    """Two models on N records.

    Attributes:
        champion, challenger: all figures of each, as `newswatch_training.metrics.measure` names them.
        macro_f1: over the tags that occur among the records.
        tags: difference in F1 by tag that occurs.
        support: articles that carry the tag.
    """

    champion: Mapping[str, float]
    challenger: Mapping[str, float]
    macro_f1: Difference
    tags: Mapping[str, Difference]
    support: Mapping[str, int]


def compare(champion: Outcome, challenger: Outcome, groups: Sequence[int], draws: int = DRAWS, seed: int = 0) -> Comparison:
    """Compare by a paired bootstrap that draws whole events, with both models on each draw.

    Args:
        champion, challenger: on the same records, in the same order.
        groups: of each record, its event.
    """
    events = EventDraws(groups, draws, seed)
    labels = challenger.examples.labels & challenger.examples.known
    occurs = np.flatnonzero(labels.any(axis=0))
    first, second = (events.f1(outcome)[:, occurs] for outcome in (champion, challenger))
    names = [challenger.examples.scheme.names[tag] for tag in occurs]
    return Comparison(
        measure(champion),
        measure(challenger),
        _difference(first.mean(axis=1), second.mean(axis=1)),
        {name: _difference(first[:, column], second[:, column]) for column, name in enumerate(names)},
        {name: int(labels[:, tag].sum()) for name, tag in zip(names, occurs, strict=True)},
    )


def _difference(champion: FloatArray, challenger: FloatArray) -> Difference:
    gains = (challenger - champion)[1:]
    low, high = interval(gains)
    worse = float((gains < 0).mean() + (gains == 0).mean() / 2)
    return Difference(float(champion[0]), float(challenger[0]), low, high, worse)
