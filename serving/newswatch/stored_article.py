"""The stored article: a text with what the newest model said of it and what a person decided."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from newswatch.prediction import Prediction
from newswatch_labels.errors import InputError


@dataclass(frozen=True, slots=True)
class Review:
    """What a person decided on an article: its tags, each with the sentences that say so; no tag means that none applies."""

    article: str
    reviewer: str
    tags: Mapping[str, tuple[str, ...]]
    note: str
    created: str


@dataclass(frozen=True, slots=True)
class StoredArticle:
    """An article with the newest prediction and the newest review of it.

    Attributes:
        published: when the outlet says it appeared, UTC, `YYYY-MM-DDTHH:MM:SSZ`; None where unknown.
        seen: when it was stored.
        time: `published`, or `seen` where that is unknown or in the future; lists are sorted by it.
        story: id of the first article of its story; near-duplicates share it.
        partial: only the feed's own text could be had, not the page's.
    """

    id: str
    outlet: str
    url: str | None
    title: str
    text: str
    published: str | None
    seen: str
    time: str
    story: str
    partial: bool
    prediction: Prediction | None
    review: Review | None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        row = {name: getattr(self, name) for name in self.__slots__ if name not in ("prediction", "review")}
        row["prediction"] = self.prediction.to_dict() if self.prediction else None
        row["review"] = asdict(self.review) if self.review else None
        return row


def check_evidence(article: StoredArticle, tag: str, sentences: Sequence[str]) -> None:
    """Check that a person may give `tag` to the article on these sentences.

    Raises:
        InputError: the tag is not of the scheme of the newest prediction, or it has no sentence out of title or text.
    """
    if article.prediction and tag not in article.prediction.scores:
        raise InputError(f"tag {tag!r:.60}", f"one of {', '.join(article.prediction.scores)}", "Choose a tag of the scheme.")
    if not sentences or isinstance(sentences, str):
        raise InputError(f"tag {tag!r} without a sentence", "the sentences that say so", "Mark them, or leave the tag out.")
    for sentence in sentences:
        if not sentence.strip() or not (sentence in article.text or sentence in article.title):
            raise InputError(f"evidence of {tag}: {sentence!r:.80}", "words of the article's text or title", "Mark them in the text.")


def read_row(row: sqlite3.Row) -> StoredArticle:
    """An article out of a row that joins it with its newest prediction and review."""
    review = None
    if row["reviewed"] is not None:
        tags = {tag: tuple(sentences) for tag, sentences in json.loads(row["reviewed"]).items()}
        review = Review(row["id"], row["reviewer"], tags, row["note"], row["created"])
    return StoredArticle(
        **{name: row[name] for name in ("id", "outlet", "url", "title", "text", "published", "seen", "time", "story")},
        partial=bool(row["partial"]),
        prediction=Prediction.from_dict(json.loads(row["prediction"])) if row["prediction"] else None,
        review=review,
    )
