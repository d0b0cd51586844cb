"""Active learning simulated on the corpus: labels hidden, and revealed as `newswatch-labels suggest` asks for them, or at random.

    python benchmarks/active_learning.py [--out docs]

A quarter of the events is the test. Of the rest 150 random records are labelled; then, round by round, 150 more, chosen at random or
suggested by the scores of the model trained so far. The model is the linear one's article part (no evidence), its tags decided at
0.5. Three seeds, each with another test. Writes active_learning.json and active_learning.png. About ten minutes on two cores.
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.progress import track
from scipy.integrate import trapezoid

from newswatch.decision import Decision, TagRule
from newswatch.linear import LinearModel
from newswatch_labels import Scheme, read_corpus
from newswatch_labels.folds import group_records, split_by_event
from newswatch_labels.suggest import suggest
from newswatch_training.examples import Examples
from newswatch_training.linear import LinearFitter, LinearSettings
from newswatch_training.metrics import decide, measure

BATCH = 150
ROUNDS = 10
SEEDS = (0, 1, 2)
STRATEGIES = ("random", "suggested")
FIGURES = ("macro_f1", "core_f1", "macro_average_precision")

Curve = list[dict[str, float]]


def simulate(fitter: LinearFitter, pool: Sequence[int], test: Examples, strategy: str, seed: int) -> Curve:
    """Figures after each round of labelling, on the test."""
    examples = fitter.examples
    rules = Decision(examples.scheme, {name: TagRule() for name in examples.scheme.names})
    order = random.Random(seed).sample(pool, len(pool))
    labelled = order[:BATCH]
    curve: Curve = []
    while True:
        model = fitter.fit(np.sort(labelled))
        figures = measure(decide(model.logits(test.documents), rules, test))
        tagged = float(examples.labels[labelled].sum(axis=1).mean())
        curve.append({"records": float(len(labelled)), "tags_a_record": tagged} | {key: figures[key] for key in FIGURES})
        if len(labelled) == BATCH * ROUNDS:
            return curve
        hidden = [row for row in order if row not in set(labelled)]
        labelled += hidden[:BATCH] if strategy == "random" else ask(model, examples, rules, hidden)


def ask(model: LinearModel, examples: Examples, rules: Decision, hidden: list[int]) -> list[int]:
    """The rows that `suggest` would have labelled next."""
    logits = model.logits([examples.documents[row] for row in hidden])
    scores = rules.article_probabilities(np.stack([own.article for own in logits]))
    names = [examples.records[row].id for row in hidden]
    tags = examples.scheme.names
    by_id = {name: dict(zip(tags, map(float, own), strict=True)) for name, own in zip(names, scores, strict=True)}
    place = dict(zip(names, hidden, strict=True))
    found = suggest([examples.records[row] for row in hidden], by_id, BATCH)
    return [place[suggestion.record.id] for suggestion in found]


def plot(curves: dict[str, list[Curve]]) -> Figure:
    """Mean and range over the seeds, a panel for each figure."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    titles = {"macro_f1": "macro F1", "macro_average_precision": "macro average precision"}
    for axis, (key, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        for strategy, color in zip(STRATEGIES, ("#888888", "#1f5a96"), strict=True):
            sizes = [point["records"] for point in curves[strategy][0]]
            values = np.array([[point[key] for point in curve] for curve in curves[strategy]])
            axis.plot(sizes, values.mean(axis=0), "o-", color=color, label=strategy)
            axis.fill_between(sizes, values.min(axis=0), values.max(axis=0), color=color, alpha=0.2)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("records labelled")
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right")
    return figure


def area(curve: Curve, key: str) -> float:
    """Mean height of a curve over the records labelled (trapezoids)."""
    sizes, values = (np.array([point[name] for point in curve]) for name in ("records", key))
    return float(trapezoid(values, sizes) / (sizes[-1] - sizes[0]))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("labels/corpus"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    options = parser.parse_args()
    scheme = Scheme.load()
    records = read_corpus(options.corpus, scheme).records
    groups = group_records(records)
    examples = Examples.prepare([replace(record, evidence=None) for record in records], scheme)
    fitter = LinearFitter(examples, LinearSettings())
    curves: dict[str, list[Curve]] = {strategy: [] for strategy in STRATEGIES}
    for seed, strategy in track([(seed, strategy) for seed in SEEDS for strategy in STRATEGIES], "simulating"):
        parts = np.array(split_by_event(examples.records, [0.75, 0.25], seed, groups))
        test = examples.take(np.flatnonzero(parts == 1))
        curves[strategy].append(simulate(fitter, np.flatnonzero(parts == 0).tolist(), test, strategy, seed))
    areas = {strategy: {key: [round(area(c, key), 4) for c in own] for key in FIGURES} for strategy, own in curves.items()}
    (options.out / "active_learning.json").write_text(json.dumps({"area": areas, "curves": curves}, indent=1) + "\n")
    plot(curves).savefig(options.out / "active_learning.png", dpi=120)
    for strategy, own in areas.items():
        print(strategy, {key: f"{np.mean(values):.4f} {values}" for key, values in own.items()})


if __name__ == "__main__":
    main()
