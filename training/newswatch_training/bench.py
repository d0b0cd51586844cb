"""Benchmarks on plain data sets with official splits: fit on train, tune on dev, report on test."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from newswatch.decision import Decision, TagRule
from newswatch.model import Logits
from newswatch_labels.corpus import read_splits
from newswatch_labels.errors import RecordError
from newswatch_training.deciding import fit_decision
from newswatch_training.examples import Examples
from newswatch_training.linear import LinearFitter, LinearSettings
from newswatch_training.metrics import decide, measure

# Example F1 at 0.5, mean of 10 seeds: Hu et al. (2022), ConfliBERT, NAACL, Table 3, the best of four ConfliBERTs and of two BERTs.
PUBLISHED = {
    "satp_relevant": {"ConfliBERT": 0.8908, "BERT-base": 0.8836},
    "insightCrime": {"ConfliBERT": 0.6947, "BERT-base": 0.6857},
    "IndiaPoliceEvents_docs": {"ConfliBERT": 0.6997, "BERT-base": 0.6680},
    "IndiaPoliceEvents_sents": {"ConfliBERT": 0.6727, "BERT-base": 0.6489},
}
GRID = {"article_c": (1.0, 3.0, 10.0, 30.0), "balanced": (False, True)}


@dataclass(frozen=True)
class BenchResult:
    """Figures on test with the settings dev chose.

    `at_half` is the papers' protocol: the model's own probabilities, not calibrated, cut at 0.5; `tuned` has calibration and
    thresholds fitted on dev.
    """

    name: str
    settings: dict[str, object]
    dev_example_f1: float
    at_half: dict[str, float]
    tuned: dict[str, float]
    published: dict[str, float]


def run_bench(name: str, data: Path, advance: Callable[[str], None]) -> BenchResult:
    """Fit the linear model on train for each setting of `GRID`, choose by example F1 on dev, and report on test.

    Raises:
        RecordError: train, dev or test is missing.
    """
    scheme, splits = read_splits(data)
    if missing := {"dev", "test"} - set(splits):
        raise RecordError(
            f"{data} without {', '.join(sorted(missing))}.jsonl", "train, dev and test", "Split it first: newswatch-labels split."
        )
    advance(f"{name}: reading")
    parts = {split: Examples.prepare(corpus.records, scheme) for split, corpus in splits.items()}
    fitter = LinearFitter(parts["train"], LinearSettings())
    plain = Decision(scheme, {tag: TagRule() for tag in scheme.names})
    rows = np.arange(len(parts["train"].records))
    best: tuple[float, LinearSettings, Sequence[Logits], Sequence[Logits]] | None = None
    for values in product(*GRID.values()):
        settings = replace(LinearSettings(), **dict(zip(GRID, values, strict=True)))  # type: ignore[arg-type]
        advance(f"{name}: {', '.join(f'{key} {value}' for key, value in zip(GRID, values, strict=True))}")
        fitter.settings = settings
        model = fitter.fit(rows)
        dev = model.logits(parts["dev"].documents)
        score = measure(decide(dev, plain, parts["dev"]))["example_f1"]
        if best is None or score > best[0]:
            best = score, settings, dev, model.logits(parts["test"].documents)
    assert best is not None, "the grid has at least one setting"
    score, settings, dev_logits, test_logits = best
    tuned_rules = fit_decision(dev_logits, parts["dev"])
    half, tuned = (measure(decide(test_logits, rules, parts["test"])) for rules in (plain, tuned_rules))
    return BenchResult(name, asdict(settings), score, half, tuned, PUBLISHED.get(name, {}))
