import gzip
import io
import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
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
