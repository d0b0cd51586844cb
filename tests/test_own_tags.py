"""Tags of one's own, end to end by the commands: another taxonomy.yaml and corpus, nothing of ours in between."""

import json
import os
import random
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

from newswatch import Bundle, Prediction
from newswatch_labels import Scheme, read_corpus

BIN = Path(sysconfig.get_path("scripts"))
SENTENCES = {
    "flood": ["The river burst its banks at {place} and {n} houses stood under water.", "Water from the {place} dam flooded {n} fields."],
    "drought": ["No rain has fallen at {place} for {n} weeks and the wells ran dry.", "Farmers of {place} lost {n} sheep to the drought."],
    "repair": [
        "Engineers mended the pumping station of {place} within {n} days.",
        "The {place} canal was dredged and relined by {n} workers.",
    ],
}
OTHER = [
    "The market of {place} opened {n} new stalls.",
    "A school choir from {place} sang for {n} guests.",
    "The council of {place} met for {n} hours about bus fares.",
    "In {place} the museum counted {n} visitors.",
]
PLACES = ["Arden", "Brook", "Corley", "Denham", "Elm", "Farley", "Garth", "Holt", "Ivel", "Jarrow", "Kelso", "Larne", "Marlow", "Nore"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scheme of three tags and a corpus of 150 records of 75 events."""
    folder = tmp_path_factory.mktemp("own")
    tags = [{"name": name, "title": name.title(), "core": name == "flood", "definition": f"Reports a {name}."} for name in SENTENCES]
    (folder / "taxonomy.yaml").write_text(yaml.safe_dump({"version": 1, "tags": tags}))
    draw = random.Random(0)
    rows = []
    for number in range(150):
        place = draw.choice(PLACES)
        carried = [tag for tag in SENTENCES if draw.random() < 0.35]
        evidence = {tag: [draw.choice(SENTENCES[tag]).format(place=place, n=draw.randint(2, 900))] for tag in carried}
        text = [sentence for own in evidence.values() for sentence in own]
        text += [draw.choice(OTHER).format(place=draw.choice(PLACES), n=draw.randint(2, 900)) for _ in range(3)]
        draw.shuffle(text)
        event = f"{place.lower()}-{2014 + number % 10}{1 + number % 12:02}-{number // 2}"
        date = f"{event.split('-')[1][:4]}-{event.split('-')[1][4:]}-01"
        rows.append({"id": f"w{number}", "text": " ".join(text), "evidence": evidence, "event": event, "source_date": date})
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def call(home: Path, *words: str, status: int = 0) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NEWSWATCH_B", "MLFLOW_TRACKING"))}
    name, *rest = words
    ended = subprocess.run([str(BIN / name), *rest], cwd=home, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == status, ended.stdout + ended.stderr
    return ended.stdout


def test_other_tags_work_from_check_to_evidence(home: Path) -> None:
    own = ("--scheme", "taxonomy.yaml")
    scheme = Scheme.load(home / "taxonomy.yaml")
    assert len(read_corpus(home / "corpus.jsonl", scheme).records) == 150
    stats = json.loads(call(home, "newswatch-labels", "stats", "corpus.jsonl", "--json", *own))
    assert set(stats["tags"]) == set(SENTENCES)
    call(home, "newswatch-labels", "split", "corpus.jsonl", "parts", *own)
    call(home, "newswatch-labels", "export", "corpus.jsonl", "tasks.json", "--to", "label-studio", *own)
    fitted = call(home, "newswatch-train", "fit", "--model", "linear", "--corpus", "corpus.jsonl", *own)
    assert "by event" in fitted
    assert "by time" in fitted
    assert "cascade" not in fitted

    bundle = Bundle.load(home / "mlruns" / "champion")
    assert bundle.scheme == scheme
    assert bundle.manifest["metrics"]["macro_f1"] > 0.9
    card = (bundle.folder / "README.md").read_text()
    assert all(f"| {tag} |" in card for tag in SENTENCES)
    assert "cooperation" not in card

    article = {"id": "a", "text": "A choir sang. The river burst its banks at Stow and 12 houses stood under water. The museum was open."}
    (home / "new.jsonl").write_text(json.dumps(article) + "\n")
    made = Prediction.from_dict(json.loads(call(home, "newswatch", "score", "new.jsonl")))
    assert made.tags == ("flood",)
    assert set(made.scores) == set(SENTENCES)
    assert [e.text for e in made.evidence["flood"]] == ["The river burst its banks at Stow and 12 houses stood under water."]

    assert "macro_f1" in call(home, "newswatch-train", "evaluate", "mlruns/champion", "parts/test.jsonl").replace(" ", "_")
    assert "flood" in call(home, "newswatch", "bundle", "show")

    call(home, "newswatch", "batch", "new.jsonl", "--out", "scored", "--workers", "1")
    (row,) = [json.loads(line) for path in (home / "scored").glob("new-*.jsonl") for line in path.read_text().splitlines()]
    assert row == made.to_dict()
    report = json.loads(call(home, "newswatch-train", "retrain", "--model", "linear", "--corpus", "corpus.jsonl", "--json", *own))
    assert report["promoted"]
    assert {gate["name"] for gate in report["gates"]} >= {"floor", "macro_f1", "core.flood"}
