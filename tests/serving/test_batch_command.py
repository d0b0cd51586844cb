import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from newswatch import Bundle
from newswatch.cli import app

NEWSWATCH = [sys.executable, "-c", "from newswatch.cli import main; main()"]


@pytest.fixture
def common(bundle: Bundle, tmp_path: Path) -> list[str]:
    return ["--bundle", str(bundle.folder), "--out", str(tmp_path / "out"), "--workers", "1"]


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    path = tmp_path / "a.jsonl"
    texts = ["The ministry denied the report.", "ISIS gunmen ambushed a patrol near Daquq and killed two policemen."]
    path.write_text("".join(json.dumps({"nr": n, "body": text}) + "\n" for n, text in enumerate(texts)))
    return path


def test_a_clean_run_prints_and_writes_its_summary(common: list[str], articles: Path, tmp_path: Path) -> None:
    columns = ["--text-column", "body", "--id-column", "nr"]
    result = CliRunner().invoke(app, ["batch", str(articles), *common, *columns, "--no-evidence", "--no-cascade", "--dedupe"])
    assert result.exit_code == 0, result.output
    assert "isis_attack" in result.stdout
    rows = [json.loads(line) for path in (tmp_path / "out").glob("a-*.jsonl") for line in path.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["0", "1"]
    assert "evidence" not in rows[0]
    assert rows[0]["duplicate_of"] is None
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["articles"] == summary["scored"] == 2
    assert summary["tags"]["isis_attack"] == sum("isis_attack" in row["tags"] for row in rows) == 1
    assert summary["review_share"] == sum(bool(row["review"]) for row in rows) / 2
    assert (summary["quarantined"], summary["shards"], summary["skipped_shards"]) == (0, 1, 0)
    assert summary["articles_per_second"] > 0

    again = CliRunner().invoke(app, ["batch", str(articles), *common, *columns, "--no-evidence", "--no-cascade", "--dedupe"])
    assert again.exit_code == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["skipped_shards"] == 1


def test_quarantined_rows_make_the_status_three_also_when_skipped(common: list[str], articles: Path, tmp_path: Path) -> None:
    with articles.open("a") as file:
        file.write('{"nr": 2}\n')
    command = ["batch", str(articles), *common, "--text-column", "body"]
    for _ in range(2):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 3, result.output
        assert json.loads((tmp_path / "out" / "summary.json").read_text())["quarantined"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.jsonl"], "none.jsonl: no input file"),
        (["{}", "--output", "xml"], "output 'xml'"),
        (["{}", "--format", "doc"], "format 'doc'"),
        (["{}", "--master", "spark://127.0.0.1:7077"], "--engine spark"),
        (["{}", "--engine", "spark", "--dedupe"], "with --engine spark"),
    ],
)
def test_a_failure_makes_the_status_one(common: list[str], articles: Path, arguments: list[str], message: str) -> None:
    options = common[:-2] if "spark" in arguments else common
    command = [*NEWSWATCH, "batch", *(argument.format(articles) for argument in arguments), *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_terminal_sees_progress(common: list[str], articles: Path) -> None:
    """On a real terminal the bar shows articles, rate and time left."""
    main, side = pty.openpty()
    command = [*NEWSWATCH, "batch", str(articles), *common, "--text-column", "body"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=side, env=environment) as run:
        os.close(side)
        shown = b""
        while True:
            try:
                shown += os.read(main, 4096)
            except OSError:  # the terminal's other side is closed
                break
    os.close(main)
    assert run.returncode == 0
    assert "2 articles," in shown.decode()
    assert "a second" in shown.decode()
