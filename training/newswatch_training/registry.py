"""The registry: aliases of the registered model, which follow the links of the store."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from newswatch.bundle import Bundle
from newswatch_labels.terminal import err
from newswatch_training.tracking import REGISTERED_MODEL, SQLITE

if TYPE_CHECKING:
    from mlflow import MlflowClient


def point_alias(bundle: Bundle, alias: str) -> None:
    """Point an alias of the registered model at the bundle's version, in the store that holds its run.

    The link in the store decides what serves; a registry that does not answer, or does not know the bundle, is named and waits.
    """

    def point(client: "MlflowClient") -> None:
        versions = client.search_model_versions(f"name='{REGISTERED_MODEL}' and tags.sha256='{bundle.sha256}'")
        if versions:
            client.set_registered_model_alias(REGISTERED_MODEL, alias, versions[0].version)

    _change_registry(bundle, alias, point)


def drop_alias(bundle: Bundle, alias: str) -> None:
    """Remove an alias of the registered model, in the store that holds the bundle's run."""
    _change_registry(bundle, alias, lambda client: client.delete_registered_model_alias(REGISTERED_MODEL, alias))


def _change_registry(bundle: Bundle, alias: str, change: Callable[["MlflowClient"], None]) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri = bundle.manifest.get("mlflow", {}).get("tracking_uri")
    try:
        if str(uri).startswith(SQLITE) and not Path(str(uri).removeprefix(SQLITE)).exists():  # MLflow would make it anew
            raise FileNotFoundError("there is no such store any more")
        change(MlflowClient(tracking_uri=uri))
    except (MlflowException, OSError) as error:
        reason = str(error).splitlines()[0]
        err.print(f"alias {alias} in {uri} stays where it was: {reason:.120}", style="yellow", markup=False, soft_wrap=True)
