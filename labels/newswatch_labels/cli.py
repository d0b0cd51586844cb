"""`newswatch-labels`: check, count, split and exchange a corpus."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from newswatch_labels.agreement import compare_readers
from newswatch_labels.census import take_census
from newswatch_labels.check import check_corpus
from newswatch_labels.corpus import SPLITS, Corpus, read_corpus, write_corpus, write_whole
from newswatch_labels.errors import InputError
from newswatch_labels.folds import split_by_event, split_by_time
from newswatch_labels.label_studio import from_label_studio, label_studio_config, to_label_studio
from newswatch_labels.reviews import from_reviews
from newswatch_labels.scheme import Scheme
from newswatch_labels.spreadsheet import from_csv, to_csv, to_jsonl
from newswatch_labels.terminal import err, new_app, out, report_faults, run_command, table

LABEL_STUDIO = "label-studio"
EXPORTS = (LABEL_STUDIO, "csv", "jsonl")
LEFT_OUT = 3
_IMPORTS = {"csv": from_csv, "reviews": from_reviews}

app = new_app("Check, count, split and exchange labelled corpora.")

CorpusPath = Annotated[Path, typer.Argument(help="A JSONL file, or a folder of them.")]
SchemePath = Annotated[Path | None, typer.Option("--scheme", help="A taxonomy.yaml; default: the one shipped.")]


@app.command()
def check(corpus: CorpusPath, scheme: SchemePath = None) -> None:
    """Check every record; exit status 1 if the corpus has a fault."""
    tags = Scheme.load(scheme)
    found = read_corpus(corpus, tags)
    report = check_corpus(found)
    for fault in report.faults:
        err.print(f"fault: {fault}", style="red", markup=False, highlight=False, soft_wrap=True)
    for run in report.runs:
        err.print(f"shared words: {run.first} and {run.second}: {run.words!r}", style="red", markup=False, highlight=False, soft_wrap=True)
    for pair in report.duplicates:
        out.print(
            f"near-duplicates, kept in one fold: {pair.first} and {pair.second} ({pair.similarity:.2f})", highlight=False, soft_wrap=True
        )
    _print_census(found, tags)
    out.print(
        f"{len(found.records)} records, {len(report.faults)} faults, {len(report.runs)} shared runs of words, "
        f"{len(report.duplicates)} near-duplicates, sha256 {found.sha256[:12]}",
        highlight=False,
    )
    if not report.passed:
        raise typer.Exit(1)


@app.command()
def stats(
    corpus: CorpusPath,
    scheme: SchemePath = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Count records per tag, length, style, outlet and year."""
    tags = Scheme.load(scheme)
    found = read_corpus(corpus, tags)
    report_faults(found.faults)
    if as_json:
        typer.echo(json.dumps(take_census(found.records, tags).to_dict(), ensure_ascii=False, indent=1))
    else:
        _print_census(found, tags)


@app.command()
def split(
    corpus: CorpusPath,
    to: Annotated[Path, typer.Argument(help="Folder to write train.jsonl, dev.jsonl and test.jsonl into.")],
    by: Annotated[str, typer.Option(help="event: balanced tags. time: the newest records are the test.")] = "event",
    dev: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share of the records for dev.")] = 0.1,
    test: Annotated[float, typer.Option(min=0.01, max=0.9, help="Share of the records for test.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    scheme: SchemePath = None,
) -> None:
    """Split a corpus so that no event, contrast pair or near-duplicate lies in two parts."""
    if by not in ("event", "time") or dev + test >= 1:
        raise InputError(f"--by {by} --dev {dev} --test {test}", "--by event or time, and shares below 1 together", "Mend the options.")
    found = read_corpus(corpus, Scheme.load(scheme))
    report_faults(found.faults)
    records = found.records
    names = [name for name, share in zip(SPLITS, (1 - dev - test, dev, test), strict=True) if share > 0]
    if by == "event":
        parts = split_by_event(records, [s for s in (1 - dev - test, dev, test) if s > 0], seed)
    else:
        newest = split_by_time(records, test)
        parts = [(len(names) - 1) * part for part in newest]
        if dev:
            rest = [record for record, part in zip(records, newest, strict=True) if not part]
            later = dict(zip((r.id for r in rest), split_by_time(rest, dev / (1 - test)), strict=True))
            parts = [later.get(record.id, part) for record, part in zip(records, parts, strict=True)]
    to.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        chosen = [record for record, part in zip(records, parts, strict=True) if part == number]
        write_corpus(chosen, to / f"{name}.jsonl")
        out.print(f"{to / f'{name}.jsonl'}: {len(chosen)} records", highlight=False, soft_wrap=True)


@app.command()
def agree(
    first: Annotated[Path, typer.Argument(help="One reader's records.")],
    second: Annotated[Path, typer.Argument(help="The other's, of the same texts; records only one of them has are passed over.")],
    scheme: SchemePath = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare two readings: kappa and F1 per tag and on evidence sentences, and every disagreement."""
    tags = Scheme.load(scheme)
    readings = [read_corpus(path, tags) for path in (first, second)]
    for reading in readings:
        report_faults(reading.faults)
    agreement = compare_readers(readings[0].records, readings[1].records, tags)
    rows = [
        (name, a.both, a.only_first, a.only_second, a.kappa, a.f1, a.evidence_f1)
        for name, a in (*agreement.tags.items(), ("all tags", agreement.micro))
    ]
    if as_json:
        keys = ("tag", "both", "only_first", "only_second", "kappa", "f1", "evidence_f1")
        figures = [dict(zip(keys, row, strict=True)) for row in rows]
        listed = [asdict(d) for d in agreement.disagreements]
        whole = {"records": agreement.records, "macro_f1": agreement.macro_f1, "tags": figures, "disagreements": listed}
        typer.echo(json.dumps(whole, ensure_ascii=False, indent=1))
        return
    for d in agreement.disagreements:
        shown = " | ".join(d.sentences)
        out.print(f"{d.id}: {d.tag} given by the {d.given_by} reader alone: {shown}", markup=False, highlight=False, soft_wrap=True)
    columns = ("tag", "both", "first alone", "second alone", "kappa", "F1", "F1 of evidence")
    out.print(table(f"Agreement on {agreement.records} records, macro F1 {agreement.macro_f1:.3f}", columns, rows))


@app.command()
def export(
    corpus: CorpusPath,
    path: Annotated[
        Path, typer.Argument(metavar="OUT", help="File to write; for label-studio the tasks, and beside it the interface as .config.xml.")
    ],
    to: Annotated[str, typer.Option(help="label-studio (tasks), csv (every field) or jsonl (id, text and labels).")],
    predictions: Annotated[Path | None, typer.Option(help="JSONL of newswatch score, as pre-annotations for label-studio.")] = None,
    scheme: SchemePath = None,
) -> None:
    """Write a corpus for Label Studio, a spreadsheet or another trainer; exit status 3 if records were left out."""
    if to not in EXPORTS or (predictions and to != LABEL_STUDIO):
        given = f"--to {to}" + (f" --predictions {predictions}" if predictions else "")
        raise InputError(given, f"--to {', '.join(EXPORTS)}; --predictions with {LABEL_STUDIO} alone", "Mend the options.")
    tags = Scheme.load(scheme)
    found = read_corpus(corpus, tags)
    report_faults(found.faults)
    if not found.records:
        raise InputError(f"corpus {corpus} without a readable record", "at least one record", "Mend the rows named above.")
    if to == LABEL_STUDIO:
        tasks = to_label_studio(found.records, tags, _read_predictions(predictions, found) if predictions else None)
        write_whole(json.dumps(tasks, ensure_ascii=False, indent=1) + "\n", path)
        config = path.with_suffix(".config.xml")
        write_whole(label_studio_config(tags), config)
        out.print(f"{config}: {len(tags.names)} tags", highlight=False, soft_wrap=True)
    else:
        (to_csv if to == "csv" else to_jsonl)(found.records, path)
    out.print(f"{path}: {len(found.records)} records", highlight=False, soft_wrap=True)
    if found.faults:
        raise typer.Exit(LEFT_OUT)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Label Studio's JSON export, a CSV file that export wrote, or a newswatch.db.")],
    path: Annotated[Path, typer.Argument(metavar="OUT", help="JSONL file to write.")],
    source: Annotated[str, typer.Option("--from", help="label-studio, csv or reviews (what people decided on the desk).")],
    scheme: SchemePath = None,
) -> None:
    """Read annotated tasks, an edited spreadsheet or reviews into a corpus file; exit status 3 if any were left out."""
    tags = Scheme.load(scheme)
    if source == LABEL_STUDIO:
        records, faults = from_label_studio(_read_tasks(file), tags)
    elif source in _IMPORTS:
        records, faults = _IMPORTS[source](file, tags)
    else:
        raise InputError(f"--from {source}", f"--from {LABEL_STUDIO}, {' or '.join(_IMPORTS)}", "Mend the option.")
    report_faults(faults)
    if not records:
        raise InputError(f"{file} without a readable record", "at least one record", "Mend what is named above.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_corpus(records, path)
    out.print(f"{path}: {len(records)} records", highlight=False, soft_wrap=True)
    if faults:
        raise typer.Exit(LEFT_OUT)


def _read_tasks(file: Path) -> list[Any]:
    try:
        tasks = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: {error}", "Label Studio's JSON export", "Export the project as JSON.") from error
    if not isinstance(tasks, list):
        raise InputError(f"{file}: {type(tasks).__name__}", "a list of tasks", "Export the project as JSON.")
    return tasks


def _read_predictions(file: Path, found: Corpus) -> list[dict[str, Any]]:
    """Rows of `newswatch score`, of which at least one is on a record of the corpus."""
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: {error}", "JSONL that newswatch score wrote", "Score the corpus again.") from error
    ids = {record.id for record in found.records}
    if not all(isinstance(row, dict) for row in rows) or not any(row.get("id") in ids for row in rows):
        raise InputError(f"{file}: no prediction on a record of the corpus", "rows with the ids of the corpus", "Score this corpus.")
    return rows


def _print_census(found: Corpus, tags: Scheme) -> None:
    census = take_census(found.records, tags)
    rows = [(f"{name} *" if tags[name].core else name, n, census.evidence_sentences[name]) for name, n in census.tags.items()]
    out.print(table("Tags (* core)", ("tag", "records", "evidence sentences"), [*rows, ("no tag", census.no_tag, "")]))
    words = dict(zip(("5 %", "25 %", "median", "75 %", "95 %"), census.words, strict=True))
    out.print(table("Words a text", ("quantile", "words"), words.items()))
    traits = {
        "events": census.events,
        "350 words or more, with a tag in the last third alone": census.long_late,
        "with page furniture": census.furniture,
        "in the manner of machine translation": census.translation,
        "contrast pairs": census.contrast_pairs,
        "invented": census.invented,
    }
    out.print(table("Traits", ("trait", "records"), traits.items()))
    out.print(table("Years", ("year", "records"), census.years.items()))
    out.print(table("Styles", ("style", "records"), census.styles.items()))
    top = list(census.outlets.items())
    rest = sum(n for _, n in top[12:])
    out.print(table("Outlets", ("outlet", "records"), [*top[:12], (f"{max(0, len(top) - 12)} others", rest)]))


def main() -> None:
    """Entry point of `newswatch-labels`."""
    run_command(app)
