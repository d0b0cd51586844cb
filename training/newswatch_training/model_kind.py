"""The kinds of models that can be trained."""

from enum import StrEnum


class ModelKind(StrEnum):
    """Models that `fit` and `retrain` train."""

    LINEAR = "linear"
    ENCODER = "encoder"
    ENSEMBLE = "ensemble"
