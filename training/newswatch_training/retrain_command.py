"""`newswatch-train retrain`: train a challenger and promote it if it earns it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from newswatch_labels.corpus import read_corpus
from newswatch_labels.errors import InputError
from newswatch_labels.scheme import Scheme
from newswatch_labels.terminal import out, report_faults, table
from newswatch_training.model_kind import ModelKind

if TYPE_CHECKING:
    from newswatch_training.retrain import Retraining

STAYS = 4  # exit status


def retrain(
    corpus: Annotated[Path, typer.Option(help="JSONL file, or a folder of them.")] = Path("labels/corpus"),
    add: Annotated[list[Path] | None, typer.Option(help="New records: a JSONL file or folder; may be given several times.")] = None,
    scheme: Annotated[Path | None, typer.Option(help="A taxonomy.yaml; default: the one shipped.")] = None,
    model: Annotated[ModelKind, typer.Option(help="Which model to train.")] = ModelKind.ENSEMBLE,
    settings: Annotated[Path | None, typer.Option(help="Settings of the models as JSON, such as tune writes.")] = None,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Parts of the cross-validation on the training records.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the split into folds and of the encoder's training.")] = 0,
    floor: Annotated[float, typer.Option(min=0.0, max=1.0, help="Least macro F1 of any champion.")] = 0.6,
    margin: Annotated[float, typer.Option(min=0.0, max=1.0, help="By how much macro F1 may lie below the champion's.")] = 0.0,
    ece: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Highest expected calibration error, unless the champion's is higher still.")
    ] = 0.03,
    by: Annotated[str | None, typer.Option(help="Who retrains, for the audit; default: user@host.")] = None,
    store: Annotated[Path, typer.Option(help="Folder of the local MLflow store, the bundles and the champion.")] = Path("mlruns"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train a challenger, compare it with the champion on a test fold that never trains, and promote it if it passes every gate.

    Exit status 0: promoted; 4: the champion stays, and the challenger lies in mlruns/challenger; 1: failure, nothing has changed.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    from newswatch_training.additions import read_additions
    from newswatch_training.encoder_settings import settings_for
    from newswatch_training.fit import FitSettings, ModelSettings
    from newswatch_training.gate import Limits
    from newswatch_training.linear import LinearSettings
    from newswatch_training.retrain import retrain as run_retraining
    from newswatch_training.settings_file import apply_settings

    tags = Scheme.load(scheme)
    found = read_corpus(corpus, tags)
    added = read_additions(add or [], found, tags)
    report_faults((*found.faults, *added.faults))
    asked = ModelSettings(
        linear=None if model is ModelKind.ENCODER else LinearSettings(),
        encoder=None if model is ModelKind.LINEAR else settings_for((*found.records, *added.records)),
    )
    if settings:
        asked = apply_settings(settings, asked)
    fit = FitSettings(folds=folds, seed=seed, store=store)
    try:
        result = run_retraining(found, [added], str(corpus), tags, asked, fit, Limits(floor=floor, margin=margin, ece=ece), by)
    except (OSError, MlflowException, SQLAlchemyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"the retraining ended in {type(error).__name__}: {reason:.200}",
            "a store and a tracking server that can be written",
            "The champion is as it was; mend the cause and run again.",
        ) from error
    if as_json:
        typer.echo(json.dumps(_to_dict(result), ensure_ascii=False, indent=1))
    else:
        _print(result)
    if not result.promoted:
        raise typer.Exit(STAYS)


def _to_dict(result: "Retraining") -> dict[str, Any]:
    from newswatch_training.frozen import Part

    return {
        "promoted": result.promoted,
        "bundle": result.bundle.label if result.bundle else None,
        "champion": result.champion,
        "why": result.why,
        "gates": [asdict(gate) for gate in result.gates],
        "records": {part.value: len(result.deal.rows(part)) for part in Part},
        "vanished": [member.id for member in result.deal.vanished],
        "fold": asdict(result.fold.macro_f1) if result.fold else None,
        "newest": asdict(result.newest.macro_f1) if result.newest else None,
        "run_id": result.run_id,
    }


def _print(result: "Retraining") -> None:
    from newswatch_training.frozen import Part

    counts = {part: len(result.deal.rows(part)) for part in Part}
    say = [f"{counts[Part.TRAINING]} records trained, {counts[Part.TEST]} test, {counts[Part.ASIDE]} set aside"]
    if result.swept:
        say.append(f"removed what a killed run left: {', '.join(result.swept)}")
    if result.deal.vanished:
        names = [member.id for member in result.deal.vanished]
        say.append(f"{len(names)} test records are no longer in the corpus: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}")
    if result.fold:
        keys = ("macro_f1", "core_f1", "micro_f1", "macro_average_precision", "ece", "evidence_f1")
        rows: list[tuple[object, ...]] = [
            (key, result.fold.champion[key], result.fold.challenger[key]) for key in keys if key in result.fold.champion
        ]
        rows += [(f"f1.{name}", own.champion, own.challenger) for name, own in result.fold.tags.items()]
        out.print(table("Test fold", ("figure", "champion", "challenger"), rows))
    for line in say:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    for gate in result.gates:
        out.print(f"{'passed' if gate.passed else 'FAILED'}  {gate.name}: {gate.reason}", markup=False, highlight=False, soft_wrap=True)
    name = result.bundle.label if result.bundle else "the challenger"
    verdict = f"{name} is the champion" if result.promoted else f"{name} stays challenger"
    out.print(f"{verdict}: {result.why}", markup=False, highlight=False, soft_wrap=True)
