"""The plot of a replayed time line."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from newswatch_training.timeline import Year

PARTS = {
    "words": "words (divergence, bits)",
    "domain": "domain (AUC)",
    "rate": "tag rates (largest change)",
    "review": "review share (change)",
}


def plot_timeline(years: Sequence[Year]) -> Figure:
    """Macro F1 of the model retrained each year and of the one kept; below, how far each year lay from its past."""
    figure = Figure(figsize=(10, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    numbers = [year.year for year in years]
    upper.plot(numbers, [year.retrained["macro_f1"] for year in years], "o-", color="#1f5a96", label="trained on all years before")
    upper.plot(numbers, [year.kept["macro_f1"] for year in years], "o--", color="#888888", label=f"trained before {numbers[0]} alone")
    for year in years:
        upper.annotate(
            str(year.trained), (year.year, year.retrained["macro_f1"]), (0, 6), textcoords="offset points", fontsize=7, ha="center"
        )
    upper.set_ylabel("macro F1 on the year")
    upper.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8)
    upper.grid(alpha=0.3)
    for (part, title), color in zip(PARTS.items(), ("#1f5a96", "#c2410c", "#7aa6d1", "#5b8c3e"), strict=True):
        found = [[figure for figure in year.drift.figures if figure.part == part] for year in years]
        lower.plot(numbers, [max(f.distance for f in own) for own in found], "-", color=color, label=title)
        hit = [(n, max(f.distance for f in own)) for n, own in zip(numbers, found, strict=True) if any(f.drifted for f in own)]
        lower.plot([n for n, _ in hit], [d for _, d in hit], "o", color=color)
    lower.set_ylabel("distance from the past\n(dot: drifted)")
    lower.set_xticks(numbers)
    lower.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8)
    lower.grid(alpha=0.3)
    return figure
