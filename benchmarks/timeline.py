"""The corpus's time line replayed: the linear model trained up to each year, scored on the next, with the drift between them.

    python benchmarks/timeline.py [--first 2018] [--last 2026] [--out docs]

Prints a table and writes timeline.json and timeline.png. About ten minutes on two cores.
"""

import argparse
import json
from pathlib import Path

from matplotlib.figure import Figure
from rich.progress import track

from newswatch_labels import Scheme, read_corpus
from newswatch_labels.folds import group_records
from newswatch_labels.terminal import out, table
from newswatch_training.examples import Examples
from newswatch_training.timeline import Year, replay
from newswatch_training.timeline_plot import plot_timeline

COLUMNS = ("macro_f1", "core_f1", "macro_average_precision", "evidence_f1", "ece", "review_share")


def to_row(year: Year) -> dict[str, object]:
    """One year as JSON data: figures of both models, and the largest distance of each part of the drift."""
    largest: dict[str, float] = {}
    for figure in year.drift.figures:
        largest[figure.part] = round(max(figure.distance, largest.get(figure.part, figure.distance)), 4)
    return {
        "year": year.year,
        "trained": year.trained,
        "tested": year.tested,
        "retrained": {key: round(year.retrained[key], 4) for key in COLUMNS},
        "kept": {key: round(year.kept[key], 4) for key in COLUMNS},
        "drift": largest,
        "drifted": [f"{figure.part} {figure.tag}".strip() for figure in year.drift.figures if figure.drifted],
        "words": [word for word, new, old in year.drift.words if new > old][:8],
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("labels/corpus"))
    parser.add_argument("--first", type=int, default=2018)
    parser.add_argument("--last", type=int, default=2026)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    options = parser.parse_args()
    scheme = Scheme.load()
    examples = Examples.prepare(read_corpus(options.corpus, scheme).records, scheme)
    years = range(options.first, options.last + 1)
    replayed = list(track(replay(examples, group_records(examples.records), years), "replaying", total=len(years)))
    rows = [to_row(year) for year in replayed]
    (options.out / "timeline.json").write_text(json.dumps(rows, indent=1) + "\n")
    figure: Figure = plot_timeline(replayed)
    figure.savefig(options.out / "timeline.png", dpi=120)
    cells = [
        (y.year, y.trained, y.tested, y.retrained["macro_f1"], y.kept["macro_f1"], y.retrained["review_share"], y.drift.drifted)
        for y in replayed
    ]
    out.print(table("Time line", ("year", "trained on", "scored", "F1, retrained", "F1, kept", "review share", "drift"), cells))


if __name__ == "__main__":
    main()
