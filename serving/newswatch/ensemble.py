"""The ensemble: the linear model and the encoder together, the linear model alone where it is certain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from newswatch.encoder import EncoderModel
from newswatch.linear import LinearModel
from newswatch.model import ABSENT, FloatArray, Logits
from newswatch.text import Document

MEMBERS = ("linear", "encoder")


@dataclass(frozen=True)
class Combination:
    """How the members' logits become one: the weighted mean of each member's calibrated logits.

    Attributes:
        article, sentence: by member (T, 2), slope and intercept of each tag's calibration.
        article_weights, sentence_weights: by member, from 0 to 1, together 1.
    """

    article: Mapping[str, FloatArray]
    sentence: Mapping[str, FloatArray]
    article_weights: Mapping[str, float]
    sentence_weights: Mapping[str, float]

    def join(self, members: Mapping[str, Logits]) -> Logits:
        """Logits of one document from those of each member."""
        article = sum(self.article_weights[name] * _calibrate(self.article[name], own.article) for name, own in members.items())
        sentences = sum(self.sentence_weights[name] * _calibrate(self.sentence[name], own.sentences) for name, own in members.items())
        return Logits(np.asarray(article), np.asarray(sentences))

    def alone(self, member: str, logits: Logits) -> Logits:
        """Calibrated logits of one member, on the same scale as `join`."""
        return Logits(_calibrate(self.article[member], logits.article), _calibrate(self.sentence[member], logits.sentences))

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "article": {name: pairs.tolist() for name, pairs in self.article.items()},
            "sentence": {name: pairs.tolist() for name, pairs in self.sentence.items()},
            "article_weights": dict(self.article_weights),
            "sentence_weights": dict(self.sentence_weights),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Combination":
        """Read what `to_dict` wrote."""
        article, sentence = ({name: np.array(data[part][name], dtype=np.float64) for name in MEMBERS} for part in ("article", "sentence"))
        weights = [{name: float(data[part][name]) for name in MEMBERS} for part in ("article_weights", "sentence_weights")]
        return cls(article, sentence, *weights)


def _calibrate(pairs: FloatArray, logits: FloatArray) -> FloatArray:
    return pairs[:, 0] * logits + pairs[:, 1]


class EnsembleModel:
    """Both members read each article, unless the linear model alone is certain that it carries no tag.

    It is certain where every tag's calibrated logit is below `certain`; -inf turns the cascade off.
    """

    kind = "ensemble"
    tolerance = EncoderModel.tolerance

    def __init__(self, linear: LinearModel, encoder: EncoderModel, combination: Combination, certain: float) -> None:
        self.linear, self.encoder, self.combination, self.certain = linear, encoder, combination, certain

    def logits(self, documents: Sequence[Document]) -> list[Logits]:
        """Logits of each document, in order."""
        return [self._document_logits(document) for document in documents]

    def _document_logits(self, document: Document) -> Logits:
        if not document.sentences:
            tags = len(self.encoder.pooling.scale)
            return Logits(np.full(tags, ABSENT), np.empty((0, tags)))
        (linear,) = self.linear.logits([document])
        alone = self.combination.alone("linear", linear)
        if alone.article.max() < self.certain:
            return alone
        (encoder,) = self.encoder.logits([document])
        return self.combination.join({"linear": linear, "encoder": encoder})

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the members' files."""
        return {
            "linear": self.linear.save(folder),
            "encoder": self.encoder.save(folder),
            "combination": self.combination.to_dict(),
            "certain": self.certain if np.isfinite(self.certain) else None,
        }

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> "EnsembleModel":
        """Read what `save` wrote."""
        certain = settings["certain"]
        return cls(
            LinearModel.load(folder, settings["linear"]),
            EncoderModel.load(folder, settings["encoder"]),
            Combination.from_dict(settings["combination"]),
            -np.inf if certain is None else float(certain),
        )
