"""The MLflow flavour: a bundle as a models-from-code pyfunc. MLflow runs this very file when it loads such a model.

It needs mlflow and pandas, which scoring alone does not; nothing else in newswatch imports it.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from newswatch import Article, Bundle, Prediction, Scorer
from newswatch_labels.errors import MissingExtraError

try:
    import mlflow.models
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.pyfunc import PythonModel, PythonModelContext
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array, Map, Object, Property
except ImportError as error:
    raise MissingExtraError(error.name or "mlflow", "train") from error

ARTIFACT = "bundle"
SHA256 = "sha256"  # of bundle.json, in the model's configuration
REQUIREMENTS = ("newswatch", "mlflow", "numpy", "onnxruntime", "pandas", "sentencex", "tokenizers")
EXAMPLE = {
    "text": ["ISIS gunmen ambushed a patrol near Daquq on Friday and killed two policemen, a security source said."],
    "id": ["daquq-ambush"],
    "title": ["Two policemen killed near Daquq"],
}
_EVIDENCE = Object(
    [
        Property("start", DataType.long),
        Property("end", DataType.long),
        Property("text", DataType.string),
        Property("score", DataType.double),
        Property("field", DataType.string),
    ]
)
SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(DataType.string, "text"),
            ColSpec(DataType.string, "id", required=False),
            ColSpec(DataType.string, "title", required=False),
        ]
    ),
    outputs=Schema(
        [
            ColSpec(DataType.string, "id", required=False),
            ColSpec(Array(DataType.string), "tags"),
            ColSpec(Map(DataType.double), "scores"),
            ColSpec(Map(Array(_EVIDENCE)), "evidence"),
            ColSpec(Array(DataType.string), "review"),
            ColSpec(DataType.string, "model"),
        ]
    ),
)


class BundleModel(PythonModel):  # type: ignore[misc]
    """Scores data frames with the bundle that was logged beside it; format, checksums and golden rows are proved on load."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle.

        Raises:
            BundleError: the bundle is damaged, or is not the one that was logged.
        """
        self.scorer = Scorer.load(context.artifacts[ARTIFACT], (context.model_config or {}).get(SHA256))

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """Predictions, a row an article, in order, with the columns and values of `Prediction.to_dict`.

        Args:
            model_input: column `text`, and where known `id` and `title`; what is missing there is None or NaN.

        Raises:
            InputError: a text cannot be scored; names its row.
        """
        return to_frame(self.scorer.score(list(_articles(model_input))))


def to_frame(predictions: list[Prediction]) -> pd.DataFrame:
    """Predictions as a data frame, a row each."""
    return pd.DataFrame([prediction.to_dict() for prediction in predictions], columns=SIGNATURE.outputs.input_names(), dtype=object)


def _articles(frame: pd.DataFrame) -> Iterator[Article]:
    nothing = pd.Series([None] * len(frame))
    columns = [frame.get(name, nothing) for name in ("text", "id", "title")]
    for row in zip(*columns, strict=True):
        text, identity, title = (None if pd.isna(value) else value for value in row)
        yield Article(text, identity, title)  # type: ignore[arg-type]  # the scorer refuses a text that is none


def save_flavour(bundle: Bundle, folder: Path) -> None:
    """Write a bundle as an MLflow model: this file, the bundle, signature, example and pinned requirements; no pickle.

    Args:
        folder: where to; must not exist.
    """
    import mlflow.pyfunc

    mlflow.pyfunc.save_model(
        folder,
        python_model=str(Path(__file__)),
        artifacts={ARTIFACT: str(bundle.folder)},
        model_config={SHA256: bundle.sha256},
        signature=SIGNATURE,
        input_example=pd.DataFrame(EXAMPLE),
        pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
        metadata={"bundle": bundle.label, "sha256": bundle.sha256},
    )


mlflow.models.set_model(BundleModel())
