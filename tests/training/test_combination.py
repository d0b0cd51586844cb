import numpy as np
import pytest

from newswatch.decision import probability
from newswatch.model import Logits
from newswatch_labels import Record, Scheme
from newswatch_training.combination import choose_certainty, fit_combination, join_members
from newswatch_training.deciding import fit_decision
from newswatch_training.examples import Examples
from newswatch_training.metrics import decide, measure


@pytest.fixture(scope="module")
def examples(small_records: list[Record], scheme: Scheme) -> Examples:
    return Examples.prepare(small_records, scheme)


def noisy(examples: Examples, noise: float, seed: int, stretch: float = 1.0) -> list[Logits]:
    """Logits that know the labels, but for noise of this size."""
    rng = np.random.default_rng(seed)
    made = []
    for labels, marks in zip(examples.labels, examples.evidence, strict=True):
        assert marks is not None
        article = 4 * labels - 3 + rng.normal(0, noise, labels.shape)
        made.append(Logits(stretch * article, stretch * (4 * marks - 3 + rng.normal(0, noise, marks.shape))))
    return made


def test_the_better_member_weighs_more(examples: Examples) -> None:
    combination = fit_combination({"linear": noisy(examples, 4, 0), "encoder": noisy(examples, 1, 1)}, examples)
    assert combination.article_weights["encoder"] >= 0.7
    assert combination.sentence_weights["encoder"] >= 0.7
    alike = fit_combination({"linear": noisy(examples, 2, 0), "encoder": noisy(examples, 2, 1)}, examples)
    assert 0.3 <= alike.article_weights["linear"] <= 0.7


def test_two_that_err_apart_are_better_together(examples: Examples) -> None:
    members = {"linear": noisy(examples, 2.5, 0), "encoder": noisy(examples, 2.5, 1)}
    joined = join_members(members, fit_combination(members, examples))
    figures = [
        measure(decide(logits, fit_decision(logits, examples), examples)) for logits in (members["linear"], members["encoder"], joined)
    ]
    for name in ("macro_f1", "evidence_f1", "macro_average_precision"):
        assert figures[2][name] > max(figures[0][name], figures[1][name])


def test_scale_of_a_member_does_not_matter(examples: Examples) -> None:
    plain = {"linear": noisy(examples, 2, 0), "encoder": noisy(examples, 2, 1)}
    stretched = {"linear": noisy(examples, 2, 0, stretch=0.2), "encoder": noisy(examples, 2, 1)}
    one, two = (join_members(m, fit_combination(m, examples)) for m in (plain, stretched))
    gap = np.abs(probability(np.stack([z.article for z in one])) - probability(np.stack([z.article for z in two])))
    assert gap.mean() < 0.02


def test_certainty_costs_at_most_half_a_point(examples: Examples) -> None:
    members = {"linear": noisy(examples, 2, 0), "encoder": noisy(examples, 1, 1)}
    combination = fit_combination(members, examples)
    decision = fit_decision(join_members(members, combination), examples)
    certain = choose_certainty(members, combination, decision, examples)
    whole, quick = (
        measure(decide(join_members(members, combination, bound), decision, examples))["macro_f1"] for bound in (-np.inf, certain)
    )
    assert whole - quick <= 0.005
    alone = [combination.alone("linear", own).article.max() < certain for own in members["linear"]]
    assert any(alone)
    assert not all(alone)


def test_certain_of_everything_wrongly_turns_the_cascade_off(examples: Examples) -> None:
    """A linear member that sees no tag anywhere must not be believed."""
    tags = examples.labels.shape[1]
    blind = [Logits(np.full(tags, -9.0), np.full((len(d.sentences), tags), -9.0)) for d in examples.documents]
    members = {"linear": blind, "encoder": noisy(examples, 0.5, 1)}
    combination = fit_combination(members, examples)
    certain = choose_certainty(members, combination, fit_decision(join_members(members, combination), examples), examples)
    assert not any(combination.alone("linear", own).article.max() < certain for own in blind)
