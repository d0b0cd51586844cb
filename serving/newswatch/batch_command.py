"""The command `newswatch batch`."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from newswatch.options import BundleOption, CascadeOption, IdField, KindOption, TextField, TitleField
from newswatch.reading import Columns
from newswatch.summary import SUMMARY, Summary
from newswatch_labels.errors import InputError
from newswatch_labels.terminal import err, out, table

if TYPE_CHECKING:  # the runner loads with the command, not with every other one
    from newswatch.batch import Report

QUARANTINED = 3


class Engine(StrEnum):
    """Where a batch runs."""

    local = "local"
    spark = "spark"


def batch(
    paths: Annotated[list[str], typer.Argument(help="Files (JSONL, CSV, Parquet, text, HTML; .gz and .zst too), folders or globs.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder of the output; a run started again goes on in it.")],
    bundle: BundleOption = None,
    output: Annotated[str, typer.Option(help="jsonl or parquet.")] = "jsonl",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that score, one thread each; default: one a processor.")] = None,
    dedupe: Annotated[bool, typer.Option("--dedupe", help="Mark copies of an earlier article (duplicate_of).")] = False,
    evidence: Annotated[bool, typer.Option(help="Write the sentences that carry each tag.")] = True,
    cascade: CascadeOption = True,
    kind: KindOption = None,
    text_column: TextField = "text",
    id_column: IdField = "id",
    title_column: TitleField = "title",
    engine: Annotated[Engine, typer.Option(help="local: this machine's processors; spark: a Spark cluster.")] = Engine.local,
    master: Annotated[str | None, typer.Option(help="Address of the Spark master (spark://host:7077, local[2]).")] = None,
) -> None:
    """Score many files: an output file each, gone on with after a stop.

    Rows that cannot be scored go to OUT/quarantine, and the exit status is then 3. OUT/summary.json holds the counts.
    """
    columns = Columns(text_column, id_column, title_column)
    if engine is Engine.spark:
        if dedupe or workers:
            raise InputError("--dedupe or --workers with --engine spark", "neither", "Leave them out, or use --engine local.")
        from newswatch.spark import run_batch as run_on_spark

        summary = run_on_spark(
            paths, folder, bundle=bundle, master=master, columns=columns, kind=kind, output=output, evidence=evidence, cascade=cascade
        )
    else:
        from newswatch.batch import run_batch

        if master:
            raise InputError(f"--master {master} with --engine local", "--engine spark", "Add --engine spark, or leave --master out.")
        with _progress() as report:
            summary = run_batch(
                paths, folder, bundle=bundle, columns=columns, kind=kind, output=output, evidence=evidence, cascade=cascade,
                dedupe=dedupe, workers=workers, report=report,
            )  # fmt: skip
    _print_summary(summary, folder)
    if summary.tally.quarantined:
        raise typer.Exit(QUARANTINED)


@contextmanager
def _progress() -> Iterator["Report"]:
    """A bar with rate and time left, on stderr where that is a terminal."""
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[articles]:,} articles, {task.fields[rate]:,.0f} a second"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None, articles=0, rate=0.0)

        def report(done: int, whole: int, articles: int) -> None:
            rate = articles / (bar.tasks[0].elapsed or 1.0)
            bar.update(task, completed=done, total=whole, articles=articles, rate=rate)

        yield report


def _print_summary(summary: Summary, folder: Path) -> None:
    tally = summary.tally
    facts = {
        "model": summary.model,
        "articles": f"{tally.articles:,}",
        "scored in this run": f"{summary.scored:,} in {summary.seconds:,.1f} s, {summary.articles_per_second:,.1f} a second",
        "input files": f"{summary.shards:,}, {summary.skipped:,} of them done before",
        "to be reviewed": f"{tally.review:,} ({summary.review_share:.1%})",
        "copies": f"{tally.duplicates:,}",
        "in quarantine": f"{tally.quarantined:,}",
    }
    out.print(table("Batch", ("what", "value"), facts.items()))
    counts = sorted(tally.tags.items(), key=lambda pair: (-pair[1], pair[0]))
    out.print(table("Tags", ("tag", "articles"), ((tag, f"{count:,}") for tag, count in counts)))
    out.print(f"Output and {SUMMARY} are in {folder}.", markup=False, highlight=False, soft_wrap=True)
