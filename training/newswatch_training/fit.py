"""The story of a fit: read, split, fit, calibrate, evaluate, export, track, publish."""

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from newswatch.bundle import Bundle
from newswatch.model import BundleError
from newswatch_labels.census import take_census
from newswatch_labels.corpus import Corpus
from newswatch_labels.errors import RecordError
from newswatch_labels.folds import group_records
from newswatch_labels.scheme import Scheme
from newswatch_training.card import write_card
from newswatch_training.cross_validation import cross_validate, validate_on_newest
from newswatch_training.errors import worst_errors
from newswatch_training.examples import Examples
from newswatch_training.export import Provenance, publish, write_bundle
from newswatch_training.linear import LinearFitter, LinearSettings
from newswatch_training.metrics import measure
from newswatch_training.plots import plot_precision_recall, plot_reliability, plot_tags
from newswatch_training.progress import show_steps
from newswatch_training.tracking import STORE, open_run

NAME = "newswatch"
ALIAS = "champion"
OTHER_STEPS = 6  # of run_fit, beside a step a fold


@dataclass(frozen=True)
class FitSettings:
    """What a fit is asked for, beside the model's own settings.

    Attributes:
        folds: parts of the cross-validation by event, at least 2.
        seed: of the split into folds.
        promote: make the bundle the champion.
        store: folder of the local MLflow store, the bundles and the champion.
    """

    folds: int = 3
    seed: int = 0
    promote: bool = True
    store: Path = STORE


@dataclass(frozen=True)
class FitResult:
    """A finished fit: its bundle, figures (`cv.*`, `time.*`), the MLflow run and store, and the seconds of the fits alone."""

    bundle: Bundle
    metrics: dict[str, float]
    run_id: str
    tracking_uri: str
    seconds: float


def run_fit(corpus: Corpus, source: str, scheme: Scheme, model: LinearSettings, settings: FitSettings) -> FitResult:
    """Train, evaluate, export, track and publish.

    Args:
        source: where the corpus came from, for the records of the run.

    Raises:
        RecordError: the corpus holds no readable record, or fewer events than folds.
    """
    if not corpus.records:
        raise RecordError(f"no readable record in {source}", "labelled records", "See the rows left out, above.")
    asked = {"model": "linear", "folds": settings.folds, "seed": settings.seed, **asdict(model)}
    with open_run(f"linear-{corpus.sha256[:8]}", settings.store) as run, show_steps(settings.folds + OTHER_STEPS) as advance:
        run.log_settings({**asked, "records": len(corpus.records), "rows_left_out": len(corpus.faults)})
        started = time.perf_counter()
        advance("reading sentences and counting n-grams")
        examples = Examples.prepare(corpus.records, scheme)
        fitter = LinearFitter(examples, model)
        groups = group_records(examples.records)
        validation = cross_validate(fitter, examples, groups, settings.folds, settings.seed, advance)
        advance("the past, for the newest fifth")
        newest = validate_on_newest(fitter, examples, groups, validation.logits)
        advance("all records")
        final = fitter.fit(np.arange(len(examples.records)))
        seconds = time.perf_counter() - started

        advance("metrics")
        metrics = {f"cv.{name}": value for name, value in measure(validation.outcome).items()}
        if newest is not None:
            metrics |= {f"time.{name}": value for name, value in measure(newest).items()}
        now = datetime.now(UTC)
        version = f"{now:%Y%m%dT%H%M%S}-{run.id[:6]}"
        origin = Provenance(
            name=NAME,
            version=version,
            corpus={"source": source, "sha256": corpus.sha256, "records": len(corpus.records)},
            settings=asked,
            metrics={name.removeprefix("cv."): value for name, value in metrics.items() if name.startswith("cv.")},
            mlflow={"run_id": run.id, "tracking_uri": run.uri},
        )
        card = write_card(f"{NAME}@{version}", "linear", scheme, take_census(corpus.records, scheme), metrics, origin.corpus)
        advance("writing and proving the bundle")
        folder = settings.store / "bundles" / version
        bundle = write_bundle(folder, final, validation.decision, examples, origin, card)

        advance("tracking")
        run.log_metrics({**metrics, "fit_seconds": seconds})
        run.log_corpus(list(corpus.records), corpus.sha256, Path(source).name)
        run.log_figure(plot_precision_recall(validation.outcome), "precision_recall")
        run.log_figure(plot_reliability(validation.outcome), "reliability")
        run.log_figure(plot_tags(validation.outcome, measure(validation.outcome)), "tags")
        run.log_errors(worst_errors(validation.outcome), "worst_errors")
        run.register(bundle, ALIAS if settings.promote else None)
        if settings.promote:
            publish(bundle, settings.store / "champion")
    return FitResult(bundle, metrics, run.id, run.uri, seconds)


def is_current(corpus: Corpus, scheme: Scheme, model: LinearSettings, store: Path = STORE) -> bool:
    """Whether the champion is whole and was trained on this very corpus, scheme and settings."""
    try:
        champion = Bundle.load(store / "champion")
    except BundleError:  # none yet, damaged, or of another release: train a new one
        return False
    manifest = champion.manifest
    trained = {name: manifest["settings"].get(name) for name in asdict(model)}
    return bool(manifest["corpus"]["sha256"] == corpus.sha256 and trained == asdict(model) and champion.scheme == scheme)
