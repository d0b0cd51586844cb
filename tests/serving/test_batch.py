import gzip
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from newswatch import Article, Bundle, InputError, Scorer
from newswatch.batch import run_batch
from newswatch.output import arrow_schema
from newswatch.reading import Columns
from newswatch.summary import Summary
from newswatch.whole_file import OutputError
from newswatch_labels import Record
from newswatch_labels.corpus import Corpus

Batch = Any


@pytest.fixture
def batch(bundle: Bundle, tmp_path: Path) -> Batch:
    """`run_batch` with the small bundle and one worker, into tmp_path/out."""

    def run(*paths: Path | str, out: Path = tmp_path / "out", **options: Any) -> Summary:
        return run_batch(paths, out, **{"bundle": bundle.folder, "workers": 1, **options})

    return run


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [{"id": r.id, "title": r.title, "text": r.text} for r in records]


def results(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(out.glob("*.jsonl")) for line in path.read_text().splitlines()]


def quarantined(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted((out / "quarantine").glob("*.jsonl")) for line in path.read_text().splitlines()]


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.suffix in (".jsonl", ".parquet")}


def test_batch_says_what_the_function_says(batch: Batch, scorer: Scorer, corpus: Corpus, tmp_path: Path) -> None:
    records = corpus.records[:2000]
    half = len(records) // 2
    paths = [write_rows(tmp_path / f"{n}.jsonl", as_rows(part)) for n, part in enumerate((records[:half], records[half:]))]
    summary = batch(*paths, workers=2)
    made = {row["id"]: row for row in results(tmp_path / "out")}
    assert len(made) == summary.tally.articles == summary.scored == 2000
    for record in reversed(records):
        (expected,) = scorer.score([Article(record.text, record.id, record.title or None)])
        row = made[record.id]
        assert row["scores"] == pytest.approx(dict(expected.scores), abs=1e-5)
        assert {**row, "scores": 0} == {**expected.to_dict(), "scores": 0}
    assert summary.tally.tags["denial"] == sum("denial" in row["tags"] for row in made.values()) > 0
    assert summary.tally.review == sum(bool(row["review"]) for row in made.values()) > 0


@pytest.mark.parametrize("output", ["jsonl", "parquet"])
def test_bytes_depend_neither_on_workers_nor_on_chunks(
    batch: Batch, small_records: list[Record], tmp_path: Path, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newswatch.output.ROWS_A_GROUP", 50)
    rows = as_rows(small_records[:130])
    paths = [
        write_rows(tmp_path / "in" / f"{n}.jsonl", rows[start : start + size]) for n, (start, size) in enumerate([(0, 120), (120, 10)])
    ]
    made = []
    for workers, chunk in ((1, 32), (2, 7), (1, 1000)):
        monkeypatch.setattr("newswatch.batch.CHUNK_ROWS", chunk)
        batch(*paths, output=output, workers=workers, out=tmp_path / f"out{chunk}")
        made.append(contents(tmp_path / f"out{chunk}"))
    assert made[0] == made[1] == made[2]
    assert len(made[0]) == 2
    assert min(map(len, made[0].values())) > 1000


def test_parquet_has_the_stated_schema_and_the_same_rows(batch: Batch, small_records: list[Record], tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", as_rows(small_records[:40]))
    batch(path, out=tmp_path / "lines")
    batch(path, out=tmp_path / "table", output="parquet")
    table = parquet.read_table(next((tmp_path / "table").glob("*.parquet")))
    assert table.schema.equals(arrow_schema())
    assert arrow_schema(evidence=False, dedupe=True).names == ["id", "tags", "scores", "review", "model", "duplicate_of"]
    read = [{**row, "scores": dict(row["scores"]), "evidence": dict(row["evidence"])} for row in table.to_pylist()]
    assert read == results(tmp_path / "lines")
    assert any(row["evidence"] for row in read)


def test_unchanged_shards_are_skipped_and_changed_ones_scored(batch: Batch, bundle: Bundle, tmp_path: Path) -> None:
    a = write_rows(tmp_path / "a.jsonl", [{"id": "a", "text": "ISIS gunmen ambushed a patrol near Daquq."}])
    b = write_rows(tmp_path / "b.jsonl", [{"id": "b", "text": "The ministry denied the report."}])
    out = tmp_path / "out"
    first = batch(a, b)
    before = contents(out)
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.jsonl")}
    again = batch(a, b)
    assert (first.skipped, first.scored, again.skipped, again.scored) == (0, 2, 2, 0)
    assert again.tally == first.tally
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.jsonl")} == times

    write_rows(b, [{"id": "b2", "text": "The ministry denied the report again."}])
    changed = batch(a, b)
    assert (changed.skipped, changed.scored) == (1, 1)
    assert sorted(row["id"] for row in results(out)) == ["a", "b2"]
    assert {name: data for name, data in contents(out).items() if before[name] != data}.keys() == {
        next(name for name in before if name.startswith("b-"))
    }

    next(out.glob("a-*.jsonl")).unlink()
    assert (lost := batch(a, b)).scored == lost.skipped == 1
    assert batch(a, b, evidence=False).scored == 2
    assert all("evidence" not in row for row in results(out))
    retrained = tmp_path / "retrained"
    shutil.copytree(bundle.folder, retrained)
    (retrained / "bundle.json").write_text(json.dumps({**bundle.manifest, "version": "next"}))
    other = batch(a, b, bundle=retrained)
    assert other.scored == 2
    assert {row["model"] for row in results(out)} == {f"{bundle.manifest['name']}@next"} == {other.model}
    assert batch(a, b, output="parquet").scored == 2
    assert contents(out).keys() == {path.name for path in out.glob("*.parquet")}


def test_rows_and_files_that_cannot_be_scored_are_put_apart(batch: Batch, tmp_path: Path) -> None:
    rows = [{"id": str(n), "text": f"The ministry denied report {n * n * n}."} for n in range(3000)]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    folder = tmp_path / "in"
    mended = folder / "lines.jsonl"
    write_rows(mended, [{"id": "x", "text": "fine"}, {"id": "y"}])
    mended.write_bytes(mended.read_bytes() + b'{"id": "z", "te\n{"id": "w", "text": "caf\xe9"}\n{"id": "v", "text": "last"}')
    packed = gzip.compress(lines)
    (folder / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    (folder / "bad.parquet").write_bytes(b"PAR1 nothing PAR1")
    parquet.write_table(pa.table({"id": [1, 2], "text": ["one", None]}), folder / "good.parquet")
    (folder / "table.csv").write_bytes(b"id,text\n1,good\n2,\xff\n3\n")
    summary = batch(folder)
    bad = quarantined(tmp_path / "out")
    assert summary.tally.quarantined == len(bad) == 8
    assert sorted((Path(row["file"]).name, row["row"]) for row in bad if row["row"]) == [
        ("good.parquet", 2), ("lines.jsonl", 2), ("lines.jsonl", 3), ("lines.jsonl", 4), ("table.csv", 3), ("table.csv", 4),
    ]  # fmt: skip
    assert {Path(row["file"]).name for row in bad if row["row"] is None} == {"cut.jsonl.gz", "bad.parquet"}
    assert all(row["reason"] for row in bad)
    assert next(row for row in bad if row["place"] == "lines.jsonl:4")["content"] == '{"id": "w", "text": "caf\\xe9"}'
    scored = [row["id"] for row in results(tmp_path / "out")]
    assert {"x", "v"} <= set(scored)
    assert 500 < len(scored) < 3000
    assert len(scored) == summary.tally.articles

    write_rows(mended, [{"id": "x", "text": "fine"}])
    assert batch(folder).skipped == 4
    assert not [row for row in quarantined(tmp_path / "out") if row["place"].startswith("lines")]


def test_texts_that_are_odd_are_scored(batch: Batch, tmp_path: Path) -> None:
    odd = ["", "\0", "ئەنجوومەنی ئاسایش", "‏عربي", "💥" * 50, "<p>x</p>", "1234"]
    batch(write_rows(tmp_path / "a.jsonl", [{"id": str(n), "text": text} for n, text in enumerate(odd)]))
    made = results(tmp_path / "out")
    assert [row["id"] for row in made] == [str(n) for n in range(len(odd))]
    assert all(0 <= score <= 1 for row in made for score in row["scores"].values())
    assert made[0]["tags"] == made[-1]["tags"] == []


def test_an_article_of_ten_megabytes_is_scored_and_a_longer_one_refused(batch: Batch, tmp_path: Path) -> None:
    sentence = f"The ministry denied report {'x' * 150} of day {{}}, and {'y' * 150} said that nothing had changed. "
    text = "".join(sentence.format(n % 50) for n in range(28_000))
    assert len(text) > 10_000_000
    batch(write_rows(tmp_path / "a.jsonl", [{"id": "long", "text": text}, {"id": "longer", "text": " " * 20_000_001}]))
    assert [row["id"] for row in results(tmp_path / "out")] == ["long"]
    assert "text of 20,000,001 characters; expected at most 20,000,000" in quarantined(tmp_path / "out")[0]["reason"]


def test_files_of_one_name_and_columns_of_ones_own(batch: Batch, tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_text(f"nr,body\n{folder}1,The ministry denied it.\n")
    summary = batch(str(tmp_path / "*" / "a.csv"), columns=Columns("body", "nr"))
    assert summary.shards == 2
    assert sorted(row["id"] for row in results(tmp_path / "out")) == ["x1", "y1"]


def test_copies_are_marked_and_a_broken_off_run_marks_the_same(batch: Batch, small_records: list[Record], tmp_path: Path) -> None:
    long = [r for r in small_records if r.words > 40 and not r.contrast][:12]
    rows = as_rows(long)
    a = write_rows(tmp_path / "a.jsonl", [*rows[:6], {**rows[0], "id": "copy of 0"}])
    b = write_rows(tmp_path / "b.jsonl", [*rows[6:], {**rows[2], "id": "copy of 2"}])
    c = write_rows(tmp_path / "c.jsonl", [{**rows[7], "id": "copy of 7"}])
    summary = batch(a, b, c, dedupe=True)
    marks = {row["id"]: row["duplicate_of"] for row in results(tmp_path / "out")}
    copies = {"copy of 0": long[0].id, "copy of 2": long[2].id, "copy of 7": long[7].id}
    assert marks == {**dict.fromkeys((r.id for r in long), None), **copies}
    assert summary.tally.duplicates == 3

    whole = contents(tmp_path / "out")
    next((tmp_path / "out").glob("c-*.jsonl")).unlink()
    assert batch(a, b, c, dedupe=True).scored == 1
    assert contents(tmp_path / "out") == whole

    write_rows(a, rows[1:6])
    assert batch(a, b, c, dedupe=True).skipped == 0, "what comes first may change the marks of all that follow"


def test_progress_is_told(batch: Batch, small_records: list[Record], tmp_path: Path) -> None:
    paths = [write_rows(tmp_path / f"{n}.jsonl", as_rows(small_records[n * 50 : n * 50 + 50])) for n in range(2)]
    told: list[tuple[int, int, int]] = []
    batch(*paths, report=lambda *what: told.append(what))
    whole = sum(path.stat().st_size for path in paths)
    assert told == sorted(told)
    assert len(told) == 4
    assert told[-1] == (whole, whole, 100)
    assert all(0 < done <= whole == all_ for done, all_, _ in told)


def test_two_runs_do_not_share_a_folder(batch: Batch, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", [{"text": "one"}])

    def second(*told: int) -> None:
        batch(path)

    with pytest.raises(OutputError, match="another run is writing there"):
        batch(path, report=second)
    assert batch(path).scored == 1


def test_environment_is_left_as_it_was(batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSWATCH_THREADS", "2")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    batch(write_rows(tmp_path / "a.jsonl", [{"text": "one"}]))
    assert dict(os.environ) == before


def test_wrong_arguments_are_named(batch: Batch, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", [{"text": "one"}])
    for options, message in (({"workers": 0}, "0 workers"), ({"output": "xml"}, "output 'xml'"), ({"kind": "doc"}, "format 'doc'")):
        with pytest.raises(InputError, match=message):
            batch(path, **options)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="a folder that can be written"):
        batch(path)


def test_a_damaged_bundle_ends_the_run_by_name(batch: Batch, bundle: Bundle, tmp_path: Path) -> None:
    broken = tmp_path / "bundle"
    shutil.copytree(bundle.folder, broken)
    (broken / "linear.npz").write_bytes(b"x")
    with pytest.raises(Exception, match=r"linear\.npz: sha256"):
        batch(write_rows(tmp_path / "a.jsonl", [{"text": "one"}]), bundle=broken)
    assert contents(tmp_path / "out") == {}
