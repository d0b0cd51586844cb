"""Fitting the linear model with scikit-learn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from newswatch.linear import LinearModel, Weights
from newswatch.ngrams import char_ngrams, tokens, word_ngrams
from newswatch.text import Document
from newswatch_training.examples import BoolArray, Examples
from newswatch_training.ranges import check_ranges

Matrix = Any  # a scipy.sparse.csr_matrix


@dataclass(frozen=True)
class LinearSettings:
    """Settings of the linear model.

    Attributes:
        article_c, sentence_c: inverse strength of the L2 penalty of the two logistic regressions.
        balanced: weigh classes by their inverse frequency.
        mix: share of the highest sentence logit in an article's logit; 0 where no record has evidence.
        min_word_df, min_char_df: least number of training sentences an n-gram must occur in.
    """

    article_c: float = 30.0
    sentence_c: float = 10.0
    balanced: bool = False
    mix: float = 0.5
    min_word_df: int = 3
    min_char_df: int = 8

    def __post_init__(self) -> None:
        check_ranges(self, positive=("article_c", "sentence_c"), shares=("mix",), least_one=("min_word_df", "min_char_df"))


@dataclass(frozen=True)
class Counts:
    """N-gram counts of all sentences of N documents: `matrix` (all sentences, V), `owner` (all sentences,) the document of each."""

    vocabulary: tuple[str, ...]
    words: int
    matrix: Matrix
    owner: NDArray[np.int64]


def count_ngrams(documents: Sequence[Document], settings: LinearSettings) -> Counts:
    """Count every n-gram that could be a feature; which ones are is decided by the training rows alone."""
    sentences = [sentence.text for document in documents for sentence in document.sentences]
    owner = np.repeat(np.arange(len(documents)), [len(document.sentences) for document in documents])
    blocks = [_count(sentences, _word_features, settings.min_word_df), _count(sentences, _char_features, settings.min_char_df)]
    vocabulary = tuple(str(name) for names, _ in blocks for name in names)
    return Counts(vocabulary, len(blocks[0][0]), sparse.hstack([matrix for _, matrix in blocks]).tocsr(), owner)


def _count(sentences: list[str], analyzer: Callable[[str], list[str]], min_df: int) -> tuple[Any, Matrix]:
    vectorizer = CountVectorizer(analyzer=analyzer, min_df=min_df, dtype=np.float32)
    matrix = vectorizer.fit_transform(sentences)
    return vectorizer.get_feature_names_out(), matrix


def _word_features(sentence: str) -> list[str]:
    return list(word_ngrams(tokens(sentence)))


def _char_features(sentence: str) -> list[str]:
    return [ngram for word in tokens(sentence) for ngram in char_ngrams(word)]


def fit_linear(counts: Counts, examples: Examples, rows: NDArray[np.int64], settings: LinearSettings) -> LinearModel:
    """Fit the model on the examples at `rows`; nothing of the others enters it.

    The sentence model learns from marked evidence; where no record has any, it is the article model.

    Args:
        counts: of all `examples`, in their order.
    """
    chosen = np.isin(counts.owner, rows)
    sentences = counts.matrix[chosen]
    df = np.bincount(sentences.indices, minlength=sentences.shape[1])
    least = np.where(np.arange(len(df)) < counts.words, settings.min_word_df, settings.min_char_df)
    used = np.flatnonzero(df >= least)
    words = int((used < counts.words).sum())
    place = np.full(len(examples.records), -1)
    place[rows] = np.arange(len(rows))
    owner = place[counts.owner[chosen]]
    members = sparse.csr_matrix((np.ones(len(owner), np.float32), (owner, np.arange(len(owner)))), (len(rows), len(owner)))
    sentences = sentences[:, used]
    article = _fit_weights(members @ sentences, words, examples.labels[rows], examples.known[rows], settings.article_c, settings)
    marks = [examples.evidence[row] for row in rows]
    marked = np.array([mark is not None for mark in marks])
    if marked.any():
        evidence = np.vstack([mark for mark in marks if mark is not None])
        known = examples.known_sentences(rows[marked])
        sentence, mix = _fit_weights(sentences[marked[owner]], words, evidence, known, settings.sentence_c, settings), settings.mix
    else:
        sentence, mix = article, 0.0
    return LinearModel(tuple(counts.vocabulary[number] for number in used), words, article, sentence, mix)


def _fit_weights(matrix: Matrix, words: int, labels: BoolArray, known: BoolArray, c: float, settings: LinearSettings) -> Weights:
    """One-vs-rest logistic regression over TF-IDF, the word and the character block each of unit length; each tag from its known rows."""
    transformer = TfidfTransformer(sublinear_tf=True, norm=None)
    weighted = transformer.fit_transform(matrix)
    features = sparse.hstack([normalize(weighted[:, :words]), normalize(weighted[:, words:])]).tocsr()
    features.sum_duplicates()  # in place, and so not in two threads at once
    # The solver spends its time in scipy's products, which release the GIL: threads share one matrix.
    fitted = Parallel(n_jobs=-1, prefer="threads")(
        delayed(_fit_tag)(features if rows.all() else features[rows], column[rows], c, settings)
        for column, rows in zip(labels.T, known.T, strict=True)
    )
    coef = np.stack([coef for coef, _ in fitted], axis=1).astype(np.float32)
    return Weights(transformer.idf_.astype(np.float32), coef, np.array([intercept for _, intercept in fitted]))


def _fit_tag(features: Matrix, labels: BoolArray, c: float, settings: LinearSettings) -> tuple[NDArray[Any], float]:
    positives = int(labels.sum())
    if positives in (0, len(labels)):  # nothing to learn: the log-odds of Laplace's rule of succession
        return np.zeros(features.shape[1]), float(np.log((positives + 1) / (len(labels) - positives + 1)))
    # newton-cg draws no random numbers: liblinear's dual solver shares one generator between threads, and no two fits agree.
    weight = "balanced" if settings.balanced else None
    model = LogisticRegression(C=c, class_weight=weight, solver="newton-cg", tol=1e-3, max_iter=200)
    model.fit(features, labels)
    return model.coef_[0], float(model.intercept_[0])


class LinearFitter:
    """Fits the linear model on rows of its examples, whose n-grams it counts once."""

    kind = "linear"

    def __init__(self, examples: Examples, settings: LinearSettings, counts: Counts | None = None) -> None:
        """Take examples and settings.

        Args:
            counts: of the examples, by settings that leave out no n-gram that these take in; default: counted here.
        """
        self.examples, self.settings = examples, settings
        self._counts = counts or count_ngrams(examples.documents, settings)

    def fit(self, rows: NDArray[np.int64]) -> LinearModel:
        """Fit on the examples at `rows`."""
        return fit_linear(self._counts, self.examples, rows, self.settings)
