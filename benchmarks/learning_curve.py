"""F1 against the number of records, to see whether more labelling still pays.

    python benchmarks/learning_curve.py [--real FILE] [--out docs]

Draws whole event groups until a size is reached (three seeds), trains the linear model with cross-validation on them, and
measures macro F1 and macro average precision on the held-out folds and, with --real, on labelled real articles. Writes
learning_curve.json and learning_curve.png. About ten minutes on two cores.
"""

import argparse
import json
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.progress import track

from newswatch_labels import Scheme, read_corpus
from newswatch_labels.folds import group_records
from newswatch_training.cross_validation import cross_validate
from newswatch_training.examples import Examples
from newswatch_training.linear import LinearFitter, LinearSettings
from newswatch_training.metrics import decide, measure

SIZES = (250, 500, 1000, 2000)
SEEDS = (0, 1, 2)
FIGURES = ("macro_f1", "macro_average_precision", "evidence_f1")


def draw_rows(groups: list[int], size: int, seed: int) -> list[int]:
    """Row numbers of whole groups, in random order, `size` records or a few more."""
    members: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    order = sorted(members)
    random.Random(seed).shuffle(order)
    rows: list[int] = []
    for group in order:
        if len(rows) >= size:
            break
        rows += members[group]
    return sorted(rows)


def measure_size(examples: Examples, groups: list[int], rows: list[int], real: Examples | None) -> dict[str, float]:
    """Figures of a model trained on `rows`, prefixed cv. and real."""
    own = examples.take(rows)
    fitter = LinearFitter(own, LinearSettings())
    validation = cross_validate(fitter, own, [groups[row] for row in rows], 4, 0, str)
    found = {f"cv.{key}": measure(validation.outcome)[key] for key in FIGURES}
    if real is not None:
        model = fitter.fit(np.arange(len(rows)))
        figures = measure(decide(model.logits(real.documents), validation.decision, real))
        found |= {f"real.{key}": figures[key] for key in FIGURES}
    return found


def plot(points: dict[int, list[dict[str, float]]]) -> Figure:
    """Mean and range over the seeds, a panel for each kind of test."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    kinds = [kind for kind in ("cv", "real") if f"{kind}.macro_f1" in next(iter(points.values()))[0]]
    axes = figure.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    names = {"cv": "held-out events of the corpus", "real": "real whole articles of other outlets"}
    for axis, kind in zip(axes, kinds, strict=True):
        for key, color in zip(FIGURES, ("#1f5a96", "#7aa6d1", "#c2410c"), strict=True):
            values = np.array([[run[f"{kind}.{key}"] for run in runs] for runs in points.values()])
            axis.plot(list(points), values.mean(axis=1), "o-", color=color, label=key.replace("_", " "))
            axis.fill_between(list(points), values.min(axis=1), values.max(axis=1), color=color, alpha=0.2)
        axis.set_xscale("log", base=2)
        axis.set_xticks(list(points), [str(size) for size in points])
        axis.set_title(names[kind], fontsize=10)
        axis.set_xlabel("records")
        axis.grid(alpha=0.3)
    axes[0].legend(loc="lower right", fontsize=8)
    return figure


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("labels/corpus"))
    parser.add_argument("--real", type=Path, help="labelled real articles, such as ../shared/data/real_dev/articles.jsonl")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    options = parser.parse_args()
    scheme = Scheme.load()
    examples = Examples.prepare(read_corpus(options.corpus, scheme).records, scheme)
    real = Examples.prepare(read_corpus(options.real, scheme, plain=True).records, scheme) if options.real else None
    groups = group_records(examples.records)
    points: dict[int, list[dict[str, float]]] = defaultdict(list)
    for size, seed in track([(size, seed) for size in SIZES for seed in SEEDS], "fitting"):
        points[size].append(measure_size(examples, groups, draw_rows(groups, size, seed), real))
    (options.out / "learning_curve.json").write_text(json.dumps(points, indent=1))
    plot(points).savefig(options.out / "learning_curve.png", dpi=120)
    for size, runs in points.items():
        print(size, {key: round(float(np.mean([run[key] for run in runs])), 3) for key in runs[0]})


if __name__ == "__main__":
    main()
