"""The domain: what the words of two samples say of where they come from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

from newswatch.model import FloatArray
from newswatch.ngrams import tokens
from newswatch_training.permutation import word_terms

MIN_ARTICLES = 3
DIMENSIONS = 50
FOLDS = 5


def count_words(texts: Sequence[str]) -> tuple[NDArray[Any], Any]:
    """Words (V,) that stand in three of the N texts or more, and how often each text has each, a sparse matrix (N, V)."""
    vectorizer = CountVectorizer(analyzer=tokens, dtype=np.float32, min_df=min(MIN_ARTICLES, len(texts)))
    matrix = vectorizer.fit_transform(texts)
    return vectorizer.get_feature_names_out(), matrix


def embed(counts: Any, seed: int) -> FloatArray:
    """Texts as points (N, 50 or fewer): latent semantic analysis (Deerwester et al. 1990) of TF-IDF, each dimension of unit variance."""
    weighted = TfidfTransformer(sublinear_tf=True).fit_transform(sparse.csr_matrix(counts))
    size = min(DIMENSIONS, min(weighted.shape) - 1)
    return np.asarray(StandardScaler().fit_transform(TruncatedSVD(size, random_state=seed).fit_transform(weighted)))


def domain_scores(points: FloatArray, new: NDArray[np.bool_], seed: int) -> FloatArray:
    """How new each text looks to a classifier that did not see it (Lopez-Paz and Oquab 2017): held-out log-odds (N,), by five folds.

    Folds share no scale: each one's scores are turned into ranks from 0 to 1.
    """
    folds = list(StratifiedKFold(min(FOLDS, int(new.sum()), int((~new).sum())), shuffle=True, random_state=seed).split(points, new))
    model = LogisticRegression(C=0.1, class_weight="balanced", solver="newton-cholesky", max_iter=100)
    scores = np.asarray(cross_val_predict(model, points, new, cv=folds, method="decision_function"))
    for _, rows in folds:
        scores[rows] = scores[rows].argsort().argsort() / len(rows)
    return scores


def moved_words(words: NDArray[Any], counts: Any, new: NDArray[np.bool_], most: int) -> list[tuple[str, float, float]]:
    """The words that part the samples most: each with its uses per 1,000 words in the new texts and in the old."""
    inside = np.asarray(counts[new].sum(axis=0), dtype=np.float64).ravel()
    outside = np.asarray(counts[~new].sum(axis=0), dtype=np.float64).ravel()
    shares = [part / max(1.0, part.sum()) for part in (inside, outside)]
    order = np.argsort(-word_terms(*shares), kind="stable")[:most]
    return [(str(words[n]), round(1000 * float(shares[0][n]), 3), round(1000 * float(shares[1][n]), 3)) for n in order]
