import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from newswatch import Article, Scorer
from newswatch_labels import InputError, Record
from newswatch_labels.cli import app
from newswatch_labels.pool import read_pool, read_scores
from newswatch_labels.suggest import entropy, suggest

TEXTS = ["Rain fell on the plain of Nineveh.", "Gunmen fired at a checkpoint near Daquq.", "The minister denied every word of it.", "Snow."]


def record(name: str, text: str) -> Record:
    return Record(name, text, ())


def chosen(pool: list[Record], scores: dict[str, dict[str, float]], count: int) -> list[str]:
    return [suggestion.record.id for suggestion in suggest(pool, scores, count)]


def test_entropy_is_one_bit_at_even_odds_and_none_when_sure() -> None:
    assert [entropy(0.0), entropy(0.5), entropy(1.0)] == [0, 1, 0]
    assert entropy(0.11) == pytest.approx(0.49992, abs=1e-5)


def test_an_unsure_article_comes_before_a_sure_one_whichever_way_it_is_sure() -> None:
    pool = [record(name, text) for name, text in zip("abc", TEXTS, strict=False)]
    assert chosen(pool, {"a": {"x": 0.02}, "b": {"x": 0.55}, "c": {"x": 0.97}}, 3) == ["b", "c", "a"]


def test_a_rare_tag_is_not_crowded_out_by_a_frequent_one() -> None:
    """Ten articles at even odds for one tag, two less unsure ones for another: each tag gets its share of four."""
    pool = [record(f"r{n}", f"{TEXTS[n % 4]} {random.Random(n).random()} {chr(97 + n) * 5}") for n in range(12)]
    scores = {r.id: {"common": 0.5 if n < 10 else 0.01, "rare": 0.01 if n < 10 else 0.2} for n, r in enumerate(pool)}
    found = chosen(pool, scores, 4)
    assert {"r10", "r11"} & set(found[:2])
    assert {"r10", "r11"} < set(found)


def test_a_story_that_two_outlets_carry_is_asked_for_once() -> None:
    pool = [record("first", TEXTS[1]), record("copy", f"{TEXTS[1]} AFP"), record("other", TEXTS[2])]
    scores = {"first": {"x": 0.5}, "copy": {"x": 0.49}, "other": {"x": 0.1}}
    assert chosen(pool, scores, 3) == ["first", "other", "copy"]


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=12), st.integers(1, 15))
def test_each_article_at_most_once_and_each_gain_at_most_the_one_before(rows: list[list[float]], count: int) -> None:
    pool = [record(f"r{n}", f"{TEXTS[n % 4]} {chr(97 + n) * 4}") for n in range(len(rows))]
    found = suggest(pool, {r.id: dict(zip("xyz", own, strict=True)) for r, own in zip(pool, rows, strict=True)}, count)
    assert len({s.record.id for s in found}) == len(found) == min(count, len(pool))
    gains = [s.gain for s in found]
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(gains))
    assert all(s.gain >= 0 and s.tags for s in found)


def test_an_article_without_a_prediction_is_named() -> None:
    with pytest.raises(InputError, match="no prediction for 'b'"):
        suggest([record("a", TEXTS[0]), record("b", TEXTS[1])], {"a": {"x": 0.5}}, 1)


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_pool_is_read_with_its_source_and_without_labels(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": "a", "text": "Rain.", "url": "https://example.org/a", "date": "2021-03-04T05:06:07Z", "labels": ["unheard_of"]},
        {"id": "a", "text": "Rain again."},
        {"text": "Nameless."},
        {"id": "c", "text": "Snow.", "section": "weather"},
    ]
    records, faults = read_pool(write(tmp_path / "pool.jsonl", rows))
    assert [(r.id, r.labels, r.source_url, r.source_date) for r in records] == [
        ("a", (), "https://example.org/a", "2021-03-04"),
        ("c", (), None, None),
    ]
    assert records[1].extra == {"section": "weather"}
    assert ["pool.jsonl:2" in str(faults[0]), "pool.jsonl:3" in str(faults[1])] == [True, True]


@pytest.mark.parametrize(
    "row", [{"id": "a"}, {"id": "a", "scores": {}}, {"id": "a", "scores": {"x": 1.5}}, {"id": "a", "scores": {"x": "1"}}]
)
def test_what_is_no_prediction_is_refused(row: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"p\.jsonl:1: scores"):
        read_scores(write(tmp_path / "p.jsonl", [row]))


def test_predictions_of_two_schemes_are_refused(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"id": "a", "scores": {"x": 0.5}}, {"id": "b", "scores": {"y": 0.5}}]
    with pytest.raises(InputError, match=r"p\.jsonl:2: tags y"):
        read_scores(write(tmp_path / "p.jsonl", rows))


def test_from_a_scored_pool_to_tasks_for_label_studio(small_records: list[Record], scorer: Scorer, tmp_path: Path) -> None:
    pool = [replace(r, labels=(), evidence=None, contrast=None) for r in small_records[:80]]
    predictions = scorer.score([Article(r.text, r.id, r.title or None) for r in pool])
    write(tmp_path / "p.jsonl", [prediction.to_dict() for prediction in predictions])
    (tmp_path / "pool.jsonl").write_text("".join(r.to_json() + "\n" for r in pool) + "{broken\n")
    names = [str(tmp_path / name) for name in ("pool.jsonl", "out.jsonl", "p.jsonl")]
    result = CliRunner().invoke(app, ["suggest", names[0], names[1], "--predictions", names[2], "-n", "12"])
    assert result.exit_code == 3, result.output
    assert "pool.jsonl:81" in result.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len({row["id"] for row in rows}) == 12
    assert {row["id"]: row["text"] for row in rows}.items() <= {r.id: r.text for r in pool}.items()
    unsure = {p.id: sum(map(entropy, p.scores.values())) for p in predictions}
    assert unsure[rows[0]["id"]] >= sorted(unsure.values())[-10]
    tasks = tmp_path / "tasks.json"
    exported = CliRunner().invoke(app, ["export", names[1], str(tasks), "--to", "label-studio", "--predictions", names[2]])
    assert exported.exit_code == 0, exported.output
    assert [task["data"]["id"] for task in json.loads(tasks.read_text())] == [row["id"] for row in rows]
    assert all(len(task["predictions"]) == 1 for task in json.loads(tasks.read_text()))
