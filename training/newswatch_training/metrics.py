"""Metrics of multi-label predictions with evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score, label_ranking_loss

from newswatch.decision import Decision
from newswatch.model import FloatArray, Logits
from newswatch_training.examples import BoolArray, Examples

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Outcome:
    """What a model said of N examples.

    Attributes:
        probabilities: (N, T).
        carried, review: (N, T), tags carried, tags for review.
        evidence: per example (S, T), the sentences shown.
    """

    examples: Examples
    probabilities: FloatArray
    carried: BoolArray
    review: BoolArray
    evidence: tuple[BoolArray, ...]


def decide(logits: Sequence[Logits], decision: Decision, examples: Examples) -> Outcome:
    """Apply a decision to the logits of each example."""
    probabilities = decision.article_probabilities(np.stack([own.article for own in logits]))
    carried = decision.carried(probabilities)
    empty = np.array([not document.sentences for document in examples.documents])
    carried[empty] = False
    review = np.zeros_like(carried)
    evidence = []
    for row, own in enumerate(logits):
        shown = np.zeros(own.sentences.shape, dtype=np.bool_)
        if len(shown):
            sentences = decision.sentence_probabilities(own.sentences)
            review[row] = decision.in_review(probabilities[row], sentences)
            for tag in np.flatnonzero(carried[row]):
                shown[decision.evidence_rows(sentences, int(tag)), tag] = True
        evidence.append(shown)
    return Outcome(examples, probabilities, carried, review, tuple(evidence))


def join_outcomes(parts: Sequence[Outcome], rows: Sequence[NDArray[Any]], examples: Examples) -> Outcome:
    """One outcome over all `examples`, from outcomes over the disjoint `rows` of them."""
    n, tags = examples.labels.shape
    probabilities, carried, review = np.zeros((n, tags)), np.zeros((n, tags), np.bool_), np.zeros((n, tags), np.bool_)
    evidence: dict[int, BoolArray] = {}
    for part, own in zip(parts, rows, strict=True):
        probabilities[own], carried[own], review[own] = part.probabilities, part.carried, part.review
        evidence.update(zip((int(row) for row in own), part.evidence, strict=True))
    return Outcome(examples, probabilities, carried, review, tuple(evidence[row] for row in range(n)))


def measure(outcome: Outcome) -> dict[str, float]:
    """All figures, by name, each between 0 and 1.

    Macro figures are means over the tags that occur; the core's over core tags that occur. `example_f1` is Sorower's (2010) mean
    of 2 |Y & P| / (|Y| + |P|) over the articles where Y or P is not empty. `ece` is the expected calibration error (Guo et al.
    2017, 15 equal bins) over all article-tag pairs. `review_share` counts articles with a tag in review, `review_pairs`
    article-tag pairs; `review_missed` the true tags neither carried nor in review. `evidence_f1` compares shown with marked
    sentences over all tags, of the examples with marks. `contrast_both_right` is the share of contrast pairs both of whose records
    are right on every tag in which they differ.
    Disputed tags count nowhere.
    """
    examples = outcome.examples
    known, names = examples.known, examples.scheme.names
    labels, carried = examples.labels & known, outcome.carried & known
    hits = labels & carried
    support, predicted, hit = labels.sum(axis=0), carried.sum(axis=0), hits.sum(axis=0)
    f1 = 2 * hit / np.maximum(support + predicted, 1)
    occurs = support > 0
    core = occurs & np.array([tag.core for tag in examples.scheme.tags])
    ap = np.array([_average_precision(labels[k, t], outcome.probabilities[k, t]) for t, k in enumerate(known.T)])
    either = (labels | carried).any(axis=1)
    overlap = 2 * hits.sum(axis=1) / np.maximum(labels.sum(axis=1) + carried.sum(axis=1), 1)
    p, y = outcome.probabilities[known], labels[known].astype(np.float64)
    figures = {
        "macro_f1": _mean(f1[occurs]),
        "micro_f1": float(2 * hit.sum() / max(1, support.sum() + predicted.sum())),
        "weighted_f1": float((f1 * support).sum() / max(1, support.sum())),
        "example_f1": _mean(overlap[either]),
        "core_f1": _mean(f1[core]),
        "macro_average_precision": _mean(ap[occurs]),
        "ranking_average_precision": float(label_ranking_average_precision_score(labels, outcome.probabilities * known)),
        "ranking_loss": float(label_ranking_loss(labels, outcome.probabilities * known)),
        "brier": float(((p - y) ** 2).mean()),
        "ece": calibration_error(p, y),
        "untagged_precision": _share(~labels.any(axis=1), ~carried.any(axis=1)),
        "review_share": float(outcome.review.any(axis=1).mean()),
        "review_pairs": float(outcome.review.mean()),
        "review_missed": float((labels & ~outcome.carried & ~outcome.review).sum() / max(1, labels.sum())),
    }
    if not core.any():
        del figures["core_f1"]
    figures |= _evidence_figures(outcome)
    figures |= _contrast_figures(outcome)
    for tag, name in enumerate(names):
        if occurs[tag]:
            figures |= {
                f"f1.{name}": float(f1[tag]),
                f"precision.{name}": float(hit[tag] / max(1, predicted[tag])),
                f"recall.{name}": float(hit[tag] / support[tag]),
                f"average_precision.{name}": float(ap[tag]),
                f"support.{name}": float(support[tag]),
            }
    return figures


def calibration_error(probabilities: FloatArray, labels: FloatArray) -> float:
    """Expected calibration error of flat arrays of probabilities and 0/1 labels."""
    bins = np.minimum((probabilities * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gap = np.abs(np.bincount(bins, probabilities - labels, CALIBRATION_BINS))
    return float(gap.sum() / max(1, len(labels)))


def _evidence_figures(outcome: Outcome) -> dict[str, float]:
    marks, shown = [], []
    for row, own in enumerate(outcome.examples.evidence):
        if own is not None and len(own):
            marks.append(own & outcome.examples.known[row])
            shown.append(outcome.evidence[row] & outcome.examples.known[row])
    if not marks:
        return {}
    truth, said = np.concatenate(marks), np.concatenate(shown)
    hit = (truth & said).sum()
    return {
        "evidence_f1": float(2 * hit / max(1, truth.sum() + said.sum())),
        "evidence_precision": float(hit / max(1, said.sum())),
        "evidence_recall": float(hit / max(1, truth.sum())),
    }


def _contrast_figures(outcome: Outcome) -> dict[str, float]:
    rows = {record.id: row for row, record in enumerate(outcome.examples.records)}
    right = []
    for row, record in enumerate(outcome.examples.records):
        other = rows.get(record.contrast) if record.contrast else None
        if other is not None and row < other:
            labels, carried, known = (part[[row, other]] for part in (outcome.examples.labels, outcome.carried, outcome.examples.known))
            differ = (labels[0] != labels[1]) & known.all(axis=0)
            if differ.any():
                right.append(bool((labels == carried)[:, differ].all()))
    return {"contrast_both_right": _mean(np.array(right, dtype=np.float64))} if right else {}


def _average_precision(labels: BoolArray, probabilities: FloatArray) -> float:
    return float(average_precision_score(labels, probabilities)) if labels.any() else 0.0


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _share(truth: Any, said: Any) -> float:
    """Share of `said` that is true; 1 where nothing was said."""
    return float((truth & said).sum() / said.sum()) if said.any() else 1.0
