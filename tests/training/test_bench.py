import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from newswatch_labels.errors import InputError
from newswatch_training.bench import PUBLISHED, run_bench
from newswatch_training.cli import app
from newswatch_training.encoder_settings import EncoderSettings

DATA = Path(__file__).parents[3] / "shared" / "data"


def write_split(folder: Path, split: str, count: int, seed: int, end: str = "") -> None:
    """Texts of 25 words, of which the thirteenth decides the label and the others say nothing, and of `end`."""
    random = np.random.default_rng(seed)
    words = {"fire": ["arson"], "shot": ["assault"], "taken": ["kidnapping"], "market": []}
    rows = []
    for number in range(count):
        key = str(random.choice(list(words)))
        filler = " ".join(f"w{n}" for n in random.integers(0, 40, 12))
        rows.append(json.dumps({"id": f"{split}-{number}", "text": f"{filler} {key} {filler}{end}", "labels": words[key]}))
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


def test_what_comes_after_the_first_words_changes_nothing(tmp_path: Path, encoder_settings: EncoderSettings) -> None:
    for folder, end in (("short", ""), ("long", " w1 fire shot taken" * 4)):
        (tmp_path / folder).mkdir()
        for seed, (split, count) in enumerate((("train", 30), ("dev", 20), ("test", 20))):
            write_split(tmp_path / folder, split, count, seed, end)
    settings = replace(encoder_settings, epochs=1)
    short, long, cut = (
        run_bench("own", tmp_path / folder, print, settings, alone=True, words=words)
        for folder, words in (("short", None), ("long", None), ("long", 25))
    )
    assert (cut.at_half, cut.tuned) == (short.at_half, short.tuned)
    assert long.tuned["brier"] != short.tuned["brier"]
    assert (cut.settings["words"], long.settings["words"]) == (25, None)
    with pytest.raises(InputError, match="words is 0; expected 1 or more"):
        run_bench("own", tmp_path / "long", print, settings, words=0)


def test_bench_takes_the_encoders_options(tmp_path: Path, tiny_backbone: Path) -> None:
    for seed, (split, count) in enumerate((("train", 40), ("dev", 20), ("test", 20))):
        write_split(tmp_path, split, count, seed)
    options = {"--backbone": str(tiny_backbone), "--epochs": "1", "--window": "64", "--words": "20", "--precision": "fp32"}
    given = [part for pair in options.items() for part in pair]
    result = CliRunner().invoke(app, ["bench", "own", "--data", str(tmp_path), "--model", "encoder", *given, "--json"])
    assert result.exit_code == 0, result.output
    settings = json.loads(result.stdout)["settings"]
    assert (settings["window"], settings["words"], settings["precision"], settings["epochs"]) == (64, 20, "fp32", 1)


def test_a_member_that_knows_nothing_takes_nothing_from_the_other(tmp_path: Path, encoder_settings: EncoderSettings) -> None:
    for seed, (split, count) in enumerate((("train", 160), ("dev", 60), ("test", 60))):
        write_split(tmp_path, split, count, seed)
    both = run_bench("own", tmp_path, print, replace(encoder_settings, epochs=1, rate=1e-6, head_rate=1e-6))
    assert both.members["encoder"] < 0.5
    assert both.members["linear"] == both.dev_example_f1 == both.at_half["example_f1"] == 1.0
    weights = both.settings["weights"]
    assert isinstance(weights, dict)
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["linear"] > 0


@pytest.mark.skipif(not (DATA / "satp_relevant").is_dir(), reason="satp_relevant is not beside the project")
def test_satp_relevant_reaches_its_floor() -> None:
    result = CliRunner().invoke(app, ["bench", "satp_relevant", "--data", str(DATA / "satp_relevant"), "--json"])
    figures = json.loads(result.stdout)
    assert figures["published"] == PUBLISHED["satp_relevant"]
    assert figures["at_half"]["example_f1"] >= 0.79
    assert figures["tuned"]["example_f1"] >= 0.79
