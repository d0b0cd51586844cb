import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from newswatch import Prediction
from newswatch.decision import MAX_EVIDENCE, Decision, TagRule, probability
from newswatch.model import Logits
from newswatch.text import Document
from newswatch_labels import Scheme

SCHEME = Scheme.of_names(["talks", "denial"])
RULES = Decision(SCHEME, {"talks": TagRule(threshold=0.6, review_low=0.3, review_high=0.7), "denial": TagRule(slope=2, intercept=1)})


@given(st.floats(-1e6, 1e6))
def test_probability_is_finite_and_ordered(logit: float) -> None:
    assert 0 <= float(probability(np.array(logit))) <= 1
    assert float(probability(np.array(logit))) <= float(probability(np.array(logit + 1)))


def test_calibration_threshold_and_band() -> None:
    scores = RULES.article_probabilities(np.array([0.0, 0.0]))
    np.testing.assert_allclose(scores, [0.5, 1 / (1 + np.exp(-1))])
    assert RULES.carried(scores).tolist() == [False, True]
    shown = np.ones((1, 2))
    assert RULES.in_review(np.array([0.3, 0.5]), shown).tolist() == [True, False]
    assert RULES.in_review(np.array([0.7, 0.5]), shown).tolist() == [False, False]


def test_a_carried_tag_that_no_sentence_shows_well_asks_for_review() -> None:
    rules = Decision(SCHEME, dict.fromkeys(SCHEME.names, TagRule(weak_evidence=0.4)))
    sentences = np.array([[0.39, 0.1], [0.2, 0.41]])
    assert rules.in_review(np.array([0.99, 0.99]), sentences).tolist() == [True, False]
    assert rules.in_review(np.array([0.1, 0.1]), sentences).tolist() == [False, False]


def test_evidence_is_the_best_sentences_in_reading_order() -> None:
    column = np.array([0.1, 0.9, 0.2, 0.8])[:, None].repeat(2, axis=1)
    close = np.array([0.51, 1.0, 0.49])[:, None].repeat(2, axis=1)
    assert Decision(SCHEME, dict.fromkeys(SCHEME.names, TagRule(evidence_threshold=0.1))).evidence_rows(close, 0) == [0, 1]
    assert RULES.evidence_rows(column, 0) == [1, 3]
    assert RULES.evidence_rows(column / 10, 0) == [1]
    assert len(RULES.evidence_rows(np.full((50, 2), 0.9), 0)) == MAX_EVIDENCE


def test_prediction_round_trip_and_offsets() -> None:
    text = "It rained.\nThe ministry denied it."
    document = Document.read(text, "Talks held")
    logits = Logits(np.array([3.0, 3.0]), np.array([[2.0, -2.0], [-3.0, -3.0], [-3.0, 4.0]]))
    made = RULES.predict(document, logits, "a1", "m@1")
    assert made.tags == ("talks", "denial")
    assert [(e.field, e.text) for e in made.evidence["talks"]] == [("title", "Talks held")]
    (denial,) = made.evidence["denial"]
    assert text[denial.start : denial.end] == denial.text == "The ministry denied it."
    row = made.to_dict()
    assert Prediction.from_dict(row).to_dict() == row


def test_document_without_sentence_carries_nothing() -> None:
    made = RULES.predict(Document(()), Logits(np.array([9.0, 9.0]), np.empty((0, 2))), None, "m@1")
    assert made.tags == made.review == ()
    assert set(made.scores.values()) == {0.0}
