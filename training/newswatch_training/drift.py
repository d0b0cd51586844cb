"""Drift: how far new text lies from the text that a bundle was trained on."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from newswatch.bundle import Bundle
from newswatch.decision import Decision
from newswatch.model import FloatArray
from newswatch.scorer import Article
from newswatch.text import Document
from newswatch_labels.errors import InputError
from newswatch_training.domain import count_words, domain_scores, embed, moved_words
from newswatch_training.drift_limits import Limits
from newswatch_training.held_out import read_held_out, text_key
from newswatch_training.permutation import Tested, auc_distance, holm, ks_distance, permutation_test, rate_distance, word_distance

LEAST = 20
WORDS_SHOWN = 30
MONTHS = 24


@dataclass(frozen=True)
class Sample:
    """N articles, and what a bundle that did not learn from them says: `probabilities` (N, T)."""

    articles: tuple[Article, ...]
    probabilities: FloatArray

    @property
    def texts(self) -> list[str]:
        """Title and text of each article."""
        return [f"{article.title or ''}\n{article.text}" for article in self.articles]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure compared.

    Attributes:
        part: rate, scores, review, words or domain.
        tag: the tag it is of, or "".
        old, new: shares of articles, for rate and review; means of the probabilities, for scores; None elsewhere.
        distance: how far new lies from old, on the scale of `Limits`.
        p: of the permutation test, adjusted by Holm's method for all figures of the report.
    """

    part: str
    tag: str
    old: float | None
    new: float | None
    distance: float
    limit: float
    p: float
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """A report.

    Attributes:
        words: what parts the vocabularies most: word, uses per 1,000 words in the new texts and in the old.
        review: by period (month, or year where there are many) the articles and the share in review, of the dated new articles.
    """

    bundle: str
    old: int
    new: int
    limits: Limits
    figures: tuple[Figure, ...]
    words: tuple[tuple[str, float, float], ...]
    review: dict[str, tuple[int, float]]

    @property
    def drifted(self) -> bool:
        """Whether any figure has."""
        return any(figure.drifted for figure in self.figures)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {"drifted": self.drifted, **asdict(self)}


def take_sample(bundle: Bundle, articles: Sequence[Article], most: int, seed: int) -> Sample:
    """Score articles; of more than `most` a random choice. Texts that the bundle was trained on get their held-out scores.

    Raises:
        InputError: there are fewer than 20.
    """
    if len(articles) < LEAST:
        raise InputError(f"{len(articles)} articles", f"at least {LEAST} to compare", "Collect more articles.")
    rows = sorted(np.random.default_rng(seed).permutation(len(articles))[:most].tolist())
    chosen = tuple(articles[row] for row in rows)
    seen = read_held_out(bundle)
    found = [seen.get(text_key(article.text, article.title)) for article in chosen]
    unseen = [Document.read(article.text, article.title) for article, own in zip(chosen, found, strict=True) if own is None]
    scored = iter([bundle.decision.article_probabilities(own.article) for own in bundle.model.logits(unseen)])
    return Sample(chosen, np.stack([next(scored) if own is None else own for own in found]))


def compare(old: Sample, new: Sample, decision: Decision, label: str, limits: Limits | None = None, seed: int = 0) -> Drift:
    """Compare two samples: tag rates, scores, review share, words, and how well a classifier tells them apart.

    The tests take articles for independent: a stream where one event fills many articles looks surer of its drift than it is,
    which is why each figure has a limit on its distance too.

    Args:
        decision, label: of the bundle that gave the probabilities.
    """
    limits = limits or Limits()
    is_new = np.repeat([False, True], [len(old.articles), len(new.articles)])
    pooled = np.concatenate([old.probabilities, new.probabilities])
    carried = decision.carried(pooled)
    in_review = np.asarray(decision.in_band(pooled).any(axis=1, keepdims=True))
    words, counts = count_words([*old.texts, *new.texts])
    scores = domain_scores(embed(counts, seed), is_new, seed)

    figures = 2 * len(decision.names) + 3
    draws = max(limits.draws, ceil(2 * figures / limits.alpha))
    tested = {
        "rate": permutation_test(rate_distance(carried), is_new, draws, seed),
        "scores": permutation_test(ks_distance(pooled), is_new, draws, seed),
        "review": permutation_test(rate_distance(in_review), is_new, draws, seed),
        "words": permutation_test(word_distance(counts), is_new, draws, seed),
        "domain": permutation_test(auc_distance(scores), is_new, draws, seed),
    }
    means = {"rate": _means(carried, is_new), "scores": _means(pooled, is_new), "review": _means(in_review, is_new)}
    return Drift(
        bundle=label,
        old=len(old.articles),
        new=len(new.articles),
        limits=limits,
        figures=tuple(_judge(tested, means, decision.names, limits)),
        words=tuple(moved_words(words, counts, is_new, WORDS_SHOWN)),
        review=_by_period(new, in_review[is_new, 0]),
    )


def _means(values: NDArray[Any], is_new: NDArray[np.bool_]) -> list[tuple[float, float]]:
    return list(zip(values[~is_new].mean(axis=0).tolist(), values[is_new].mean(axis=0).tolist(), strict=True))


def _judge(tested: dict[str, Tested], means: dict[str, list[tuple[float, float]]], names: Sequence[str], limits: Limits) -> list[Figure]:
    adjusted = iter(holm([p for found in tested.values() for p in found.p.tolist()]))
    figures = []
    for part, found in tested.items():
        limit = getattr(limits, part)
        for number, observed in enumerate(found.observed.tolist()):
            # The divergence of two small samples of the same text is far from zero: only what goes beyond counts.
            distance = observed - float(found.expected[number]) if part == "words" else observed
            old, new = means[part][number] if part in means else (None, None)
            p = next(adjusted)
            tag = names[number] if part in ("rate", "scores") else ""
            figures.append(Figure(part, tag, old, new, distance, limit, p, distance > limit and p <= limits.alpha))
    return figures


def _by_period(sample: Sample, in_review: NDArray[np.bool_]) -> dict[str, tuple[int, float]]:
    dates = [article.date for article in sample.articles]
    months = {date[:7] for date in dates if date}
    length = 7 if len(months) <= MONTHS else 4
    flags: dict[str, list[bool]] = defaultdict(list)
    for date, flag in zip(dates, in_review.tolist(), strict=True):
        if date:
            flags[date[:length]].append(flag)
    return {period: (len(own), sum(own) / len(own)) for period, own in sorted(flags.items())}
