"""Drift: chance alone raises no alarm, a change of subject does."""

import json
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from newswatch import Article, Bundle
from newswatch.text import Document
from newswatch_labels import InputError, Record, write_corpus
from newswatch_training.cli import app
from newswatch_training.drift import Drift, Sample, compare, take_sample
from newswatch_training.drift_limits import Limits
from newswatch_training.drift_plot import DRIFTED, plot_drift
from newswatch_training.held_out import read_held_out, text_key
from newswatch_training.permutation import auc_distance, holm, ks_distance, permutation_test, rate_distance, word_distance

WIKINEWS = Path(__file__).parents[3] / "shared" / "data" / "wikinews_2019_2020" / "articles.jsonl"


def to_article(record: Record) -> Article:
    return Article(record.text, record.id, record.title or None, record.source_date)


def take(sample: Sample, rows: list[int]) -> Sample:
    return Sample(tuple(sample.articles[row] for row in rows), sample.probabilities[rows])


@pytest.fixture(scope="module")
def whole(bundle: Bundle, small_records: list[Record]) -> Sample:
    """The bundle's own corpus, as a model that did not learn from it scores it."""
    return take_sample(bundle, [to_article(r) for r in small_records], 10_000, 0)


def against(bundle: Bundle, old: Sample, new: Sample) -> Drift:
    return compare(old, new, bundle.decision, bundle.label)


def test_distances_are_those_of_scipy_and_scikit_learn() -> None:
    random = np.random.default_rng(1)
    new = random.random(60) < 0.4
    values = np.round(random.normal(size=(60, 2)) + new[:, None], 1)  # rounded, so that there are ties
    assert ks_distance(values)(new[None])[0] == pytest.approx([ks_2samp(v[new], v[~new]).statistic for v in values.T], abs=1e-6)
    assert auc_distance(values[:, 0])(new[None])[0, 0] == pytest.approx(roc_auc_score(new, values[:, 0]))
    flags = values > 0.5
    assert rate_distance(flags)(new[None])[0] == pytest.approx(np.abs(flags[new].mean(axis=0) - flags[~new].mean(axis=0)))
    counts = random.poisson(1.0, size=(60, 30)).astype(np.float32)
    expected = jensenshannon(counts[new].sum(axis=0), counts[~new].sum(axis=0), base=2) ** 2
    assert word_distance(sparse.csr_matrix(counts))(new[None])[0, 0] == pytest.approx(expected, rel=1e-5)


def test_p_values_are_even_under_chance_and_least_under_a_shift() -> None:
    random = np.random.default_rng(2)
    new = np.arange(60) < 20
    found = permutation_test(ks_distance(random.normal(size=(60, 200))), new, 199, 0)
    assert 0.02 <= (found.p <= 0.1).mean() <= 0.18
    assert found.p.min() >= 1 / 200
    assert found.observed.mean() == pytest.approx(found.expected.mean(), rel=0.1)
    shifted = permutation_test(ks_distance((random.normal(size=60) + 4 * new)[:, None]), new, 199, 0)
    assert shifted.p[0] == 1 / 200


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    assert holm([0.04, 0.01, 0.03, 0.5]) == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_corpus_is_compared_by_its_held_out_scores(bundle: Bundle, small_records: list[Record], whole: Sample) -> None:
    held_out = read_held_out(bundle)
    assert held_out.keys() == {text_key(r.text, r.title) for r in small_records}
    assert np.array_equal(whole.probabilities[3], held_out[text_key(small_records[3].text, small_records[3].title)])
    logits = bundle.model.logits([Document.read(r.text, r.title or None) for r in small_records])
    flattered = bundle.decision.article_probabilities(np.stack([own.article for own in logits]))
    labels = np.array([[tag in r.labels for tag in bundle.scheme.names] for r in small_records])
    assert ((flattered - labels) ** 2).mean() < 0.6 * ((whole.probabilities - labels) ** 2).mean()
    strange = take_sample(bundle, [Article(f"{r.text} So it was said.", r.id) for r in small_records[:20]], 100, 0)
    assert not any(np.array_equal(own, other) for own, other in zip(strange.probabilities, whole.probabilities, strict=False))


def test_halves_of_the_corpus_drawn_at_random_show_no_drift(bundle: Bundle, whole: Sample) -> None:
    alarms = 0
    for seed in range(20):
        rows = np.random.default_rng(seed).permutation(len(whole.articles)).tolist()
        alarms += against(bundle, take(whole, rows[: len(rows) // 2]), take(whole, rows[len(rows) // 2 :])).drifted
    assert alarms <= 2


def test_a_change_of_subject_is_drift_and_says_which(bundle: Bundle, whole: Sample, small_records: list[Record]) -> None:
    isis = [row for row, r in enumerate(small_records) if {"isis_attack", "isis_threat"} & set(r.labels)]
    others = [row for row in range(len(small_records)) if row not in isis]
    new = isis[::2] + others[::30]
    found = against(bundle, take(whole, [row for row in range(len(small_records)) if row not in new]), take(whole, new))
    drifted = {(figure.part, figure.tag) for figure in found.figures if figure.drifted}
    assert {("rate", "isis_attack"), ("scores", "isis_attack")} <= drifted
    assert ("rate", "turkish_shelling") not in drifted
    more = {word for word, now, before in found.words if now > before}
    assert {"state", "islamic"} & more
    for figure in found.figures:
        assert figure.drifted == (figure.distance > figure.limit and figure.p <= 0.05)
        if figure.part == "rate" and figure.new is not None and figure.old is not None:
            assert figure.distance == pytest.approx(abs(figure.new - figure.old))


def test_a_distance_within_its_limit_is_no_drift_however_sure(bundle: Bundle, whole: Sample, small_records: list[Record]) -> None:
    isis = [row for row, r in enumerate(small_records) if "isis_attack" in r.labels]
    rest = [row for row in range(len(small_records)) if row not in isis]
    found = compare(take(whole, rest), take(whole, isis), bundle.decision, "b", Limits(1, 1, 1, 1, 1))
    assert not found.drifted
    assert min(figure.p for figure in found.figures) < 0.05


def test_review_is_counted_by_month_or_by_year(bundle: Bundle, whole: Sample) -> None:
    few = [
        Sample((Article(a.text, a.id, a.title, day),), whole.probabilities[[n]])
        for n, (a, day) in enumerate(zip(whole.articles[:60], cycle(("2024-01-05", "2024-02", None)), strict=False))
    ]
    new = Sample(tuple(s.articles[0] for s in few), np.concatenate([s.probabilities for s in few]))
    found = against(bundle, take(whole, list(range(60, 120))), new)
    assert {period: count for period, (count, _) in found.review.items()} == {"2024-01": 20, "2024-02": 20}
    in_review = np.asarray(bundle.decision.in_band(new.probabilities).any(axis=1))
    assert found.review["2024-01"][1] == pytest.approx(in_review[::3].mean())
    years = against(bundle, take(whole, list(range(60))), whole)
    assert all(len(period) == 4 for period in years.review)


def test_the_plot_marks_what_has_drifted(bundle: Bundle, whole: Sample, small_records: list[Record]) -> None:
    isis = [row for row, r in enumerate(small_records) if "isis_attack" in r.labels]
    found = against(bundle, take(whole, [row for row in range(len(small_records)) if row not in isis]), take(whole, isis))
    rates, scores, *_ = plot_drift(found).axes
    marked = [line for line in rates.lines if line.get_color() == DRIFTED]
    assert len(marked) == sum(figure.drifted for figure in found.figures if figure.part == "rate") > 0
    assert [t.get_text() for t in scores.get_yticklabels()] == list(bundle.scheme.names[::-1])


def test_status_0_without_drift_and_the_same_report_again(bundle: Bundle, small_records: list[Record], tmp_path: Path) -> None:
    # Parts at random drift by chance once in twenty draws, as `alpha` says; these share their tags out evenly.
    rows = sorted(range(len(small_records)), key=lambda row: sorted(small_records[row].labels))
    for name, part in (("old", rows[::2]), ("new", rows[1::2])):
        write_corpus([small_records[row] for row in part], tmp_path / f"{name}.jsonl")
    reports = []
    for _ in range(2):
        command = ["drift", str(tmp_path / "new.jsonl"), "--against", str(tmp_path / "old.jsonl"), "--bundle", str(bundle.folder)]
        result = CliRunner().invoke(app, [*command, "--date-column", "source_date", "--out", str(tmp_path / "report")])
        assert result.exit_code == 0, result.output
        reports.append((tmp_path / "report" / "drift.json").read_text())
    report = json.loads(reports[0])
    assert reports[0] == reports[1]
    assert (report["drifted"], report["old"] + report["new"]) == (False, len(small_records))
    assert sum(count for count, _ in report["review"].values()) == sum(bool(small_records[row].source_date) for row in rows[1::2])
    assert (tmp_path / "report" / "drift.png").read_bytes()[:4] == b"\x89PNG"


def test_status_5_on_general_news(bundle: Bundle, small_corpus: Path, tmp_path: Path) -> None:
    if not WIKINEWS.exists():
        pytest.skip("the Wikinews articles lie beside the project and are not there")
    result = CliRunner().invoke(
        app,
        ["drift", str(WIKINEWS), "--corpus", str(small_corpus), "--bundle", str(bundle.folder), "--most", "150", "--out", str(tmp_path)],
    )
    assert result.exit_code == 5, result.output
    report = json.loads((tmp_path / "drift.json").read_text())
    assert {"domain", "words", "rate", "scores"} <= {figure["part"] for figure in report["figures"] if figure["drifted"]}


def test_too_few_articles_are_refused_and_unreadable_rows_named(bundle: Bundle, small_corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "new.jsonl").write_text('{"id": "a", "text": "Rain."}\n{broken\n')
    result = CliRunner().invoke(app, ["drift", str(tmp_path / "new.jsonl"), "--corpus", str(small_corpus), "--bundle", str(bundle.folder)])
    assert isinstance(result.exception, InputError)
    assert "1 articles" in str(result.exception)
    assert "new.jsonl:2" in result.stderr


def test_a_bundle_without_held_out_scores_is_not_compared_with_its_own_corpus(
    bundle: Bundle, small_corpus: Path, small_records: list[Record], tmp_path: Path
) -> None:
    manifest = json.loads((bundle.folder / "bundle.json").read_text())
    del manifest["files"]["held_out.npz"]
    for file in bundle.folder.iterdir():
        if file.name != "held_out.npz":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "bundle.json").write_text(json.dumps(manifest))
    result = CliRunner().invoke(app, ["drift", str(small_corpus), "--corpus", str(small_corpus), "--bundle", str(tmp_path)])
    assert isinstance(result.exception, InputError)
    assert "--against" in str(result.exception)
