"""The decision: from logits to probabilities, tags, evidence and what a person should review."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from newswatch.model import FloatArray, Logits
from newswatch.prediction import Evidence, Prediction
from newswatch.text import Document
from newswatch_labels.scheme import Scheme

MAX_EVIDENCE = 4
LEAST_OF_BEST = 0.5


def probability(logits: FloatArray) -> FloatArray:
    """The logistic function, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64)))


@dataclass(frozen=True, slots=True)
class TagRule:
    """How one tag is decided.

    Attributes:
        slope, intercept: Platt's calibration of the article's logit z: probability = logistic(slope * z + intercept).
        threshold: the tag is carried from this probability on.
        review_low, review_high: a probability from low (included) to high (excluded) asks for review.
        sentence_slope, sentence_intercept: the same calibration for a sentence's logit.
        evidence_threshold: a sentence of a carried tag is evidence from this probability on; the best one always is.
        weak_evidence: a carried tag whose best sentence stays below this probability asks for review, whatever its own probability.
    """

    slope: float = 1.0
    intercept: float = 0.0
    threshold: float = 0.5
    review_low: float = 0.5
    review_high: float = 0.5
    sentence_slope: float = 1.0
    sentence_intercept: float = 0.0
    evidence_threshold: float = 0.5
    weak_evidence: float = 0.0


class Decision:
    """The rules of all tags of a scheme, as arrays of shape (T,)."""

    def __init__(self, scheme: Scheme, rules: Mapping[str, TagRule]) -> None:
        """Take one rule a tag.

        Raises:
            KeyError: a tag of the scheme has no rule.
        """
        self.names = scheme.names
        self.rules = {name: rules[name] for name in scheme.names}
        columns = {part: np.array([getattr(r, part) for r in self.rules.values()]) for part in TagRule.__dataclass_fields__}
        self.slope, self.intercept = columns["slope"], columns["intercept"]
        self.threshold = columns["threshold"]
        self.review_low, self.review_high = columns["review_low"], columns["review_high"]
        self.sentence_slope, self.sentence_intercept = columns["sentence_slope"], columns["sentence_intercept"]
        self.evidence_threshold, self.weak_evidence = columns["evidence_threshold"], columns["weak_evidence"]

    def to_dict(self) -> dict[str, dict[str, float]]:
        """The rules as JSON data, by tag."""
        return {name: asdict(rule) for name, rule in self.rules.items()}

    @classmethod
    def from_dict(cls, scheme: Scheme, rules: Mapping[str, Mapping[str, Any]]) -> "Decision":
        """Read what `to_dict` wrote."""
        return cls(scheme, {name: TagRule(**rule) for name, rule in rules.items()})

    def article_probabilities(self, logits: FloatArray) -> FloatArray:
        """Calibrated probabilities of article logits of shape (..., T)."""
        return probability(self.slope * logits + self.intercept)

    def sentence_probabilities(self, logits: FloatArray) -> FloatArray:
        """Calibrated probabilities of sentence logits of shape (..., T)."""
        return probability(self.sentence_slope * logits + self.sentence_intercept)

    def carried(self, probabilities: FloatArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which tags are carried, of probabilities of shape (..., T)."""
        return probabilities >= self.threshold

    def in_review(self, probabilities: FloatArray, sentences: FloatArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which tags of an article a person should look at: those near their threshold, and carried ones that no sentence shows well.

        Args:
            probabilities: of the article, shape (T,).
            sentences: probabilities of its sentences, shape (S, T) with S >= 1.
        """
        near = (probabilities >= self.review_low) & (probabilities < self.review_high)
        weak = sentences.max(axis=0) < self.weak_evidence
        return np.asarray(near | (self.carried(probabilities) & weak))

    def evidence_rows(self, probabilities: FloatArray, tag: int) -> list[int]:
        """Numbers, in reading order, of the sentences that carry a tag the article carries, at most `MAX_EVIDENCE`.

        A sentence with less than `LEAST_OF_BEST` of the best one's probability is left out: a reader needs few and sure ones.

        Args:
            probabilities: of the article's sentences, shape (S, T) with S >= 1.
            tag: column of the tag.
        """
        column = probabilities[:, tag]
        best = np.argsort(-column, kind="stable")[:MAX_EVIDENCE]
        least = max(self.evidence_threshold[tag], LEAST_OF_BEST * column[best[0]])
        kept = [int(row) for row in best if column[row] >= least]
        return sorted(kept or [int(best[0])])

    def predict(self, document: Document, logits: Logits, identity: str | None, model: str) -> Prediction:
        """The prediction for one document; a document without a sentence carries no tag and needs no review."""
        scores = self.article_probabilities(logits.article)
        if not document.sentences:
            return Prediction(identity, (), dict.fromkeys(self.names, 0.0), {}, (), model)
        sentences = self.sentence_probabilities(logits.sentences)
        carried = np.flatnonzero(self.carried(scores))
        evidence = {
            self.names[tag]: tuple(
                Evidence(s.start, s.end, s.text, float(sentences[row, tag]), s.field)
                for row in self.evidence_rows(sentences, tag)
                for s in (document.sentences[row],)
            )
            for tag in map(int, carried)
        }
        return Prediction(
            id=identity,
            tags=tuple(self.names[tag] for tag in carried),
            scores={name: float(score) for name, score in zip(self.names, scores, strict=True)},
            evidence=evidence,
            review=tuple(self.names[tag] for tag in np.flatnonzero(self.in_review(scores, sentences))),
            model=model,
        )
