"""`newswatch`: score articles, look at bundles."""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from newswatch import __version__
from newswatch.batch_command import batch
from newswatch.bundle import Bundle
from newswatch.options import BundleArgument, BundleOption, CascadeOption, IdField, KindOption, TextField, TitleField
from newswatch.prediction import Prediction
from newswatch.reading import Columns, Fault, read_articles
from newswatch.scorer import Article, Scorer
from newswatch.serve_command import serve
from newswatch.watch_command import store_app, watch
from newswatch_labels.terminal import err, new_app, out, run_command, table

BATCH = 64
QUARANTINED = 3

app = new_app("Tag security news and show the sentences that say so.")
bundle_app = new_app("Look at a trained bundle.")
app.add_typer(bundle_app, name="bundle")
app.command()(serve)
app.add_typer(store_app, name="store")
app.command()(batch)
app.command()(watch)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"newswatch {__version__}")
        raise typer.Exit


@app.callback()
def _app(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Tag security news and show the sentences that say so."""


@app.command()
def score(
    paths: Annotated[
        list[str], typer.Argument(help="Files (text, HTML, JSONL, CSV, Parquet; .gz, .zst), folders, or - for standard input.")
    ],
    bundle: BundleOption = None,
    as_table: Annotated[bool, typer.Option("--table", help="Print tables for the eye instead of JSON lines.")] = False,
    evidence: Annotated[bool, typer.Option(help="Show the sentences that carry each tag.")] = True,
    cascade: CascadeOption = True,
    kind: KindOption = None,
    text_column: TextField = "text",
    id_column: IdField = "id",
    title_column: TitleField = "title",
) -> None:
    """Score articles: a JSON line each. Rows that hold no article are named on stderr, and the exit status is then 3."""
    scorer = Scorer.load(bundle, cascade=cascade)
    columns = Columns(text_column, id_column, title_column)
    faults: list[Fault] = []
    articles = _readable(read_articles(paths, columns, kind), faults)
    for prediction in chain.from_iterable(scorer.score(part) for part in _batches(articles)):
        if as_table:
            out.print(prediction_table(prediction, scorer.bundle, evidence))
        else:
            row = prediction.to_dict()
            if not evidence:
                del row["evidence"]
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
    if faults:
        raise typer.Exit(QUARANTINED)


def _batches(articles: Iterator[Article]) -> Iterator[list[Article]]:
    while batch := list(islice(articles, BATCH)):
        yield batch


def _readable(rows: Iterable[Article | Fault], faults: list[Fault]) -> Iterator[Article]:
    for row in rows:
        if isinstance(row, Fault):
            faults.append(row)
            err.print(f"not scored: {row.error}", style="yellow", markup=False, highlight=False, soft_wrap=True)
        else:
            yield row


def prediction_table(prediction: Prediction, bundle: Bundle, evidence: bool = True) -> Table:
    """A table of the tags an article carries or should be reviewed for, with probability and evidence."""
    made = Table(title=escape(prediction.id or "article"), title_justify="left", show_lines=evidence, header_style="bold")
    made.add_column("tag", no_wrap=True)
    made.add_column("probability", justify="right")
    if evidence:
        made.add_column("evidence (its own probability)", ratio=1)
    shown = [name for name in bundle.scheme.names if name in prediction.tags or name in prediction.review]
    for name in sorted(shown, key=lambda tag: -prediction.scores[tag]):
        carried = name in prediction.tags
        mark = "\n(review)" if name in prediction.review else ""
        cells = [
            f"[bold]{name}[/bold]{mark}" if carried else f"[dim]{name}\nnot carried (review)[/dim]",
            f"{prediction.scores[name]:.2f}",
        ]
        if evidence:
            cells.append("\n".join(f"{escape(e.text)} ({e.score:.2f})" for e in prediction.evidence.get(name, ())))
        made.add_row(*cells)
    if not shown:
        made.add_row("[dim]no tag[/dim]", *[""] * (2 if evidence else 1))
    return made


@bundle_app.command()
def show(bundle: BundleArgument = None, as_json: Annotated[bool, typer.Option("--json", help="Print the manifest.")] = False) -> None:
    """Show what a bundle was trained on, its thresholds and its figures."""
    loaded = Bundle.load(bundle)
    if as_json:
        typer.echo(json.dumps(loaded.manifest, ensure_ascii=False, indent=1))
        return
    facts = {
        "bundle": loaded.label,
        "folder": str(loaded.folder),
        "sha256 of bundle.json": loaded.sha256,
        "model": loaded.manifest["model"]["kind"],
        "scheme": f"version {loaded.scheme.version}, {len(loaded.scheme.names)} tags",
        **{f"corpus {key}": value for key, value in loaded.manifest.get("corpus", {}).items()},
        **{f"mlflow {key}": value for key, value in loaded.manifest.get("mlflow", {}).items()},
    }
    out.print(table("Bundle", ("what", "value"), facts.items()))
    f1 = loaded.manifest.get("metrics", {})
    rows = [
        (name, rule.threshold, f"{rule.review_low:.2f}-{rule.review_high:.2f}", f1.get(f"f1.{name}", ""))
        for name, rule in loaded.decision.rules.items()
    ]
    out.print(table("Tags", ("tag", "threshold", "review band", "F1, cross-validated by event"), rows))


@bundle_app.command()
def verify(
    bundle: BundleArgument = None,
    sha256: Annotated[str | None, typer.Option(help="Hash that bundle.json must have.")] = None,
) -> None:
    """Check format, checksums and golden rows; exit status 1 if anything is off."""
    loaded = Bundle.load(bundle, sha256)
    out.print(f"{loaded.label}: whole, sha256 {loaded.sha256}", highlight=False, soft_wrap=True)


def main() -> None:
    """Entry point of `newswatch`."""
    run_command(app)
