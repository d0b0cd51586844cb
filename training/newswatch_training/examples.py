"""Examples: labelled records as documents and arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from newswatch.text import Document, Sentence
from newswatch_labels.record import Record
from newswatch_labels.scheme import Scheme

BoolArray = NDArray[np.bool_]
EVIDENCE_OVERLAP = 0.5


@dataclass(frozen=True)
class Examples:
    """N records over T tags.

    Attributes:
        documents: the records' title and text, cut into sentences.
        labels: (N, T), which tags a record carries.
        known: (N, T), False where the tag is disputed and counts neither way.
        evidence: per record (S, T), which sentences carry which tag; None where nobody marked any.
    """

    scheme: Scheme
    records: tuple[Record, ...]
    documents: tuple[Document, ...]
    labels: BoolArray
    known: BoolArray
    evidence: tuple[BoolArray | None, ...]

    @classmethod
    def prepare(cls, records: Sequence[Record], scheme: Scheme) -> "Examples":
        """Cut every record and mark its sentences.

        Raises:
            InputError: a text cannot be cut.
            SchemeError: a label is not in the scheme.
        """
        documents = tuple(Document.read(record.text, record.title or None) for record in records)
        labels = np.zeros((len(records), len(scheme.names)), dtype=np.bool_)
        known = np.ones_like(labels)
        for row, record in enumerate(records):
            labels[row, [scheme.index(tag) for tag in record.labels]] = True
            known[row, [scheme.index(tag) for tag in record.disputed]] = False
        evidence = tuple(_mark(r, d, scheme) for r, d in zip(records, documents, strict=True))
        return cls(scheme, tuple(records), documents, labels, known, evidence)

    def known_sentences(self, rows: Sequence[int] | NDArray[Any]) -> BoolArray:
        """(S, T) of all sentences of the examples at `rows`, in order: False where their article's tag is disputed."""
        return np.repeat(self.known[rows], [len(self.documents[row].sentences) for row in rows], axis=0)

    def take(self, rows: Sequence[int] | NDArray[Any]) -> "Examples":
        """The examples at `rows`, in that order."""
        numbers = [int(row) for row in rows]
        return Examples(
            self.scheme,
            tuple(self.records[n] for n in numbers),
            tuple(self.documents[n] for n in numbers),
            self.labels[numbers],
            self.known[numbers],
            tuple(self.evidence[n] for n in numbers),
        )


def _mark(record: Record, document: Document, scheme: Scheme) -> BoolArray | None:
    """(S, T): a sentence carries a tag if more than half of it lies in a marked passage, or no other is covered more."""
    if record.evidence is None:
        return None
    marks = np.zeros((len(document.sentences), len(scheme.names)), dtype=np.bool_)
    for tag, passages in record.evidence.items():
        for passage in passages:
            covered = np.array([_overlap(sentence, record, passage) for sentence in document.sentences])
            marks[covered >= min(EVIDENCE_OVERLAP, covered.max(initial=0.0) or 1.0), scheme.index(tag)] = True
    return marks


def _overlap(sentence: Sentence, record: Record, passage: str) -> float:
    """Share of the sentence that lies in the first occurrence of `passage` at or around it."""
    text = record.title if sentence.field == "title" else record.text
    start = text.find(passage, max(0, sentence.start - len(passage) + 1))
    if start < 0:
        return 0.0
    covered = min(sentence.end, start + len(passage)) - max(sentence.start, start)
    return covered / (sentence.end - sentence.start)
