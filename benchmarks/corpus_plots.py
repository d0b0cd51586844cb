"""Plots of the shipped corpus for its datasheet.

    python benchmarks/corpus_plots.py

Writes labels/corpus/plots/tags.png, years.png and words.png.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from newswatch_labels import Record, Scheme, read_corpus
from newswatch_labels.census import Census, take_census

CORPUS = Path("labels/corpus")


def plot_tags(census: Census) -> Figure:
    """Records and evidence sentences per tag."""
    names = sorted(census.tags, key=lambda name: census.tags[name])
    figure = Figure(figsize=(7, 5.2), layout="constrained")
    axis = figure.subplots()
    axis.barh([*names], [census.evidence_sentences[name] for name in names], color="#c9dcef", label="evidence sentences")
    axis.barh([*names], [census.tags[name] for name in names], color="#1f5a96", height=0.5, label="records")
    axis.legend(loc="lower right")
    axis.grid(axis="x", alpha=0.3)
    return figure


def plot_years(census: Census) -> Figure:
    """Records per year of the source."""
    years = {year: count for year, count in census.years.items() if year != "undated"}
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    axis = figure.subplots()
    axis.bar(list(years), list(years.values()), color="#1f5a96")
    axis.set_ylabel("records")
    axis.tick_params(axis="x", rotation=45)
    axis.grid(axis="y", alpha=0.3)
    return figure


def plot_words(records: tuple[Record, ...]) -> Figure:
    """Length of the texts in words."""
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    axis = figure.subplots()
    axis.hist([record.words for record in records], bins=np.arange(0, 701, 25), color="#1f5a96")
    axis.set_xlabel("words")
    axis.set_ylabel("records")
    axis.grid(axis="y", alpha=0.3)
    return figure


def main() -> None:
    """Draw the three plots."""
    scheme = Scheme.load()
    records = read_corpus(CORPUS, scheme).records
    census = take_census(records, scheme)
    folder = CORPUS / "plots"
    folder.mkdir(exist_ok=True)
    for name, figure in (("tags", plot_tags(census)), ("years", plot_years(census)), ("words", plot_words(records))):
        figure.savefig(folder / f"{name}.png", dpi=110)


if __name__ == "__main__":
    main()
