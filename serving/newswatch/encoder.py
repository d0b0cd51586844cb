"""The encoder: a transformer that reads windows of whole sentences and gives each sentence a logit per tag."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from newswatch.model import ABSENT, BundleError, FloatArray, Logits
from newswatch.runtime import open_graph
from newswatch.text import Document
from newswatch.windows import Window, WindowCutter
from newswatch_labels.errors import NewswatchError

GRAPH = "encoder.onnx"
TOKENIZER = "tokenizer.json"
CACHED_WINDOWS = 4096


@dataclass(frozen=True)
class Pooling:
    """How an article's logit comes from its sentences' logits z: scale * log(sum(exp(temperature * z))) / temperature + bias.

    Between the maximum (temperature towards infinity) and a sum: one sure sentence is enough, several half-sure ones help.

    Attributes:
        scale, bias: of each of the T tags.
    """

    temperature: float
    scale: tuple[float, ...]
    bias: tuple[float, ...]

    def __call__(self, sentences: FloatArray) -> FloatArray:
        """Article logits (T,) of sentence logits (S, T), S >= 1."""
        highest = sentences.max(axis=0)
        excess = np.exp(self.temperature * (sentences - highest)).sum(axis=0)
        return np.asarray(np.array(self.scale) * (highest + np.log(excess) / self.temperature) + np.array(self.bias))


class Unit(StrEnum):
    """What has logits of its own: each sentence, or, where nobody marked evidence to learn from, each window."""

    SENTENCE = "sentence"
    WINDOW = "window"


class EncoderModel:
    """Scores windows one by one, which is what CPUs do fastest, so that no document depends on the others.

    The logits of the last `CACHED_WINDOWS` different windows are kept: a wire story that many outlets carry is read once.
    """

    kind = "encoder"
    tolerance = 0.05  # int8 and bfloat16 round differently on other processors

    def __init__(
        self,
        folder: Path,
        size: int,
        pooling: Pooling,
        precision: str,
        unit: Unit = Unit.SENTENCE,
        parity: Mapping[str, float] | None = None,
    ) -> None:
        """Open the graph and the tokenizer in `folder`.

        Args:
            size: tokens of a window, special tokens counted.
            precision: of the graph's matrices, "int8" or "fp32".
            unit: what the head was trained on; the sentences of a window share its logits where it is the window.
            parity: how far the graph departs from the trained model, for the record.
        """
        self.folder, self.pooling, self.precision, self.unit, self.parity = folder, pooling, precision, unit, dict(parity or {})
        try:
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
            self._graph = open_graph(folder / GRAPH, precision)
        except NewswatchError:
            raise
        except Exception as error:  # the tokenizer and the runtimes raise classes of their own, and plain ones
            raise BundleError(
                f"{folder}: {str(error).splitlines()[0]:.200}",
                f"a readable {GRAPH} and {TOKENIZER}",
                "Copy the bundle again or train a new one.",
            ) from error
        self.cutter = WindowCutter.of(tokenizer, size)
        self._cached = lru_cache(CACHED_WINDOWS)(self._run)

    def logits(self, documents: Sequence[Document]) -> list[Logits]:
        """Logits of each document, in order."""
        return [self._document_logits(document) for document in documents]

    def _document_logits(self, document: Document) -> Logits:
        tags = len(self.pooling.scale)
        total = np.zeros((len(document.sentences), tags))
        tokens = np.zeros((len(document.sentences), 1))
        passages: list[FloatArray] = []
        for window in self.cutter.cut(document):
            # A sentence that goes on in the next window has a run in both; numbers inside a window differ.
            lengths = window.lengths[:, None]
            found = self._window_logits(window if self.unit is Unit.SENTENCE else window.whole(len(passages)))
            passages.append(found)
            total[window.sentences] += found * lengths
            tokens[window.sentences] += lengths
        if not tokens.any():
            return Logits(np.full(tags, ABSENT), np.full((len(document.sentences), tags), ABSENT))
        sentences = np.where(tokens > 0, total / np.maximum(tokens, 1), ABSENT)
        return Logits(self.pooling(sentences if self.unit is Unit.SENTENCE else np.concatenate(passages)), sentences)

    def _window_logits(self, window: Window) -> FloatArray:
        return self._cached(window.ids.tobytes(), window.lengths.tobytes(), window.start)

    def _run(self, ids: bytes, lengths: bytes, start: int) -> FloatArray:
        runs = np.frombuffer(lengths, np.int64)
        window = Window(np.frombuffer(ids, np.int64), np.arange(len(runs)), runs, start)
        return self._graph(window.ids, window.pooling())

    def save(self, folder: Path) -> dict[str, Any]:
        """Copy encoder.onnx and tokenizer.json."""
        for name in (GRAPH, TOKENIZER):
            shutil.copyfile(self.folder / name, folder / name)
        return {
            "window": self.cutter.size,
            "precision": self.precision,
            "unit": self.unit.value,
            "pooling": asdict(self.pooling),
            "parity": self.parity,
        }

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> "EncoderModel":
        """Read what `save` wrote."""
        pooling = settings["pooling"]
        made = Pooling(float(pooling["temperature"]), tuple(map(float, pooling["scale"])), tuple(map(float, pooling["bias"])))
        return cls(folder, int(settings["window"]), made, str(settings["precision"]), Unit(settings["unit"]), settings["parity"])
