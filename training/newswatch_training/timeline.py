"""The time line replayed: train on what was known, score the year that followed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from newswatch.decision import Decision
from newswatch.linear import LinearModel
from newswatch.scorer import Article
from newswatch_training.cross_validation import cross_validate
from newswatch_training.drift import Drift, Sample, compare
from newswatch_training.drift_limits import Limits
from newswatch_training.examples import Examples
from newswatch_training.linear import LinearFitter, LinearSettings
from newswatch_training.metrics import decide, measure

FOLDS = 2


@dataclass(frozen=True)
class Year:
    """What one year showed.

    Attributes:
        trained, tested: records before the year, and of it.
        retrained: figures of a model trained on everything before the year.
        kept: figures of the model that was trained before the first year of the replay, and never again.
        drift: the year's texts against those before it, under the retrained model.
    """

    year: int
    trained: int
    tested: int
    retrained: dict[str, float]
    kept: dict[str, float]
    drift: Drift


def replay(examples: Examples, groups: Sequence[int], years: Sequence[int], limits: Limits | None = None) -> Iterator[Year]:
    """For each year train the linear model on the records before it, calibrate by their cross-validation, and score the year.

    A record whose event, contrast pair or near-duplicate lies in the year does not train for it, nor does an undated one.

    Args:
        groups: of each example, as `newswatch_labels.folds.group_records` numbers them.
        years: ascending, each with at least 20 records and a past to learn from.
    """
    fitter = LinearFitter(examples, LinearSettings())
    dated = np.array([record.year or 0 for record in examples.records])
    first: tuple[LinearModel, Decision] | None = None
    for year in years:
        future = np.flatnonzero(dated == year)
        past = np.flatnonzero((dated > 0) & (dated < year) & ~np.isin(groups, np.array(groups)[dated >= year]))
        known, test = examples.take(past), examples.take(future)
        validation = cross_validate(_Rows(fitter, past), known, np.array(groups)[past].tolist(), FOLDS, 0, str)
        model = fitter.fit(past)
        first = first or (model, validation.decision)
        outcome = decide(model.logits(test.documents), validation.decision, test)
        kept = decide(first[0].logits(test.documents), first[1], test)
        held_out = validation.decision.article_probabilities(np.stack([own.article for own in validation.logits]))
        drift = compare(
            Sample(_articles(known), held_out),
            Sample(_articles(test), outcome.probabilities),
            validation.decision,
            f"before {year}",
            limits,
        )
        yield Year(year, len(past), len(future), measure(outcome), measure(kept), drift)


class _Rows:
    """A fitter that numbers the rows of a part of its examples from 0."""

    kind = LinearFitter.kind

    def __init__(self, fitter: LinearFitter, rows: NDArray[np.int64]) -> None:
        self._fitter, self._rows = fitter, rows

    def fit(self, rows: NDArray[np.int64]) -> LinearModel:
        return self._fitter.fit(self._rows[rows])


def _articles(examples: Examples) -> tuple[Article, ...]:
    return tuple(Article(r.text, r.id, r.title or None, r.source_date) for r in examples.records)
