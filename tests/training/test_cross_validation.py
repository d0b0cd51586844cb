from dataclasses import replace

import numpy as np

from newswatch.model import Logits, Model
from newswatch.text import Document
from newswatch_labels import Record, Scheme
from newswatch_labels.folds import group_records
from newswatch_training.cross_validation import cross_validate, validate_on_newest
from newswatch_training.examples import Examples
from newswatch_training.linear import LinearFitter, LinearSettings


class Spy:
    """A fitter that notes what each model was trained on, and what it was asked to score."""

    kind = "linear"

    def __init__(self, examples: Examples) -> None:
        self.inner = LinearFitter(examples, LinearSettings())
        self.ids = {id(document): row for row, document in enumerate(examples.documents)}
        self.seen: list[tuple[set[int], set[int]]] = []

    def fit(self, rows: np.ndarray) -> Model:
        model = self.inner.fit(rows)
        noted: set[int] = set()
        self.seen.append((set(rows.tolist()), noted))
        logits = model.logits

        def spy(documents: list[Document]) -> list[Logits]:
            noted.update(self.ids[id(document)] for document in documents)
            return logits(documents)

        model.logits = spy  # type: ignore[assignment, method-assign]
        return model


def test_no_model_scores_what_it_or_its_event_was_trained_on(small_records: list[Record], scheme: Scheme) -> None:
    examples = Examples.prepare(small_records, scheme)
    spy, groups = Spy(examples), group_records(small_records)
    validation = cross_validate(spy, examples, groups, 3, 0, str)
    assert len(validation.logits) == len(small_records)
    validate_on_newest({"linear": spy}, examples, groups, {"linear": validation.logits})
    of = np.array(groups)
    assert len(spy.seen) == 4
    for trained, scored in spy.seen:
        assert trained
        assert scored
        assert not set(of[list(trained)]) & set(of[list(scored)])
    assert set.union(*(scored for _, scored in spy.seen[:3])) == set(range(len(small_records)))


def test_same_seed_same_figures(small_records: list[Record], scheme: Scheme) -> None:
    examples = Examples.prepare(small_records, scheme)
    groups = group_records(small_records)
    first, second = (cross_validate(LinearFitter(examples, LinearSettings()), examples, groups, 3, 0, str) for _ in range(2))
    np.testing.assert_array_equal(first.outcome.probabilities, second.outcome.probabilities)
    assert first.decision.to_dict() == second.decision.to_dict()


def test_a_tag_without_a_positive_gets_a_low_probability(small_records: list[Record]) -> None:
    scheme = Scheme.of_names([*Scheme.load().names, "zombie_attack"])
    examples = Examples.prepare(small_records, scheme)
    model = LinearFitter(examples, LinearSettings()).fit(np.arange(len(small_records)))
    logits = np.stack([own.article for own in model.logits(examples.documents)])
    assert (logits[:, -1] < -4).all()


def test_records_without_evidence_train_the_article_model_alone(small_records: list[Record], scheme: Scheme) -> None:
    plain = [Record(r.id, r.text, r.labels, title=r.title) for r in small_records]
    examples = Examples.prepare(plain, scheme)
    model = LinearFitter(examples, LinearSettings()).fit(np.arange(len(plain)))
    assert model.mix == 0.0
    np.testing.assert_array_equal(model.sentence.coef, model.article.coef)


def test_the_linear_model_learns_neither_way_from_disputed_tags(small_records: list[Record], scheme: Scheme) -> None:
    examples = Examples.prepare(small_records, scheme)
    tag, rows = scheme.index("denial"), np.arange(len(small_records))
    known = examples.known.copy()
    known[::3, tag] = False
    labels = examples.labels.copy()
    labels[::3, tag] ^= True
    marks = []
    for row, own in enumerate(examples.evidence):
        assert own is not None
        marks.append(own.copy())
        if row % 3 == 0:
            marks[-1][:, tag] ^= True
    disputed, other, settled = (
        LinearFitter(own, LinearSettings()).fit(rows).logits(examples.documents)
        for own in (
            replace(examples, known=known),
            replace(examples, known=known, labels=labels, evidence=tuple(marks)),
            examples,
        )
    )
    one, two, three = (np.stack([own.article for own in logits]) for logits in (disputed, other, settled))
    np.testing.assert_array_equal(one, two)
    assert (one[:, tag] != three[:, tag]).all()
    np.testing.assert_array_equal(np.delete(one, tag, axis=1), np.delete(three, tag, axis=1))
