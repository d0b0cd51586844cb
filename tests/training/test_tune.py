"""Tuning on a small corpus: real studies in real stores."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

import newswatch_training.tune as tuning
from newswatch_labels import Record, Scheme
from newswatch_labels.corpus import Corpus, write_corpus
from newswatch_labels.errors import InputError
from newswatch_training.augmentation import Augmentation
from newswatch_training.cli import app
from newswatch_training.encoder_settings import EncoderSettings, ParityError
from newswatch_training.examples import Examples
from newswatch_training.fit import FitSettings, ModelSettings, run_fit
from newswatch_training.linear import LinearFitter, LinearSettings, count_ngrams
from newswatch_training.settings_file import apply_settings, read_settings, write_settings
from newswatch_training.space import ENCODER, LINEAR, Range
from newswatch_training.tracking import EXPERIMENT, local_uri
from newswatch_training.tune import tune


@pytest.fixture(scope="module")
def tiny_corpus(small_records: list[Record]) -> Corpus:
    return Corpus(tuple(replace(record, contrast=None) for record in small_records[::2]))


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_study_goes_on_prunes_and_is_taken_by_fit(
    tiny_corpus: Corpus, scheme: Scheme, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "STARTUP", 1)
    store, base = tmp_path / "mlruns", LinearSettings()
    first = tune(tiny_corpus, scheme, base, store, trials=1, folds=2)
    assert first.settings == base
    assert first.macro_f1 == first.begun_with > 0.3

    # A sitting that was killed leaves a trial that never ended; a poor one waits its turn.
    (name,) = optuna.get_all_study_names(f"sqlite:///{store / 'optuna.db'}")
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{store / 'optuna.db'}")
    study.ask()
    poor = {"article_c": 1.0, "sentence_c": 0.5, "balanced": False, "mix": 0.0, "min_word_df": 6, "min_char_df": 16}
    study.enqueue_trial(poor)
    again = tune(tiny_corpus, scheme, base, store, trials=4, folds=2)
    assert again.trials["fail"] == 1
    assert sum(again.trials.values()) == 4
    (tried,) = [trial for trial in study.trials if trial.params == poor]
    assert tried.state is optuna.trial.TrialState.PRUNED
    assert list(tried.intermediate_values) == [0]
    assert again.macro_f1 >= first.macro_f1
    assert tune(tiny_corpus, scheme, base, store, trials=4, folds=2).tried == 0

    client = MlflowClient(local_uri(store))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id])
    parents = {run.info.run_id for run in runs if run.info.run_name.startswith("tune-linear")}
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") in parents]
    assert (len(parents), len(children)) == (3, 3)
    assert sum("pruned" in run.data.tags for run in children) == again.trials["pruned"]
    assert {run.info.status for run in runs} == {"FINISHED"}

    settings = apply_settings(again.file, ModelSettings())
    assert settings.linear == again.settings
    fitted = run_fit(tiny_corpus, "tiny", scheme, settings, FitSettings(folds=2, newest=False, store=store))
    assert fitted.metrics["cv.macro_f1"] == pytest.approx(again.macro_f1, abs=1e-9)


def test_encoder_reports_each_epoch_and_is_pruned_between_them(
    tiny_corpus: Corpus, scheme: Scheme, encoder_settings: EncoderSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, base = tmp_path / "mlruns", replace(encoder_settings, epochs=2, precision="fp32")
    monkeypatch.setattr(tuning, "ENCODER", {"epochs": Range(2, 3), "head_rate": Range(1e-3, 1e-2)})
    first = tune(tiny_corpus, scheme, base, store, trials=1, folds=2)
    assert first.settings == base
    assert read_settings(first.file)["encoder"]["head_rate"] == base.head_rate
    monkeypatch.setattr(optuna.pruners, "MedianPruner", lambda **_: optuna.pruners.ThresholdPruner(lower=1.1))  # prunes any
    assert tune(tiny_corpus, scheme, base, store, trials=2, folds=2).trials == {"complete": 1, "pruned": 1}
    (name,) = optuna.get_all_study_names(f"sqlite:///{store / 'optuna.db'}")
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{store / 'optuna.db'}")
    assert [list(trial.intermediate_values) for trial in study.trials] == [[0, 1], [0]]
    assert not any((store / "checkpoints").iterdir())


def test_a_trial_whose_graph_fails_does_not_end_the_study(
    tiny_corpus: Corpus, scheme: Scheme, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([None, 0.5])

    def measure_one(*_: object) -> float:
        if (value := next(values)) is None:
            raise ParityError("a graph that changes 9% of the articles' tags", "at most 5%", "Train with --precision fp32.")
        return value

    monkeypatch.setattr(tuning, "_measure_linear", lambda *_: measure_one)
    with pytest.raises(InputError, match="no trial that came to its end"):
        tune(tiny_corpus, scheme, LinearSettings(), tmp_path / "mlruns", trials=1, folds=2)
    again = tune(tiny_corpus, scheme, LinearSettings(), tmp_path / "mlruns", trials=2, folds=2)
    assert (again.macro_f1, again.trials) == (0.5, {"complete": 1, "fail": 1})


def test_shared_counts_fit_the_same_model(small_records: list[Record], scheme: Scheme) -> None:
    examples = Examples.prepare(small_records, scheme)
    rows, settings = np.arange(0, len(small_records), 2), LinearSettings(min_word_df=4, min_char_df=9)
    shared = LinearFitter(examples, settings, count_ngrams(examples.documents, LinearSettings(min_word_df=2, min_char_df=4))).fit(rows)
    own = LinearFitter(examples, settings).fit(rows)
    assert shared.vocabulary == own.vocabulary
    assert all(
        (a.article == b.article).all() for a, b in zip(shared.logits(examples.documents), own.logits(examples.documents), strict=True)
    )


@pytest.mark.parametrize(("space", "settings"), [(LINEAR, LinearSettings()), (ENCODER, EncoderSettings())])
def test_space_holds_the_defaults(space: dict[str, object], settings: LinearSettings | EncoderSettings) -> None:
    values = asdict(settings)
    for name, kind in space.items():
        assert kind.low <= values[name] <= kind.high if isinstance(kind, Range) else values[name] in kind.values, name  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"linaer": {}}', "key 'linaer'.*Did you mean 'linear'"),
        ('{"linear": {"articel_c": 3}}', "linear: key 'articel_c'.*Did you mean 'article_c'"),
        ('{"linear": {"article_c": "3"}}', "linear.article_c is '3'.*type float"),
        ('{"linear": {"balanced": 1}}', "linear.balanced is 1.*type bool"),
        ('{"linear": {"mix": 1.5}}', "linear.mix is 1.5.*0 to 1"),
        ('{"linear": {"article_c": NaN}}', "linear.article_c is nan.*above 0"),
        ('{"encoder": {"epochs": 0}}', "encoder.epochs is 0"),
        ('{"encoder": {"layers": -1}}', "encoder.layers is -1"),
        ('{"encoder": {"precision": "int4"}}', "precision is 'int4'.*int8 or fp32"),
        ('{"augmentation": {"drop": -1}}', "augmentation.drop is -1"),
        ('{"linear": 3}', "linear: int"),
        ("[]", "list"),
        ("{", "a JSON object"),
    ],
)
def test_settings_file_names_what_is_wrong(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        read_settings(path)


def test_settings_file_round_trip_and_members_left_out(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    write_settings(LinearSettings(article_c=3.5), path)
    assert apply_settings(path, ModelSettings()).linear == LinearSettings(article_c=3.5)
    assert apply_settings(path, ModelSettings(linear=None, encoder=EncoderSettings())) == ModelSettings(
        linear=None, encoder=EncoderSettings()
    )
    path.write_text(json.dumps({"encoder": {"rate": 1}, "augmentation": {"drop": 0.5}}))
    taken = apply_settings(path, ModelSettings(encoder=EncoderSettings(), augmentation=Augmentation()))
    assert taken == ModelSettings(encoder=EncoderSettings(rate=1), augmentation=Augmentation(drop=0.5))


def test_tune_command_writes_what_fit_takes(small_records: list[Record], tmp_path: Path) -> None:
    corpus, store = tmp_path / "c.jsonl", tmp_path / "mlruns"
    write_corpus([replace(record, contrast=None) for record in small_records[::3]], corpus)
    asked = ["tune", "--model", "linear", "--corpus", str(corpus), "--store", str(store), "--trials", "1", "--folds", "2"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert "--settings" in result.output
    assert "1 complete" in result.output
    assert read_settings(store / "tuned-linear.json") == {"linear": asdict(LinearSettings())}
    refused = CliRunner().invoke(app, ["tune", "--model", "ensemble", "--corpus", str(corpus)])
    assert refused.exit_code == 1
    assert isinstance(refused.exception, InputError)
