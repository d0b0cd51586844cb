"""Tracking: every run in MLflow, in the local store unless MLFLOW_TRACKING_URI names another."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from newswatch.bundle import Bundle
from newswatch_labels.corpus import to_dataset
from newswatch_labels.record import Record
from newswatch_labels.terminal import err
from newswatch_training.errors import WorstError
from newswatch_training.lock import locked

if TYPE_CHECKING:
    from mlflow import MlflowClient

STORE = Path("mlruns")
EXPERIMENT = "newswatch"
REGISTERED_MODEL = "newswatch"
RETRAINING = "retraining"  # tag of the runs of which one is open at a time
PAGE = {"mlflow.experimentKind": "custom_model_development"}  # which of its pages MLflow opens with

# Read by mlflow when it is imported or makes a request: no telemetry, and a dead server costs seconds, not minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "4")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def local_uri(store: Path = STORE) -> str:
    """Address of the local store's database."""
    return f"sqlite:///{store.resolve() / 'mlflow.db'}"


@dataclass(frozen=True)
class Run:
    """An open run. Everything logged through it is in the store when the call returns."""

    id: str
    uri: str
    client: "MlflowClient"

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Log parameters."""
        for name, value in settings.items():
            self.client.log_param(self.id, name, value)

    def log_corpus(self, records: list[Record], sha256: str, name: str) -> None:
        """Log the corpus as a data set whose digest is the corpus hash."""
        from mlflow.data.huggingface_dataset import from_huggingface
        from mlflow.entities import DatasetInput, InputTag

        data = from_huggingface(to_dataset(records), name=name, digest=sha256[:36])
        self.client.log_inputs(self.id, [DatasetInput(data._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")])])

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log figures, in batches."""
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        entries = [Metric(name, value, now, 0) for name, value in metrics.items()]
        for start in range(0, len(entries), 500):
            self.client.log_batch(self.id, metrics=entries[start : start + 500])

    def log_curve(self, name: str, value: float, step: int) -> None:
        """Log one point of a curve, to be seen while the run goes on."""
        self.client.log_metric(self.id, name, value, step=step)

    def log_figure(self, figure: Figure, name: str) -> None:
        """Log a plot as plots/<name>.png."""
        self.client.log_figure(self.id, figure, f"plots/{name}.png")

    def log_errors(self, errors: list[WorstError], name: str) -> None:
        """Log the worst errors as a table that the MLflow page shows."""
        rows = [asdict(error) for error in errors]
        columns = {key: [row[key] for row in rows] for key in WorstError.__dataclass_fields__}
        self.client.log_table(self.id, columns, f"{name}.json")

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags, which the page of MLflow shows and filters by."""
        for name, value in tags.items():
            self.client.set_tag(self.id, name, value)

    @contextmanager
    def child(self, name: str) -> Iterator["Run"]:
        """Open a run that the page of MLflow shows below this one."""
        parent = self.client.get_run(self.id).info
        made = self.client.create_run(parent.experiment_id, run_name=name, tags={"mlflow.parentRunId": self.id})
        with _ending(Run(made.info.run_id, self.uri, self.client)) as run:
            yield run

    def register(self, bundle: Bundle) -> str:
        """Log the bundle as a pyfunc model and register it as a version of the model.

        Returns:
            The version's number.
        """
        from mlflow.exceptions import MlflowException

        from newswatch.flavour import save_flavour

        tags = {"bundle": bundle.label, "sha256": bundle.sha256}
        experiment = self.client.get_run(self.id).info.experiment_id
        model = self.client.create_logged_model(experiment, REGISTERED_MODEL, self.id, tags, model_type=bundle.model.kind)
        with tempfile.TemporaryDirectory() as folder:
            save_flavour(bundle, Path(folder, "model"))
            self.client.log_model_artifacts(model.model_id, str(Path(folder, "model")))
        self.client.finalize_logged_model(model.model_id, "READY")
        try:
            self.client.create_registered_model(REGISTERED_MODEL, description="Tags security news and shows the sentences that say so.")
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"models:/{model.model_id}"
        version = self.client.create_model_version(REGISTERED_MODEL, source, self.id, tags=tags, model_id=model.model_id)
        return str(version.version)


def point_alias(bundle: Bundle, alias: str) -> None:
    """Point an alias of the registered model at the bundle's version, in the store that holds its run.

    The link in the store decides what serves; a registry that does not answer, or does not know the bundle, is named and waits.
    """
    with _registry(bundle, alias) as client:
        versions = client.search_model_versions(f"name='{REGISTERED_MODEL}' and tags.sha256='{bundle.sha256}'")
        if versions:
            client.set_registered_model_alias(REGISTERED_MODEL, alias, versions[0].version)


def drop_alias(bundle: Bundle, alias: str) -> None:
    """Remove an alias of the registered model, in the store that holds the bundle's run."""
    with _registry(bundle, alias) as client:
        client.delete_registered_model_alias(REGISTERED_MODEL, alias)


@contextmanager
def _registry(bundle: Bundle, alias: str) -> Iterator["MlflowClient"]:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri = bundle.manifest.get("mlflow", {}).get("tracking_uri")
    try:
        yield MlflowClient(tracking_uri=uri)
    except MlflowException as error:
        reason = str(error).splitlines()[0]
        err.print(f"alias {alias} in {uri} stays where it was: {reason:.120}", style="yellow", markup=False, soft_wrap=True)


def end_left_runs(store: Path = STORE) -> int:
    """End as KILLED the retrainings that never ended in the local store; to be called while no other can run.

    Returns:
        How many there were.
    """
    from mlflow import MlflowClient

    if not (store / "mlflow.db").exists():
        return 0
    client = MlflowClient(tracking_uri=local_uri(store))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    asked = f"attributes.status = 'RUNNING' and tags.{RETRAINING} = 'yes'"
    left = client.search_runs([experiment.experiment_id], asked) if experiment else []
    for run in left:
        client.set_terminated(run.info.run_id, "KILLED")
    return len(left)


@contextmanager
def open_run(name: str, store: Path = STORE) -> Iterator[Run]:
    """Open a run that ends FINISHED, or FAILED if the block raises.

    If MLFLOW_TRACKING_URI names a server that does not answer, the run is kept in the local store instead, and says so.
    """
    from mlflow.exceptions import MlflowException

    wanted = os.environ.get("MLFLOW_TRACKING_URI")
    try:
        run = _start(wanted or local_uri(store), name, store)
    except MlflowException as error:
        if not wanted or wanted == local_uri(store):
            raise
        err.print(
            f"tracking server {wanted} does not answer ({str(error).splitlines()[0]:.120}); this run is kept in {local_uri(store)}",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )
        run = _start(local_uri(store), name, store)
    with _ending(run):
        yield run


@contextmanager
def _ending(run: Run) -> Iterator[Run]:
    """End a run FINISHED, or FAILED if the block raises; what the block raised is what is told, even if the server is gone."""
    from mlflow.exceptions import MlflowException

    try:
        yield run
    except BaseException as error:
        try:
            run.client.set_terminated(run.id, "FAILED")
        except MlflowException as second:
            error.add_note(f"run {run.id} could not be ended: {str(second).splitlines()[0]:.120}")
        raise
    run.client.set_terminated(run.id, "FINISHED")


def _make_database(store: Path) -> None:
    """Make the local store's database whole before it gets its name: MLflow cannot go on with one whose making was cut off."""
    from mlflow import MlflowClient

    with locked(store / ".mlflow.lock", wait=True):
        if (store / "mlflow.db").exists():
            return
        partial = store.resolve() / f".mlflow.db.{os.getpid()}"
        try:
            MlflowClient(tracking_uri=f"sqlite:///{partial}").search_experiments(max_results=1)
            partial.replace(store / "mlflow.db")
        finally:
            partial.unlink(missing_ok=True)


def _start(uri: str, name: str, store: Path) -> Run:
    import logging

    import mlflow
    from mlflow import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    local = uri == local_uri(store)
    if local:
        _make_database(store)
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is not None:
        identity = experiment.experiment_id
    else:
        location = (store.resolve() / "artifacts").as_uri() if local else None
        identity = client.create_experiment(EXPERIMENT, artifact_location=location, tags=PAGE)
    run = client.create_run(identity, run_name=name, tags={"mlflow.source.name": "newswatch-train", "mlflow.source.type": "LOCAL"})
    return Run(run.info.run_id, uri, client)
