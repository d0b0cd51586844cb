"""Spark: the same scorer on many machines, for notebooks (`score_udf`), jobs (`run_batch`) and streams (`score_stream`).

Executors need newswatch and the extra `spark` installed; the bundle is shipped to them by Spark itself. Articles travel as Arrow.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from newswatch.bundle import Bundle
from newswatch.reading import Columns
from newswatch.spark_bundle import ship
from newswatch.spark_rows import LOCAL, find_inputs, read_rows, readable_rows, stream_rows
from newswatch.spark_sink import Sink, make_udf
from newswatch.spark_worker import INPUT, make_scoring, prediction_type
from newswatch.summary import Summary
from newswatch_labels.errors import MissingExtraError, NewswatchError
from newswatch_labels.terminal import err

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery

ARTICLES, QUARANTINE = "articles", "quarantine"
SETTINGS = {
    "spark.sql.files.maxPartitionBytes": "16m",  # a minute or so of scoring: what a lost machine costs
    "spark.sql.execution.arrow.maxRecordsPerBatch": "256",  # texts in a worker's memory at once
}
TASKS_A_CORE = 4
FILES_A_BATCH = 64


class SparkError(NewswatchError):
    """Spark cannot start, or a job of ours failed in it."""


def score_udf(
    spark: "SparkSession", bundle: str | Path | None = None, *, evidence: bool = True, cascade: bool = True
) -> Callable[..., "Column"]:
    """A function of columns for notebooks and jobs: `frame.withColumn("prediction", score("text", "id", "title"))`.

    Args:
        bundle: the bundle's folder on this machine; default: as for `Bundle.load`.
        evidence: also give the sentences that carry each tag.
        cascade: as for `Scorer.load`.

    Returns:
        A function of the columns (or names of columns) text and, where there are any, id and title. It gives a struct with the fields
        of `Prediction` and `error`: why a text cannot be scored, else null. So one bad row does not end the job.

    Raises:
        BundleError: the bundle is missing or damaged.
        MissingExtraError: pyspark is not installed.
    """
    with _explained():
        from pyspark.sql import functions as F  # noqa: N812

        shipped = ship(spark, Bundle.load(bundle))
    scoring = make_udf(make_scoring(shipped, Columns(), evidence=evidence, cascade=cascade), prediction_type(evidence=evidence))

    def score(text: "Column | str", id: "Column | str | None" = None, title: "Column | str | None" = None) -> "Column":  # noqa: A002
        given = {"text": text, "id": id, "title": title}
        columns = {name: F.col(value) if isinstance(value, str) else value for name, value in given.items() if value is not None}
        bytes_of = {name: column.cast("string").cast("binary") for name, column in columns.items()}
        types = {"file": "string", "row": "bigint"}
        return scoring(*(bytes_of.get(name, F.lit(None).cast(types.get(name, "binary"))) for name in INPUT))

    return score


def run_batch(
    paths: Sequence[str],
    out: Path,
    *,
    bundle: Path | None = None,
    master: str | None = None,
    columns: Columns | None = None,
    kind: str | None = None,
    output: str = "jsonl",
    evidence: bool = True,
    cascade: bool = True,
) -> Summary:
    """Score files on a Spark cluster into `out/articles`, what cannot be scored into `out/quarantine`, counts into `out/summary.json`.

    The output appears whole when the job is done. Tasks of a lost executor run again elsewhere, and each row is written once.
    A job that is killed leaves no output and starts anew; `score_stream` goes on where it stopped.

    Args:
        paths: files, folders and globs that every machine sees, or addresses that Spark reads.
        out: a folder that every machine sees.
        bundle: its folder on this machine; default: as for `Bundle.load`.
        master: address of the Spark master; default: the one given to spark-submit, else all processors of this machine.
        kind: jsonl, csv or parquet; default: by the ending.
        output: jsonl or parquet.

    Raises:
        InputError: a path, a kind or a column that is not there.
        BundleError: the bundle is missing or damaged.
        SparkError: Spark cannot start, or the job failed.
    """
    columns = columns or Columns()
    loaded = Bundle.load(bundle)
    inputs = find_inputs(paths, out, kind)
    files = sum(map(len, inputs.values()))
    started = time.perf_counter()
    with _explained(), _session(master) as spark:
        from py4j.protocol import Py4JJavaError

        sink = Sink(ship(spark, loaded), columns, output, evidence=evidence, cascade=cascade)
        out.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(out / QUARANTINE, ignore_errors=True)  # of an earlier run
        articles, quarantine = (f"{LOCAL}{(out / name).resolve()}" for name in (ARTICLES, QUARANTINE))
        try:
            tally = sink.write(_spread(spark, read_rows(spark, inputs, columns)), articles, quarantine)
        except Py4JJavaError as error:
            rows, unreadable = readable_rows(spark, inputs, columns, error)
            tally = sink.write(_spread(spark, rows), articles, quarantine)
            sink.quarantine_files(spark, unreadable, quarantine)
            tally.quarantined += len(unreadable)
    summary = Summary(sink.bundle.label, tally, tally.articles, files, 0, time.perf_counter() - started)
    summary.write(out)
    return summary


def score_stream(
    spark: "SparkSession",
    source: str,
    out: str,
    checkpoint: str,
    *,
    bundle: str | Path | None = None,
    kind: str = "jsonl",
    every: str | None = None,
    columns: Columns | None = None,
    options: Mapping[str, str] | None = None,
    output: str = "jsonl",
    evidence: bool = True,
    cascade: bool = True,
) -> "StreamingQuery":
    """Start to score what arrives, in batches `out/articles/batch=N` and `out/quarantine/batch=N`.

    Killed and started again with the same `checkpoint` and `out` it goes on, and every row is there exactly once: a batch that was cut
    off is done again in its own folder, which `_SUCCESS` marks as whole. A file that cannot be read to its end stops the stream, which
    then names it; a row that cannot be scored does not.

    Args:
        source: address of a folder or glob of files, each put there whole; for Kafka the bootstrap servers (`host:9092,...`).
        out: address of a folder that every machine sees; one of its own for each checkpoint.
        checkpoint: address of the folder where Spark keeps how far it is.
        bundle: its folder on this machine; default: as for `Bundle.load`.
        kind: jsonl, csv, parquet, or kafka, whose values are JSON objects.
        every: how often to look for more, "10 seconds" say; default: score what is there and end (`availableNow`).
        options: of Spark's reader: `subscribe` (Kafka topics), `maxFilesPerTrigger`, `maxOffsetsPerTrigger`.
        output: jsonl or parquet.

    Returns:
        The query, which runs on; `awaitTermination()` waits for its end.

    Raises:
        InputError: no such kind, or no column for the text.
        BundleError: the bundle is missing or damaged.
        SparkError: the source cannot be read.
    """
    columns = columns or Columns()
    with _explained():
        sink = Sink(ship(spark, Bundle.load(bundle)), columns, output, evidence=evidence, cascade=cascade)
        rows = stream_rows(spark, source, kind, columns, {"maxFilesPerTrigger": str(FILES_A_BATCH), **(options or {})})

        def write(batch: "DataFrame", number: int) -> None:
            sink.write(_spread(spark, batch), *(f"{out.rstrip('/')}/{name}/batch={number}" for name in (ARTICLES, QUARANTINE)))

        writer = rows.writeStream.foreachBatch(write).option("checkpointLocation", checkpoint)
        return (writer.trigger(processingTime=every) if every else writer.trigger(availableNow=True)).start()


def _spread(spark: "SparkSession", rows: "DataFrame") -> "DataFrame":
    """Cut rows into more tasks where the files give too few to keep all processors at work: scoring costs far more than moving text."""
    wanted = TASKS_A_CORE * spark.sparkContext.defaultParallelism
    return rows.repartition(wanted) if rows.rdd.getNumPartitions() < wanted else rows


@contextmanager
def _session(master: str | None) -> Iterator["SparkSession"]:
    """The session there is, or one of our own that ends with the work."""
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    try:
        given = SparkSession.active()  # this thread's, or that of the process
    except PySparkRuntimeError:
        pass
    else:
        yield given
        return
    builder = SparkSession.builder.appName("newswatch").config("spark.ui.showConsoleProgress", err.is_terminal)
    # Its pages would listen to every address.
    builder = builder.config("spark.ui.enabled", False)
    if master is None and "PYSPARK_GATEWAY_PORT" not in os.environ:  # spark-submit sets it, and knows the master
        master = "local[*]"
    if master:
        builder = builder.master(master)
    if master and master.startswith("local"):
        builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else the first python3 on the path, which may lack our packages
    spark = builder.getOrCreate()
    try:
        configured = spark.sparkContext.getConf()
        for name, value in SETTINGS.items():
            if not configured.contains(name):
                spark.conf.set(name, value)
        yield spark
    finally:
        spark.stop()


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what Spark raises into errors of ours that say what to do."""
    try:
        import pyarrow  # noqa: F401
        import pyspark  # noqa: F401
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
    except ImportError as error:
        raise MissingExtraError(error.name or "pyspark", "spark") from error
    try:
        yield
    except (Py4JError, PySparkException) as error:
        said = next((line.strip() for line in str(error).splitlines() if "[" in line or "Error:" in line), str(error))
        raise SparkError(f"Spark: {said:.500}", "a job that ends well", _advice(str(error))) from error


def _advice(said: str) -> str:
    if "JAVA" in said:
        return f"Install Java 17 (openjdk-17-jre-headless, say) or set JAVA_HOME, which is {os.environ.get('JAVA_HOME') or 'not set'}."
    if "KAFKA" in said:
        return "Start Spark with the connector: spark.jars.packages=org.apache.spark:spark-sql-kafka-0-10_2.13:<Spark's version>."
    return "See Spark's own log above for the whole of it."
