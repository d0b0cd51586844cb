import gzip
import io
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from newswatch import Article
from newswatch.reading import Columns, Fault, read_articles


def read(*paths: Path, **options: object) -> tuple[list[Article], list[str]]:
    rows = list(read_articles(paths, **options))  # type: ignore[arg-type]
    return [row for row in rows if isinstance(row, Article)], [str(row.error) for row in rows if isinstance(row, Fault)]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_text_file_has_its_name_as_id(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.txt", "\ufeffHello\r\nthere")) == ([Article("Hello\r\nthere", "a.txt")], [])


def test_text_beyond_what_can_be_scored_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newswatch.text.MAX_CHARS", 10)
    articles, faults = read(write(tmp_path, "a.txt", "x" * 11), write(tmp_path, "b.txt", "x" * 10))
    assert articles == [Article("x" * 10, "b.txt")]
    assert [fault.split(";")[0] for fault in faults] == ["a.txt of 11 characters"]


def test_html_gives_title_and_article_without_furniture(samples: Path) -> None:
    (article,), faults = read(samples / "erbil-marathon.html")
    assert faults == []
    assert article.title is not None
    assert article.title.startswith("Four thousand run")
    assert "joint operations room" in article.text
    assert "hideout near Makhmour" not in article.text


def test_html_without_article_is_a_fault(tmp_path: Path) -> None:
    assert "no article text" in read(write(tmp_path, "a.html", "<html></html>"))[1][0]


def test_jsonl_keeps_good_rows(tmp_path: Path) -> None:
    lines = [
        b'{"id": 7, "text": "one", "title": "T"}', b'{"text": "half', b"", b"[1]", b'{"id": "x"}',
        b'{"text": "\xff"}', b'{"text": "\\ud800"}', b'{"text": "ok", "title": 3}', b"[" * 100_000, b'{"text": "last"}',
    ]  # fmt: skip
    articles, faults = read(write(tmp_path, "a.jsonl", b"\n".join(lines)))
    assert articles == [Article("one", "7", "T"), Article("last", "a.jsonl:10")]
    assert [fault.split(" ")[0] for fault in faults] == [f"a.jsonl:{n}:" for n in (2, 4, 5, 6, 7, 8, 9)]


def test_a_date_is_kept_where_there_is_one(tmp_path: Path) -> None:
    lines = '{"id": "a", "text": "one", "date": "2021-03-04"}\n{"id": "b", "text": "two", "date": 2021}\n{"id": "c", "text": "three"}\n'
    articles, faults = read(write(tmp_path, "a.jsonl", lines))
    assert ([article.date for article in articles], faults) == (["2021-03-04", "2021", None], [])
    parquet.write_table(pa.table({"text": ["one"], "day": [date(2021, 3, 4)]}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", columns=Columns(date="day"))[0][0].date == "2021-03-04"


def test_jsonl_gz_and_truncation(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"id": str(n), "text": f"text {n * n}"}) + "\n" for n in range(50_000))
    packed = gzip.compress(lines.encode())
    assert len(read(write(tmp_path, "a.jsonl.gz", packed))[0]) == 50_000
    articles, faults = read(write(tmp_path, "b.jsonl.gz", packed[: len(packed) // 2]))
    assert 1000 < len(articles) < 50_000
    assert len(faults) == 1
    assert "b.jsonl.gz" in faults[0]
    garbled = bytearray(packed)
    garbled[len(garbled) // 2] ^= 0xFF
    assert "c.jsonl.gz" in read(write(tmp_path, "c.jsonl.gz", bytes(garbled)))[1][-1]


def test_zst_is_unpacked_and_truncation_found(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"id": str(n), "text": f"text {n * n}"}) + "\n" for n in range(50_000)).encode()
    packed = zstandard.ZstdCompressor().compress(lines)
    assert len(read(write(tmp_path, "a.jsonl.zst", packed))[0]) == 50_000
    assert len(read(write(tmp_path, "two.jsonl.zst", packed + packed))[0]) == 100_000
    articles, faults = read(write(tmp_path, "b.jsonl.zst", packed[: len(packed) // 2]))
    assert 1000 < len(articles) < 50_000
    assert "b.jsonl.zst: Truncated" in faults[-1]
    assert "c.jsonl.zst" in read(write(tmp_path, "c.jsonl.zst", b"no zstd"))[1][0]
    rows = b"id,text\n1,one\n2,two\n"
    assert read(write(tmp_path, "d.csv.zst", zstandard.ZstdCompressor().compress(rows)))[0] == [Article("one", "1"), Article("two", "2")]


def test_faults_show_where_and_what(tmp_path: Path) -> None:
    jsonl = write(tmp_path, "a.jsonl", b'{"text": "fine"}\n{"id": "x", "body": "caf\xe9"}\n')
    table = write(tmp_path, "b.csv", b"id,text\n1,good\n2,\xff\n")
    assert [(f.row, f.content) for f in read_articles([jsonl, table]) if isinstance(f, Fault)] == [
        (2, '{"id": "x", "body": "caf\\xe9"}'),
        (3, '{"id": "2", "text": "\\udcff"}'),
    ]


def test_rows_beyond_the_limit_are_refused_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newswatch.stream.MAX_ROW", 1000)
    monkeypatch.setattr("newswatch.reading.MAX_ROW", 1000)
    long = json.dumps({"text": "x" * 5000}).encode()
    articles, faults = read(write(tmp_path, "a.jsonl", b'{"text": "one"}\n' + long + b'\n{"text": "two", "id": "last"}\n' + long))
    assert [article.id for article in articles] == ["a.jsonl:1", "last"]
    assert [fault.split(" ")[0] for fault in faults] == ["a.jsonl:2:", "a.jsonl:4:"]
    assert "more than 1,000 bytes" in faults[0]
    assert "a line of more than 1,000 bytes" in read(write(tmp_path, "a.csv", "text\nfine\n" + "x" * 5000))[1][-1]


def test_ids_that_no_file_can_hold_are_refused(tmp_path: Path) -> None:
    articles, faults = read(write(tmp_path, "a.jsonl", '{"id": "\\ud800", "text": "one"}\n'))
    assert articles == []
    assert "lone surrogate U+D800" in faults[0]


def test_file_name_that_is_no_unicode(tmp_path: Path) -> None:
    path = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.txt"))
    path.write_text("Hello")
    assert read(path)[0] == [Article("Hello", "caf\\udce9.txt")]


def test_csv_with_columns_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'nr,body\n1,"two\nlines, here"\n2,plain\n')
    assert read(path, columns=Columns("body", "nr")) == ([Article("two\nlines, here", "1"), Article("plain", "2")], [])


def test_csv_without_the_column_names_those_it_has(tmp_path: Path) -> None:
    fault = read(write(tmp_path, "a.csv", "nr,body\n1,x\n"))[1][0]
    assert "columns nr, body; expected a column 'text'" in fault


def test_csv_row_with_bad_bytes_does_not_end_the_file(tmp_path: Path) -> None:
    articles, faults = read(write(tmp_path, "a.csv", b"id,text\n1,good\n2,\xff\xfe\n3,better\n4\n"))
    assert [article.id for article in articles] == ["1", "3"]
    assert "byte 0xFF, no UTF-8" in faults[0]
    assert "text is None" in faults[1]


def test_parquet_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"id": [1, 2], "text": ["one", None], "other": [0, 0]}), path)
    articles, faults = read(path)
    assert articles == [Article("one", "1")]
    assert "a.parquet:2: text is None" in faults[0]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc, which this system lacks")
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    texts = [f"{number} " + "x" * 5_000 for number in range(24_000)]
    if kind == "jsonl":
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    else:
        parquet.write_table(pa.table({"text": texts}), path, compression="none", use_dictionary=False, row_group_size=10**6)
    assert path.stat().st_size > 120_000_000
    code = f"""
import pyarrow.parquet
from pathlib import Path
from newswatch.reading import read_articles
def peak():
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
print(sum(1 for _ in read_articles([{str(path)!r}])), peak() - before)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rows, grown = ended.stdout.split()
    assert int(rows) == 24_000
    assert float(grown) < 70


def test_corrupt_parquet_is_a_fault(tmp_path: Path) -> None:
    assert "a whole Parquet file" in read(write(tmp_path, "a.parquet", b"PAR1 nothing PAR1"))[1][0]


def test_other_files_are_read_after_a_bad_one(tmp_path: Path) -> None:
    bad, good = write(tmp_path, "a.txt", b"\xff\xfe\x00"), write(tmp_path, "b.txt", "fine")
    articles, faults = read(bad, tmp_path / "none.txt", good)
    assert articles == [Article("fine", "b.txt")]
    assert "a.txt: invalid UTF-8 at byte 0" in faults[0]
    assert "no such file" in faults[1]


def test_folder_is_read_in_order_of_names(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "ignored.bin"):
        write(tmp_path, name, name)
    assert [article.id for article in read(tmp_path)[0]] == ["a.txt", "b.txt"]


@pytest.mark.parametrize(("content", "expected"), [(b'{"text": "x"}\n', Article("x", "-:1")), (b"plain text", Article("plain text", "-"))])
def test_standard_input_is_jsonl_or_text(monkeypatch: pytest.MonkeyPatch, content: bytes, expected: Article) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert read(Path("-")) == ([expected], [])


def test_unknown_format_is_named(tmp_path: Path) -> None:
    assert "format 'doc'" in read(write(tmp_path, "a.txt", "x"), kind="doc")[1][0]
