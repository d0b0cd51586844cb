"""`newswatch-train tune`: search for better settings."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from newswatch_labels.corpus import read_corpus
from newswatch_labels.errors import InputError
from newswatch_labels.scheme import Scheme
from newswatch_labels.terminal import err, out, report_faults, table
from newswatch_training.encoder_settings import DEFAULT_BACKBONE, settings_for
from newswatch_training.model_kind import ModelKind


def tune(
    model: Annotated[ModelKind, typer.Option(help="linear or encoder.")],
    corpus: Annotated[Path, typer.Option(help="JSONL file, or a folder of them.")] = Path("labels/corpus"),
    scheme: Annotated[Path | None, typer.Option(help="A taxonomy.yaml; default: the one shipped.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials of the whole study; run again, it goes on to this number.")] = 30,
    minutes: Annotated[float | None, typer.Option(min=0.0, help="Begin no trial after so many minutes.")] = None,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Parts of the split by event.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the split and of the encoder's training.")] = 0,
    backbone: Annotated[str, typer.Option(help="Encoder: a folder or Hugging Face Hub id, or the one shipped.")] = DEFAULT_BACKBONE,
    store: Annotated[Path, typer.Option(help="Folder of the local MLflow store and of the studies.")] = Path("mlruns"),
) -> None:
    """Search for settings with the best held-out macro F1, and write them to a file for `fit --settings` and `retrain --settings`.

    The study lies in mlruns/optuna.db; killed and run again, it goes on. The space is in newswatch_training/space.py.
    """
    from newswatch_training.linear import LinearSettings
    from newswatch_training.tune import tune as search

    if model is ModelKind.ENSEMBLE:
        raise InputError("--model ensemble", "linear or encoder", "Tune its two members one after the other.")
    tags = Scheme.load(scheme)
    found = read_corpus(corpus, tags)
    report_faults(found.faults)
    base = LinearSettings() if model is ModelKind.LINEAR else replace(settings_for(found.records), backbone=backbone)
    with err.status(f"tuning the {model.value} model"):
        result = search(found, tags, base, store, trials, minutes, folds, seed)
    begun = asdict(base)
    rows = [(name, begun[name], value) for name, value in asdict(result.settings).items() if name != "seed"]
    out.print(table("Best settings", ("setting", "begun with", "best"), [*rows, ("macro F1", result.begun_with, result.macro_f1)]))
    counts = ", ".join(f"{count} {state}" for state, count in result.trials.items())
    out.print(f"trials: {counts}; {result.tried} in this sitting", markup=False, highlight=False)
    out.print(
        f"use them: newswatch-train fit --model {model.value} --settings {result.file}", markup=False, highlight=False, soft_wrap=True
    )
