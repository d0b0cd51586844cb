"""`newswatch-train promote`, `rollback` and `history`: the champion, by hand."""

import json
from pathlib import Path
from typing import Annotated

import typer

from newswatch.bundle import Bundle
from newswatch_labels.errors import NewswatchError
from newswatch_labels.terminal import out, report_faults, table

Store = Annotated[Path, typer.Option(help="Folder of the local MLflow store, the bundles and the champion.")]
Why = Annotated[str, typer.Option(help="Why, for the audit.")]
By = Annotated[str | None, typer.Option(help="Who decides, for the audit; default: user@host.")]


def promote(
    why: Why,
    bundle: Annotated[str | None, typer.Argument(help="Folder, label or version; default: the challenger.")] = None,
    by: By = None,
    store: Store = Path("mlruns"),
) -> None:
    """Make a bundle the champion by hand, after a review; no gate is asked."""
    from newswatch_training.champion import CHALLENGER, find_folder
    from newswatch_training.champion import promote as make_champion

    loaded = Bundle.load(find_folder(store, bundle) if bundle else store / CHALLENGER)
    make_champion(loaded, store, _said(why), by)
    out.print(f"{loaded.label} is the champion", markup=False, highlight=False, soft_wrap=True)


def rollback(
    why: Why,
    to: Annotated[str | None, typer.Option(help="Folder, label or version of a bundle; default: the champion before this one.")] = None,
    by: By = None,
    store: Store = Path("mlruns"),
) -> None:
    """Make an earlier bundle the champion again, proved whole before it serves."""
    from newswatch_training.champion import rollback as restore

    bundle = restore(store, _said(why), to, by)
    out.print(f"{bundle.label} is the champion again", markup=False, highlight=False, soft_wrap=True)


def history(store: Store = Path("mlruns"), as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False) -> None:
    """List every decision about the champion, oldest first; exit status 3 if a line of the audit cannot be read."""
    from newswatch_training.audit import read_audit

    entries, faults = read_audit(store)
    if as_json:
        for entry in entries:
            typer.echo(json.dumps(entry.to_dict(), ensure_ascii=False))
    else:
        rows = []
        for entry in entries:
            figure = next((gate.measured for gate in entry.gates if gate.name == "floor"), None)
            name = entry.subject.bundle if entry.subject else "none"
            rows.append((entry.when, entry.who, entry.action.value, name, "-" if figure is None else figure, entry.why))
        out.print(table("Champions", ("when", "who", "decision", "bundle", "macro F1", "why"), rows))
    report_faults(faults)
    if faults:
        raise typer.Exit(3)


def _said(why: str) -> str:
    if not why.strip():
        raise NewswatchError("an empty --why", "a reason", "Say in a few words why.")
    return why.strip()
