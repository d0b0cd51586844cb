"""The engines that encoder_speed.py times, each in a process of its own that answers JSON lines."""

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

PIPELINE, SENTENCES, FASTTEXT = "transformers pipeline", "sentence-transformers + logistic regression", "fastText"
LINEAR, ENCODER, BOTH, CASCADE = "newswatch linear", "newswatch encoder", "newswatch, both", "newswatch, cascade"
PEAK = "peak"
WINDOW = 256


class Engine(Protocol):
    """What is timed."""

    def score(self, texts: list[str]) -> object:
        """Probabilities of every tag of every text."""

    def warm(self, texts: list[str]) -> None:
        """Come to the state of a service that has run for a while."""

    def fresh(self) -> None:
        """Forget what the timed articles left behind; before each pass."""

    @property
    def alone(self) -> int | None:
        """Articles since `fresh` that the linear member answered alone; None without a cascade."""


class _Reference(ABC):
    """An engine of others, without a cache."""

    alone = None

    @abstractmethod
    def score(self, texts: list[str]) -> object: ...

    def warm(self, texts: list[str]) -> None:
        self.score(texts[:4])

    def fresh(self) -> None:  # noqa: B027 - it keeps nothing
        pass


def cut_windows(tokenizer: Any, text: str) -> list[str]:
    """The text in parts of at most `WINDOW` tokens, special tokens counted, cut between words: nothing is lost."""
    room = WINDOW - tokenizer.num_special_tokens_to_add()
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    words, offsets = encoding.word_ids(0), encoding["offset_mapping"]
    parts, start = [], 0
    while start < len(words):
        end = min(start + room, len(words))
        while start + 1 < end < len(words) and words[end] == words[end - 1]:
            end -= 1
        parts.append(text[offsets[start][0] : offsets[end - 1][1]])
        start = end
    return parts or [""]


def _flat(tokenizer: Any, texts: Sequence[str]) -> tuple[list[str], list[int]]:
    parts = [cut_windows(tokenizer, text) for text in texts]
    return [part for own in parts for part in own], [number for number, own in enumerate(parts) for _ in own]


class _Pipeline(_Reference):
    """transformers' text-classification pipeline in fp32; an article's score is the maximum over its windows."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

        torch.set_num_threads(plan["threads"])
        self.tokenizer = AutoTokenizer.from_pretrained(plan["backbone"])
        model = AutoModelForSequenceClassification.from_pretrained(
            plan["backbone"], num_labels=plan["tags"], problem_type="multi_label_classification", dtype=torch.float32
        )
        self.pipeline = pipeline(
            "text-classification",
            model=model,
            tokenizer=self.tokenizer,
            device="cpu",
            top_k=None,
            function_to_apply="sigmoid",
            batch_size=8,
        )

    def score(self, texts: list[str]) -> object:
        parts, owners = _flat(self.tokenizer, texts)
        best: list[dict[str, float]] = [{} for _ in texts]
        scored: Any = self.pipeline(parts, truncation=True, max_length=WINDOW)
        for owner, found in zip(owners, scored, strict=True):
            for row in found:
                best[owner][row["label"]] = max(row["score"], best[owner].get(row["label"], 0.0))
        return best


class _SentenceTransformers(_Reference):
    """The mean of the windows' embeddings, and a logistic regression for each tag."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        import joblib
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(plan["threads"])
        self.model = SentenceTransformer(plan["backbone"], device="cpu")
        self.model.max_seq_length = WINDOW
        self.heads = joblib.load(plan["heads"])

    def score(self, texts: list[str]) -> object:
        import numpy as np

        parts, owners = _flat(self.model.tokenizer, texts)
        vectors = np.asarray(self.model.encode(parts, show_progress_bar=False))
        counts = np.bincount(owners, minlength=len(texts))
        means = np.add.reduceat(vectors, np.cumsum(counts) - counts) / counts[:, None]
        return self.heads.predict_proba(means)


class _FastText(_Reference):
    """A supervised fastText model, one binary loss for each tag."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        import fasttext

        self.model = fasttext.load_model(plan["fasttext"])

    def score(self, texts: list[str]) -> object:
        return self.model.predict([" ".join(text.split()) for text in texts], k=-1)


class _Newswatch:
    """A scorer; the linear model keeps the words that a service has met, and no window's logits are kept."""

    def __init__(self, plan: Mapping[str, Any], bundle: str, cascade: bool) -> None:
        from newswatch import Scorer

        self.scorer = Scorer.load(plan["bundles"][bundle], cascade=cascade)
        self.cascade, self.given, self.read = cascade, 0, 0
        model: Any = self.scorer.bundle.model
        self.linear: Any = model if model.kind == "linear" else getattr(model, "linear", None)
        self.encoder: Any = model if model.kind == "encoder" else getattr(model, "encoder", None)
        self.words: dict[str, Any] = {}
        if cascade:
            self._count_read()

    def _count_read(self) -> None:
        logits = self.encoder.logits

        def counted(documents: Sequence[Any]) -> Any:
            self.read += len(documents)
            return logits(documents)

        self.encoder.logits = counted

    def score(self, texts: list[str]) -> object:
        self.given += len(texts)
        return self.scorer.score(texts)

    def warm(self, texts: list[str]) -> None:
        from newswatch.text import Document

        if self.linear is not None:
            self.linear.logits([Document.read(text) for text in texts])
            self.words = dict(self.linear._cache)
        self.score(texts[:4])

    def fresh(self) -> None:
        if self.linear is not None:
            self.linear._cache = dict(self.words)
        if self.encoder is not None:
            self.encoder._cached.cache_clear()
        self.given = self.read = 0

    @property
    def alone(self) -> int | None:
        return self.given - self.read if self.cascade else None


ENGINES: dict[str, Callable[[Mapping[str, Any]], Engine]] = {
    PIPELINE: _Pipeline,
    SENTENCES: _SentenceTransformers,
    FASTTEXT: _FastText,
    LINEAR: lambda plan: _Newswatch(plan, "linear", cascade=False),
    ENCODER: lambda plan: _Newswatch(plan, "encoder", cascade=False),
    BOTH: lambda plan: _Newswatch(plan, "whole", cascade=False),
    CASCADE: lambda plan: _Newswatch(plan, "whole", cascade=True),
}


def serve(name: str, plan: Mapping[str, Any]) -> None:
    """Load an engine, score one short article, say so, then answer one JSON line for each on stdin."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers

    def answer(row: Mapping[str, Any]) -> None:
        print(json.dumps(row), file=answers, flush=True)

    if name == PEAK:
        from matrix_peak import measure_peak

        answer(measure_peak(plan["shapes"], plan["threads"]))
        return
    try:
        engine = ENGINES[name](plan)
    except ImportError as error:
        answer({"left_out": str(error)})
        return
    engine.score([plan["short"]])
    answer({"left_out": None})
    for line in sys.stdin:
        job = json.loads(line)
        if job["do"] == "warm":
            engine.warm(plan["warm"])
            answer({})
        else:
            answer(time_pass(engine, plan["streams"][job["stream"]], job["size"]))


def time_pass(engine: Engine, texts: Sequence[str], size: int) -> dict[str, Any]:
    """Score `texts` in lists of `size`."""
    lists = [list(texts[start : start + size]) for start in range(0, len(texts), size)]
    engine.fresh()
    each = []
    cpu, started = time.process_time(), time.perf_counter()
    for own in lists:
        begun = time.perf_counter()
        engine.score(own)
        each.append(time.perf_counter() - begun)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {"wall": wall, "cpu": cpu, "each": each, "alone": engine.alone, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
