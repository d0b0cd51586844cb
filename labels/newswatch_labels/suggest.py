"""Suggestions: which articles of an unlabelled pool to label next."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from newswatch_labels.errors import InputError
from newswatch_labels.record import Record

SHORTLIST = 12
UNSURE = 0.5
_WORD = re.compile(r"[^\W\d_]{3,}")

Scores = Mapping[str, Mapping[str, float]]
"""By article id and tag, a probability from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An article to label.

    Attributes:
        gain: what it added when it was chosen; the order of choice is the order to label in.
        tags: those a model is unsure of (half a bit or more), the least sure first; the one nearest to that if there is none.
    """

    record: Record
    gain: float
    tags: tuple[str, ...]


def suggest(pool: Sequence[Record], scores: Scores, count: int) -> list[Suggestion]:
    """Choose `count` articles that a model is unsure of, over all tags and over different texts, the best first.

    Greedy maximisation of sum over tags of sqrt(sum over the chosen of u), a submodular function (Wei, Iyer and Bilmes 2015), where
    u is the entropy in bits of an article's probability for the tag: what was chosen for a tag makes the next article for it
    worth less, so that frequent tags do not crowd out rare ones. An article's gain is scaled by 1 - s, where s is the highest
    Jaccard similarity of its words with those of one already chosen: a wire story is labelled once.

    Args:
        pool: articles; what they are labelled with does not matter.
        scores: of every article of the pool, over the same tags.
        count: at least 1; fewer come back where the pool is smaller.

    Raises:
        InputError: an article has no scores.
    """
    if missing := next((record.id for record in pool if record.id not in scores), None):
        raise InputError(f"no prediction for {missing!r}", "one for every article of the pool", "Score the whole pool.")
    unsure = {record.id: {tag: entropy(p) for tag, p in scores[record.id].items()} for record in pool}
    shortlist = sorted(pool, key=lambda record: -sum(map(math.sqrt, unsure[record.id].values())))[: max(200, SHORTLIST * count)]
    words = {record.id: frozenset(_WORD.findall(f"{record.title} {record.text}".lower())) for record in shortlist}
    likeness = dict.fromkeys(words, 0.0)
    total = dict.fromkeys(next(iter(unsure.values()), {}), 0.0)
    left = {record.id: record for record in shortlist}
    chosen: list[Suggestion] = []
    while left and len(chosen) < count:
        gains = {
            name: (1 - likeness[name]) * sum(math.sqrt(total[tag] + u) - math.sqrt(total[tag]) for tag, u in unsure[name].items())
            for name in left
        }
        best = max(gains, key=gains.__getitem__)
        record = left.pop(best)
        ranked = sorted(unsure[best], key=lambda tag: -unsure[best][tag])
        named = tuple(tag for tag in ranked if unsure[best][tag] >= UNSURE)
        chosen.append(Suggestion(record, gains[best], named or tuple(ranked[:1])))
        for tag, u in unsure[best].items():
            total[tag] += u
        for name in left:
            likeness[name] = max(likeness[name], _jaccard(words[name], words[best]))
    return chosen


def entropy(probability: float) -> float:
    """Entropy of a yes-no question in bits, 0 (sure) to 1 (even)."""
    return -sum(p * math.log2(p) for p in (probability, 1 - probability) if p > 0)


def _jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    shared = len(first & second)
    return shared / max(1, len(first) + len(second) - shared)
