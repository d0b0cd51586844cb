"""Cross-validation: logits from models that did not see the record, and figures that did not choose their own rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from newswatch.decision import Decision
from newswatch.model import Logits, Model
from newswatch_labels.folds import split_by_event, split_by_time
from newswatch_training.deciding import fit_decision
from newswatch_training.examples import Examples
from newswatch_training.metrics import Outcome, decide, join_outcomes

Advance = Callable[[str], object]


class Fitter(Protocol):
    """Anything that fits a model on some rows of its examples."""

    kind: str

    def fit(self, rows: NDArray[np.int64]) -> Model:
        """Fit on the examples at `rows`; nothing of the others may enter the model."""


@dataclass(frozen=True)
class CrossValidation:
    """What held-out folds say.

    Attributes:
        logits: of each example, by the model of the folds it is not in.
        decision: fitted on all of `logits`; it goes into the bundle.
        outcome: each fold decided by rules fitted on the other folds alone, so that its figures flatter nobody.
    """

    logits: tuple[Logits, ...]
    decision: Decision
    outcome: Outcome


def cross_validate(fitter: Fitter, examples: Examples, groups: Sequence[int], folds: int, seed: int, advance: Advance) -> CrossValidation:
    """Fit a model per fold (events, contrast pairs and near-duplicates whole) and score the fold with it.

    Args:
        groups: of each example, as `newswatch_labels.folds.group_records` numbers them.
        advance: called with the name of each step.

    Raises:
        RecordError: there are fewer events than folds.
    """
    parts = np.array(split_by_event(examples.records, [1 / folds] * folds, seed, groups))
    logits: dict[int, Logits] = {}
    held_out = [np.flatnonzero(parts == fold) for fold in range(folds)]
    for fold, rows in enumerate(held_out):
        advance(f"fold {fold + 1} of {folds}")
        model = fitter.fit(np.flatnonzero(parts != fold))
        logits.update(zip(rows.tolist(), model.logits([examples.documents[row] for row in rows]), strict=True))
    ordered = tuple(logits[row] for row in range(len(examples.records)))
    outcomes = []
    for fold, rows in enumerate(held_out):
        rules = _decide_on(ordered, examples, np.flatnonzero(parts != fold))
        outcomes.append(decide([ordered[row] for row in rows], rules, examples.take(rows)))
    return CrossValidation(ordered, fit_decision(ordered, examples), join_outcomes(outcomes, held_out, examples))


def validate_on_newest(fitter: Fitter, examples: Examples, groups: Sequence[int], logits: Sequence[Logits]) -> Outcome | None:
    """Train on the past, decide by the past's held-out `logits`, measure on the newest fifth; None without dates."""
    newest = np.array(split_by_time(examples.records, groups=groups), dtype=np.bool_)
    if not newest.any():
        return None
    past, future = np.flatnonzero(~newest), np.flatnonzero(newest)
    model = fitter.fit(past)
    test = examples.take(future)
    return decide(model.logits(test.documents), _decide_on(logits, examples, past), test)


def _decide_on(logits: Sequence[Logits], examples: Examples, rows: NDArray[Any]) -> Decision:
    return fit_decision([logits[row] for row in rows], examples.take(rows))
