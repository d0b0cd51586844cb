"""The story of a retraining: read, deal, train, compare, pass the gates or not, promote or keep, write it down."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from newswatch.bundle import Bundle
from newswatch_labels.corpus import Corpus
from newswatch_labels.errors import RecordError
from newswatch_labels.folds import split_by_time
from newswatch_labels.scheme import Scheme
from newswatch_training.champion import current_champion, keep, promote, settle
from newswatch_training.comparison import Comparison, compare
from newswatch_training.encoder_settings import ParityError
from newswatch_training.examples import Examples
from newswatch_training.export import sweep
from newswatch_training.fit import FitSettings, ModelSettings, count_steps, fit_bundle
from newswatch_training.frozen import FOLD, Deal, FrozenFold, Part, deal_records
from newswatch_training.gate import Gate, Limits, check_gates, failed_parity, refused
from newswatch_training.lock import locked
from newswatch_training.metrics import Outcome, decide, measure
from newswatch_training.progress import Steps, show_steps
from newswatch_training.rival import Rival, find_rival
from newswatch_training.tracking import RETRAINING, Run, end_left_runs, open_run

LOCK = ".retrain.lock"
OTHER_STEPS = 2  # of retrain, beside those of the fit


@dataclass(frozen=True)
class Retraining:
    """A finished retraining.

    Attributes:
        promoted: whether the bundle is the champion now.
        bundle: the challenger; None where its graph failed the parity gate and was not written.
        champion: label of the champion that it met; None where there was none.
        why: what decided, as the audit has it.
        fold, newest: the comparison on the frozen fold and on its newest fifth.
        metrics: the challenger's figures on the frozen fold.
        swept: partial bundles of killed runs that were removed.
    """

    promoted: bool
    bundle: Bundle | None
    champion: str | None
    gates: tuple[Gate, ...]
    why: str
    deal: Deal
    fold: Comparison | None
    newest: Comparison | None
    metrics: dict[str, float]
    run_id: str
    swept: tuple[str, ...]


@dataclass(frozen=True)
class _Trial:
    """What a challenger showed."""

    bundle: Bundle | None
    gates: tuple[Gate, ...]
    note: str = ""
    fold: Comparison | None = None
    newest: Comparison | None = None
    metrics: dict[str, float] | None = None


def retrain(
    corpus: Corpus,
    added: Sequence[Corpus],
    source: str,
    scheme: Scheme,
    model: ModelSettings,
    fit: FitSettings,
    limits: Limits,
    by: str | None = None,
) -> Retraining:
    """Train a challenger on what the frozen fold leaves, compare it with the champion, and promote it if it passes every gate.

    Whatever goes wrong before the end, the champion stays what it is, and the next run starts clean.

    Args:
        added: records beside the corpus, see `newswatch_training.additions`.
        fit: `store`, `folds`, `seed` and `jobs` count; a retraining never promotes by the fit itself.
        by: who retrains; default: user@host.

    Raises:
        LockedError: another retraining runs in the store.
        RecordError: there are too few records or events.
        FoldError, BundleError: the frozen fold's file or the champion is damaged.
    """
    store, fit = fit.store, replace(fit, newest=False, promote=False)
    records = [record for part in (corpus, *added) for record in part.records]
    with locked(store / LOCK):
        swept = (*sweep(store / "bundles"), *sweep(store))
        end_left_runs(store)
        settle(store)
        champion = current_champion(store)
        deal = deal_records(records, FrozenFold.read(store / FOLD))
        training, test = (tuple(records[row] for row in deal.rows(part)) for part in (Part.TRAINING, Part.TEST))
        if not test or not training:
            raise RecordError(f"{len(training)} training and {len(test)} test records", "some of both", f"Look into {store / FOLD}.")
        deal.fold.write(store / FOLD)
        rest = Corpus(training, tuple(fault for part in (corpus, *added) for fault in part.faults))
        origin = {"source": source, "whole": corpus.sha256, "test_fold": deal.fold.sha256, "test_records": len(test)}
        name = f"retrain-{model.kind}-{rest.sha256[:8]}"
        with open_run(name, store) as run, show_steps(count_steps(model, fit) + OTHER_STEPS) as advance:
            run.tag({RETRAINING: "yes"})
            try:
                bundle = fit_bundle(run, advance, rest, origin, scheme, model, fit).bundle
            except ParityError as error:
                trial = _Trial(None, (failed_parity(error),))
            else:
                trial = _try(bundle, champion, deal, Examples.prepare(test, scheme), rest, limits, advance)
            _log(run, trial)
        return _conclude(trial, champion, deal, store, run.id, by, swept)


def _try(bundle: Bundle, champion: Bundle | None, deal: Deal, test: Examples, training: Corpus, limits: Limits, advance: Steps) -> _Trial:
    """The challenger, and where there is one the champion, on the frozen fold."""
    advance("the challenger on the test records")
    own = decide(bundle.model.logits(test.documents), bundle.decision, test)
    metrics, parity = measure(own), bundle.manifest["model"].get("parity")
    if champion is None:
        return _Trial(bundle, check_gates(metrics, None, None, test.scheme, parity, limits), metrics=metrics)
    if champion.scheme.names != test.scheme.names:
        gates = check_gates(metrics, None, None, test.scheme, parity, limits)
        other = refused("scheme", "the champion knows other tags, so the two cannot be compared; promote by hand")
        return _Trial(bundle, (*gates, other), metrics=metrics)
    rival = find_rival(champion, test, training, advance)
    groups = [deal.groups[row] for row in deal.rows(Part.TEST)]
    fold = compare(rival.outcome, own, groups)
    newest = _compare_newest(rival, own, groups)
    return _Trial(bundle, check_gates(metrics, fold, newest, test.scheme, parity, limits), rival.note, fold, newest, metrics)


def _compare_newest(rival: Rival, own: Outcome, groups: Sequence[int]) -> Comparison | None:
    """Both on the newest fifth of the test records; None without dates."""
    rows = np.flatnonzero(split_by_time(own.examples.records, groups=groups)).tolist()
    if not rows or not own.examples.labels[rows].any():
        return None
    return compare(_take(rival.outcome, rows), _take(own, rows), [groups[row] for row in rows])


def _take(outcome: Outcome, rows: list[int]) -> Outcome:
    return Outcome(
        outcome.examples.take(rows),
        outcome.probabilities[rows],
        outcome.carried[rows],
        outcome.review[rows],
        tuple(outcome.evidence[row] for row in rows),
    )


def _log(run: Run, trial: _Trial) -> None:
    """The figures and gates beside those of the fit."""
    metrics = {f"fold.{name}": value for name, value in (trial.metrics or {}).items()}
    for part, found in (("fold", trial.fold), ("newest", trial.newest)):
        if found:
            metrics |= {f"{part}.{name}": value for name, value in found.challenger.items()}
            metrics |= {f"{part}.champion.{name}": value for name, value in found.champion.items()}
            metrics |= {f"{part}.worse": found.macro_f1.worse, f"{part}.gain": found.macro_f1.gain}
    run.log_metrics(metrics)
    run.tag({f"gate.{gate.name}": f"{'passed' if gate.passed else 'failed'}: {gate.reason}" for gate in trial.gates})


def _conclude(
    trial: _Trial, champion: Bundle | None, deal: Deal, store: Path, run_id: str, by: str | None, swept: tuple[str, ...]
) -> Retraining:
    """Promote or keep, and write it down."""
    gates = trial.gates
    promoted = False
    note = f" ({trial.note})" if trial.note else ""
    if trial.bundle and all(gate.passed for gate in gates):
        why = f"passed {len(gates)} gates{note}"
        promoted = promote(trial.bundle, store, why, by, gates, champion.sha256 if champion else "")
        if not promoted:
            gates = (*gates, refused("champion", "the champion changed while the challenger trained"))
    if not promoted:
        why = "; ".join(f"{gate.name}: {gate.reason}" for gate in gates if not gate.passed) + note
        keep(trial.bundle, store, why, by, gates)
    return Retraining(
        promoted,
        trial.bundle,
        champion.label if champion else None,
        gates,
        why,
        deal,
        trial.fold,
        trial.newest,
        trial.metrics or {},
        run_id,
        swept,
    )
