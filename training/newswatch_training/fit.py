"""The story of a fit: read, split, fit, calibrate, evaluate, export, track, publish."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from newswatch.bundle import Bundle
from newswatch.ensemble import EnsembleModel
from newswatch.model import BundleError, Model
from newswatch.processors import count_processors
from newswatch_labels.census import take_census
from newswatch_labels.corpus import Corpus
from newswatch_labels.errors import RecordError
from newswatch_labels.folds import group_records
from newswatch_labels.scheme import Scheme
from newswatch_training.augmentation import USUAL, Augmentation
from newswatch_training.bootstrap import f1_intervals
from newswatch_training.card import write_card
from newswatch_training.champion import promote
from newswatch_training.cross_validation import CrossValidation, Fitter, hold_out, judge, others, past_rows, split_folds, validate_on_newest
from newswatch_training.encoder_settings import EncoderSettings
from newswatch_training.errors import worst_errors
from newswatch_training.examples import Examples
from newswatch_training.export import Provenance, write_bundle
from newswatch_training.linear import LinearFitter, LinearSettings
from newswatch_training.metrics import measure
from newswatch_training.plots import plot_precision_recall, plot_reliability, plot_tags
from newswatch_training.progress import Steps, show_steps
from newswatch_training.tracking import STORE, Run, open_run

if TYPE_CHECKING:
    from newswatch_training.encoder_fitter import EncoderFitter

NAME = "newswatch"
CHECKPOINTS = "checkpoints"
OTHER_STEPS = 5  # of run_fit, beside the fits


@dataclass(frozen=True)
class ModelSettings:
    """Which model to train: the linear one, the encoder, or both as an ensemble; None leaves a member out.

    Attributes:
        augmentation: of the encoder's training articles.
        patience: epochs without a better held-out macro F1 after which the encoder's training ends; 0 for never.
    """

    linear: LinearSettings | None = field(default_factory=LinearSettings)
    encoder: EncoderSettings | None = None
    augmentation: Augmentation = USUAL
    patience: int = 0

    @property
    def kind(self) -> str:
        """Name of the model, as the bundle has it."""
        return "ensemble" if self.linear and self.encoder else "linear" if self.linear else "encoder"

    def to_dict(self) -> dict[str, Any]:
        """All settings, flat."""
        linear = asdict(self.linear) if self.linear else {}
        encoder = {**asdict(self.encoder), **asdict(self.augmentation), "patience": self.patience} if self.encoder else {}
        return linear | encoder


@dataclass(frozen=True)
class FitSettings:
    """What a fit is asked for, beside the model's own settings.

    Attributes:
        folds: parts of the cross-validation by event, at least 2.
        seed: of the split into folds.
        jobs: of the encoder's fits, how many run at once on a CPU; default: one for each of its threads.
        newest: also train on the past and measure on the newest fifth; one fit more for each member.
        promote: make the bundle the champion.
        store: folder of the local MLflow store, the bundles and the champion.
        keep_backbone: folder for the encoder's trained backbone, in the form that `EncoderSettings.backbone` names.
    """

    folds: int = 3
    seed: int = 0
    jobs: int = field(default_factory=count_processors)
    newest: bool = True
    promote: bool = True
    store: Path = STORE
    keep_backbone: Path | None = None


@dataclass(frozen=True)
class FitResult:
    """A finished fit: its bundle, figures (`cv.*`, `time.*`), the MLflow run and store, and the seconds of the fits alone."""

    bundle: Bundle
    metrics: dict[str, float]
    run_id: str
    tracking_uri: str
    seconds: float


def run_fit(corpus: Corpus, source: str, scheme: Scheme, model: ModelSettings, settings: FitSettings) -> FitResult:
    """Train, evaluate, export, track and publish.

    Args:
        source: where the corpus came from, for the records of the run.

    Raises:
        RecordError: the corpus holds no readable record, or fewer events than folds.
        ParityError: the encoder's graph does not say what the trained encoder says.
    """
    if not corpus.records:
        raise RecordError(f"no readable record in {source}", "labelled records", "See the rows left out, above.")
    name = f"{model.kind}-{corpus.sha256[:8]}"
    with open_run(name, settings.store) as run, show_steps(count_steps(model, settings)) as advance:
        result = fit_bundle(run, advance, corpus, {"source": source}, scheme, model, settings)
    if settings.promote:
        promote(result.bundle, settings.store, "fit; it promotes without gates")
    return result


def count_steps(model: ModelSettings, settings: FitSettings) -> int:
    """Steps that `fit_bundle` tells of."""
    members = (model.linear is not None) + (model.encoder is not None)
    return members * (settings.folds + 1 + settings.newest) + OTHER_STEPS


def fit_bundle(
    run: Run, advance: Steps, corpus: Corpus, origin: Mapping[str, Any], scheme: Scheme, model: ModelSettings, settings: FitSettings
) -> FitResult:
    """Train, evaluate, export, track and register, and promote nothing.

    Args:
        origin: what the bundle says of its corpus beside hash and number of records; the `source` at least.

    Raises:
        RecordError: there are fewer events than folds.
        InputError: as `check_backbone`, before anything is read.
        ParityError: the encoder's graph does not say what the trained encoder says.
    """
    if model.encoder:
        from newswatch_training.backbone import check_backbone

        check_backbone(model.encoder)
    asked = {"model": model.kind, "folds": settings.folds, **model.to_dict(), "seed": settings.seed}
    run.log_settings({**asked, "records": len(corpus.records), "rows_left_out": len(corpus.faults)})
    started = time.perf_counter()
    advance("reading sentences and counting n-grams")
    examples = Examples.prepare(corpus.records, scheme)
    fitters = _make_fitters(examples, model, settings, run, advance)
    groups = group_records(examples.records)
    folds = split_folds(examples, groups, settings.folds, settings.seed)
    if model.encoder:
        encoder = cast("EncoderFitter", fitters["encoder"])
        advance("encoder: all fits, side by side where there are cores")
        encoder.train_side_by_side(_all_rows(examples, groups, folds, settings.newest), settings.jobs)
    held_out = {kind: hold_out(fitter, examples, folds, advance) for kind, fitter in fitters.items()}
    validation = judge(held_out, examples, folds)
    newest = None
    if settings.newest:
        advance("the past, for the newest fifth")
        newest = validate_on_newest(fitters, examples, groups, held_out)
    final = _fit_final(fitters, examples, validation, advance)
    seconds = time.perf_counter() - started

    advance("metrics")
    metrics = {f"cv.{name}": value for name, value in measure(validation.outcome).items()}
    if newest is not None:
        metrics |= {f"time.{name}": value for name, value in measure(newest).items()}
    if validation.cascaded is not None:
        metrics |= {f"cascade.{name}": value for name, value in measure(validation.cascaded).items()}
        metrics["cascade.share"] = validation.cascade_share
    now = datetime.now(UTC)
    version = f"{now:%Y%m%dT%H%M%S}-{run.id[:6]}"
    provenance = Provenance(
        name=NAME,
        version=version,
        corpus={**origin, "sha256": corpus.sha256, "records": len(corpus.records)},
        settings=asked,
        metrics={name.removeprefix("cv."): value for name, value in metrics.items() if name.startswith("cv.")},
        mlflow={"run_id": run.id, "tracking_uri": run.uri},
    )
    census, intervals = take_census(corpus.records, scheme), f1_intervals(validation.outcome, groups)
    card = write_card(f"{NAME}@{version}", final.kind, scheme, census, metrics, intervals, provenance.corpus)
    advance("writing and proving the bundle")
    folder = settings.store / "bundles" / version
    bundle = write_bundle(folder, final, validation.decision, examples, provenance, card, validation.logits)

    advance("tracking")
    run.log_metrics({**metrics, "fit_seconds": seconds})
    run.log_corpus(list(corpus.records), corpus.sha256, Path(origin["source"]).name)
    run.log_figure(plot_precision_recall(validation.outcome), "precision_recall")
    run.log_figure(plot_reliability(validation.outcome), "reliability")
    run.log_figure(plot_tags(validation.outcome, measure(validation.outcome)), "tags")
    run.log_errors(worst_errors(validation.outcome), "worst_errors")
    run.register(bundle)
    if model.encoder:
        encoder = cast("EncoderFitter", fitters["encoder"])
        if settings.keep_backbone:
            encoder.keep_backbone(np.arange(len(examples.records)), settings.keep_backbone)
        encoder.forget()
    return FitResult(bundle, metrics, run.id, run.uri, seconds)


def _make_fitters(examples: Examples, model: ModelSettings, settings: FitSettings, run: Run, steps: Steps) -> dict[str, Fitter]:
    fitters: dict[str, Fitter] = {}
    if model.linear:
        fitters["linear"] = LinearFitter(examples, model.linear)
    if model.encoder:
        from newswatch_training.encoder_fitter import EncoderFitter, Watch

        watch = Watch(steps.measure, steps.advance, run.log_curve)
        encoder = replace(model.encoder, seed=settings.seed)
        work = settings.store / CHECKPOINTS
        fitters["encoder"] = EncoderFitter(examples, encoder, model.augmentation, work, patience=model.patience, watch=watch)
    return fitters


def _all_rows(examples: Examples, groups: Sequence[int], folds: Sequence[NDArray[np.int64]], newest: bool) -> list[NDArray[np.int64]]:
    """Training rows of every fit to come."""
    rows = [others(folds, number) for number in range(len(folds))]
    if newest and (past := past_rows(examples, groups)) is not None:
        rows.append(past)
    return [*rows, np.arange(len(examples.records))]


def _fit_final(fitters: Mapping[str, Fitter], examples: Examples, validation: CrossValidation, advance: Callable[[str], None]) -> Model:
    rows = np.arange(len(examples.records))
    models: dict[str, Any] = {}
    for kind, fitter in fitters.items():
        advance(f"{kind}: all records")
        models[kind] = fitter.fit(rows)
    if validation.combination is None:
        (model,) = models.values()
        return model  # type: ignore[no-any-return]
    return EnsembleModel(models["linear"], models["encoder"], validation.combination, validation.certain)


def is_current(corpus: Corpus, scheme: Scheme, model: ModelSettings, store: Path = STORE) -> bool:
    """Whether the champion is whole and was trained on this very corpus, scheme and settings; an ensemble holds its members' settings."""
    try:
        champion = Bundle.load(store / "champion")
    except BundleError:  # none yet, damaged, or of another release: train a new one
        return False
    manifest, asked = champion.manifest, model.to_dict()
    trained = {name: manifest["settings"].get(name) for name in asked}
    hashes = {manifest["corpus"]["sha256"], manifest["corpus"].get("whole")}  # a retraining holds a part of the corpus back
    return bool(corpus.sha256 in hashes and trained == asked and champion.scheme == scheme)
