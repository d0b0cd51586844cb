"""The prediction: what newswatch says of one article, the same from every door."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from newswatch.text import Field
from newswatch_labels.errors import InputError


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence that carries a tag: `text == article[field][start:end]` in code points; `score` is its probability, 0 to 1."""

    start: int
    end: int
    text: str
    score: float
    field: Field = "text"


@dataclass(frozen=True, slots=True)
class Prediction:
    """Tags of one article.

    Attributes:
        id: the article's id as given, or None.
        tags: the tags it carries, in the scheme's order.
        scores: probability (0 to 1) of every tag of the scheme.
        evidence: for each of `tags`, its sentences in reading order.
        review: tags so near their threshold that a person should look, carried or not.
        model: name and version of the bundle.
    """

    id: str | None
    tags: tuple[str, ...]
    scores: Mapping[str, float]
    evidence: Mapping[str, tuple[Evidence, ...]]
    review: tuple[str, ...]
    model: str

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data, scores to six places."""
        return {
            "id": self.id,
            "tags": list(self.tags),
            "scores": {tag: round(score, 6) for tag, score in self.scores.items()},
            "evidence": {
                tag: [{"start": e.start, "end": e.end, "text": e.text, "score": round(e.score, 6), "field": e.field} for e in found]
                for tag, found in self.evidence.items()
            },
            "review": list(self.review),
            "model": self.model,
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "Prediction":
        """Read what `to_dict` wrote.

        Raises:
            InputError: a field is missing or of a wrong kind.
        """
        try:
            return cls(
                id=row["id"],
                tags=tuple(row["tags"]),
                scores=dict(row["scores"]),
                evidence={tag: tuple(Evidence(**e) for e in found) for tag, found in row["evidence"].items()},
                review=tuple(row["review"]),
                model=row["model"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"prediction {row!r:.80}: {error!r}", "the fields of Prediction.to_dict", "Score the text again.") from error
