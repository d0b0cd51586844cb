import numpy as np
import pytest

from newswatch.text import Document
from newswatch_labels import Record, Scheme
from newswatch_training.bootstrap import EventDraws, f1_intervals
from newswatch_training.examples import Examples
from newswatch_training.metrics import Outcome, measure

SCHEME = Scheme.of_names(["talks", "denial"])


def outcome(count: int, wrong: float, seed: int = 0) -> Outcome:
    draw = np.random.default_rng(seed)
    labels = draw.random((count, 2)) < [0.4, 0.2]
    carried = labels ^ (draw.random((count, 2)) < wrong)
    records = tuple(Record(id=str(row), text="They met.", labels=()) for row in range(count))
    examples = Examples(SCHEME, records, (Document(()),) * count, labels, np.ones_like(labels), (None,) * count)
    return Outcome(examples, carried.astype(float), carried, np.zeros_like(carried), ())


def test_the_first_draw_is_the_records_as_they_are() -> None:
    made = outcome(300, 0.1)
    f1 = EventDraws(range(300), draws=5).f1(made)
    assert f1.shape == (6, 2)
    figures = measure(made)
    np.testing.assert_allclose(f1[0], [figures["f1.talks"], figures["f1.denial"]])


def test_intervals_hold_the_figure_and_narrow_with_more_events() -> None:
    few, many = outcome(150, 0.1), outcome(2400, 0.1)
    narrow, wide = (f1_intervals(made, range(len(made.carried))) for made in (many, few))
    for key, figure in ((key, measure(many)[key]) for key in ("macro_f1", "f1.talks", "f1.denial")):
        assert narrow[key][0] < figure < narrow[key][1]
        assert narrow[key][1] - narrow[key][0] < 0.5 * (wide[key][1] - wide[key][0])


def test_records_of_one_event_widen_the_interval() -> None:
    made = outcome(400, 0.15)
    rows = np.arange(400).repeat(4)
    repeated = Outcome(made.examples.take(rows), made.probabilities[rows], made.carried[rows], made.review[rows], ())
    together = f1_intervals(repeated, rows.tolist())["macro_f1"]
    apart = f1_intervals(repeated, range(1600))["macro_f1"]
    alone = f1_intervals(made, range(400))["macro_f1"]
    assert together == pytest.approx(alone, abs=1e-9)
    assert apart[1] - apart[0] < 0.7 * (together[1] - together[0])
