"""Benchmarks on plain data sets with official splits: fit on train, tune on dev, report on test."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from newswatch.decision import Decision, TagRule
from newswatch.ensemble import MEMBERS, Combination
from newswatch.model import ABSENT, Logits
from newswatch_labels.corpus import read_splits
from newswatch_labels.errors import InputError, RecordError
from newswatch_training.augmentation import Augmentation
from newswatch_training.combination import WEIGHTS, Members, fit_combination, join_members
from newswatch_training.deciding import fit_decision
from newswatch_training.encoder_settings import EncoderSettings
from newswatch_training.examples import Examples
from newswatch_training.linear import LinearFitter, LinearSettings
from newswatch_training.metrics import decide, measure

# Example F1 at 0.5, mean of 10 seeds: Hu et al. (2022), ConfliBERT, NAACL, Table 3, the best of four ConfliBERTs and of two BERTs.
PUBLISHED = {
    "satp_relevant": {"ConfliBERT": 0.8908, "BERT-base": 0.8836},
    "insightCrime": {"ConfliBERT": 0.6947, "BERT-base": 0.6857},
    "IndiaPoliceEvents_docs": {"ConfliBERT": 0.6997, "BERT-base": 0.6680},
    "IndiaPoliceEvents_sents": {"ConfliBERT": 0.6727, "BERT-base": 0.6489},
}
GRID = {"article_c": (1.0, 3.0, 10.0, 30.0), "balanced": (False, True)}


@dataclass(frozen=True)
class BenchResult:
    """Figures on test with the settings dev chose.

    `at_half` is the papers' protocol, cut at 0.5: the members' own log-odds, not calibrated, and for the ensemble their mean with the
    weight that gives the best example F1 on dev. `tuned` has calibration, weights and thresholds fitted on dev.

    Attributes:
        members: `example_f1` at 0.5 of each member alone, for an ensemble.
    """

    name: str
    model: str
    seed: int
    settings: dict[str, object]
    dev_example_f1: float
    at_half: dict[str, float]
    tuned: dict[str, float]
    members: dict[str, float]
    published: dict[str, float]


def run_bench(
    name: str,
    data: Path,
    advance: Callable[[str], None],
    encoder: EncoderSettings | None = None,
    alone: bool = False,
    work: Path | None = None,
    words: int | None = None,
) -> BenchResult:
    """Fit on train, choose settings and calibrate on dev, report on test.

    Args:
        encoder: settings of the encoder; None for the linear model by itself.
        alone: leave the linear model out.
        work: folder of the encoder's checkpoints; default: a temporary one.
        words: of a text that the encoder reads, from its start, as models of 512 tokens do, 1 or more; default: all.

    Raises:
        InputError: `words` is below 1.
        RecordError: train, dev or test is missing.
    """
    if words is not None and words < 1:
        raise InputError(f"words is {words}", "1 or more", "Leave it out to have all words read.")
    scheme, splits = read_splits(data)
    if missing := {"dev", "test"} - set(splits):
        raise RecordError(
            f"{data} without {', '.join(sorted(missing))}.jsonl", "train, dev and test", "Split it first: newswatch-labels split."
        )
    advance(f"{name}: reading")
    parts = {split: Examples.prepare(corpus.records, scheme) for split, corpus in splits.items()}
    plain = Decision(scheme, {tag: TagRule() for tag in scheme.names})
    dev, test = parts["dev"], parts["test"]
    found: dict[str, tuple[Sequence[Logits], Sequence[Logits]]] = {}
    settings: dict[str, object] = {}
    if not (encoder and alone):
        linear, dev_logits, test_logits = _fit_linear(name, parts, plain, advance)
        found["linear"] = dev_logits, test_logits
        settings |= asdict(linear)
    if encoder:
        found["encoder"] = _fit_encoder(name, parts, encoder, advance, work, words)
        settings |= {**asdict(encoder), "words": words}
    members = {kind: measure(decide(own[1], plain, test))["example_f1"] for kind, own in found.items()}
    kind = "ensemble" if len(found) > 1 else next(iter(found))
    if kind == "ensemble":
        on_dev, on_test = ({kind: own[part] for kind, own in found.items()} for part in (0, 1))
        raw, combination = _weigh_as_they_are(on_dev, dev, plain), fit_combination(on_dev, dev)
        settings |= {"weights": raw.article_weights}
        raw_dev, raw_test = (join_members(own, raw) for own in (on_dev, on_test))
        dev_logits, test_logits = (join_members(own, combination) for own in (on_dev, on_test))
    else:
        raw_dev, raw_test = dev_logits, test_logits = [list(own) for own in found[kind]]
    half, tuned = measure(decide(raw_test, plain, test)), measure(decide(test_logits, fit_decision(dev_logits, dev), test))
    score = measure(decide(raw_dev, plain, dev))["example_f1"]
    seed = encoder.seed if encoder else 0
    return BenchResult(name, kind, seed, settings, score, half, tuned, members, PUBLISHED.get(name, {}))


def _weigh_as_they_are(members: Members, dev: Examples, plain: Decision) -> Combination:
    """Members not calibrated, with the weights that give the best example F1 on dev."""
    neutral = dict.fromkeys(MEMBERS, np.tile([1.0, 0.0], (len(dev.scheme.names), 1)))
    halves = dict.fromkeys(MEMBERS, 0.5)
    rules = [Combination(neutral, neutral, {MEMBERS[0]: weight, MEMBERS[1]: 1 - weight}, halves) for weight in map(float, WEIGHTS)]
    return max(rules, key=lambda rule: measure(decide(join_members(members, rule), plain, dev))["example_f1"])


def _fit_linear(
    name: str, parts: Mapping[str, Examples], plain: Decision, advance: Callable[[str], None]
) -> tuple[LinearSettings, Sequence[Logits], Sequence[Logits]]:
    """The setting of `GRID` with the best example F1 on dev, and its logits of dev and test."""
    fitter = LinearFitter(parts["train"], LinearSettings())
    rows = np.arange(len(parts["train"].records))
    best: tuple[float, LinearSettings, Sequence[Logits], Sequence[Logits]] | None = None
    for values in product(*GRID.values()):
        settings = replace(LinearSettings(), **dict(zip(GRID, values, strict=True)))  # type: ignore[arg-type]
        advance(f"{name}: {', '.join(f'{key} {value}' for key, value in zip(GRID, values, strict=True))}")
        fitter.settings = settings
        model = fitter.fit(rows)
        dev = model.logits(parts["dev"].documents)
        score = measure(decide(dev, plain, parts["dev"]))["example_f1"]
        if best is None or score > best[0]:
            best = score, settings, dev, model.logits(parts["test"].documents)
    assert best is not None, "the grid has at least one setting"
    return best[1:]


def _fit_encoder(
    name: str,
    parts: Mapping[str, Examples],
    settings: EncoderSettings,
    advance: Callable[[str], None],
    work: Path | None,
    words: int | None,
) -> tuple[Sequence[Logits], Sequence[Logits]]:
    from newswatch_training.encoder_fitter import EncoderFitter, Watch

    def log(figure: str, value: float, step: int) -> None:
        if figure.endswith("epoch_loss"):
            advance(f"{name}: encoder, seed {settings.seed}, loss {value:.3f} after {step} steps")

    advance(f"{name}: encoder, seed {settings.seed}")
    read = {split: _first_words(own, words) for split, own in parts.items()} if words else parts
    with TemporaryDirectory() as temporary:
        fitter = EncoderFitter(read["train"], settings, Augmentation(), work or Path(temporary), watch=Watch(log=log))
        model = fitter.fit(np.arange(len(read["train"].records)))
        dev, test = (
            [
                _pad(own, len(whole.sentences))
                for own, whole in zip(model.logits(read[split].documents), parts[split].documents, strict=True)
            ]
            for split in ("dev", "test")
        )
    return dev, test


def _first_words(examples: Examples, words: int) -> Examples:
    """The same records with no more than so many words of their texts."""
    cut = [replace(record, text="".join(re.findall(r"\S+\s*", record.text)[:words])) for record in examples.records]
    return Examples.prepare(cut, examples.scheme)


def _pad(logits: Logits, sentences: int) -> Logits:
    """With so many sentences, absent where they were not read; a text cut within quotation marks may have been read as more of them."""
    padded = np.full((sentences, len(logits.article)), ABSENT)
    read = logits.sentences[:sentences]
    padded[: len(read)] = read
    return Logits(logits.article, padded)
