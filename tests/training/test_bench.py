import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from newswatch_training.bench import PUBLISHED
from newswatch_training.cli import app

DATA = Path(__file__).parents[3] / "shared" / "data"


def write_split(folder: Path, split: str, count: int, seed: int) -> None:
    """Texts whose labels follow from a word, with words that say nothing around it."""
    random = np.random.default_rng(seed)
    words = {"fire": ["arson"], "shot": ["assault"], "taken": ["kidnapping"], "market": []}
    rows = []
    for number in range(count):
        key = str(random.choice(list(words)))
        filler = " ".join(f"w{n}" for n in random.integers(0, 40, 12))
        rows.append(json.dumps({"id": f"{split}-{number}", "text": f"{filler} {key} {filler}", "labels": words[key]}))
    (folder / f"{split}.jsonl").write_text("\n".join(rows))


def test_bench_learns_what_can_be_learnt(tmp_path: Path) -> None:
    for seed, (split, count) in enumerate((("train", 160), ("dev", 60), ("test", 60))):
        write_split(tmp_path, split, count, seed)
    result = CliRunner().invoke(app, ["bench", "own", "--data", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["at_half"]["example_f1"] == 1.0
    assert figures["tuned"]["macro_f1"] == 1.0
    assert figures["published"] == {}


def test_bench_without_dev_is_refused(tmp_path: Path) -> None:
    write_split(tmp_path, "train", 10, 0)
    result = CliRunner().invoke(app, ["bench", "own", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "without dev, test" in str(result.exception)


@pytest.mark.skipif(not (DATA / "satp_relevant").is_dir(), reason="satp_relevant is not beside the project")
def test_satp_relevant_reaches_its_floor() -> None:
    result = CliRunner().invoke(app, ["bench", "satp_relevant", "--data", str(DATA / "satp_relevant"), "--json"])
    figures = json.loads(result.stdout)
    assert figures["published"] == PUBLISHED["satp_relevant"]
    assert figures["at_half"]["example_f1"] >= 0.79
    assert figures["tuned"]["example_f1"] >= 0.79
