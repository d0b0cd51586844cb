"""N-grams: the features of the linear model, the same for training and serving."""

import re
from collections.abc import Iterator
from itertools import pairwise

from newswatch.text import normalise

_TOKEN = re.compile(r"[^\W_]+")
_DIGIT = re.compile(r"\d")
CHAR_SIZES = (3, 4)


def tokens(text: str) -> list[str]:
    """Words of `text`, normalised, digits as 0: a year or a count never becomes a feature of its own."""
    return _TOKEN.findall(_DIGIT.sub("0", normalise(text)))


def word_ngrams(words: list[str]) -> Iterator[str]:
    """Words, and pairs of neighbours joined by a space."""
    yield from words
    yield from map(" ".join, pairwise(words))


def char_ngrams(word: str) -> Iterator[str]:
    """Runs of 3 or 4 characters inside one word, padded by a space at both ends (scikit-learn's `char_wb`)."""
    padded = f" {word} "
    for size in CHAR_SIZES:
        if len(padded) <= size:
            yield padded
            return
        for start in range(len(padded) - size + 1):
            yield padded[start : start + size]
