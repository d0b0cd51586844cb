"""The search space: which settings `tune` tries, and from where to where."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from newswatch_training.encoder_settings import EncoderSettings
from newswatch_training.linear import LinearSettings

if TYPE_CHECKING:
    from optuna import Trial

Settings = TypeVar("Settings", LinearSettings, EncoderSettings)


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included; whole ones if both are whole; `log` spreads the tries by factors, not by steps."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[Any, ...]


LINEAR: dict[str, Range | Choice] = {
    "article_c": Range(1.0, 300.0, log=True),
    "sentence_c": Range(0.5, 100.0, log=True),
    "balanced": Choice((False, True)),
    "mix": Range(0.0, 1.0),
    "min_word_df": Range(2, 6),
    "min_char_df": Range(4, 16),
}
ENCODER: dict[str, Range | Choice] = {
    "epochs": Range(2, 6),
    "rate": Range(5e-5, 1e-3, log=True),
    "head_rate": Range(5e-4, 1e-2, log=True),
    "layer_decay": Range(0.7, 1.0),
    "balance": Range(0.0, 0.8),
    "evidence_weight": Range(0.25, 2.0, log=True),
    "article_weight": Range(0.25, 2.0, log=True),
    "temperature": Range(0.5, 4.0, log=True),
    "dropout": Range(0.0, 0.3),
}


def suggest(trial: "Trial", base: Settings, space: dict[str, Range | Choice]) -> Settings:
    """`base` with the values that a trial asks for."""
    return replace(base, **{name: _draw(trial, name, kind) for name, kind in space.items()})


def _draw(trial: "Trial", name: str, kind: Range | Choice) -> Any:
    if isinstance(kind, Choice):
        return trial.suggest_categorical(name, kind.values)
    if isinstance(kind.low, int) and isinstance(kind.high, int):
        return trial.suggest_int(name, kind.low, kind.high, log=kind.log)
    return trial.suggest_float(name, kind.low, kind.high, log=kind.log)
