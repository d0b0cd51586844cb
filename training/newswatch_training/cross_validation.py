"""Cross-validation: logits from models that did not see the record, and figures that did not choose their own rules."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from newswatch.decision import Decision
from newswatch.ensemble import Combination
from newswatch.model import Logits, Model
from newswatch_labels.folds import split_by_event, split_by_time
from newswatch_training.combination import Members, choose_certainty, fit_combination, join_members
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
        combination: of the members, fitted on all folds; None for one member alone.
        certain: bound of the cascade, for `newswatch.ensemble.EnsembleModel`.
        cascaded: `outcome` with the cascade; the same without one.
        cascade_share: articles that the linear model answers alone.
    """

    logits: tuple[Logits, ...]
    decision: Decision
    outcome: Outcome
    combination: Combination | None = None
    certain: float = -np.inf
    cascaded: Outcome | None = None
    cascade_share: float = 0.0


def split_folds(examples: Examples, groups: Sequence[int], folds: int, seed: int) -> list[NDArray[np.int64]]:
    """Rows of each fold; events, contrast pairs and near-duplicates stay whole.

    Args:
        groups: of each example, as `newswatch_labels.folds.group_records` numbers them.

    Raises:
        RecordError: there are fewer events than folds.
    """
    parts = np.array(split_by_event(examples.records, [1 / folds] * folds, seed, groups))
    return [np.flatnonzero(parts == fold) for fold in range(folds)]


def hold_out(fitter: Fitter, examples: Examples, folds: Sequence[NDArray[np.int64]], advance: Advance) -> tuple[Logits, ...]:
    """Fit a model without each fold and score the fold with it: logits of each example, in order.

    Args:
        advance: called with the name of each step.
    """
    logits: dict[int, Logits] = {}
    for number, rows in enumerate(folds):
        advance(f"{fitter.kind}: fold {number + 1} of {len(folds)}")
        model = fitter.fit(others(folds, number))
        logits.update(zip(rows.tolist(), model.logits([examples.documents[row] for row in rows]), strict=True))
    return tuple(logits[row] for row in range(len(examples.records)))


def judge(members: Members, examples: Examples, folds: Sequence[NDArray[np.int64]]) -> CrossValidation:
    """Combine the members' held-out logits, decide, and measure each fold by rules of the others.

    Args:
        members: by kind, what `hold_out` gave; one member, or those of the ensemble.
    """
    if len(members) == 1:
        (logits,) = members.values()
        outcomes = []
        for number, rows in enumerate(folds):
            rules = _decide_on(logits, examples, others(folds, number))
            outcomes.append(decide([logits[row] for row in rows], rules, examples.take(rows)))
        return CrossValidation(tuple(logits), fit_decision(logits, examples), join_outcomes(outcomes, folds, examples))
    whole, cascaded = [], []
    quick = 0
    for number, rows in enumerate(folds):
        combination, decision, certain = _combine(_take(members, others(folds, number)), examples.take(others(folds, number)))
        own, test = _take(members, rows), examples.take(rows)
        whole.append(decide(join_members(own, combination), decision, test))
        cascaded.append(decide(join_members(own, combination, certain), decision, test))
        quick += sum(bool(combination.alone("linear", logits).article.max() < certain) for logits in own["linear"])
    combination, decision, certain = _combine(members, examples)
    return CrossValidation(
        tuple(join_members(members, combination)),
        decision,
        join_outcomes(whole, folds, examples),
        combination,
        certain,
        join_outcomes(cascaded, folds, examples),
        quick / len(examples.records),
    )


def _combine(members: Members, examples: Examples) -> tuple[Combination, Decision, float]:
    combination = fit_combination(members, examples)
    decision = fit_decision(join_members(members, combination), examples)
    return combination, decision, choose_certainty(members, combination, decision, examples)


def _take(members: Members, rows: NDArray[np.int64]) -> dict[str, list[Logits]]:
    return {name: [logits[row] for row in rows] for name, logits in members.items()}


def others(folds: Sequence[NDArray[np.int64]], number: int) -> NDArray[np.int64]:
    """Rows of all folds but one."""
    return np.sort(np.concatenate([rows for other, rows in enumerate(folds) if other != number]))


def cross_validate(fitter: Fitter, examples: Examples, groups: Sequence[int], folds: int, seed: int, advance: Advance) -> CrossValidation:
    """Split into folds, hold each out, and judge: one fitter alone.

    Raises:
        RecordError: there are fewer events than folds.
    """
    rows = split_folds(examples, groups, folds, seed)
    return judge({fitter.kind: hold_out(fitter, examples, rows, advance)}, examples, rows)


def past_rows(examples: Examples, groups: Sequence[int]) -> NDArray[np.int64] | None:
    """Rows of all but the newest fifth; None without dates."""
    newest = np.array(split_by_time(examples.records, groups=groups), dtype=np.bool_)
    return np.flatnonzero(~newest) if newest.any() else None


def validate_on_newest(fitters: Mapping[str, Fitter], examples: Examples, groups: Sequence[int], members: Members) -> Outcome | None:
    """Train on the past, decide by the past's held-out logits of the `members`, measure on the newest fifth; None without dates."""
    past = past_rows(examples, groups)
    if past is None:
        return None
    future = np.setdiff1d(np.arange(len(examples.records)), past)
    test = examples.take(future)
    found = {kind: fitter.fit(past).logits(test.documents) for kind, fitter in fitters.items()}
    own = _take(members, past)
    if len(members) == 1:
        ((kind, logits),) = own.items()
        return decide(found[kind], fit_decision(logits, examples.take(past)), test)
    combination, decision, _ = _combine(own, examples.take(past))
    return decide(join_members(found, combination), decision, test)


def _decide_on(logits: Sequence[Logits], examples: Examples, rows: NDArray[Any]) -> Decision:
    return fit_decision([logits[row] for row in rows], examples.take(rows))
