import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from newswatch_labels import Record, Scheme, read_corpus
from newswatch_labels.census import take_census
from newswatch_labels.check import check_corpus
from newswatch_labels.cli import app
from newswatch_labels.corpus import Corpus


def test_shipped_corpus_passes(corpus: Corpus) -> None:
    report = check_corpus(corpus)
    assert report.faults == ()
    assert report.runs == ()
    assert report.passed


def test_contrast_faults_are_named() -> None:
    a = Record("a", "one text of its own", ("talks",), contrast="b")
    for other, message in (
        ([], "not in the corpus"),
        ([Record("b", "another text", ("denial",))], "does not name it back"),
        ([Record("b", "another text", ("talks",), contrast="a")], "the same tags"),
    ):
        assert any(message in fault for fault in check_corpus(Corpus((a, *other))).faults)
    assert check_corpus(Corpus((a, Record("b", "another text", (), contrast="a")))).passed


def test_census_counts(scheme: Scheme, corpus: Corpus) -> None:
    census = take_census(corpus.records, scheme)
    assert census.records == len(corpus.records) == sum(census.years.values()) == sum(census.styles.values())
    assert census.no_tag == sum(not record.labels for record in corpus.records)
    assert census.tags["denial"] == sum("denial" in record.labels for record in corpus.records)
    assert list(census.words) == sorted(census.words)


@pytest.mark.parametrize("by", ["event", "time"])
def test_split_writes_every_record_once(tmp_path: Path, small_corpus: Path, by: str) -> None:
    result = CliRunner().invoke(app, ["split", str(small_corpus), str(tmp_path), "--by", by, "--dev", "0.2", "--test", "0.2"])
    assert result.exit_code == 0, result.output
    parts = {split: {r.id for r in read_corpus(tmp_path / f"{split}.jsonl").records} for split in ("train", "dev", "test")}
    everything = {record.id for record in read_corpus(small_corpus).records}
    assert set.union(*parts.values()) == everything
    assert sum(map(len, parts.values())) == len(everything)
    assert all(0.1 * len(everything) < len(part) for part in parts.values())


def test_check_command_fails_on_a_fault(tmp_path: Path, small_records: list[Record]) -> None:
    path = tmp_path / "c.jsonl"
    row = json.loads(small_records[0].to_json()) | {"evidence": {"denial": ["Not in the text."]}}
    path.write_text(json.dumps(row) + "\n" + replace(small_records[1], contrast=None).to_json() + "\n")
    result = CliRunner().invoke(app, ["check", str(path)])
    assert result.exit_code == 1
    assert "1 records, 1 faults" in result.output


def test_stats_prints_json(small_corpus: Path) -> None:
    result = CliRunner().invoke(app, ["stats", str(small_corpus), "--json"])
    assert json.loads(result.stdout)["tags"]["cooperation"] >= 22
