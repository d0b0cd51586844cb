"""Retraining on a small corpus: challengers that are better, worse, killed, out of space and alone with no server."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner, Result

from newswatch import Bundle
from newswatch.scorer import Article, Scorer
from newswatch_labels import Record, Scheme
from newswatch_labels.corpus import write_corpus
from newswatch_training.audit import Action, read_audit
from newswatch_training.cli import app
from newswatch_training.encoder_settings import ParityError
from newswatch_training.export import read_trained_on
from newswatch_training.fit import ModelSettings, is_current
from newswatch_training.frozen import FOLD, FrozenFold
from newswatch_training.lock import locked
from newswatch_training.retrain import LOCK
from newswatch_training.tracking import EXPERIMENT, REGISTERED_MODEL, local_uri

ASKED = ["--model", "linear", "--folds", "2", "--floor", "0.2", "--ece", "0.15"]  # what a corpus of 250 records can hold
TEXT = Article("A joint center of the Peshmerga and the Iraqi army opened in Khanaqin. An IS cell attacked a post near Daquq.")


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def records(small_records: list[Record]) -> list[Record]:
    return [replace(record, contrast=None) for record in small_records]


def run(corpus: Path, store: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["retrain", "--corpus", str(corpus), "--store", str(store), *ASKED, *more])


def command(corpus: Path, store: Path) -> list[str]:
    code = "from newswatch_training.cli import main; main()"
    return [sys.executable, "-c", code, "retrain", "--corpus", str(corpus), "--store", str(store), *ASKED]


def said(store: Path) -> str:
    return json.dumps(Scorer.load(store / "champion").score([TEXT])[0].to_dict())


def frozen(store: Path) -> set[str]:
    fold = FrozenFold.read(store / FOLD)
    assert fold is not None
    return {member.text for member in fold.test}


@pytest.fixture(scope="module")
def home(records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Result]:
    """A store after its first retraining, on half of the records; its corpus; what the command said."""
    folder = tmp_path_factory.mktemp("retrain")
    corpus, store = folder / "half.jsonl", folder / "mlruns"
    write_corpus(records[::2], corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        result = run(corpus, store)
    # As it is now, for tests that copy it; without the MLflow database, whose paths stay the first one's.
    shutil.copytree(store, folder / "pristine", symlinks=True, ignore=shutil.ignore_patterns("mlflow.db*", "artifacts"))
    return corpus, store, result


@pytest.fixture
def store(home: tuple[Path, Path, Result], tmp_path: Path) -> Path:
    """A copy of that store."""
    copied = tmp_path / "mlruns"
    shutil.copytree(home[1].parent / "pristine", copied, symlinks=True)
    return copied


def test_first_retraining_promotes_and_holds_the_test_fold_back(
    home: tuple[Path, Path, Result], records: list[Record], scheme: Scheme
) -> None:
    corpus, store, result = home
    assert result.exit_code == 0, result.output
    champion = Bundle.load(store / "champion")
    trained = read_trained_on(champion)
    assert trained is not None
    assert not trained & frozen(store)
    half = {record.fingerprint for record in records[::2]}
    assert trained < half
    assert half - trained <= frozen(store)
    entry = read_audit(store)[0][0]
    assert entry.action is Action.PROMOTED
    assert (entry.previous, entry.corpus) == (None, champion.manifest["corpus"]["sha256"])
    assert entry.run_id == champion.manifest["mlflow"]["run_id"]
    assert [gate.name for gate in entry.gates] == ["floor", "calibration"]
    client = MlflowClient(local_uri(store))
    assert client.get_model_version_by_alias(REGISTERED_MODEL, "champion").tags["sha256"] == champion.sha256
    logged = client.get_run(entry.run_id).data
    assert logged.metrics["fold.macro_f1"] == entry.gates[0].measured
    assert logged.tags["gate.floor"].startswith("passed: macro F1")
    # What is trained but for the fold is current: `fit --if-changed` does not undo a retraining.
    from newswatch_labels import read_corpus

    assert is_current(read_corpus(corpus, scheme), scheme, ModelSettings(), store)


def test_better_is_promoted_worse_is_kept_and_a_rollback_restores(
    home: tuple[Path, Path, Result], records: list[Record], tmp_path: Path
) -> None:
    corpus, store, _ = home
    first, before = Bundle.load(store / "champion"), said(store)
    fold = frozen(store)
    whole = tmp_path / "whole.jsonl"
    write_corpus(records[1::2], tmp_path / "new.jsonl")
    better = run(corpus, store, "--add", str(tmp_path / "new.jsonl"), "--margin", "0.02", "--json")
    found = json.loads(better.stdout)
    assert fold <= frozen(store)
    assert not (read_trained_on(Bundle.load(store / found["bundle"].replace("newswatch@", "bundles/"))) or set()) & frozen(store)
    assert found["champion"] == first.label
    assert found["records"]["training"] > len(read_trained_on(first) or ())
    assert found["fold"]["challenger"] > found["fold"]["champion"], found["why"]

    # One core tag upside down in all that trains.
    scrambled = [
        record if record.fingerprint in frozen(store) else replace(record, evidence=None, labels=flip(record.labels)) for record in records
    ]
    write_corpus(scrambled, whole)
    champion = Bundle.load(store / "champion")
    worse = run(whole, store)
    assert worse.exit_code == 4, worse.output
    assert "FAILED  core.isis_attack: F1 of isis_attack" in worse.output
    assert "stays challenger" in worse.output
    assert Bundle.load(store / "champion").sha256 == champion.sha256
    challenger = Bundle.load(store / "challenger")
    client = MlflowClient(local_uri(store))
    assert client.get_model_version_by_alias(REGISTERED_MODEL, "challenger").tags["sha256"] == challenger.sha256

    # By hand it may serve all the same, and be taken back.
    runner, at = CliRunner(), ["--store", str(store)]
    assert runner.invoke(app, ["promote", "--why", "try it", "--by", "ana", *at]).exit_code == 0
    assert Bundle.load(store / "champion").sha256 == challenger.sha256
    with pytest.raises(MlflowException):
        client.get_model_version_by_alias(REGISTERED_MODEL, "challenger")
    assert runner.invoke(app, ["rollback", "--why", "it was worse", *at]).exit_code == 0
    assert Bundle.load(store / "champion").sha256 == champion.sha256
    assert runner.invoke(app, ["rollback", "--why", "as it was", "--to", first.label, *at]).exit_code == 0
    assert said(store) == before
    assert client.get_model_version_by_alias(REGISTERED_MODEL, "champion").tags["sha256"] == first.sha256
    lines = [json.loads(line) for line in runner.invoke(app, ["history", "--json", *at]).stdout.splitlines()]
    assert [line["action"] for line in lines][-4:] == ["kept", "promoted", "rolled back", "rolled back"]
    assert lines[-3]["who"] == "ana"
    assert "as it was" in runner.invoke(app, ["history", *at], env={"COLUMNS": "250"}).output
    assert runner.invoke(app, ["rollback", "--why", " ", *at]).exit_code == 1


def flip(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(label for label in labels if label != "isis_attack") if "isis_attack" in labels else (*labels, "isis_attack")


def test_a_champion_that_knows_the_test_records_is_met_by_its_stand_in(home: tuple[Path, Path, Result], tmp_path: Path) -> None:
    corpus, store = home[0], tmp_path / "mlruns"
    asked = ["fit", "--corpus", str(corpus), "--store", str(store), "--model", "linear", "--folds", "2", "--no-newest"]
    assert CliRunner().invoke(app, asked).exit_code == 0
    assert read_audit(store)[0][-1].why == "fit; it promotes without gates"
    result = run(corpus, store)
    assert result.exit_code == 0, result.output  # the same settings on the same records: a tie, which is not worse
    assert "test records: its settings were fitted again without them" in result.output
    gate = next(gate for gate in read_audit(store)[0][-1].gates if gate.name == "macro_f1")
    assert gate.measured == gate.limit


def test_below_the_floor_stays_challenger_and_settings_come_from_a_file(
    home: tuple[Path, Path, Result], store: Path, tmp_path: Path
) -> None:
    before = Bundle.load(store / "champion").sha256
    file = tmp_path / "s.json"
    file.write_text(json.dumps({"linear": {"article_c": 7.0}}))
    result = run(home[0], store, "--floor", "0.99", "--settings", str(file))
    assert result.exit_code == 4
    assert "FAILED  floor: macro F1" in result.output
    assert Bundle.load(store / "champion").sha256 == before
    assert Bundle.load(store / "challenger").manifest["settings"]["article_c"] == 7.0
    assert read_audit(store)[0][-1].action is Action.KEPT
    file.write_text(json.dumps({"linear": {"article": 7.0}}))
    assert "linear: key 'article'" in str(run(home[0], store, "--settings", str(file)).exception)


def test_a_graph_past_parity_is_kept_out_with_its_reason(
    home: tuple[Path, Path, Result], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fit itself refuses such a graph (see test_encoder); here: what a retraining makes of it."""
    import newswatch_training.retrain as story

    def refuse(*_: object) -> None:
        raise ParityError("a graph that changes 9.0% of the articles' tags", "at most 5%", "Train with --precision fp32.")

    monkeypatch.setattr(story, "fit_bundle", refuse)
    result = run(home[0], store)
    assert result.exit_code == 4, result.output
    entry = read_audit(store)[0][-1]
    assert (entry.action, entry.subject, entry.gates[0].name) == (Action.KEPT, None, "parity")
    assert "9.0%" in entry.why


def test_killed_in_the_middle_changes_nothing_and_the_next_run_is_clean(home: tuple[Path, Path, Result], store: Path) -> None:
    before, audit = said(store), (store / "audit.jsonl").read_bytes()
    for moment in (training, writing):
        started = subprocess.Popen(command(home[0], store), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda moment=moment, process=started.pid: moment(store, process), started)  # type: ignore[misc]
        finally:
            started.send_signal(signal.SIGKILL)
            started.wait()
        assert said(store) == before
        assert (store / "audit.jsonl").read_bytes() == audit
    result = run(home[0], store)
    assert result.exit_code == 0, result.output
    assert "removed what a killed run left" in result.output
    assert [path.name for path in (store / "bundles").iterdir() if path.name.startswith(".")] == []
    client = MlflowClient(local_uri(store))
    runs = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED", "KILLED"]


def training(store: Path, _: int) -> bool:
    """Whether a run is open; read without a client, which would make tables of its own."""
    if not (store / "mlflow.db").exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{store / 'mlflow.db'}?mode=ro", uri=True)) as database:
            return bool(database.execute("SELECT 1 FROM tags WHERE key = 'retraining'").fetchall())
    except sqlite3.OperationalError:  # it is being made
        return False


def writing(store: Path, process: int) -> bool:
    """Whether a bundle is half written."""
    return any((store / "bundles").glob(f".*.{process}"))


def wait_for(happened: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 120
    while not happened():
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.005)


def test_disk_full_leaves_the_champion_and_the_next_run_completes(home: tuple[Path, Path, Result], store: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    size = sum(path.stat().st_size for path in store.rglob("*") if path.is_file()) // 1024 + 900
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", disk], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        small = disk / "mlruns"
        shutil.copytree(store, small, symlinks=True)
        before, audit = said(small), (small / "audit.jsonl").read_bytes()
        full = subprocess.run(command(home[0], small), capture_output=True, text=True, check=False)
        assert full.returncode == 1
        assert "The champion is as it was" in full.stderr
        assert "Traceback" not in full.stderr
        assert said(small) == before
        assert (small / "audit.jsonl").read_bytes() == audit
        assert len(list((small / "bundles").iterdir())) <= 2  # a whole bundle may lie there, never a part of one
        for folder in (small / "bundles").iterdir():
            Bundle.load(folder)
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        assert run(home[0], small).exit_code == 0
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_dead_tracking_server_keeps_the_run_locally(home: tuple[Path, Path, Result], store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    result = run(home[0], store)
    assert result.exit_code == 0, result.output
    assert "does not answer" in result.stderr
    entry = read_audit(store)[0][-1]
    assert MlflowClient(local_uri(store)).get_run(entry.run_id).info.status == "FINISHED"


def test_a_second_retraining_at_once_is_refused_by_name(home: tuple[Path, Path, Result], store: Path) -> None:
    audit = (store / "audit.jsonl").read_bytes()
    with locked(store / LOCK):
        ended = subprocess.run(command(home[0], store), capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert f"is held by process {os.getpid()} of " in ended.stderr
    assert (store / "audit.jsonl").read_bytes() == audit
