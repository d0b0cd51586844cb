"""The MLflow flavour: the registered model says what the function says, through every one of MLflow's doors."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pandas as pd
import pytest
from mlflow.models import Model
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from newswatch import Article, Bundle, BundleError, InputError, Scorer
from newswatch.flavour import ARTIFACT, save_flavour
from newswatch_labels import Record
from newswatch_labels.corpus import Corpus
from newswatch_training.tracking import local_uri

CHAMPION = "models:/newswatch@champion"


@pytest.fixture(scope="module", autouse=True)
def _registry(store: Path) -> Iterator[None]:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(local_uri(store))
    yield
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def saved(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flavour") / "model"
    save_flavour(bundle, folder)
    return folder


def frame(records: list[Record]) -> pd.DataFrame:
    return pd.DataFrame([{"id": r.id, "title": r.title or None, "text": r.text} for r in records])


def expect(scorer: Scorer, records: list[Record]) -> list[dict[str, Any]]:
    return [p.to_dict() for p in scorer.score([Article(r.text, r.id, r.title or None) for r in records])]


def test_champion_loads_and_agrees_on_two_thousand_texts(scorer: Scorer, corpus: Corpus) -> None:
    records = list(corpus.records[:2000])
    made = mlflow.pyfunc.load_model(CHAMPION).predict(frame(records)).to_dict("records")
    assert len(made) == 2000
    assert made == expect(scorer, records)
    assert sum(len(row["tags"]) for row in made) > 1000


def test_optional_columns_may_be_missing_or_empty(saved: Path, scorer: Scorer) -> None:
    text = "ISIS gunmen ambushed a patrol near Daquq and killed two policemen."
    model = mlflow.pyfunc.load_model(str(saved))
    expected = scorer.score([Article(text, "a"), text])
    for given in ({"text": [text]}, {"text": [text], "id": [None]}, {"text": [text], "title": pd.Series([float("nan")], dtype=object)}):
        assert model.predict(pd.DataFrame(given)).to_dict("records") == [expected[1].to_dict()]
    mixed = pd.DataFrame({"text": [text, text], "id": ["a", None]})
    assert model.predict(mixed).to_dict("records") == [p.to_dict() for p in expected]


def test_text_that_cannot_be_scored_is_named(saved: Path) -> None:
    model = mlflow.pyfunc.load_model(str(saved))
    with pytest.raises(InputError, match="article 1"):
        model.predict(pd.DataFrame({"text": ["A denial.", None]}))
    with pytest.raises(mlflow.MlflowException, match="text"):
        model.predict(pd.DataFrame({"body": ["A denial."]}))


def test_model_holds_signature_example_and_pinned_requirements_and_no_pickle(saved: Path, bundle: Bundle) -> None:
    model = Model.load(str(saved))
    assert model.signature.inputs.required_input_names() == ["text"]
    assert model.signature.outputs.input_names() == ["id", "tags", "scores", "evidence", "review", "model"]
    assert model.metadata == {"bundle": bundle.label, "sha256": bundle.sha256}
    assert "isis_attack" in mlflow.pyfunc.load_model(str(saved)).predict(model.load_input_example(str(saved)))["tags"][0]
    requirements = (saved / "requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in requirements} > {"newswatch", "onnxruntime", "numpy"}
    assert all(line.partition("==")[2] for line in requirements)
    names = {path.name for path in saved.rglob("*") if path.is_file()} - {path.name for path in bundle.folder.iterdir()}
    assert names == {
        "MLmodel",
        "conda.yaml",
        "flavour.py",
        "input_example.json",
        "python_env.yaml",
        "requirements.txt",
        "serving_input_example.json",
    }


def test_damaged_or_swapped_bundle_is_refused(saved: Path, bundle: Bundle, tmp_path: Path) -> None:
    for fault in ("damaged", "swapped"):
        folder = tmp_path / fault
        shutil.copytree(saved, folder)
        (kept,) = (folder / "artifacts").iterdir()
        if fault == "damaged":
            (kept / "linear.npz").write_bytes(b"\0" + (kept / "linear.npz").read_bytes()[1:])
        else:
            manifest = json.loads((kept / "bundle.json").read_text())
            (kept / "bundle.json").write_text(json.dumps({**manifest, "version": "another"}))
        with pytest.raises(BundleError, match="linear.npz" if fault == "damaged" else "pinned"):
            mlflow.pyfunc.load_model(str(folder))


def test_mlflow_models_serve_answers_as_the_function(store: Path, scorer: Scorer, small_records: list[Record]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", CHAMPION, "--env-manager", "local", "-p", str(port), "-w", "1"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # mlflow looks for uvicorn there
    environment = {**os.environ, "MLFLOW_TRACKING_URI": local_uri(store), "PATH": path}
    server = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for attempt in Retrying(
            stop=stop_after_delay(60), wait=wait_fixed(0.3), retry=retry_if_exception_type(httpx.HTTPError), reraise=True
        ):
            with attempt:
                httpx.get(f"http://127.0.0.1:{port}/ping", trust_env=False).raise_for_status()
        records = small_records[:50]
        rows = [{"id": r.id, "title": r.title or None, "text": r.text} for r in records]
        answer = httpx.post(f"http://127.0.0.1:{port}/invocations", json={"dataframe_records": rows}, timeout=60, trust_env=False)
        assert answer.status_code == 200
        assert answer.json()["predictions"] == expect(scorer, records)
        refused = httpx.post(f"http://127.0.0.1:{port}/invocations", json={"dataframe_records": [{"body": "x"}]}, trust_env=False)
        assert refused.status_code == 400
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def test_bundle_is_kept_once_in_the_registered_model(store: Path, bundle: Bundle, tmp_path: Path) -> None:
    fetched = Path(mlflow.artifacts.download_artifacts(CHAMPION, dst_path=str(tmp_path)))
    uri = Model.load(str(fetched)).flavors["python_function"]["artifacts"][ARTIFACT]["path"]
    assert Bundle.load(fetched / uri).sha256 == bundle.sha256
    assert len(list((store / "artifacts").rglob("linear.npz"))) == 1
