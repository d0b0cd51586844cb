import json
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from newswatch import Bundle, Prediction
from newswatch.cli import app


def test_score_prints_a_json_line_each(bundle: Bundle, samples: Path) -> None:
    result = CliRunner().invoke(app, ["score", str(samples), "--bundle", str(bundle.folder)])
    assert result.exit_code == 0, result.output
    made = [Prediction.from_dict(json.loads(line)) for line in result.stdout.splitlines()]
    assert [p.id for p in made] == sorted(path.name for path in samples.iterdir())
    for prediction in made:
        if (prediction.id or "").endswith(".txt"):
            text = (samples / str(prediction.id)).read_text()
            assert all(text[e.start : e.end] == e.text for found in prediction.evidence.values() for e in found)


def test_bad_rows_are_named_and_the_status_is_three(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "good"}\n{"te')
    result = CliRunner().invoke(app, ["score", str(path), "--bundle", str(bundle.folder), "--no-evidence"])
    assert result.exit_code == 3
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["a.jsonl:1"]
    assert "evidence" not in json.loads(result.stdout)
    assert "not scored: a.jsonl:2" in result.stderr


def test_table_shows_tags_and_evidence(bundle: Bundle, samples: Path) -> None:
    result = CliRunner().invoke(app, ["score", str(samples / "daquq-ambush.txt"), "--bundle", str(bundle.folder), "--table"])
    assert "isis_attack" in result.stdout
    assert "casualties" in result.stdout


def test_bundle_commands(bundle: Bundle) -> None:
    shown = CliRunner().invoke(app, ["bundle", "show", str(bundle.folder)])
    assert bundle.label in shown.stdout
    assert json.loads(CliRunner().invoke(app, ["bundle", "show", str(bundle.folder), "--json"]).stdout)["format"] == 1
    verified = CliRunner().invoke(app, ["bundle", "verify", str(bundle.folder), "--sha256", bundle.sha256])
    assert "whole" in verified.stdout


def test_error_of_ours_has_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from newswatch.cli import main; main()", "bundle", "verify", str(tmp_path / "none")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: no bundle at")
    assert "Traceback" not in ended.stderr
