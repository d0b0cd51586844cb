"""The sink: where Spark writes scored rows, and apart from them those that cannot be scored."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from newswatch.output import OUTPUTS
from newswatch.reading import Columns
from newswatch.spark_worker import FAULT, INPUT, Shipped, make_checking, make_scoring, prediction_type
from newswatch.summary import Tally
from newswatch_labels.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FORMATS = {"jsonl": ("json", {"ignoreNullFields": "false"}), "parquet": ("parquet", {})}


class Sink:
    """Scores rows and writes them; the same rows give the same files, so a write that was cut off may be done again."""

    def __init__(self, bundle: Shipped, columns: Columns, output: str, *, evidence: bool, cascade: bool) -> None:
        """Prepare what the executors run.

        Args:
            output: jsonl or parquet.

        Raises:
            InputError: no such form of output.
        """
        if output not in OUTPUTS:
            raise InputError(f"output {output!r}", " or ".join(OUTPUTS), "Mend --output.")
        self.bundle = bundle
        self.form, self.options = FORMATS[output]
        self.score = make_udf(make_scoring(bundle, columns, evidence=evidence, cascade=cascade), prediction_type(evidence=evidence))
        self.check = make_udf(make_checking(columns), f"struct<{FAULT}>")

    def write(self, rows: "DataFrame", articles: str, quarantine: str) -> Tally:
        """Write rows of `spark_worker.INPUT` into two folders, in place of what is there; without faults there is no quarantine.

        Raises:
            py4j.protocol.Py4JError: the job failed.
        """
        from pyspark.sql import Observation
        from pyspark.sql import functions as F  # noqa: N812

        counts = Observation()
        made = rows.select(self.score(*INPUT).alias("made")).observe(
            counts,
            F.count_if(F.expr("made.error IS NULL")).alias("articles"),
            F.count_if(F.expr("made.error IS NOT NULL")).alias("quarantined"),
            F.count_if(F.expr("size(made.review) > 0")).alias("review"),
            *(F.count_if(F.array_contains("made.tags", tag)).alias(f"tag {tag}") for tag in self.bundle.tags),
        )
        scored = made.where("made.error IS NULL").select("made.*").drop("error")
        scored.write.mode("overwrite").format(self.form).options(**self.options).save(articles)
        found = counts.get
        if found["quarantined"]:
            # Seldom needed and cheap, since it loads no model; so nothing has to be kept between the two writes.
            faults = rows.select(self.check(*INPUT).alias("fault")).where("fault IS NOT NULL").select("fault.*")
            faults.write.mode("overwrite").format("json").options(ignoreNullFields=False).save(quarantine)
        tags = Counter({tag: found[f"tag {tag}"] for tag in self.bundle.tags if found[f"tag {tag}"]})
        return Tally(found["articles"], tags, found["review"], found["quarantined"])

    def quarantine_files(self, spark: "SparkSession", files: Mapping[str, str], quarantine: str) -> None:
        """Add whole files, address and reason, to a quarantine."""
        faults = [(file, None, file, reason, "") for file, reason in files.items()]
        spark.createDataFrame(faults, FAULT).coalesce(1).write.mode("append").json(quarantine, ignoreNullFields=False)


def make_udf(function: Callable[..., Iterator[Any]], kind: str) -> Any:
    """A function of Arrow arrays as one of Spark columns, of the type `kind`."""
    import pyarrow as pa
    from pyspark.sql.functions import arrow_udf

    # Spark reads from these how to call it; pyarrow is loaded too late to write them there.
    function.__annotations__ = {"batches": Iterator[tuple[pa.Array, ...]], "return": Iterator[pa.Array]}
    # An optimiser that thinks it deterministic would score once to filter and again to write.
    return arrow_udf(function, kind).asNondeterministic()
