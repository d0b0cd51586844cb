"""Tuning: search for settings by held-out macro F1, trial after trial, in a study that survives its process."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from newswatch_labels.corpus import Corpus
from newswatch_labels.errors import InputError, MissingExtraError, RecordError
from newswatch_labels.folds import group_records
from newswatch_labels.scheme import Scheme
from newswatch_training.augmentation import USUAL
from newswatch_training.cross_validation import judge, others, split_folds
from newswatch_training.deciding import fit_decision
from newswatch_training.encoder_settings import EncoderSettings, ParityError
from newswatch_training.examples import Examples
from newswatch_training.fit import CHECKPOINTS
from newswatch_training.linear import LinearFitter, LinearSettings, count_ngrams
from newswatch_training.lock import locked
from newswatch_training.metrics import decide, measure
from newswatch_training.settings_file import write_settings
from newswatch_training.space import ENCODER, LINEAR, suggest
from newswatch_training.tracking import Run, open_run

if TYPE_CHECKING:
    from optuna import Study, Trial

STUDIES = "optuna.db"
STARTUP = 4  # trials before the first may be pruned


@dataclass(frozen=True)
class Tuning:
    """What a study has found: the best settings, their macro F1 and that of the settings begun with, and the file they are in.

    Attributes:
        trials: by state (complete, pruned, fail), of all sittings.
        tried: the trials of this sitting.
    """

    settings: LinearSettings | EncoderSettings
    macro_f1: float
    begun_with: float
    file: Path
    trials: dict[str, int]
    tried: int


Measure = Callable[[Any, "Trial", Run], float]


def tune(
    corpus: Corpus,
    scheme: Scheme,
    base: LinearSettings | EncoderSettings,
    store: Path,
    trials: int,
    minutes: float | None = None,
    folds: int = 3,
    seed: int = 0,
) -> Tuning:
    """Try settings, the given ones first, until the study holds `trials` or `minutes` are over; run again, it goes on.

    A linear trial is a cross-validation by event, pruned after a fold that does worse than the median of those before. An encoder's
    trial is one fit without one of the folds and is measured on that fold; it is pruned after an epoch, by its macro F1 on a tenth
    of the training events that is kept apart. Trials are the children of one MLflow run a sitting.

    Args:
        base: where to begin; of the encoder it also gives what is not searched, such as the backbone.
        trials: of the whole study, not of this sitting.

    Raises:
        MissingExtraError: Optuna is not installed.
        InputError: no trial came to its end.
        RecordError: the corpus is empty, or holds fewer events than folds.
        LockedError: another process tunes in this store.
    """
    if not corpus.records:
        raise RecordError("no readable record", "labelled records", "See the rows left out, above.")
    kind = "linear" if isinstance(base, LinearSettings) else "encoder"
    space = LINEAR if kind == "linear" else ENCODER
    store.mkdir(parents=True, exist_ok=True)
    with locked(store / ".tune.lock"), open_run(f"tune-{kind}-{corpus.sha256[:8]}", store) as run:
        study = _open_study(store, f"{kind}-{_fingerprint(corpus, base, folds, seed)}", seed)
        if not study.trials:
            study.enqueue_trial({name: asdict(base)[name] for name in space})
        examples = Examples.prepare(corpus.records, scheme)
        measure_one = _measure_linear(examples, folds, seed) if kind == "linear" else _measure_encoder(examples, folds, seed, store)
        before = len([trial for trial in study.trials if trial.state.is_finished()])
        if before < trials:
            timeout = minutes * 60 if minutes is not None else None
            study.optimize(_objective(run, base, space, measure_one), n_trials=trials - before, timeout=timeout, catch=(ParityError,))
        if all(trial.state.name != "COMPLETE" for trial in study.trials):
            raise InputError("no trial that came to its end", "one at least", "Give it more --trials or more --minutes.")
        best = replace(base, **study.best_trial.params)
        file = store / f"tuned-{kind}.json"
        write_settings(best, file)
        run.log_settings({"kind": kind, "records": len(corpus.records), **study.best_trial.params})
        run.log_metrics({"macro_f1": study.best_value})
    states = [trial.state.name.lower() for trial in study.trials]
    first = next(trial for trial in study.trials if trial.value is not None)
    counts = {state: states.count(state) for state in sorted(set(states))}
    return Tuning(best, study.best_value, float(first.value), file, counts, len(states) - before)


def _objective(run: Run, base: Any, space: Any, measure_one: Measure) -> Callable[["Trial"], float]:
    from optuna import TrialPruned

    def objective(trial: "Trial") -> float:
        with run.child(f"trial-{trial.number}") as own:
            settings = suggest(trial, base, space)
            own.log_settings(asdict(settings))
            try:
                value = measure_one(settings, trial, own)
            except TrialPruned as error:
                own.tag({"pruned": str(error)})
                pruned = error
            else:
                own.log_metrics({"macro_f1": value})
                return value
        raise pruned

    return objective


def _measure_linear(examples: Examples, folds: int, seed: int) -> Measure:
    rows = split_folds(examples, group_records(examples.records), folds, seed)
    # Counted once, for the rarest n-grams of the space: a fit takes what its own settings allow.
    counts = count_ngrams(examples.documents, LinearSettings(min_word_df=_least("min_word_df"), min_char_df=_least("min_char_df")))

    def measure_one(settings: LinearSettings, trial: "Trial", _: Run) -> float:
        fitter = LinearFitter(examples, settings, counts)
        logits: dict[int, Any] = {}
        reached: list[float] = []
        for number, held in enumerate(rows):
            model = fitter.fit(others(rows, number))
            found = model.logits([examples.documents[row] for row in held])
            logits.update(zip(held.tolist(), found, strict=True))
            if number + 1 < len(rows):
                test = examples.take(held)
                # Rules chosen on the fold itself: flattering, to all trials alike.
                reached.append(measure(decide(found, fit_decision(found, test), test))["macro_f1"])
                _report(trial, float(np.mean(reached)), number)
        outcome = judge({"linear": [logits[row] for row in range(len(logits))]}, examples, rows).outcome
        return measure(outcome)["macro_f1"]

    return measure_one


def _measure_encoder(examples: Examples, folds: int, seed: int, store: Path) -> Measure:
    from newswatch_training.encoder_fitter import EncoderFitter, Watch
    from newswatch_training.hardware import Hardware

    groups = group_records(examples.records)
    rows = split_folds(examples, groups, folds, seed)
    test = examples.take(rows[0])
    halves = split_folds(test, [groups[row] for row in rows[0]], 2, seed)  # each decided by rules of the other

    def measure_one(settings: EncoderSettings, trial: "Trial", run: Run) -> float:
        epochs = 0

        def log(name: str, value: float, step: int) -> None:
            nonlocal epochs
            run.log_curve(name, value, step)
            if name.endswith("watched_macro_f1"):
                _report(trial, value, epochs)
                epochs += 1

        hardware = replace(Hardware.find(), processes=1)  # a trial is pruned in the process that trains it
        seeded = replace(settings, seed=seed)
        watch = Watch(log=log)
        fitter = EncoderFitter(examples, seeded, USUAL, store / CHECKPOINTS, patience=settings.epochs, watch=watch, hardware=hardware)
        try:
            model = fitter.fit(others(rows, 0))
            return measure(judge({"encoder": model.logits(test.documents)}, test, halves).outcome)["macro_f1"]
        finally:
            fitter.forget()

    return measure_one


def _report(trial: "Trial", value: float, step: int) -> None:
    from optuna import TrialPruned

    trial.report(value, step)
    if trial.should_prune():
        raise TrialPruned(f"{value:.3f} at step {step} is below the median")


def _open_study(store: Path, name: str, seed: int) -> "Study":
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError(error.name or "optuna", "train") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{store.resolve() / STUDIES}",
        study_name=name,
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
    )
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):  # of a sitting that was killed
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)
    return study


def _fingerprint(corpus: Corpus, base: LinearSettings | EncoderSettings, folds: int, seed: int) -> str:
    return hashlib.sha256(json.dumps([corpus.sha256, asdict(base), folds, seed]).encode()).hexdigest()[:12]


def _least(name: str) -> int:
    return int(LINEAR[name].low)  # type: ignore[union-attr]
