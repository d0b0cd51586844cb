"""The worst errors: where a model is surest and wrong."""

from dataclasses import dataclass

import numpy as np

from newswatch_training.metrics import Outcome


@dataclass(frozen=True, slots=True)
class WorstError:
    """A tag that was carried wrongly or missed; `sentence` is the one that misled, or the marked one that was overlooked."""

    id: str
    tag: str
    kind: str
    probability: float
    title: str
    sentence: str


def worst_errors(outcome: Outcome, count: int = 60) -> list[WorstError]:
    """The `count` errors whose probability is farthest from the truth."""
    examples = outcome.examples
    wrong = (outcome.carried != examples.labels) & examples.known
    distance = np.abs(outcome.probabilities - examples.labels) * wrong
    order = np.argsort(-distance, axis=None, kind="stable")[: min(count, int(wrong.sum()))]
    found = []
    for row, tag in zip(*np.unravel_index(order, distance.shape), strict=True):
        missed = bool(examples.labels[row, tag])
        marks = examples.evidence[row] if missed else outcome.evidence[row]
        rows = np.flatnonzero(marks[:, tag]) if marks is not None else np.empty(0, dtype=np.int64)
        found.append(
            WorstError(
                id=examples.records[row].id,
                tag=examples.scheme.names[tag],
                kind="missed" if missed else "wrong",
                probability=round(float(outcome.probabilities[row, tag]), 3),
                title=examples.records[row].title,
                sentence=examples.documents[row].sentences[rows[0]].text if len(rows) else "",
            )
        )
    return found
