"""`newswatch-train`: fit, tune, evaluate, benchmark and retrain models."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from newswatch.bundle import Bundle
from newswatch_labels.corpus import read_corpus
from newswatch_labels.errors import InputError
from newswatch_labels.scheme import Scheme
from newswatch_labels.terminal import err, new_app, out, report_faults, run_command, table
from newswatch_training.champion_commands import history, promote, rollback
from newswatch_training.drift_command import drift
from newswatch_training.encoder_settings import DEFAULT_BACKBONE, UNMARKED, EncoderSettings, Precision, settings_for
from newswatch_training.model_kind import ModelKind
from newswatch_training.retrain_command import retrain
from newswatch_training.tune_command import tune

app = new_app("Train, evaluate, benchmark and retrain models.")
app.command()(drift)

CORPUS = Path("labels/corpus")
OVERALL = (
    "macro_f1", "core_f1", "micro_f1", "weighted_f1", "example_f1", "macro_average_precision", "ranking_average_precision",
    "ranking_loss", "brier", "ece", "evidence_f1", "evidence_precision", "evidence_recall", "untagged_precision",
    "contrast_both_right", "review_share", "review_pairs", "review_missed",
)  # fmt: skip
PER_TAG = ("precision", "recall", "f1", "average_precision")


def _usual(name: str) -> str:
    return f"{getattr(EncoderSettings, name)}, or {getattr(UNMARKED, name)} where no record marks evidence"


@app.command()
def fit(
    corpus: Annotated[Path, typer.Option(help="JSONL file, or a folder of them.")] = CORPUS,
    scheme: Annotated[Path | None, typer.Option(help="A taxonomy.yaml; default: the one shipped.")] = None,
    model: Annotated[
        ModelKind, typer.Option(help="linear: minutes; encoder: a transformer; ensemble: both, the best and the default.")
    ] = ModelKind.ENSEMBLE,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Parts of the cross-validation by event.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the split into folds and of the encoder's training.")] = 0,
    newest: Annotated[
        bool | None,
        typer.Option("--newest/--no-newest", help="Also train on the past and measure on the newest fifth; default: linear only."),
    ] = None,
    backbone: Annotated[str, typer.Option(help="Encoder: a folder or Hugging Face Hub id, or the one shipped.")] = DEFAULT_BACKBONE,
    epochs: Annotated[int | None, typer.Option(min=1, help=f"Encoder: passes over the articles; default: {_usual('epochs')}.")] = None,
    layers: Annotated[
        int, typer.Option(min=0, help="Encoder: of the backbone's layers, from the first; fewer are faster and know less; 0: all.")
    ] = 0,
    window: Annotated[int | None, typer.Option(min=16, help=f"Encoder: tokens of a window; default: {_usual('window')}.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.0, help=f"Encoder: highest learning rate of the backbone; default: {_usual('rate')}.")
    ] = None,
    patience: Annotated[
        int, typer.Option(min=0, help="Encoder: stop after so many epochs without a better macro F1 on a tenth kept apart; 0: never.")
    ] = 0,
    precision: Annotated[Precision, typer.Option(help="Encoder: of the graph that serves.")] = Precision.INT8,
    keep_backbone: Annotated[
        Path | None, typer.Option(help="Encoder: also write the trained backbone into this folder, a --backbone for other tags.")
    ] = None,
    settings_file: Annotated[
        Path | None,
        typer.Option("--settings", help="Settings of the models as JSON, such as tune writes; they win over the options."),
    ] = None,
    store: Annotated[Path, typer.Option(help="Folder of the local MLflow store, the bundles and the champion.")] = Path("mlruns"),
    promote: Annotated[bool, typer.Option(help="Make the new bundle the champion.")] = True,
    if_changed: Annotated[bool, typer.Option("--if-changed", help="Do nothing if the champion was trained on this corpus.")] = False,
) -> None:
    """Train a model on a corpus, track the run in MLflow and publish the bundle as mlruns/champion.

    The encoder's training writes a checkpoint after each epoch below mlruns/checkpoints: run the same command again to go on.
    """
    from newswatch_training.fit import FitSettings, ModelSettings, is_current, run_fit
    from newswatch_training.linear import LinearSettings
    from newswatch_training.settings_file import apply_settings

    tags = Scheme.load(scheme)
    found = read_corpus(corpus, tags)
    report_faults(found.faults)
    usual = settings_for(found.records)
    encoder = replace(
        usual,
        backbone=backbone,
        layers=layers,
        epochs=usual.epochs if epochs is None else epochs,
        window=usual.window if window is None else window,
        rate=usual.rate if rate is None else rate,
        precision=precision.value,
    )
    settings = ModelSettings(
        linear=None if model is ModelKind.ENCODER else LinearSettings(),
        encoder=None if model is ModelKind.LINEAR else encoder,
        patience=patience,
    )
    if settings_file:
        settings = apply_settings(settings_file, settings)
    if keep_backbone and not settings.encoder:
        raise InputError("--keep-backbone with the linear model", "--model encoder or ensemble", "Name one of them, or leave it out.")
    if keep_backbone and keep_backbone.exists() and not keep_backbone.is_dir():
        raise InputError(f"--keep-backbone {keep_backbone}, a file", "a folder, or a name that is free", "Name another.")
    kept = keep_backbone is None or keep_backbone.is_dir()
    if if_changed and kept and is_current(found, tags, settings, store):
        out.print(f"{store / 'champion'} was trained on this corpus ({found.sha256[:12]}); nothing to do", highlight=False)
        return
    measured = newest if newest is not None else model is ModelKind.LINEAR
    asked = FitSettings(folds=folds, seed=seed, newest=measured, promote=promote, store=store, keep_backbone=keep_backbone)
    result = run_fit(found, str(corpus), tags, settings, asked)
    _print_metrics(result.metrics, {"cv.": "by event", "cascade.": "with the cascade", "time.": "by time"}, tags.names)
    out.print(f"{result.bundle.label}: fitted in {result.seconds:.0f} s, bundle {result.bundle.folder}", highlight=False, soft_wrap=True)
    out.print(f"run {result.run_id}; look at it: mlflow ui --backend-store-uri {result.tracking_uri}", highlight=False, soft_wrap=True)


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle, such as mlruns/champion.")],
    data: Annotated[Path, typer.Argument(help="Labelled records: a JSONL file, or a folder of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    errors: Annotated[int, typer.Option(min=0, help="Also list this many of the worst errors.")] = 0,
) -> None:
    """Score labelled records with a bundle and compare; exit status 3 if rows were left out."""
    from newswatch_training.errors import worst_errors
    from newswatch_training.evaluate import evaluate_bundle
    from newswatch_training.metrics import measure

    loaded = Bundle.load(bundle)
    with err.status(f"scoring {data}"):
        outcome, corpus = evaluate_bundle(loaded, data)
    report_faults(corpus.faults)
    metrics = measure(outcome)
    worst = worst_errors(outcome, errors)
    if as_json:
        typer.echo(
            json.dumps({"bundle": loaded.label, "metrics": metrics, "errors": [asdict(e) for e in worst]}, ensure_ascii=False, indent=1)
        )
    else:
        _print_metrics(metrics, {"": str(data)}, loaded.scheme.names)
        for error in worst:
            out.print(f"{error.kind} {error.tag} ({error.probability:.2f}) {error.id}: {error.sentence}", markup=False, highlight=False)
    if corpus.faults:
        raise typer.Exit(3)


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="Name of the data set, for the published figures beside ours.")],
    data: Annotated[Path, typer.Option(help="Folder with train.jsonl, dev.jsonl and test.jsonl.")],
    model: Annotated[ModelKind, typer.Option(help="Which model to train.")] = ModelKind.LINEAR,
    backbone: Annotated[str, typer.Option(help="Encoder: a folder or Hugging Face Hub id, or the one shipped.")] = DEFAULT_BACKBONE,
    epochs: Annotated[int, typer.Option(min=1, help="Encoder: passes over the articles.")] = UNMARKED.epochs,
    window: Annotated[int, typer.Option(min=16, help="Encoder: tokens of a window.")] = UNMARKED.window,
    words: Annotated[int | None, typer.Option(min=1, help="Encoder: read so many words of a text, from its start; default: all.")] = None,
    precision: Annotated[Precision, typer.Option(help="Encoder: of the graph that is measured.")] = Precision.INT8,
    seed: Annotated[int, typer.Option(help="Encoder: seed of its training.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit on train, tune on dev, report on test."""
    from newswatch_training.bench import run_bench

    if not data.is_dir():
        raise InputError(f"--data {data}", "a folder with train.jsonl, dev.jsonl and test.jsonl", "Check the path.")
    with err.status(name) as status:
        asked = replace(UNMARKED, backbone=backbone, epochs=epochs, window=window, precision=precision.value, seed=seed)
        encoder = None if model is ModelKind.LINEAR else asked
        result = run_bench(name, data, status.update, encoder, alone=model is ModelKind.ENCODER, words=words)
    if as_json:
        typer.echo(json.dumps(asdict(result), ensure_ascii=False, indent=1))
        return
    rows = [(key, result.at_half[key], result.tuned[key]) for key in OVERALL if key in result.at_half]
    rows += [(key, result.at_half[key], result.tuned[key]) for key in result.at_half if key.startswith("f1.")]
    out.print(table(f"{name}, test, {result.model}", ("figure", "threshold 0.5", "thresholds of dev"), rows))
    published = ", ".join(f"{model} {value:.4f}" for model, value in result.published.items())
    out.print(f"example F1 at 0.5: {result.at_half['example_f1']:.4f}; published: {published or 'none'}", highlight=False)
    out.print(f"chosen on dev (example F1 {result.dev_example_f1:.4f}): {result.settings}", highlight=False, soft_wrap=True)


@app.command()
def suspects(
    corpus: Annotated[Path, typer.Option(help="JSONL file, or a folder of them.")] = CORPUS,
    scheme: Annotated[Path | None, typer.Option(help="A taxonomy.yaml; default: the one shipped.")] = None,
    count: Annotated[int, typer.Option(min=1, help="How many to list.")] = 150,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Parts of the cross-validation by event.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """List the labels that cross-validated confident learning holds for wrong, worst first, to be read again."""
    from newswatch_labels.folds import group_records
    from newswatch_training.cross_validation import cross_validate
    from newswatch_training.examples import Examples
    from newswatch_training.linear import LinearFitter, LinearSettings
    from newswatch_training.suspects import find_suspects

    tags = Scheme.load(scheme)
    found = read_corpus(corpus, tags)
    report_faults(found.faults)
    with err.status("counting n-grams") as status:
        examples = Examples.prepare(found.records, tags)
        groups = group_records(examples.records)
        validation = cross_validate(LinearFitter(examples, LinearSettings()), examples, groups, folds, 0, status.update)
    for suspect in find_suspects(validation.outcome, count):
        if as_json:
            typer.echo(json.dumps(asdict(suspect), ensure_ascii=False))
        else:
            question = "wrongly given" if suspect.given else "forgotten"
            line = f"{suspect.id}: {suspect.tag} {question}? ({suspect.probability:.2f}) {suspect.title} | {suspect.sentence}"
            out.print(line, markup=False, highlight=False, soft_wrap=True)


def _print_metrics(metrics: dict[str, float], parts: dict[str, str], names: tuple[str, ...]) -> None:
    """A table of overall figures and one of tags; `parts` has the title of each prefix of the figures' names."""
    measured = {prefix: title for prefix, title in parts.items() if f"{prefix}macro_f1" in metrics}
    rows = [(key, *(metrics[f"{p}{key}"] for p in measured)) for key in OVERALL if all(f"{p}{key}" in metrics for p in measured)]
    out.print(table("Overall", ("figure", *measured.values()), rows))
    for prefix, title in measured.items():
        if prefix == "cascade.":
            continue
        tags = [
            (name, int(metrics[f"{prefix}support.{name}"]), *(metrics[f"{prefix}{key}.{name}"] for key in PER_TAG))
            for name in names
            if f"{prefix}support.{name}" in metrics
        ]
        out.print(table(f"Tags, {title}", ("tag", "articles", *PER_TAG), tags))


for command in (retrain, promote, rollback, history, tune):
    app.command()(command)


def main() -> None:
    """Entry point of `newswatch-train`."""
    run_command(app)
