import numpy as np
from matplotlib.patches import Rectangle

from newswatch.text import Document
from newswatch_labels import Record, Scheme
from newswatch_training.examples import Examples
from newswatch_training.metrics import Outcome, measure
from newswatch_training.plots import plot_precision_recall, plot_reliability, plot_tags


def make_outcome() -> Outcome:
    random = np.random.default_rng(0)
    labels = random.random((200, 3)) < [0.5, 0.3, 0.0]
    probabilities = np.clip(labels * 0.4 + random.random(labels.shape) * 0.6, 0, 1)
    records = tuple(Record(f"r{n}", "Text.", ()) for n in range(200))
    scheme = Scheme.of_names(["a", "b", "never"])
    documents = tuple(Document.read(r.text) for r in records)
    examples = Examples(scheme, records, documents, labels, np.ones_like(labels), (None,) * 200)
    return Outcome(examples, probabilities, probabilities >= 0.5, labels & False, tuple(np.zeros((1, 3), bool) for _ in records))


def test_precision_recall_draws_a_curve_and_its_threshold_for_each_tag_that_occurs() -> None:
    outcome = make_outcome()
    figure = plot_precision_recall(outcome)
    titles = [axis.get_title() for axis in figure.axes if axis.lines]
    assert titles == [f"{name} ({n})" for name, n in zip("ab", outcome.examples.labels.sum(axis=0), strict=False)]
    figures = measure(outcome)
    for axis, name in zip(figure.axes, "ab", strict=False):
        (recall,), (precision,) = np.asarray(axis.lines[1].get_xydata()).T
        assert (recall, precision) == (figures[f"recall.{name}"], figures[f"precision.{name}"])


def test_reliability_draws_the_observed_share_of_each_bin() -> None:
    outcome = make_outcome()
    upper, lower = plot_reliability(outcome).axes
    said, observed = np.asarray(upper.lines[1].get_xydata()).T
    assert len(said) == len(observed) > 5
    assert ((observed >= 0) & (observed <= 1)).all()
    assert sum(bar.get_height() for bar in lower.patches if isinstance(bar, Rectangle)) == outcome.examples.labels.size


def test_tags_are_sorted_by_f1() -> None:
    outcome = make_outcome()
    figures = measure(outcome)
    (axis,) = plot_tags(outcome, figures).axes
    heights = [bar.get_width() for bar in axis.patches if isinstance(bar, Rectangle)]
    assert heights == sorted(heights) == sorted([figures["f1.a"], figures["f1.b"]])
