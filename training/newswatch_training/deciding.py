"""Deciding: fit calibration, thresholds and review bands on held-out logits."""

from collections.abc import Sequence

import numpy as np

from newswatch.decision import Decision, TagRule, probability
from newswatch.model import FloatArray, Logits
from newswatch_training.calibration import fit_platt
from newswatch_training.examples import Examples
from newswatch_training.thresholds import choose_thresholds, review_band

WEAK_EVIDENCE = 0.4  # of the tags carried on sentences below it hardly more than half are right (docs/log.md)


def fit_decision(logits: Sequence[Logits], examples: Examples) -> Decision:
    """Fit the rules of every tag.

    Args:
        logits: of each example, by a model that did not see it.
    """
    labels, known = examples.labels, examples.known
    article = np.stack([own.article for own in logits])
    platt = fit_platt(article, labels, known)
    probabilities = probability(platt[:, 0] * article + platt[:, 1])
    # Articles elsewhere are looser than those the thresholds were chosen on: halfway to 0.5 travels better (docs/log.md).
    thresholds = (choose_thresholds(probabilities, labels, known) + 0.5) / 2
    bands = [review_band(p[k], y[k], t) for p, y, k, t in zip(probabilities.T, labels.T, known.T, thresholds, strict=True)]
    sentence_platt, evidence_thresholds = _fit_evidence(logits, examples)
    weak = WEAK_EVIDENCE if any(marks is not None and len(marks) for marks in examples.evidence) else 0.0
    rules = {
        name: TagRule(
            slope=float(platt[tag, 0]),
            intercept=float(platt[tag, 1]),
            threshold=float(thresholds[tag]),
            review_low=bands[tag][0],
            review_high=bands[tag][1],
            sentence_slope=float(sentence_platt[tag, 0]),
            sentence_intercept=float(sentence_platt[tag, 1]),
            evidence_threshold=float(evidence_thresholds[tag]),
            weak_evidence=weak,
        )
        for tag, name in enumerate(examples.scheme.names)
    }
    return Decision(examples.scheme, rules)


def _fit_evidence(logits: Sequence[Logits], examples: Examples) -> tuple[FloatArray, FloatArray]:
    """Calibration (T, 2) and thresholds (T,) of sentences, from the records whose evidence is marked."""
    marked = [row for row, marks in enumerate(examples.evidence) if marks is not None and len(marks)]
    tags = len(examples.scheme.names)
    if not marked:
        return np.tile([1.0, 0.0], (tags, 1)), np.full(tags, 0.5)
    sentences = np.concatenate([logits[row].sentences for row in marked])
    evidence = np.concatenate([marks for row in marked if (marks := examples.evidence[row]) is not None])
    known = examples.known_sentences(marked)
    platt = fit_platt(sentences, evidence, known)
    # Evidence is shown for carried tags alone, so thresholds are chosen on the sentences of records with the tag.
    relevant = np.repeat(examples.labels[marked], [len(logits[row].sentences) for row in marked], axis=0)
    return platt, choose_thresholds(probability(platt[:, 0] * sentences + platt[:, 1]), evidence, relevant & known)
