"""The linear model: TF-IDF of words and characters, one logistic regression per tag for articles and one for sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from newswatch.model import ABSENT, FloatArray, Logits
from newswatch.ngrams import char_ngrams, tokens, word_ngrams
from newswatch.text import Document

CHUNK_SENTENCES = 512
WORD_CACHE = 50_000

IntArray = NDArray[np.int64]


class Weights(NamedTuple):
    """One-vs-rest logistic regression on TF-IDF features.

    `idf` has shape (V,) and is 0 for features the model does not use; `coef` has shape (V, T), `intercept` (T,).
    """

    idf: FloatArray
    coef: FloatArray
    intercept: FloatArray


@dataclass
class LinearModel:
    """Scores as scikit-learn's TfidfTransformer(sublinear_tf=True, norm="l2") and LogisticRegression would.

    The vocabulary's first `words` entries are word n-grams, the rest character n-grams; each of the two blocks is
    normalised by itself. An article's counts are the sums of its sentences' counts. Its logit is
    `(1 - mix) * article model + mix * highest sentence logit`.
    """

    kind = "linear"
    tolerance = 1e-4

    vocabulary: tuple[str, ...]
    words: int
    article: Weights
    sentence: Weights
    mix: float
    _ids: dict[str, int] = field(init=False, repr=False)
    _cache: dict[str, IntArray] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._ids = {ngram: number for number, ngram in enumerate(self.vocabulary[: self.words])}
        # A character n-gram may spell a word: a mark keeps the two blocks apart in one dictionary.
        self._ids.update((f"\0{ngram}", number) for number, ngram in enumerate(self.vocabulary[self.words :], self.words))

    def logits(self, documents: Sequence[Document]) -> list[Logits]:
        """Logits of each document; memory is bounded by `CHUNK_SENTENCES` whatever a document's length."""
        return [self._document_logits(document) for document in documents]

    def _document_logits(self, document: Document) -> Logits:
        size = len(self.vocabulary)
        used: IntArray = np.empty(0, np.int64)
        times: NDArray[Any] = np.empty(0)
        parts = []
        for start in range(0, len(document.sentences), CHUNK_SENTENCES):
            ids = [self._features(sentence.text) for sentence in document.sentences[start : start + CHUNK_SENTENCES]]
            features = np.concatenate(ids)
            rows = np.repeat(np.arange(len(ids)), [len(own) for own in ids])
            own, counts = np.unique(features, return_counts=True)
            used, places = np.unique(np.concatenate([used, own]), return_inverse=True)
            times = np.bincount(places, np.concatenate([times, counts]))
            cells, tf = np.unique(rows * size + features, return_counts=True)
            parts.append(self._apply(self.sentence, *np.divmod(cells, size), tf, len(ids)))
        tags = len(self.article.intercept)
        if not parts:
            return Logits(np.full(tags, ABSENT), np.empty((0, tags)))
        article = self._apply(self.article, np.zeros_like(used), used, times, 1)[0]
        sentences = np.concatenate(parts)
        return Logits((1 - self.mix) * article + self.mix * sentences.max(axis=0), sentences)

    def _features(self, text: str) -> IntArray:
        """Vocabulary numbers of all n-grams of a sentence, repeated as often as they occur."""
        words = tokens(text)
        ids = self._ids
        pairs = [ids[ngram] for ngram in word_ngrams(words) if ngram in ids]
        found = [np.array(pairs, dtype=np.int64)]
        for word in words:
            own = self._cache.get(word)
            if own is None:
                if len(self._cache) >= WORD_CACHE:
                    self._cache.clear()
                own = np.array([ids[key] for g in char_ngrams(word) if (key := f"\0{g}") in ids], dtype=np.int64)
                self._cache[word] = own
            found.append(own)
        return np.concatenate(found)

    def _apply(self, weights: Weights, rows: IntArray, features: IntArray, tf: NDArray[Any], count: int) -> FloatArray:
        """Logits (count, T) of `count` rows whose cells are given sorted by row, then feature."""
        values = (1 + np.log(tf)) * weights.idf[features]
        blocks = rows * 2 + (features >= self.words)
        norms = np.sqrt(np.bincount(blocks, values**2, 2 * count))
        values /= np.maximum(norms, 1e-12)[blocks]
        logits = np.tile(weights.intercept.astype(np.float64), (count, 1))
        bounds = np.searchsorted(rows, np.arange(count + 1))
        for row, (start, end) in enumerate(pairwise(bounds)):
            logits[row] += values[start:end] @ weights.coef[features[start:end]]
        return logits

    def save(self, folder: Path) -> dict[str, Any]:
        """Write vocabulary.txt and linear.npz."""
        (folder / "vocabulary.txt").write_text("\n".join(self.vocabulary), encoding="utf-8", newline="\n")
        arrays = {f"{name}_{part}": array for name, w in self._parts() for part, array in w._asdict().items()}
        with (folder / "linear.npz").open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        return {"words": self.words, "mix": self.mix}

    def _parts(self) -> Iterator[tuple[str, Weights]]:
        yield "article", self.article
        yield "sentence", self.sentence

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> "LinearModel":
        """Read what `save` wrote."""
        vocabulary = tuple((folder / "vocabulary.txt").read_text(encoding="utf-8").split("\n"))
        with np.load(folder / "linear.npz", allow_pickle=False) as arrays:
            weights = {name: Weights(*(arrays[f"{name}_{part}"] for part in Weights._fields)) for name in ("article", "sentence")}
        return cls(vocabulary, int(settings["words"]), weights["article"], weights["sentence"], float(settings["mix"]))
