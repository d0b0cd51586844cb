import json
from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from newswatch_labels import Record, write_corpus
from newswatch_training.cli import app


def test_labels_spoilt_on_purpose_are_found(small_records: list[Record], tmp_path: Path) -> None:
    """Take a tag from five of its records; some must be among the few suspects of that tag."""
    spoilt = [r.id for r in small_records if "pkk_activity" in r.labels][:5]
    records = [
        replace(
            r,
            labels=tuple(t for t in r.labels if t != "pkk_activity"),
            evidence={t: s for t, s in (r.evidence or {}).items() if t != "pkk_activity"},
            contrast=None,
        )
        if r.id in spoilt
        else replace(r, contrast=None)
        for r in small_records
    ]
    write_corpus(records, tmp_path / "c.jsonl")
    result = CliRunner().invoke(app, ["suspects", "--corpus", str(tmp_path / "c.jsonl"), "--folds", "3", "--count", "400", "--json"])
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    named = {row["id"] for row in found if row["tag"] == "pkk_activity" and not row["given"]}
    assert len(named & set(spoilt)) >= 2
    assert len(named) < len(records) / 20
    confidence = [round(row["probability"] if row["given"] else 1 - row["probability"], 4) for row in found]
    assert confidence == sorted(confidence)
