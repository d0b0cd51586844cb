"""The scorer: articles in, predictions out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from newswatch.bundle import Bundle, find_bundle
from newswatch.model import Cascade
from newswatch.prediction import Prediction
from newswatch.text import Document
from newswatch_labels.errors import InputError


@dataclass(frozen=True, slots=True)
class Article:
    """What arrives: a text, and where known its id, its title and its date (YYYY, YYYY-MM or YYYY-MM-DD...), which no score depends on."""

    text: str
    id: str | None = None
    title: str | None = None
    date: str | None = None


class Scorer:
    """Scores articles with one bundle; it keeps no state between calls, so several threads may share it."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    @classmethod
    def load(cls, path: str | Path | None = None, sha256: str | None = None, *, cascade: bool = True) -> "Scorer":
        """Load a bundle (see `Bundle.load`).

        Args:
            cascade: let the linear model of an ensemble answer alone where it is certain; False reads every article with both.
        """
        bundle = Bundle.load(path, sha256)
        if not cascade and isinstance(bundle.model, Cascade):
            bundle.model.certain = float("-inf")
        return cls(bundle)

    def score(self, articles: Sequence[str | Article]) -> list[Prediction]:
        """Predictions, one an article, in order. An article's prediction does not depend on the others.

        Raises:
            InputError: an article is no text, or its text cannot be scored; names its position.
        """
        if isinstance(articles, str | bytes | Article) or not isinstance(articles, Iterable):
            raise InputError(f"articles of type {type(articles).__name__}", "a list of texts or Articles", "Put the text into a list.")
        given = [self._article(article, number) for number, article in enumerate(articles)]
        documents = [document for _, document in given]
        return [
            self.bundle.decision.predict(document, logits, identity, self.bundle.label)
            for (identity, document), logits in zip(given, self.bundle.model.logits(documents), strict=True)
        ]

    def _article(self, article: Any, number: int) -> tuple[str | None, Document]:
        made = article if isinstance(article, Article) else Article(article)
        try:
            return made.id, Document.read(made.text, made.title)
        except InputError as error:
            raise InputError(f"article {number}: {error.received}", error.expected, error.advice) from error


@cache
def _scorer(folder: Path) -> Scorer:
    return Scorer.load(folder)


def score(text: str, *, title: str | None = None, id: str | None = None) -> Prediction:  # noqa: A002
    """Score one article with the default bundle (NEWSWATCH_BUNDLE, else mlruns/champion), loaded once.

    Raises:
        InputError: the text cannot be scored.
        BundleError: there is no bundle, or it is damaged.
    """
    return _scorer(find_bundle()).score([Article(text, id, title)])[0]
