"""The gates: what a challenger must hold to become the champion, each with its figure, its limit and its reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from newswatch_labels.scheme import Scheme
from newswatch_training.comparison import Comparison, Difference
from newswatch_training.encoder_settings import ParityError

ENOUGH = 50  # articles of a tag, from which its F1 is taken at its word


@dataclass(frozen=True)
class Limits:
    """Limits of the gates, in points of F1 or probability from 0 to 1.

    Attributes:
        floor: least macro F1 of any champion.
        margin: by how much macro F1 may lie below the champion's.
        core_drop: by how much a core tag's F1 may lie below the champion's.
        ece: highest expected calibration error, unless the champion's is higher still.
        sure: share of the bootstrap's draws from which a loss counts as shown.
    """

    floor: float = 0.6
    margin: float = 0.0
    core_drop: float = 0.02
    ece: float = 0.03
    sure: float = 0.95


@dataclass(frozen=True)
class Gate:
    """One gate: what was measured, against which limit; `reason` says it in words."""

    name: str
    passed: bool
    measured: float | None
    limit: float | None
    reason: str


def check_gates(
    challenger: Mapping[str, float],
    fold: Comparison | None,
    newest: Comparison | None,
    scheme: Scheme,
    parity: Mapping[str, float] | None,
    limits: Limits,
) -> tuple[Gate, ...]:
    """Check every gate that applies; those that compare apply where there is a champion.

    Args:
        challenger: its figures on the frozen fold.
        fold, newest: both models on the frozen fold and on its newest fifth; None without a champion (or without dates).
        parity: of an encoder's graph, as its bundle states it.
    """
    gates = [_floor(challenger["macro_f1"], limits), _calibration(challenger["ece"], fold, limits)]
    if parity is not None:
        gates.append(_parity(parity))
    if fold is not None:
        gates.append(_macro_f1(fold.macro_f1, limits))
        gates += [_core_tag(tag.name, fold, limits) for tag in scheme.tags if tag.core and tag.name in fold.tags]
    if newest is not None:
        gates.append(_newest(newest.macro_f1, limits))
    return tuple(gates)


def failed_parity(error: ParityError) -> Gate:
    """The gate of a graph that was not even written."""
    return Gate("parity", False, None, None, f"{error.received}; {error.expected} are allowed")


def refused(name: str, reason: str) -> Gate:
    """A gate without a figure that does not pass."""
    return Gate(name, False, None, None, reason)


def _floor(measured: float, limits: Limits) -> Gate:
    return Gate("floor", measured >= limits.floor, measured, limits.floor, f"macro F1 {measured:.3f}, floor {limits.floor:.3f}")


def _calibration(measured: float, fold: Comparison | None, limits: Limits) -> Gate:
    limit = max(limits.ece, fold.champion["ece"]) if fold else limits.ece
    return Gate("calibration", measured <= limit, measured, limit, f"expected calibration error {measured:.4f}, at most {limit:.4f}")


def _parity(parity: Mapping[str, Any]) -> Gate:
    """Passed, for `write_bundle` takes no other; stated for the record."""
    flips = float(parity["article_flips"])
    return Gate("parity", True, flips, None, f"the graph changes {flips:.1%} of the articles' tags, checked when it was exported")


def _macro_f1(difference: Difference, limits: Limits) -> Gate:
    """Not below the champion's by more than the margin, and not shown to be worse."""
    limit = difference.champion - limits.margin
    passed = difference.challenger >= limit and difference.worse < limits.sure
    return Gate("macro_f1", passed, difference.challenger, limit, _say("macro F1", difference))


def _newest(difference: Difference, limits: Limits) -> Gate:
    """On the newest fifth, which is small, only a loss that the bootstrap shows counts."""
    passed = difference.gain >= 0 or difference.worse < limits.sure
    return Gate("newest", passed, difference.challenger, difference.champion, _say("macro F1 on the newest fifth", difference))


def _core_tag(name: str, fold: Comparison, limits: Limits) -> Gate:
    """At most `core_drop` below; of a tag with fewer than `ENOUGH` articles, where one article is points, only a loss that is shown."""
    difference, support = fold.tags[name], fold.support[name]
    limit = difference.champion - limits.core_drop
    within = difference.challenger >= limit
    passed = within or (support < ENOUGH and difference.worse < limits.sure)
    return Gate(f"core.{name}", passed, difference.challenger, limit, f"{_say(f'F1 of {name}', difference)}, {support} articles")


def _say(figure: str, difference: Difference) -> str:
    return (
        f"{figure} {difference.challenger:.3f}, champion {difference.champion:.3f} "
        f"(95 % of draws {difference.low:+.3f} to {difference.high:+.3f}, worse in {difference.worse:.0%})"
    )
