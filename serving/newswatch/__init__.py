"""Newswatch tags security news and shows the sentences that say so."""

from newswatch.bundle import Bundle
from newswatch.model import BundleError
from newswatch.prediction import Evidence, Prediction
from newswatch.scorer import Article, Scorer, score
from newswatch_labels.errors import InputError, NewswatchError

__version__ = "0.1.0"
__all__ = [
    "Article",
    "Bundle",
    "BundleError",
    "Evidence",
    "InputError",
    "NewswatchError",
    "Prediction",
    "Scorer",
    "score",
]
