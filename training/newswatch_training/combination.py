"""Combining: fit how the ensemble's members are weighed, and where one of them is certain alone, on held-out logits."""

from collections.abc import Mapping, Sequence

import numpy as np

from newswatch.decision import Decision
from newswatch.ensemble import MEMBERS, Combination
from newswatch.model import FloatArray, Logits
from newswatch_training.calibration import fit_platt
from newswatch_training.examples import BoolArray, Examples

WEIGHTS = np.linspace(0, 1, 11)
CERTAIN = np.linspace(0.01, 0.3, 30)  # probabilities
CASCADE_LOSS = 0.005

Members = Mapping[str, Sequence[Logits]]


def fit_combination(members: Members, examples: Examples) -> Combination:
    """Calibrate each member per tag, then weigh them so that the log loss is least.

    Args:
        members: by name, logits of each example by a model that did not see it.
    """
    article = {name: np.stack([own.article for own in logits]) for name, logits in members.items()}
    pairs = {name: fit_platt(values, examples.labels, examples.known) for name, values in article.items()}
    weights = _weigh({n: pairs[n][:, 0] * article[n] + pairs[n][:, 1] for n in MEMBERS}, examples.labels, examples.known)
    marked = [(row, marks) for row, marks in enumerate(examples.evidence) if marks is not None and len(marks)]
    if not marked:
        neutral = np.tile([1.0, 0.0], (examples.labels.shape[1], 1))
        return Combination(pairs, dict.fromkeys(MEMBERS, neutral), weights, dict.fromkeys(MEMBERS, 0.5))
    marks = np.concatenate([own for _, own in marked])
    known = examples.known_sentences([row for row, _ in marked])
    sentences = {name: np.concatenate([logits[row].sentences for row, _ in marked]) for name, logits in members.items()}
    sentence_pairs = {name: fit_platt(values, marks, known) for name, values in sentences.items()}
    sentence_weights = _weigh({n: sentence_pairs[n][:, 0] * sentences[n] + sentence_pairs[n][:, 1] for n in MEMBERS}, marks, known)
    return Combination(pairs, sentence_pairs, weights, sentence_weights)


def _weigh(logits: Mapping[str, FloatArray], labels: BoolArray, known: BoolArray) -> dict[str, float]:
    """The weights, on a grid, with the least log loss."""
    first, second = (logits[name][known] for name in MEMBERS)
    truth = labels[known].astype(np.float64)
    losses = [_log_loss(weight * first + (1 - weight) * second, truth) for weight in WEIGHTS]
    best = float(WEIGHTS[int(np.argmin(losses))])
    return {MEMBERS[0]: best, MEMBERS[1]: 1 - best}


def _log_loss(logits: FloatArray, truth: FloatArray) -> float:
    return float((np.logaddexp(0, logits) - truth * logits).mean())


def join_members(members: Members, combination: Combination, certain: float = -np.inf) -> list[Logits]:
    """What the ensemble says of each document, given what its members say; see `newswatch.ensemble.EnsembleModel`."""
    joined = []
    for linear, encoder in zip(members["linear"], members["encoder"], strict=True):
        alone = combination.alone("linear", linear)
        quick = alone.article.max() < certain
        joined.append(alone if quick else combination.join({"linear": linear, "encoder": encoder}))
    return joined


def choose_certainty(members: Members, combination: Combination, decision: Decision, examples: Examples) -> float:
    """The highest bound below which the linear model may answer alone: macro F1 on held-out articles loses at most `CASCADE_LOSS`.

    Returns:
        A calibrated logit for `newswatch.ensemble.EnsembleModel`; -inf where every bound costs more.
    """
    whole = join_members(members, combination)
    highest = np.array([combination.alone("linear", own).article.max() for own in members["linear"]])
    joined = decision.article_probabilities(np.stack([own.article for own in whole]))
    alone = decision.article_probabilities(np.stack([combination.alone("linear", own).article for own in members["linear"]]))
    least = _macro_f1(decision.carried(joined), examples) - CASCADE_LOSS
    best = -np.inf
    for bound in map(float, np.log(CERTAIN / (1 - CERTAIN))):
        mixed = np.where((highest < bound)[:, None], alone, joined)
        if _macro_f1(decision.carried(mixed), examples) < least:
            break
        best = bound
    return best


def _macro_f1(carried: BoolArray, examples: Examples) -> float:
    labels = examples.labels & examples.known
    hits, total = (carried & labels).sum(axis=0), (carried & examples.known).sum(axis=0) + labels.sum(axis=0)
    return float((2 * hits / np.maximum(total, 1))[labels.any(axis=0)].mean())
