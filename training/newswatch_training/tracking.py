"""Tracking: every run in MLflow, in the local store unless MLFLOW_TRACKING_URI names another."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

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
SQLITE = "sqlite:///"
EXPERIMENT = "newswatch"
REGISTERED_MODEL = "newswatch"
RETRAINING = "retraining"  # tag of the runs of which one is open at a time
GONE = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE"}  # error codes of a server that does not answer, or answers 5xx
Told = TypeVar("Told")
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
    return f"{SQLITE}{store.resolve() / 'mlflow.db'}"


@dataclass
class Run:
    """An open run. Everything logged through it is in the store when the call returns.

    A tracking server that stops to answer does not end the work: the run goes on in the local store, with the same settings.

    Attributes:
        name: of the run, for the one that takes its place.
        store: folder of the local store.
    """

    id: str
    uri: str
    client: "MlflowClient"
    name: str
    store: Path
    _settings: dict[str, Any] = field(default_factory=dict)

    def _tell(self, what: Callable[["MlflowClient", str], Told]) -> Told:
        """What a call with client and run id gives; once more with a local run where the server is gone."""
        from mlflow.exceptions import MlflowException

        try:
            return what(self.client, self.id)
        except MlflowException as error:
            if self.uri == local_uri(self.store) or error.error_code not in GONE:
                raise
            _report_gone(self.uri, error, self.store)
        left = self.id
        other = _start(local_uri(self.store), self.name, self.store)
        self.id, self.uri, self.client = other.id, other.uri, other.client
        self.client.set_tag(self.id, "begun_as", left)
        for name, value in self._settings.items():
            self.client.log_param(self.id, name, value)
        return what(self.client, self.id)

    def _log(self, method: str, *arguments: Any, **named: Any) -> None:
        self._tell(lambda client, run: getattr(client, method)(run, *arguments, **named))

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Log parameters."""
        self._settings |= settings
        for name, value in settings.items():
            self._log("log_param", name, value)

    def log_corpus(self, records: list[Record], sha256: str, name: str) -> None:
        """Log the corpus as a data set whose digest is the corpus hash."""
        from mlflow.data.huggingface_dataset import from_huggingface
        from mlflow.entities import DatasetInput, InputTag

        data = from_huggingface(to_dataset(records), name=name, digest=sha256[:36])
        inputs = [DatasetInput(data._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")])]
        self._log("log_inputs", inputs)

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log figures, in batches."""
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        entries = [Metric(name, value, now, 0) for name, value in metrics.items()]
        for start in range(0, len(entries), 500):
            self._log("log_batch", metrics=entries[start : start + 500])

    def log_curve(self, name: str, value: float, step: int) -> None:
        """Log one point of a curve, to be seen while the run goes on."""
        self._log("log_metric", name, value, step=step)

    def log_figure(self, figure: Figure, name: str) -> None:
        """Log a plot as plots/<name>.png."""
        self._log("log_figure", figure, f"plots/{name}.png")

    def log_errors(self, errors: list[WorstError], name: str) -> None:
        """Log the worst errors as a table that the MLflow page shows."""
        rows = [asdict(error) for error in errors]
        columns = {key: [row[key] for row in rows] for key in WorstError.__dataclass_fields__}
        self._log("log_table", columns, f"{name}.json")

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags, which the page of MLflow shows and filters by."""
        for name, value in tags.items():
            self._log("set_tag", name, value)

    @contextmanager
    def child(self, name: str) -> Iterator["Run"]:
        """Open a run that the page of MLflow shows below this one."""

        def create(client: "MlflowClient", parent: str) -> str:
            experiment = client.get_run(parent).info.experiment_id
            made = client.create_run(experiment, run_name=name, tags={"mlflow.parentRunId": parent})
            return str(made.info.run_id)

        made = self._tell(create)
        with _ending(Run(made, self.uri, self.client, name, self.store)) as run:
            yield run

    def register(self, bundle: Bundle) -> str:
        """Log the bundle as a pyfunc model and register it as a version of the model.

        Returns:
            The version's number.
        """
        return self._tell(lambda client, run: _register(client, run, bundle))


def _register(client: "MlflowClient", run: str, bundle: Bundle) -> str:
    from mlflow.exceptions import MlflowException

    from newswatch.flavour import save_flavour

    tags = {"bundle": bundle.label, "sha256": bundle.sha256}
    experiment = client.get_run(run).info.experiment_id
    model = client.create_logged_model(experiment, REGISTERED_MODEL, run, tags, model_type=bundle.model.kind)
    with tempfile.TemporaryDirectory() as folder:
        save_flavour(bundle, Path(folder, "model"))
        client.log_model_artifacts(model.model_id, str(Path(folder, "model")))
    client.finalize_logged_model(model.model_id, "READY")
    try:
        client.create_registered_model(REGISTERED_MODEL, description="Tags security news and shows the sentences that say so.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"models:/{model.model_id}"
    version = client.create_model_version(REGISTERED_MODEL, source, run, tags=tags, model_id=model.model_id)
    return str(version.version)


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
        _report_gone(wanted, error, store)
        run = _start(local_uri(store), name, store)
    with _ending(run):
        yield run


def _report_gone(uri: str, error: Exception, store: Path) -> None:
    err.print(
        f"tracking server {uri} does not answer ({str(error).splitlines()[0]:.120}); this run is kept in {local_uri(store)}",
        style="yellow",
        markup=False,
        soft_wrap=True,
    )


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
    run._log("set_terminated", "FINISHED")


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
    return Run(run.info.run_id, uri, client, name, store)
