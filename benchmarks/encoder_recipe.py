"""What the parts of the encoder's recipe are worth, measured on a part of the corpus.

    python benchmarks/encoder_recipe.py [--real FILE] [--share 0.22] [--only NAME ...] [--store FOLDER] [--json docs/encoder_recipe.json]

Trains variants of the encoder on one part of the events, and measures each, alone and with the linear model, on another part and on
real articles: rules are fitted on one half of the held-out part for the other, and on all of it for the real articles. Seeds, weights and
pooling are varied one at a time. The six augmentations are varied together in eight trainings, a fractional factorial design (Box and
Hunter 1961): each is on in four of them and off in the other four, and each two of them meet in all four ways, so every training
tells of all six. Variants measured before are not trained again; several runs may share a store, each with its own --only. Some
twelve minutes of a core with AVX-512 for a variant of 1,250 records.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from newswatch.model import FloatArray, Logits
from newswatch_labels import Scheme, read_corpus
from newswatch_labels.folds import group_records, split_by_event
from newswatch_labels.terminal import err, out, run_command, table
from newswatch_training.augmentation import USUAL, Augmentation
from newswatch_training.combination import join_members
from newswatch_training.cross_validation import CrossValidation, judge
from newswatch_training.encoder_fitter import EncoderFitter
from newswatch_training.encoder_settings import EncoderSettings
from newswatch_training.examples import Examples
from newswatch_training.linear import LinearFitter, LinearSettings
from newswatch_training.metrics import Outcome, decide, measure

RATES = {"drop": 0.3, "reorder": 0.3, "respell": 0.3, "untitled": 0.2, "furniture": 0.3, "strangers": 0.3}
FIGURES = ("macro_f1", "core_f1", "micro_f1", "macro_average_precision", "evidence_f1", "contrast_both_right")
PLACES = ("held-out", "real")


@dataclass(frozen=True)
class Variant:
    """What a training does otherwise than the recipe."""

    settings: dict[str, Any] = field(default_factory=dict)
    augmentation: Augmentation = USUAL


def augmentation_cells() -> dict[str, Variant]:
    """The eight trainings of the factorial design; each has a seed of its own."""
    cells = {}
    for number, (drop, reorder, respell) in enumerate(product((False, True), repeat=3)):
        on = (drop, reorder, respell, drop ^ reorder, drop ^ respell, reorder ^ respell)
        rates = {name: rate * own for (name, rate), own in zip(RATES.items(), on, strict=True)}
        cells[f"augmentation {number}"] = Variant({"seed": number}, Augmentation(**rates))
    return cells


CELLS = augmentation_cells()
VARIANTS = {
    "seed 0": Variant(),
    "seed 1": Variant({"seed": 1}),
    "balance 0": Variant({"balance": 0.0}),
    "maximum": Variant({"temperature": 50.0}),
    **CELLS,
}


@dataclass(frozen=True)
class Trial:
    """Where variants train and are measured.

    Attributes:
        train: rows of `examples` to train on.
        halves: rows of `test`; the rules of each are fitted on the other.
        linear: by place, what the linear model trained on the same rows says.
        store: folder of the checkpoints.
    """

    examples: Examples
    train: NDArray[np.int64]
    test: Examples
    halves: Sequence[NDArray[np.int64]]
    real: Examples | None
    linear: Mapping[str, Sequence[Logits]]
    store: Path

    @classmethod
    def prepare(cls, corpus: Path, real: Path | None, share: float, store: Path) -> "Trial":
        """Split the corpus by event and train the linear model."""
        scheme = Scheme.load()
        examples = Examples.prepare(read_corpus(corpus, scheme).records, scheme)
        parts = np.array(split_by_event(examples.records, [share, share, 1 - 2 * share], 0, group_records(examples.records)))
        train, rows = np.flatnonzero(parts == 0), np.flatnonzero(parts == 1)
        test = examples.take(rows)
        half = np.array(split_by_event(test.records, [0.5, 0.5], 0, group_records(test.records)))
        read = Examples.prepare(read_corpus(real, scheme, plain=True).records, scheme) if real else None
        model = LinearFitter(examples, LinearSettings()).fit(train)
        linear = {place: model.logits(own.documents) for place, own in zip(PLACES, (test, read), strict=True) if own}
        return cls(examples, train, test, [np.flatnonzero(half == part) for part in (0, 1)], read, linear, store)

    def run(self, variant: Variant) -> dict[str, Any]:
        """Figures and the log loss of each article, alone and with the linear model, held-out and real."""
        settings = replace(EncoderSettings(precision="fp32"), **variant.settings)
        fitter = EncoderFitter(self.examples, settings, variant.augmentation, self.store / "checkpoints")
        model = fitter.fit(self.train)
        own = {place: model.logits(read.documents) for place, read in zip(PLACES, (self.test, self.real), strict=True) if read}
        fitter.forget()
        found = {}
        for kind, members in (("alone", {"encoder": own}), ("both", {"linear": self.linear, "encoder": own})):
            held_out = {name: logits["held-out"] for name, logits in members.items()}
            validation = judge(held_out, self.test, self.halves)
            found[f"{kind}, held-out"] = _figures(validation.outcome)
            if self.real:
                joined = _join({name: logits["real"] for name, logits in members.items()}, validation)
                found[f"{kind}, real"] = _figures(decide(joined, validation.decision, self.real))
        return found


def _join(members: Mapping[str, Sequence[Logits]], validation: CrossValidation) -> Sequence[Logits]:
    return join_members(members, validation.combination) if validation.combination else members["encoder"]


def _figures(outcome: Outcome) -> dict[str, Any]:
    measured = measure(outcome)
    p = np.clip(outcome.probabilities, 1e-6, 1 - 1e-6)
    losses = -np.where(outcome.examples.labels, np.log(p), np.log(1 - p)) * outcome.examples.known
    return {"figures": {name: measured[name] for name in FIGURES if name in measured}, "losses": losses.mean(axis=1).tolist()}


def effects(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By augmentation and place, what having it on changes: of every figure, and of the log loss with its standard error over articles."""
    cells = [found[name] for name in CELLS]
    changed: dict[str, dict[str, Any]] = {}
    for augmentation in RATES:
        on = np.array([getattr(CELLS[name].augmentation, augmentation) > 0 for name in CELLS])
        signs = np.where(on, 1, -1) / on.sum()
        changed[augmentation] = {}
        for place in cells[0]:
            losses = signs @ np.array([cell[place]["losses"] for cell in cells])
            figures = {name: float(signs @ [cell[place]["figures"][name] for cell in cells]) for name in cells[0][place]["figures"]}
            changed[augmentation][place] = figures | {"log_loss": losses.mean(), "error": _standard_error(losses)}
    return changed


def _standard_error(values: FloatArray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def show(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a table for each place, and the augmentations' effects once all cells are there."""
    for place in next(iter(found.values()), {}):
        base = np.mean([found[name][place]["losses"] for name in ("seed 0", "seed 1") if name in found] or [0.0], axis=0)
        rows = []
        for name, own in found.items():
            change = np.array(own[place]["losses"]) - base
            figures = [own[place]["figures"].get(figure, "") for figure in FIGURES]
            rows.append((name, *figures, f"{1000 * change.mean():+.1f} ± {1000 * _standard_error(change):.1f}"))
        out.print(table(place, ("variant", *FIGURES, "log loss, thousandths"), rows))
    if all(name in found for name in CELLS):
        changed = effects(found)
        for place in next(iter(changed.values())):
            rows = [
                (
                    name,
                    *(f"{own[place][figure]:+.3f}" if figure in own[place] else "" for figure in FIGURES),
                    f"{1000 * own[place]['log_loss']:+.1f} ± {1000 * own[place]['error']:.1f}",
                )
                for name, own in changed.items()
            ]
            out.print(table(f"augmentation on, {place}", ("augmentation", *FIGURES, "log loss, thousandths"), rows))


def main() -> None:
    """Train and measure what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("labels/corpus"))
    parser.add_argument("--real", type=Path, help="labelled real articles, never trained on")
    parser.add_argument("--share", type=float, default=0.22, help="of the corpus to train on, and as much again to measure on")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--store", type=Path, default=Path("mlruns/encoder_recipe"), help="folder of what was measured so far")
    parser.add_argument("--json", type=Path, help="also write the figures into this file")
    options = parser.parse_args()
    run_command(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    options.store.mkdir(parents=True, exist_ok=True)
    files = {name: options.store / f"{name}.json" for name in VARIANTS}
    missing = [name for name in options.only if not files[name].exists()]
    if missing:
        trial = Trial.prepare(options.corpus, options.real, options.share, options.store)
        for name in missing:
            with err.status(f"{name}, {len(trial.train)} records"):
                files[name].write_text(json.dumps(trial.run(VARIANTS[name])), encoding="utf-8")
    found = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.exists()}
    show(found)
    if options.json:
        figures = {name: {place: row["figures"] for place, row in own.items()} for name, own in found.items()}
        result = {"variants": figures, "effects": effects(found) if all(name in found for name in CELLS) else None}
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
