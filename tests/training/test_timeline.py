"""The replayed time line trains on nothing that it is scored on."""

from collections.abc import Sequence

import numpy as np
import pytest

from newswatch_labels import Record, Scheme
from newswatch_labels.folds import group_records
from newswatch_training.examples import Examples
from newswatch_training.timeline import Year, replay
from newswatch_training.timeline_plot import plot_timeline


@pytest.fixture(scope="module")
def dated(small_records: list[Record]) -> list[Record]:
    """Every other record, and all of the two years to come."""
    return [r for n, r in enumerate(small_records) if n % 2 or (r.year or 0) >= 2024]


@pytest.fixture(scope="module")
def years(dated: list[Record], scheme: Scheme) -> list[Year]:
    return list(replay(Examples.prepare(dated, scheme), group_records(dated), [2024, 2025]))


def of_past(records: Sequence[Record], groups: Sequence[int], year: int) -> int:
    later = {group for record, group in zip(records, groups, strict=True) if (record.year or 0) >= year}
    return sum(bool(r.year) and (r.year or 0) < year and g not in later for r, g in zip(records, groups, strict=True))


def test_the_past_alone_trains_and_no_event_of_the_year_or_later(dated: list[Record], years: list[Year]) -> None:
    groups = group_records(dated)
    assert [y.trained for y in years] == [of_past(dated, groups, y.year) for y in years]
    assert [y.tested for y in years] == [sum(r.year == y.year for r in dated) for y in years]
    assert years[0].trained < years[1].trained


def test_an_event_that_goes_on_into_the_year_does_not_train(dated: list[Record], scheme: Scheme, years: list[Year]) -> None:
    groups = group_records(dated)
    past = next(g for r, g in zip(dated, groups, strict=True) if (r.year or 9999) < 2024)
    last = next(n for n, r in enumerate(dated) if r.year == 2024)
    joined = [past if number == last else group for number, group in enumerate(groups)]
    (year,) = replay(Examples.prepare(dated, scheme), joined, [2024])
    assert year.trained == of_past(dated, joined, 2024) < years[0].trained


def test_the_first_year_s_model_is_the_one_that_is_kept(years: list[Year]) -> None:
    assert years[0].kept == years[0].retrained
    assert years[1].kept != years[1].retrained
    assert all(0 < y.retrained["macro_f1"] < 1 for y in years)


def test_the_plot_shows_both_models_and_the_drift(years: list[Year]) -> None:
    upper, lower = plot_timeline(years).axes
    assert np.asarray(upper.lines[0].get_ydata()).tolist() == [y.retrained["macro_f1"] for y in years]
    assert np.asarray(upper.lines[1].get_ydata()).tolist() == [y.kept["macro_f1"] for y in years]
    words = [next(f.distance for f in y.drift.figures if f.part == "words") for y in years]
    assert np.asarray(lower.lines[0].get_ydata()).tolist() == words
