import gzip
import json
from pathlib import Path

import pytest

from newswatch_labels import RecordError, Scheme, read_corpus, read_splits, to_dataset, write_corpus
from newswatch_labels.corpus import Corpus

GOOD = {"id": "a", "title": "", "text": "Forces agreed.", "evidence": {"cooperation": ["Forces agreed."]}}


def test_good_rows_survive_bad_ones(tmp_path: Path, scheme: Scheme) -> None:
    path = tmp_path / "c.jsonl"
    rows = [json.dumps(GOOD), '{"id": "b", "te', "", json.dumps(GOOD), json.dumps(GOOD | {"id": "d"})]
    path.write_text("\n".join(rows))
    corpus = read_corpus(path, scheme)
    assert [record.id for record in corpus.records] == ["a", "d"]
    assert [str(fault).split(" ")[0] for fault in corpus.faults] == ["c.jsonl:2:", "c.jsonl:4:"]
    assert "which c.jsonl:1 has" in str(corpus.faults[1])


def test_truncated_gz_keeps_what_was_read(tmp_path: Path, scheme: Scheme) -> None:
    lines = [json.dumps(GOOD | {"id": f"r{n}", "outlet": str(n * n)}) + "\n" for n in range(20_000)]
    whole = gzip.compress("".join(lines).encode())
    (tmp_path / "c.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    corpus = read_corpus(tmp_path, scheme)
    assert len(corpus.records) > 1000
    assert len(corpus.faults) == 1
    assert "c.jsonl.gz" in str(corpus.faults[0])


def test_damaged_gz_is_a_fault(tmp_path: Path, scheme: Scheme) -> None:
    packed = bytearray(gzip.compress(json.dumps(GOOD).encode()))
    packed[12] ^= 0xFF
    (tmp_path / "c.jsonl.gz").write_bytes(packed)
    corpus = read_corpus(tmp_path, scheme)
    assert corpus.records == ()
    assert "c.jsonl.gz" in str(corpus.faults[0])


def test_missing_corpus_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(RecordError, match="a JSONL file or a folder"):
            read_corpus(path)


def test_hash_ignores_order_and_files_but_no_content(tmp_path: Path, corpus: Corpus) -> None:
    few = corpus.records[:5]
    write_corpus(few[:2], tmp_path / "b.jsonl")
    write_corpus(few[2:], tmp_path / "a.jsonl")
    assert read_corpus(tmp_path).sha256 == Corpus(few).sha256
    assert Corpus(few[:4]).sha256 != Corpus(few).sha256


def test_dataset_has_a_row_a_record(corpus: Corpus) -> None:
    data = to_dataset(corpus.records[:10])
    assert data["id"] == [record.id for record in corpus.records[:10]]
    assert data[0]["labels"] == list(corpus.records[0].labels)


def test_plain_splits_share_the_labels_of_train(tmp_path: Path) -> None:
    for split, labels in (("train", [["b"], ["a"]]), ("test", [["a"], ["z"]])):
        rows = [json.dumps({"id": f"{split}{n}", "text": "t", "labels": own}) for n, own in enumerate(labels)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(rows))
    scheme, splits = read_splits(tmp_path)
    assert scheme.names == ("a", "b")
    assert len(splits["train"].records) == 2
    assert "'z'" in str(splits["test"].faults[0])
