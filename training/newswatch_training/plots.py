"""Plots of an outcome."""

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from newswatch_training.metrics import CALIBRATION_BINS, Outcome


def plot_precision_recall(outcome: Outcome) -> Figure:
    """A precision-recall curve per tag that occurs, a dot where its thresholds put it."""
    examples = outcome.examples
    tags = [tag for tag in range(len(examples.scheme.names)) if (examples.labels & examples.known)[:, tag].any()]
    columns = min(4, max(1, len(tags)))
    rows = max(1, -(-len(tags) // columns))
    figure = Figure(figsize=(3.2 * columns, 2.8 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    for axis in axes[len(tags) :]:
        axis.set_axis_off()
    for axis, tag in zip(axes, tags, strict=False):
        known = examples.known[:, tag]
        truth, carried = examples.labels[known, tag], outcome.carried[known, tag]
        precision, recall, _ = precision_recall_curve(truth, outcome.probabilities[known, tag])
        axis.step(recall, precision, where="post", color="#1f5a96")
        hits = (truth & carried).sum()
        axis.plot(hits / truth.sum(), hits / max(1, carried.sum()), "o", color="#c2410c", markersize=6)
        axis.set_title(f"{examples.scheme.names[tag]} ({truth.sum()})", fontsize=9)
        axis.set_xlim(0, 1.02)
        axis.set_ylim(0, 1.02)
        axis.grid(alpha=0.3)
    figure.supxlabel("recall")
    figure.supylabel("precision")
    return figure


def plot_reliability(outcome: Outcome) -> Figure:
    """Observed share of true tags against probability, over all article-tag pairs, with the pairs per bin below."""
    known = outcome.examples.known
    p, y = outcome.probabilities[known], outcome.examples.labels[known]
    bins = np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    count = np.bincount(bins, minlength=CALIBRATION_BINS)
    filled = count > 0
    figure = Figure(figsize=(5, 5.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], "--", color="#888888", linewidth=1)
    said, observed = (np.bincount(bins, values, CALIBRATION_BINS)[filled] / count[filled] for values in (p, y))
    upper.plot(said, observed, "o-", color="#1f5a96")
    upper.set_ylabel("observed share")
    upper.grid(alpha=0.3)
    lower.bar((np.arange(CALIBRATION_BINS) + 0.5) / CALIBRATION_BINS, count, width=0.9 / CALIBRATION_BINS, color="#7aa6d1")
    lower.set_yscale("log")
    lower.set_ylabel("pairs")
    lower.set_xlabel("probability")
    return figure


def plot_tags(outcome: Outcome, metrics: dict[str, float]) -> Figure:
    """F1 per tag, with precision and recall as dots."""
    names = [name for name in outcome.examples.scheme.names if f"f1.{name}" in metrics]
    names.sort(key=lambda name: metrics[f"f1.{name}"])
    figure = Figure(figsize=(7, 0.32 * len(names) + 1.2), layout="constrained")
    axis = figure.subplots()
    axis.barh(names, [metrics[f"f1.{name}"] for name in names], color="#7aa6d1", label="F1")
    axis.plot([metrics[f"precision.{name}"] for name in names], names, "o", color="#1f5a96", label="precision")
    axis.plot([metrics[f"recall.{name}"] for name in names], names, "D", color="#c2410c", label="recall", markersize=5)
    axis.set_xlim(0, 1)
    axis.grid(axis="x", alpha=0.3)
    axis.legend(loc="lower right")
    return figure
