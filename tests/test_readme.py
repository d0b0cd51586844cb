"""What the README shows is what the code does."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from newswatch import Bundle, Prediction
from newswatch.cli import app as score_app
from newswatch_labels.cli import app as labels_app
from newswatch_training.cli import app as train_app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
APPS = {"newswatch": score_app, "newswatch-labels": labels_app, "newswatch-train": train_app}


def blocks(kind: str) -> list[str]:
    """Bodies of the fenced blocks of one kind; fences are paired in order, since a closing one looks like a bare opening one."""
    return [body for found, body in re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.S | re.M) if found == kind]


@pytest.fixture
def home(bundle: Bundle, tmp_path: Path) -> Path:
    """A folder whose mlruns/champion is a bundle."""
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "champion").symlink_to(bundle.folder)
    return tmp_path


def test_python_example_runs(home: Path) -> None:
    example = blocks("python")[0]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEWSWATCH")}
    ended = subprocess.run([sys.executable, "-c", example], cwd=home, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert "denial" in ended.stdout


def test_client_example_names_what_is_there() -> None:
    (example,) = [block for block in blocks("python") if "newswatch.client" in block]
    compile(example, "README.md", "exec")
    exec("\n".join(line for line in example.splitlines() if line.startswith("from ")), {})


def test_commands_exist_with_their_options() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("newswatch")]
    assert len(lines) >= 8
    for line in lines:
        name, command, *rest = line.partition("#")[0].split()
        group = get_command(APPS[name])
        known = group.commands[command]  # type: ignore[attr-defined]
        options = {option for parameter in known.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, line


def test_json_example_has_the_form_of_a_prediction() -> None:
    (shown,) = [json.loads(block) for block in blocks("json") if '"scores"' in block]
    assert Prediction.from_dict(shown).to_dict() == shown


def test_tree_names_files_that_exist() -> None:
    (tree,) = [block for block in blocks("") if block.startswith("labels/     ")]
    folders = {
        "labels": ROOT / "labels/newswatch_labels",
        "serving": ROOT / "serving/newswatch",
        "training": ROOT / "training/newswatch_training",
    }
    assert len(re.findall(r"\w+\.py", tree)) > 80
    part = ""
    for line in tree.splitlines():
        part = line.split("/")[0] if line.split("/")[0] in folders else part
        for name in re.findall(r"\b(\w+\.(?:py|yaml))\b", line):
            assert (folders[part] / name).is_file(), name


def test_run_without_a_word_explains_itself() -> None:
    ended = subprocess.run([str(ROOT / "run")], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert all(f"./run {word}" in ended.stderr for word in ("main", "test", "setup"))
