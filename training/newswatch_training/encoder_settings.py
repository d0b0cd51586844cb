"""Settings of the encoder, apart from what needs torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from newswatch_labels.errors import InputError, NewswatchError
from newswatch_labels.record import Record
from newswatch_training.ranges import check_ranges

DEFAULT_BACKBONE = "all-MiniLM-L6-v2"


class ParityError(NewswatchError):
    """The graph that would serve does not say what the trained model says."""


class Precision(StrEnum):
    """Of the matrices of the graph that serves."""

    INT8 = "int8"
    FP32 = "fp32"


@dataclass(frozen=True)
class EncoderSettings:
    """Settings of the encoder.

    Attributes:
        backbone: the shipped one by name, a folder, or an id on the Hugging Face Hub.
        layers: of the backbone, from the first, that are used; 0 for all. Fewer train and score faster and know less.
        window: tokens of a window, at most what the backbone's positions allow.
        epochs: passes over the training articles, at most.
        rate, head_rate: highest learning rates, of the last layer and of the new parameters.
        layer_decay: factor of the rate from each layer to the one below.
        warmup: share of the steps on which the rates rise; they fall linearly afterwards.
        batch_tokens: tokens of a step. An article is never split between steps.
        untagged: articles without a tag that an epoch reads for each one with a tag, at most; every epoch draws anew.
        balance: how much more a tag's positive cases weigh in the loss than the others: the odds against the tag to this power. 0 weighs
            all alike, 1 gives both sides of every tag the same weight.
        evidence_weight, article_weight: of the two parts of the loss.
        temperature: of the pooling of sentences into an article.
        dropout: on sentence states.
        precision: of the graph that serves, "int8" or "fp32".
        seed: of shuffling, dropout, augmentation and new parameters.
    """

    backbone: str = DEFAULT_BACKBONE
    layers: int = 0
    window: int = 128
    epochs: int = 3
    rate: float = 3e-4
    head_rate: float = 2e-3
    layer_decay: float = 0.85
    warmup: float = 0.06
    weight_decay: float = 0.01
    batch_tokens: int = 4096
    untagged: float = 3.0
    balance: float = 0.5
    evidence_weight: float = 1.0
    article_weight: float = 0.5
    temperature: float = 2.0
    dropout: float = 0.1
    precision: str = "int8"
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            positive=("rate", "head_rate", "temperature", "untagged"),
            shares=("layer_decay", "warmup", "weight_decay", "dropout", "balance"),
            least_one=("window", "epochs", "batch_tokens"),
            least_zero=("layers",),
        )
        if self.precision not in list(Precision):
            raise InputError(f"precision is {self.precision!r}", " or ".join(Precision), "Mend the setting.")

    def untagged_drawn(self, tagged: int, untagged: int) -> int:
        """Articles without a tag that an epoch reads, of so many there are; all where none has a tag."""
        return min(untagged, int(self.untagged * tagged)) if tagged else untagged


# For corpora that mark no evidence: gentler than where it is marked, chosen on the dev part of satp_relevant.
UNMARKED = EncoderSettings(window=256, epochs=4, rate=1e-4, layer_decay=1.0)


def settings_for(records: Iterable[Record]) -> EncoderSettings:
    """The settings to begin with for a corpus: `UNMARKED` where no record marks evidence."""
    return EncoderSettings() if any(record.evidence is not None for record in records) else UNMARKED
