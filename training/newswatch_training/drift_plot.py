"""The plot of a drift report."""

from typing import Any

from matplotlib.figure import Figure

from newswatch_training.drift import Drift

OLD, NEW, DRIFTED = "#7aa6d1", "#1f5a96", "#c2410c"
WORDS = 20


def plot_drift(drift: Drift) -> Figure:
    """Tag rates, distances of the probabilities, words, and review share by period; what has drifted in orange."""
    figure = Figure(figsize=(11, 9), layout="constrained")
    (rates, scores), (words, review) = figure.subplots(2, 2, height_ratios=(1, 1))
    verdict = "drift" if drift.drifted else "no drift"
    domain = next(found for found in drift.figures if found.part == "domain")
    figure.suptitle(
        f"{drift.new} new articles against {drift.old}: {verdict}; a classifier tells them apart with AUC {domain.distance:.2f}"
    )
    _plot_rates(rates, drift)
    _plot_scores(scores, drift)
    _plot_words(words, drift)
    _plot_review(review, drift)
    return figure


def _plot_rates(axis: Any, drift: Drift) -> None:
    found = [figure for figure in drift.figures if figure.part == "rate"][::-1]
    for row, figure in enumerate(found):
        axis.plot([figure.old, figure.new], [row, row], color=DRIFTED if figure.drifted else "#bbbbbb", linewidth=2.5, zorder=1)
    axis.scatter([f.old for f in found], range(len(found)), color=OLD, label="old", zorder=2)
    axis.scatter([f.new for f in found], range(len(found)), color=NEW, label="new", zorder=2)
    axis.set_yticks(range(len(found)), [f.tag for f in found], fontsize=8)
    axis.set_title("share of articles with the tag", fontsize=10)
    axis.grid(axis="x", alpha=0.3)
    axis.legend(fontsize=8)


def _plot_scores(axis: Any, drift: Drift) -> None:
    found = [figure for figure in drift.figures if figure.part == "scores"][::-1]
    axis.barh([f.tag for f in found], [f.distance for f in found], color=[DRIFTED if f.drifted else OLD for f in found])
    axis.axvline(drift.limits.scores, linestyle="--", color="#888888", linewidth=1)
    axis.tick_params(axis="y", labelsize=8)
    axis.set_title("distance of the probabilities (Kolmogorov and Smirnov)", fontsize=10)
    axis.grid(axis="x", alpha=0.3)


def _plot_words(axis: Any, drift: Drift) -> None:
    found = drift.words[:WORDS][::-1]
    axis.barh([word for word, _, _ in found], [new for _, new, _ in found], color=NEW, label="new")
    axis.barh([word for word, _, _ in found], [-old for _, _, old in found], color=OLD, label="old")
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xticks((-100, -10, -1, 0, 1, 10, 100), ("100", "10", "1", "0", "1", "10", "100"))
    axis.axvline(0, color="#888888", linewidth=1)
    axis.grid(axis="x", alpha=0.3)
    axis.tick_params(axis="y", labelsize=8)
    distance = next(figure for figure in drift.figures if figure.part == "words").distance
    axis.set_title(f"uses per 1,000 words, of those that moved most (divergence {distance:.3f} bits)", fontsize=10)
    axis.legend(fontsize=8)


def _plot_review(axis: Any, drift: Drift) -> None:
    share = next(figure for figure in drift.figures if figure.part == "review")
    axis.axhline(share.old, color=OLD, label="old")
    axis.axhline(share.new, color=DRIFTED if share.drifted else NEW, label="new")
    if drift.review:
        axis.bar(list(drift.review), [part for _, part in drift.review.values()], color="#dddddd", zorder=0)
        for place, (count, part) in enumerate(drift.review.values()):
            axis.annotate(str(count), (place, part), (0, 2), textcoords="offset points", ha="center", fontsize=7)
        axis.tick_params(axis="x", labelrotation=60, labelsize=8)
    else:
        axis.set_xticks([])
        axis.set_xlabel("the new articles bear no dates")
    axis.set_ylim(0, 1.05)
    axis.set_title("share of articles with a tag in review", fontsize=10)
    axis.legend(loc="lower right", fontsize=8)
