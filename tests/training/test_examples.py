import json

import numpy as np

from newswatch_labels import Record, Scheme
from newswatch_labels.corpus import Corpus
from newswatch_labels.record import parse_record
from newswatch_training.examples import Examples


def test_evidence_marks_the_sentences_it_covers(scheme: Scheme) -> None:
    row = {
        "id": "a",
        "title": "Two die in Daquq",
        "text": "It rained. Two men died there.\nThe forces met and then they agreed. It rained.",
        "evidence": {
            "casualties": ["Two die in Daquq", "Two men died there."],
            "talks": ["Two men died there.\nThe forces met and then they agreed."],
            "denial": ["rained"],
        },
        "disputed": ["condemnation"],
    }
    examples = Examples.prepare([parse_record(json.dumps(row), scheme, "p")], scheme)
    marks = examples.evidence[0]
    assert marks is not None
    assert marks[:, scheme.index("casualties")].tolist() == [True, False, True, False, False]
    assert marks[:, scheme.index("talks")].tolist() == [False, False, True, True, False]
    assert marks[:, scheme.index("denial")].tolist() == [False, True, False, False, True]  # most of "It rained.", each time
    assert examples.known[0].tolist() == [name != "condemnation" for name in scheme.names]


def test_every_label_of_the_shipped_corpus_has_a_marked_sentence(corpus: Corpus, scheme: Scheme) -> None:
    examples = Examples.prepare(corpus.records, scheme)
    for record, labels, marks in zip(examples.records, examples.labels, examples.evidence, strict=True):
        assert marks is not None
        assert (marks.any(axis=0) == labels).all(), record.id


def test_take_keeps_rows_together(small_records: list[Record], scheme: Scheme) -> None:
    examples = Examples.prepare(small_records, scheme)
    taken = examples.take([3, 1])
    assert [record.id for record in taken.records] == [small_records[3].id, small_records[1].id]
    np.testing.assert_array_equal(taken.labels, examples.labels[[3, 1]])
    assert taken.evidence[0] is examples.evidence[3]
