"""The gates and the comparison: challengers that are truly worse, each refused by its own gate with its reason."""

from dataclasses import replace

import numpy as np
import pytest

from newswatch import Bundle
from newswatch.decision import Decision
from newswatch.model import Logits
from newswatch_labels import Record, Scheme
from newswatch_labels.folds import group_records
from newswatch_training.comparison import Comparison, Difference, compare
from newswatch_training.deciding import fit_decision
from newswatch_training.encoder_settings import ParityError
from newswatch_training.examples import Examples
from newswatch_training.gate import ENOUGH, Gate, Limits, check_gates, failed_parity
from newswatch_training.linear import LinearFitter, LinearSettings
from newswatch_training.metrics import Outcome, decide, measure

LIMITS = Limits(floor=0.1, ece=0.1)


class Bench:
    """Half of the small corpus trains, the other half tests."""

    def __init__(self, records: list[Record], scheme: Scheme) -> None:
        self.scheme = scheme
        examples = Examples.prepare(records, scheme)
        groups = group_records(records)
        test = np.array([group % 2 == 1 for group in groups])
        self.training, self.test = examples.take(np.flatnonzero(~test)), examples.take(np.flatnonzero(test))
        self.groups = [groups[row] for row in np.flatnonzero(test)]
        self.champion = self.fit(self.training)

    def fit(self, examples: Examples, steepness: float = 1.0) -> Outcome:
        """Fit, decide by rules of the training half's own held-out parts, and score the test half."""
        rows = np.arange(len(examples.records))
        halves = rows[::2], rows[1::2]
        fitter = LinearFitter(examples, LinearSettings())
        held: dict[int, Logits] = {}
        for own, other in (halves, halves[::-1]):
            held.update(zip(other.tolist(), fitter.fit(own).logits([examples.documents[row] for row in other]), strict=True))
        decision = fit_decision([held[row] for row in rows.tolist()], examples)
        return decide(fitter.fit(rows).logits(self.test.documents), sharpen(decision, self.scheme, steepness), self.test)

    def gates(self, challenger: Outcome, limits: Limits = LIMITS) -> dict[str, Gate]:
        found = compare(self.champion, challenger, self.groups)
        return {gate.name: gate for gate in check_gates(measure(challenger), found, found, self.scheme, None, limits)}


def sharpen(decision: Decision, scheme: Scheme, steepness: float) -> Decision:
    """The same decisions from probabilities pushed towards 0 and 1: thresholds move along."""

    def push(probability: float) -> float:
        z = np.log(probability / (1 - probability))
        return float(1 / (1 + np.exp(-steepness * z)))

    rules = {
        name: replace(rule, slope=steepness * rule.slope, intercept=steepness * rule.intercept, threshold=push(rule.threshold))
        for name, rule in decision.rules.items()
    }
    return Decision(scheme, rules)


@pytest.fixture(scope="module")
def bench(small_records: list[Record], scheme: Scheme) -> Bench:
    return Bench(small_records, scheme)


def failed(gates: dict[str, Gate]) -> set[str]:
    return {name for name, gate in gates.items() if not gate.passed}


def test_the_same_model_passes(bench: Bench) -> None:
    gates = bench.gates(bench.champion)
    assert failed(gates) == set()
    assert set(gates) == {"floor", "calibration", "macro_f1", "newest"} | {f"core.{t.name}" for t in bench.scheme.tags if t.core}


def test_scrambled_labels_of_one_core_tag_fail_its_gate(bench: Bench) -> None:
    tag = bench.scheme.index("isis_attack")
    labels = bench.training.labels.copy()
    labels[:, tag] = ~labels[:, tag]
    evidence = tuple(None if own is None else own & labels[row] for row, own in enumerate(bench.training.evidence))
    gates = bench.gates(bench.fit(replace(bench.training, labels=labels, evidence=evidence)))
    assert "core.isis_attack" in failed(gates)
    below = {name: (gate.limit or 0) - (gate.measured or 0) for name, gate in gates.items() if name.startswith("core.")}
    assert max(below, key=lambda name: below[name]) == "core.isis_attack"
    assert below["core.isis_attack"] > 0.1
    assert "F1 of isis_attack" in gates["core.isis_attack"].reason


def test_few_records_fail_macro_f1_and_floor(bench: Bench) -> None:
    few = bench.training.take(range(0, len(bench.training.records), 5))
    gates = bench.gates(bench.fit(few), replace(LIMITS, floor=0.5))
    assert {"macro_f1", "floor", "newest"} <= failed(gates)
    assert "worse in 100%" in gates["macro_f1"].reason


def test_pushed_probabilities_fail_calibration_alone(bench: Bench) -> None:
    pushed = bench.fit(bench.training, steepness=12.0)
    assert (pushed.carried == bench.champion.carried).mean() > 0.999
    limits = replace(LIMITS, ece=0.01)
    gates = bench.gates(pushed, limits)
    assert failed(gates) == {"calibration"}
    assert "expected calibration error" in gates["calibration"].reason
    # No worse than the champion's is enough, whatever the limit.
    assert bench.gates(bench.champion, limits)["calibration"].passed


def test_without_a_champion_only_what_needs_none_is_asked(bench: Bench) -> None:
    figures = measure(bench.champion)
    gates = check_gates(figures, None, None, bench.scheme, {"article_flips": 0.01}, LIMITS)
    assert [gate.name for gate in gates] == ["floor", "calibration", "parity"]
    assert all(gate.passed for gate in gates)


def test_failed_parity_says_the_flips() -> None:
    gate = failed_parity(ParityError("a graph that changes 9.0% of the articles' tags", "at most 5%", "Train with --precision fp32."))
    assert not gate.passed
    assert "9.0%" in gate.reason


def make(bench: Bench, support: int, drop: float, worse: float) -> Gate:
    figures = measure(bench.champion)
    tags = {"isis_attack": Difference(0.8, 0.8 - drop, -0.1, 0.1, worse)}
    found = Comparison(figures, figures, Difference(0.7, 0.7, -0.1, 0.1, 0.5), tags, {"isis_attack": support})
    return next(g for g in check_gates(figures, found, None, bench.scheme, None, LIMITS) if g.name == "core.isis_attack")


@pytest.mark.parametrize(
    ("support", "drop", "worse", "passed"),
    [
        (ENOUGH, 0.019, 0.99, True),
        (ENOUGH, 0.021, 0.60, False),
        (ENOUGH - 1, 0.05, 0.60, True),
        (ENOUGH - 1, 0.05, 0.96, False),
        (3, 0.3, 0.80, True),
    ],
)
def test_two_points_of_a_core_tag_and_how_rare_ones_are_judged(bench: Bench, support: int, drop: float, worse: float, passed: bool) -> None:
    assert make(bench, support, drop, worse).passed is passed


def test_bootstrap_is_paired_by_event_and_says_who_is_better(bench: Bench) -> None:
    same = compare(bench.champion, bench.champion, bench.groups)
    assert (same.macro_f1.gain, same.macro_f1.low, same.macro_f1.high, same.macro_f1.worse) == (0, 0, 0, 0.5)
    few = bench.fit(bench.training.take(range(0, len(bench.training.records), 5)))
    down, up = compare(bench.champion, few, bench.groups), compare(few, bench.champion, bench.groups)
    assert down.macro_f1.gain == pytest.approx(measure(few)["macro_f1"] - measure(bench.champion)["macro_f1"])
    assert down.macro_f1.low < down.macro_f1.gain < down.macro_f1.high < 0
    assert down.macro_f1.low == pytest.approx(-up.macro_f1.high)
    assert down.macro_f1.worse == pytest.approx(1 - up.macro_f1.worse)


def test_bootstrap_of_copies_is_as_unsure_as_of_their_originals(bench: Bench) -> None:
    """Four copies of each record in its own event say nothing new; taken for independent they would."""
    few = bench.fit(bench.training.take(range(0, len(bench.training.records), 2)))
    rows = np.tile(np.arange(len(bench.groups)), 4)

    def copies(own: Outcome) -> Outcome:
        parts = own.probabilities[rows], own.carried[rows], own.review[rows]
        return Outcome(own.examples.take(rows), *parts, tuple(own.evidence[row] for row in rows))

    groups = [bench.groups[row] for row in rows]
    once = compare(bench.champion, few, bench.groups).macro_f1
    grouped = compare(copies(bench.champion), copies(few), groups).macro_f1
    apart = compare(copies(bench.champion), copies(few), range(len(rows))).macro_f1
    assert grouped.high - grouped.low == pytest.approx(once.high - once.low)
    assert apart.high - apart.low < 0.75 * (once.high - once.low)


def test_bundle_names_the_records_it_was_trained_on(bundle: Bundle, small_records: list[Record]) -> None:
    from newswatch_training.export import read_trained_on

    assert read_trained_on(bundle) == frozenset(record.fingerprint for record in small_records)
