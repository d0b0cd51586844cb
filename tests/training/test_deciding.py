from dataclasses import replace

import numpy as np
import pytest

from newswatch.decision import probability
from newswatch.model import Logits
from newswatch.text import Document
from newswatch_labels import Record, Scheme
from newswatch_training.calibration import fit_platt
from newswatch_training.deciding import WEAK_EVIDENCE, fit_decision
from newswatch_training.examples import Examples
from newswatch_training.metrics import calibration_error
from newswatch_training.thresholds import REVIEW_MISS, REVIEW_WRONG, choose_thresholds, review_band


def draw(slope: float, intercept: float, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    logits = random.normal(-1, 2, count)
    return logits, random.random(count) < probability(slope * logits + intercept)


def test_platt_recovers_the_pair_that_made_the_labels() -> None:
    columns = [draw(2.0, 1.0, 20_000, 1), draw(0.5, -1.0, 20_000, 2)]
    logits, labels = (np.stack(parts, axis=1) for parts in zip(*columns, strict=True))
    pairs = fit_platt(logits, labels, np.ones_like(labels))
    np.testing.assert_allclose(pairs, [[2.0, 1.0], [0.5, -1.0]], atol=0.12)
    calibrated = probability(pairs[:, 0] * logits + pairs[:, 1])
    assert calibration_error(calibrated.ravel(), labels.ravel().astype(float)) < 0.01


def test_rare_tag_keeps_close_to_the_common_pair() -> None:
    many, few = draw(1.0, 0.0, 20_000, 3), draw(1.0, 0.0, 20_000, 4)
    rare = few[1].copy()
    known = np.ones((20_000, 2), dtype=bool)
    known[4:, 1] = False
    rare[:4] = [True, False, False, True]
    pairs = fit_platt(np.stack([many[0], few[0]], axis=1), np.stack([many[1], rare], axis=1), known)
    np.testing.assert_allclose(pairs[0], [1.0, 0.0], atol=0.05)
    np.testing.assert_allclose(pairs[1], [1.0, 0.0], atol=0.5)  # four examples alone would say a slope below 0.1


def test_separable_logits_stay_finite() -> None:
    logits = np.array([[-1.0], [1.0]] * 50)
    pairs = fit_platt(logits, logits > 0, np.ones_like(logits, dtype=bool))
    assert np.isfinite(pairs).all()
    assert (pairs[:, 0] > 0).all()


def test_threshold_of_a_common_tag_is_its_own_and_of_a_rare_tag_the_common_one() -> None:
    random = np.random.default_rng(0)
    labels = random.random((5000, 2)) < [0.5, 0.002]
    probabilities = np.where(labels, 0.9, 0.2) + random.normal(0, 0.02, labels.shape)
    probabilities[:, 0] = np.where(labels[:, 0], 0.4, 0.2) + random.normal(0, 0.01, 5000)
    thresholds = choose_thresholds(probabilities, labels, np.ones_like(labels))
    assert 0.22 < thresholds[0] < 0.38
    assert abs(thresholds[1] - thresholds[0]) < 0.1


def test_unknown_rows_do_not_move_a_threshold() -> None:
    random = np.random.default_rng(0)
    labels = random.random((400, 1)) < 0.5
    probabilities = np.where(labels, 0.8, 0.3)
    known = np.ones_like(labels)
    alone = choose_thresholds(probabilities[:200], labels[:200], known[:200])
    known[200:] = False
    np.testing.assert_array_equal(alone, choose_thresholds(np.where(known, probabilities, 1 - probabilities), labels, known))


@pytest.mark.parametrize("seed", range(5))
def test_review_band_holds_what_it_promises_on_new_data(seed: int) -> None:
    logits, labels = draw(1.5, 0.0, 40_000, seed)
    p = probability(1.5 * logits)
    low, high = review_band(p[:20_000], labels[:20_000], 0.5)
    new, truth = p[20_000:], labels[20_000:]
    assert (new[truth] < low).mean() == pytest.approx(REVIEW_MISS, abs=0.01)
    assert (~truth[new >= high]).mean() <= REVIEW_WRONG + 0.01
    assert low <= 0.5 <= high


def test_weak_evidence_asks_for_review_only_where_evidence_was_marked() -> None:
    scheme = Scheme.of_names(["talks"])
    logits = [Logits(np.array([value]), np.array([[value]])) for value in (-2.0, 2.0) * 30]
    labels = np.array([[value] for value in (False, True) * 30])
    records = tuple(Record(id=str(row), text="They met.", labels=()) for row in range(60))
    documents = (Document.read("They met."),) * 60
    marked = Examples(scheme, records, documents, labels, np.ones_like(labels), tuple(labels[row : row + 1] for row in range(60)))
    assert fit_decision(logits, marked).rules["talks"].weak_evidence == WEAK_EVIDENCE
    assert fit_decision(logits, replace(marked, evidence=(None,) * 60)).rules["talks"].weak_evidence == 0.0


def test_band_of_a_tag_with_few_examples_is_wide() -> None:
    assert review_band(np.array([0.9, 0.1]), np.array([True, False]), 0.5)[0] == 0.0
