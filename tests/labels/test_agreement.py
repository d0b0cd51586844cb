import json
from dataclasses import replace
from pathlib import Path

import pytest
from sklearn.metrics import cohen_kappa_score, f1_score
from typer.testing import CliRunner

from newswatch_labels import Record, RecordError, Scheme, write_corpus
from newswatch_labels.agreement import compare_readers
from newswatch_labels.cli import app

SCHEME = Scheme.of_names(["talks", "denial"])


def reading(name: str, **evidence: tuple[str, ...]) -> Record:
    return Record(name, "One. Two. Three.", tuple(evidence), evidence=evidence)


FIRST = [reading("a", talks=("One.",)), reading("b", talks=("One.", "Two.")), reading("c"), reading("d", denial=("Three.",))]
SECOND = [reading("d"), reading("b", talks=("Two.", "Three.")), reading("a", talks=("One.",), denial=("Two.",)), reading("c"), reading("e")]


def test_figures_are_those_of_scikit_learn() -> None:
    agreement = compare_readers(FIRST, SECOND, SCHEME)
    by_id = {record.id: record for record in SECOND}
    for tag in SCHEME.names:
        one = [tag in record.labels for record in FIRST]
        two = [tag in by_id[record.id].labels for record in FIRST]
        assert agreement.tags[tag].kappa == pytest.approx(cohen_kappa_score(one, two))
        assert agreement.tags[tag].f1 == pytest.approx(f1_score(one, two))
    assert agreement.records == 4
    assert agreement.macro_f1 == pytest.approx(0.5)
    assert agreement.micro.f1 == pytest.approx(2 * 2 / 6)
    assert agreement.tags["talks"].evidence_f1 == pytest.approx(2 * 2 / 6)


def test_disagreements_name_who_gave_the_tag() -> None:
    listed = [(d.id, d.tag, d.given_by, d.sentences) for d in compare_readers(FIRST, SECOND, SCHEME).disagreements]
    assert listed == [("a", "denial", "second", ("Two.",)), ("d", "denial", "first", ("Three.",))]


def test_a_tag_without_evidence_agrees_on_no_sentence() -> None:
    bare = replace(FIRST[0], labels=("talks", "denial"))
    agreement = compare_readers([bare], [reading("a", talks=("One.",), denial=("Two.",))], SCHEME)
    assert agreement.micro.f1 == 1
    assert (agreement.tags["talks"].evidence_f1, agreement.tags["denial"].evidence_f1) == (1, 0)


def test_readings_must_match() -> None:
    with pytest.raises(RecordError, match="without a common id"):
        compare_readers(FIRST, [reading("z")], SCHEME)
    with pytest.raises(RecordError, match="a: two different texts"):
        compare_readers(FIRST, [Record("a", "Other.", ())], SCHEME)


def test_agree_command_prints_figures_and_disagreements(tmp_path: Path, small_records: list[Record]) -> None:
    first, second = small_records[:40], [*small_records[:39], replace(small_records[39], labels=(), evidence={})]
    for name, records in (("a.jsonl", first), ("b.jsonl", second)):
        write_corpus(records, tmp_path / name)
    paths = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    figures = json.loads(CliRunner().invoke(app, ["agree", *paths, "--json"]).stdout)
    assert figures["records"] == 40
    assert {d["tag"] for d in figures["disagreements"]} == set(first[39].labels)
    assert {d["given_by"] for d in figures["disagreements"]} == {"first"}
    shown = CliRunner().invoke(app, ["agree", *paths])
    assert f"{first[39].id}: {first[39].labels[0]} given by the first reader alone" in shown.output
