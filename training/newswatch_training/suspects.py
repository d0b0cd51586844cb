"""Suspects: labels that cross-validated confident learning holds for wrong."""

from dataclasses import dataclass

import numpy as np

from newswatch_training.metrics import Outcome


@dataclass(frozen=True, slots=True)
class Suspect:
    """A tag of a record that may be wrongly given (`given`) or forgotten; `probability` is what held-out folds give the tag."""

    id: str
    tag: str
    given: bool
    probability: float
    title: str
    sentence: str


def find_suspects(outcome: Outcome, count: int) -> list[Suspect]:
    """The `count` least believable labels, worst first.

    Confident learning (Northcutt et al. 2021) by cleanlab, each tag a yes-no question of its own: a label is suspect if the
    held-out probability of its opposite exceeds the mean confidence in that opposite, as often as the joint counts say.
    They are ranked by the probability that the label as given is right.
    """
    from cleanlab.filter import find_label_issues

    examples = outcome.examples
    found: list[tuple[float, int, int]] = []
    for tag in range(len(examples.scheme.names)):
        rows = np.flatnonzero(examples.known[:, tag])
        labels = examples.labels[rows, tag].astype(int)
        if len(set(labels.tolist())) < 2:
            continue
        yes = outcome.probabilities[rows, tag]
        issues = find_label_issues(labels, np.stack([1 - yes, yes], axis=1), filter_by="prune_by_noise_rate", n_jobs=1)
        confidence = np.where(labels == 1, yes, 1 - yes)
        found += [(float(confidence[n]), int(rows[n]), tag) for n in np.flatnonzero(issues)]
    suspects = []
    for _, row, tag in sorted(found)[:count]:
        marks = examples.evidence[row]
        sentences = np.flatnonzero(marks[:, tag]) if marks is not None else np.empty(0, dtype=np.int64)
        suspects.append(
            Suspect(
                id=examples.records[row].id,
                tag=examples.scheme.names[tag],
                given=bool(examples.labels[row, tag]),
                probability=round(float(outcome.probabilities[row, tag]), 4),
                title=examples.records[row].title,
                sentence=examples.documents[row].sentences[sentences[0]].text if len(sentences) else "",
            )
        )
    return suspects
