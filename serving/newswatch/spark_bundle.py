"""The bundle on its way to Spark's executors: packed once, unpacked on each by Spark, its checksum pinned."""

import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from newswatch.bundle import MANIFEST, Bundle
from newswatch.spark_worker import Shipped

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def ship(spark: "SparkSession", bundle: Bundle) -> Shipped:
    """Have Spark bring a bundle to all its executors, later ones too; once a session."""
    from pyspark import SparkFiles

    name = f"newswatch-{bundle.sha256[:16]}.zip"
    if not Path(SparkFiles.get(name)).exists():
        packed = Path(_folder().name, name)
        if not packed.exists():
            with zipfile.ZipFile(packed, "w") as archive:
                for file in (MANIFEST, *bundle.manifest["files"]):
                    archive.write(bundle.folder / file, file)
        spark.addArtifacts(str(packed), archive=True)
    return Shipped(name, bundle.sha256, bundle.label, tuple(bundle.scheme.names))


@cache
def _folder() -> "TemporaryDirectory[str]":
    """Executors fetch from here as long as this process lives."""
    return TemporaryDirectory(prefix="newswatch-")
