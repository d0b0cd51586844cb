"""The model: anything that gives each article and each of its sentences a logit per tag."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from newswatch.text import Document
from newswatch_labels.errors import NewswatchError

ABSENT = -12.0  # the logit of what is not there

FloatArray = NDArray[np.floating[Any]]


class Logits(NamedTuple):
    """Logits of one article over T tags: `article` of shape (T,), `sentences` of shape (S, T)."""

    article: FloatArray
    sentences: FloatArray


class Model(Protocol):
    """A trained model as a bundle holds it."""

    kind: str
    tolerance: float
    """How far an article's probability may lie from the bundle's golden one on another machine."""

    def logits(self, documents: Sequence[Document]) -> list[Logits]:
        """Logits of each document, in order; a document's logits do not depend on the others."""

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the model's files into `folder`; return its settings as JSON data."""


@runtime_checkable
class Cascade(Protocol):
    """A model whose first member answers alone where it is certain."""

    certain: float


class BundleError(NewswatchError):
    """A bundle is missing, damaged, or of a kind or version this release does not know."""


def load_model(kind: str, folder: Path, settings: dict[str, Any]) -> Model:
    """Load the model of a bundle.

    Raises:
        BundleError: no such kind.
    """
    if kind == "linear":
        from newswatch.linear import LinearModel

        return LinearModel.load(folder, settings)
    if kind == "encoder":
        from newswatch.encoder import EncoderModel

        return EncoderModel.load(folder, settings)
    if kind == "ensemble":
        from newswatch.ensemble import EnsembleModel

        return EnsembleModel.load(folder, settings)
    raise BundleError(
        f"model of kind {kind!r}", "linear, encoder or ensemble", "Update newswatch, or train the bundle again with this release."
    )
