"""The whole story on a small corpus, with a real MLflow store."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from newswatch import Bundle
from newswatch_labels import RecordError, Scheme, read_corpus
from newswatch_training.cli import app
from newswatch_training.export import publish
from newswatch_training.fit import FitSettings, ModelSettings, is_current, run_fit
from newswatch_training.linear import LinearSettings
from newswatch_training.tracking import REGISTERED_MODEL, local_uri


@pytest.fixture
def client(store: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=local_uri(store))


def test_run_holds_parameters_metrics_data_plots_and_bundle(client: MlflowClient, bundle: Bundle, small_corpus: Path) -> None:
    run = client.get_run(bundle.manifest["mlflow"]["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["article_c"] == "30.0"
    for name in ("macro_f1", "micro_f1", "weighted_f1", "example_f1", "ranking_loss", "brier", "ece", "evidence_f1", "f1.denial"):
        assert 0 <= run.data.metrics[f"cv.{name}"] <= 1
    assert run.data.metrics["cv.macro_f1"] == bundle.manifest["metrics"]["macro_f1"]
    (data,) = run.inputs.dataset_inputs
    assert read_corpus(small_corpus).sha256.startswith(data.dataset.digest)
    plots = {artifact.path for artifact in client.list_artifacts(run.info.run_id, "plots")}
    assert plots == {"plots/precision_recall.png", "plots/reliability.png", "plots/tags.png"}
    names = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert names == {"plots", "worst_errors.json"}
    (model,) = client.search_logged_models([run.info.experiment_id])
    assert (model.source_run_id, str(model.status), model.tags["bundle"]) == (run.info.run_id, "READY", bundle.label)


def test_registered_champion_is_the_published_bundle(client: MlflowClient, store: Path, bundle: Bundle) -> None:
    version = client.get_model_version_by_alias(REGISTERED_MODEL, "champion")
    assert version.run_id == bundle.manifest["mlflow"]["run_id"]
    assert version.tags == {"bundle": bundle.label, "sha256": bundle.sha256}
    assert client.get_logged_model(version.source.removeprefix("models:/")).source_run_id == version.run_id
    assert (store / "champion").resolve() == bundle.folder.resolve()


def test_model_learns(bundle: Bundle) -> None:
    assert bundle.manifest["metrics"]["macro_average_precision"] > 0.6
    assert bundle.manifest["metrics"]["ece"] < 0.06


def test_card_has_figures_of_every_tag(bundle: Bundle) -> None:
    card = (bundle.folder / "README.md").read_text()
    assert all(f"| {name} |" in card for name in bundle.scheme.names)
    assert "Not for targeting" in card


def test_current_champion_is_not_trained_again(store: Path, small_corpus: Path, scheme: Scheme) -> None:
    corpus = read_corpus(small_corpus, scheme)
    assert is_current(corpus, scheme, ModelSettings(), store)
    assert not is_current(corpus, scheme, ModelSettings(linear=LinearSettings(article_c=1.0)), store)
    assert not is_current(corpus, Scheme.of_names(scheme.names), ModelSettings(), store)
    result = CliRunner().invoke(app, ["fit", "--corpus", str(small_corpus), "--store", str(store), "--model", "linear", "--if-changed"])
    assert "nothing to do" in result.output


def test_damaged_champion_is_not_current(store: Path, small_corpus: Path, scheme: Scheme, tmp_path: Path) -> None:
    shutil.copytree(store / "champion", tmp_path / "champion")
    assert is_current(read_corpus(small_corpus, scheme), scheme, ModelSettings(), tmp_path)
    (tmp_path / "champion" / "linear.npz").write_bytes(b"")
    assert not is_current(read_corpus(small_corpus, scheme), scheme, ModelSettings(), tmp_path)


def test_reproducible_and_unpromoted(store: Path, bundle: Bundle, small_corpus: Path, scheme: Scheme, tmp_path: Path) -> None:
    settings = FitSettings(folds=3, promote=False, store=tmp_path / "mlruns")
    again = run_fit(read_corpus(small_corpus, scheme), str(small_corpus), scheme, ModelSettings(), settings)
    assert {k.removeprefix("cv."): v for k, v in again.metrics.items() if k.startswith("cv.")} == bundle.manifest["metrics"]
    assert (again.bundle.folder / "linear.npz").read_bytes() == (bundle.folder / "linear.npz").read_bytes()
    assert not (tmp_path / "mlruns" / "champion").exists()


def test_champion_is_swapped_without_a_gap(bundle: Bundle, tmp_path: Path) -> None:
    champion, missing, stop = tmp_path / "champion", [], threading.Event()
    publish(bundle, champion)

    def watch() -> None:
        while not stop.is_set():
            if not (champion / "bundle.json").is_file():
                missing.append(time.time())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(200):
        publish(bundle, champion)
    stop.set()
    watcher.join()
    assert missing == []
    assert [p.name for p in tmp_path.iterdir()] == ["champion"]


def test_champion_is_found_in_a_store_behind_a_link(tmp_path: Path, bundle: Bundle) -> None:
    disk = tmp_path / "far" / "away" / "disk"
    shutil.copytree(bundle.folder, disk / "bundles" / "b")
    (tmp_path / "mlruns").symlink_to(disk)
    publish(Bundle.load(tmp_path / "mlruns" / "bundles" / "b"), tmp_path / "mlruns" / "champion")
    assert Bundle.load(tmp_path / "mlruns" / "champion").sha256 == bundle.sha256


def test_dead_tracking_server_costs_seconds_and_keeps_the_run(small_corpus: Path, tmp_path: Path) -> None:
    """A port nobody listens on: the fit ends, says so, and the run lies in the local store."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from newswatch_training.cli import main; main()", "fit", "--corpus", str(small_corpus)]
    seconds = {}
    for uri in ("", f"http://127.0.0.1:{port}"):
        store = tmp_path / (uri[-5:] or "none") / "mlruns"
        environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"} | ({"MLFLOW_TRACKING_URI": uri} if uri else {})
        started = time.perf_counter()
        ended = subprocess.run(
            [*command, "--store", str(store), "--folds", "2", "--model", "linear"],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        seconds[uri] = time.perf_counter() - started
        assert ended.returncode == 0, ended.stderr
        assert ("does not answer" in ended.stderr) == bool(uri)
        bundle = Bundle.load(store / "champion")
        assert MlflowClient(local_uri(store)).get_run(bundle.manifest["mlflow"]["run_id"]).info.status == "FINISHED"
    quiet, dead = seconds.values()
    assert dead - quiet <= 5


def test_fault_in_the_corpus_is_named_and_the_rest_trains(small_corpus: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "c.jsonl"
    corpus.write_text(small_corpus.read_text() + '{"id": "broken')
    result = CliRunner().invoke(
        app, ["fit", "--corpus", str(corpus), "--store", str(tmp_path / "mlruns"), "--folds", "2", "--model", "linear"]
    )
    assert result.exit_code == 0, result.output
    assert "left out: c.jsonl:" in result.stderr
    assert Bundle.load(tmp_path / "mlruns" / "champion").manifest["corpus"]["records"] == len(small_corpus.read_text().splitlines())


def test_empty_corpus_is_refused(tmp_path: Path, scheme: Scheme) -> None:
    (tmp_path / "c.jsonl").write_text("")
    with pytest.raises(RecordError, match="no readable record"):
        run_fit(read_corpus(tmp_path), "c", scheme, ModelSettings(), FitSettings(store=tmp_path / "mlruns"))
    assert not (tmp_path / "mlruns").exists()


def test_evaluate_command_on_its_own_corpus(store: Path, small_corpus: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(store / "champion"), str(small_corpus), "--json", "--errors", "3"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["metrics"]["macro_f1"] > 0.9  # its own training data: recalled, not a figure to report
    assert len(figures["errors"]) <= 3


def test_evaluate_names_rows_with_unknown_tags(store: Path, tmp_path: Path) -> None:
    data = tmp_path / "d.jsonl"
    data.write_text('{"id": "a", "text": "ISIS attacked.", "labels": ["isis_atack"]}\n{"id": "b", "text": "It rained.", "labels": []}\n')
    result = CliRunner().invoke(app, ["evaluate", str(store / "champion"), str(data)])
    assert result.exit_code == 3
    assert "Did you mean 'isis_attack'" in result.stderr


def test_a_linear_model_keeps_no_backbone(small_corpus: Path, tmp_path: Path) -> None:
    command = [
        "fit",
        "--corpus",
        str(small_corpus),
        "--store",
        str(tmp_path),
        "--model",
        "linear",
        "--keep-backbone",
        str(tmp_path / "kept"),
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "--model encoder or ensemble" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_records_without_evidence_train_with_the_settings_for_them(small_corpus: Path, tiny_backbone: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.jsonl"
    rows = [json.loads(line) for line in small_corpus.read_text().splitlines()[:60]]
    for row in rows:
        row["labels"] = list(row.pop("evidence"))
    bare.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["fit", "--corpus", str(bare), "--store", str(tmp_path / "store"), "--model", "encoder", "--backbone", str(tiny_backbone)]
    result = CliRunner().invoke(app, [*command, "--folds", "2", "--window", "96", "--epochs", "1", "--precision", "fp32"])
    assert result.exit_code == 0, result.output
    manifest = Bundle.load(tmp_path / "store" / "champion").manifest
    asked = {name: manifest["settings"][name] for name in ("rate", "layer_decay", "batch_tokens", "window", "epochs")}
    assert asked == {"rate": 1e-4, "layer_decay": 1.0, "batch_tokens": 4096, "window": 96, "epochs": 1}
    assert manifest["model"]["unit"] == "window"
