"""`newswatch-train drift`: whether the news has moved away from what a bundle was trained on."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from newswatch.bundle import Bundle
from newswatch.options import BundleOption, IdField, TextField, TitleField
from newswatch.reading import Columns, Fault, read_articles
from newswatch.scorer import Article
from newswatch_labels.corpus import read_corpus, write_whole
from newswatch_labels.errors import InputError
from newswatch_labels.terminal import err, out, report_faults, table
from newswatch_training.drift_limits import Limits

DRIFTED = 5
CORPUS = Path("labels/corpus")


def drift(
    new: Annotated[list[str], typer.Argument(help="New text: files (text, HTML, JSONL, CSV, Parquet; .gz too), folders, or -.")],
    bundle: BundleOption = None,
    corpus: Annotated[Path, typer.Option(help="The records that the bundle was trained on.")] = CORPUS,
    against: Annotated[
        list[str] | None, typer.Option(help="Compare with this earlier text instead of the corpus: files or folders; repeat for more.")
    ] = None,
    to: Annotated[Path, typer.Option("--out", help="Folder to write drift.json and drift.png into.")] = Path("mlruns/drift"),
    text_column: TextField = "text",
    id_column: IdField = "id",
    title_column: TitleField = "title",
    date_column: Annotated[str, typer.Option(help="Field or column that holds the date, as YYYY-MM-DD or its beginning.")] = "date",
    rate: Annotated[float, typer.Option(min=0, max=1, help="Limit: change of the share of articles with a tag.")] = Limits.rate,
    scores: Annotated[
        float, typer.Option(min=0, max=1, help="Limit: Kolmogorov-Smirnov distance of a tag's probabilities.")
    ] = Limits.scores,
    review: Annotated[float, typer.Option(min=0, max=1, help="Limit: change of the share of articles in review.")] = Limits.review,
    words: Annotated[float, typer.Option(min=0, max=1, help="Limit: divergence of the words beyond chance, bits.")] = Limits.words,
    domain: Annotated[float, typer.Option(min=0.5, max=1, help="Limit: AUC of a classifier that tells new from old.")] = Limits.domain,
    alpha: Annotated[float, typer.Option(min=0.01, max=0.5, help="Chance of any false alarm.")] = Limits.alpha,
    most: Annotated[int, typer.Option(min=20, help="Articles to take of each side, at random where there are more.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the choice and of the permutations.")] = 0,
) -> None:
    """Compare new text with the training corpus under a bundle: tag rates, probabilities, review share, words, domain.

    A figure has drifted where its distance exceeds its limit and a permutation test, adjusted for all figures, rules out chance.
    Exit status: 0 no drift, 5 drift, 1 failure. Text of another outlet than the corpus always differs in its words: to watch a
    stream, compare it with its own past by --against.
    """
    from newswatch_training.drift import compare, take_sample
    from newswatch_training.drift_plot import plot_drift

    loaded = Bundle.load(bundle)
    columns = Columns(text_column, id_column, title_column, date_column)
    with err.status("scoring") as status:
        past = _read(against, columns) if against else _read_corpus(corpus, loaded)
        samples = [take_sample(loaded, articles, most, seed) for articles in (past, _read(new, columns))]
        status.update("permuting")
        limits = Limits(rate, scores, review, words, domain, alpha)
        found = compare(samples[0], samples[1], loaded.decision, loaded.label, limits, seed)
    write_whole(json.dumps(found.to_dict(), ensure_ascii=False, indent=1) + "\n", to / "drift.json")
    plot_drift(found).savefig(to / "drift.png", dpi=110)
    rows = [
        (f"{figure.part} {figure.tag}".strip(), _cell(figure.old), _cell(figure.new), figure.distance, figure.limit, figure.p)
        for figure in found.figures
        if figure.drifted or figure.part in ("review", "words", "domain")
    ]
    columns_shown = ("what", "old", "new", "distance", "limit", "p, adjusted")
    out.print(table(f"{found.new} new articles against {found.old}", columns_shown, rows))
    out.print("words more frequent now: " + ", ".join(word for word, now, before in found.words if now > before), highlight=False)
    verdict = f"{sum(figure.drifted for figure in found.figures)} of {len(found.figures)} figures have drifted"
    out.print(f"{verdict}; {to / 'drift.json'}, {to / 'drift.png'}", highlight=False, soft_wrap=True)
    if found.drifted:
        raise typer.Exit(DRIFTED)


def _read(paths: Iterable[str], columns: Columns) -> list[Article]:
    articles: list[Article] = []
    for row in read_articles(paths, columns):
        if isinstance(row, Fault):
            report_faults([row.error])
        else:
            articles.append(row)
    return articles


def _read_corpus(corpus: Path, bundle: Bundle) -> list[Article]:
    from newswatch_training.held_out import HELD_OUT

    found = read_corpus(corpus, plain=True)
    report_faults(found.faults)
    if HELD_OUT not in bundle.manifest["files"] and found.sha256 == bundle.manifest["corpus"].get("sha256"):
        raise InputError(
            f"{bundle.label} without {HELD_OUT}",
            "a bundle with held-out scores of its corpus: those of the finished model flatter it",
            "Train again, or name earlier text that it was not trained on with --against.",
        )
    return [Article(r.text, r.id, r.title or None, r.source_date) for r in found.records]


def _cell(value: float | None) -> float | str:
    return "" if value is None else value
