from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, label_ranking_loss

from newswatch.decision import Decision, TagRule
from newswatch.model import Logits
from newswatch.text import Document
from newswatch_labels import Record, Scheme
from newswatch_training.errors import worst_errors
from newswatch_training.examples import Examples
from newswatch_training.metrics import Outcome, calibration_error, decide, join_outcomes, measure

SCHEME = Scheme.of_names(["a", "b", "c"])


def outcome(labels: np.ndarray, probabilities: np.ndarray, known: np.ndarray | None = None) -> Outcome:
    known = np.ones_like(labels) if known is None else known
    records = tuple(Record(f"r{n}", "Text.", ()) for n in range(len(labels)))
    documents = tuple(Document.read(record.text) for record in records)
    examples = Examples(SCHEME, records, documents, labels, known, (None,) * len(labels))
    carried = probabilities >= 0.5
    shown = tuple(np.zeros((1, 3), dtype=bool) for _ in records)
    return Outcome(examples, probabilities, carried, np.abs(probabilities - 0.5) < 0.1, shown)


@pytest.fixture
def drawn() -> Outcome:
    random = np.random.default_rng(0)
    labels = random.random((300, 3)) < [0.5, 0.2, 0.1]
    return outcome(labels, np.clip(labels * 0.4 + random.random(labels.shape) * 0.6, 0, 1))


def test_figures_are_those_of_scikit_learn(drawn: Outcome) -> None:
    figures = measure(drawn)
    labels, carried = drawn.examples.labels, drawn.carried
    for kind in ("macro", "micro", "weighted"):
        assert figures[f"{kind}_f1"] == pytest.approx(f1_score(labels, carried, average=kind))
    assert figures["macro_average_precision"] == pytest.approx(average_precision_score(labels, drawn.probabilities, average="macro"))
    assert figures["ranking_loss"] == pytest.approx(label_ranking_loss(labels, drawn.probabilities))
    assert figures["f1.b"] == pytest.approx(f1_score(labels[:, 1], carried[:, 1]))


def test_example_f1_leaves_out_articles_without_any_tag() -> None:
    labels = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 0]], dtype=bool)
    said = np.array([[0.9, 0.9, 0.1], [0.1, 0.1, 0.1], [0.9, 0.1, 0.1]])
    assert measure(outcome(labels, said))["example_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_a_contrast_pair_is_right_if_both_are_on_the_tags_that_differ() -> None:
    labels = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]], dtype=bool)
    said = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 0], [1, 0, 0], [0, 0, 0]], dtype=float)
    made = outcome(labels, said)
    pairs = {0: "r1", 1: "r0", 2: "r3", 3: "r2", 4: "elsewhere"}
    records = tuple(replace(record, contrast=pairs[row]) for row, record in enumerate(made.examples.records))
    paired = replace(made, examples=replace(made.examples, records=records))
    assert measure(paired)["contrast_both_right"] == 0.5
    assert "contrast_both_right" not in measure(made)
    known = np.ones_like(labels)
    known[3, 0] = False  # the one tag in which the second pair, the wrong one, differs
    assert measure(replace(paired, examples=replace(paired.examples, known=known)))["contrast_both_right"] == 1.0


def test_disputed_tags_count_nowhere() -> None:
    labels = np.array([[1, 0, 0], [1, 1, 0]], dtype=bool)
    said = np.array([[0.9, 0.9, 0.1], [0.9, 0.1, 0.1]])
    known = np.array([[True, False, True], [True, False, True]])
    figures = measure(outcome(labels, said, known))
    assert figures["macro_f1"] == figures["micro_f1"] == figures["example_f1"] == 1.0
    assert "f1.b" not in figures


def test_calibration_error_of_known_bins() -> None:
    p = np.array([0.1, 0.1, 0.9, 0.9])
    assert calibration_error(p, np.array([0.0, 0.0, 1.0, 1.0])) == pytest.approx(0.1)
    assert calibration_error(p, np.array([1.0, 1.0, 0.0, 0.0])) == pytest.approx(0.9)


def test_evidence_is_compared_sentence_by_sentence() -> None:
    text = "One thing. Another thing."
    marks = np.array([[True, False, False], [False, False, False]])
    examples = Examples(
        SCHEME,
        (Record("r", text, ("a",)),),
        (Document.read(text),),
        np.array([[True, False, False]]),
        np.ones((1, 3), dtype=bool),
        (marks,),
    )
    decision = Decision(SCHEME, dict.fromkeys(SCHEME.names, TagRule()))
    logits = Logits(np.array([2.0, -2.0, -2.0]), np.array([[3.0, -9, -9], [1.0, 9, -9]]))
    figures = measure(decide([logits], decision, examples))
    assert (figures["evidence_precision"], figures["evidence_recall"]) == (0.5, 1.0)


def test_joined_parts_equal_the_whole(drawn: Outcome) -> None:
    rows = [np.arange(0, 300, 2), np.arange(1, 300, 2)]
    parts = [
        Outcome(
            drawn.examples.take(own),
            drawn.probabilities[own],
            drawn.carried[own],
            drawn.review[own],
            tuple(drawn.evidence[n] for n in own),
        )
        for own in rows
    ]
    assert measure(join_outcomes(parts, rows, drawn.examples)) == measure(drawn)


def test_worst_errors_are_errors_and_worst_first(drawn: Outcome) -> None:
    found = worst_errors(drawn, 10)
    assert len(found) == 10
    distances = [error.probability if error.kind == "wrong" else 1 - error.probability for error in found]
    assert distances == sorted(distances, reverse=True)
    assert min(distances) >= 0.5
