"""The rows Spark reads: files, folders of them and Kafka topics as one frame of `spark_worker.INPUT`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from newswatch.reading import Columns, check_kind, file_kind
from newswatch.shards import find_shards
from newswatch.spark_worker import INPUT, plain
from newswatch_labels.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

KINDS = ("jsonl", "csv", "parquet")
KAFKA = "kafka"
_UNREADABLE = re.compile(r"\[FAILED_READ_FILE[^]]*] Encountered error while reading file (.+?)\.\s")
LOCAL = "file://"
BYTES = "ISO-8859-1"  # gives each byte a character, so that the worker sees the bytes of the file and names those that are no UTF-8
CSV = {"header": True, "multiLine": True, "quote": '"', "escape": '"', "encoding": BYTES, "enforceSchema": False}


def find_inputs(paths: Iterable[str], out: Path, kind: str | None) -> dict[str, list[str]]:
    """Addresses of the input files by kind.

    Args:
        paths: files, folders and globs of this file system, or addresses that Spark reads (`hdfs://`, `s3a://`; folders and globs too).
        out: folder of the output, left out where it lies in a folder of input.
        kind: jsonl, csv or parquet; default: by the ending.

    Raises:
        InputError: a path leads to no file, or to one that Spark does not read.
    """
    given = list(paths)
    shards = find_shards([path for path in given if "://" not in path], out)
    files = [(shard.file, f"{LOCAL}{shard.file}") for shard in shards]
    files += [(Path(PurePosixPath(path)), path) for path in given if "://" in path]
    found: dict[str, list[str]] = {}
    for file, address in files:
        of = check_kind(kind or file_kind(file) or "text")
        if of not in KINDS or (file.suffix == ".zst" and of != "parquet"):
            raise InputError(
                f"{address}: {of}{file.suffix if file.suffix == '.zst' else ''}",
                f"{', '.join(KINDS)} (plain or .gz) for --engine spark",
                "Name its kind with --format, or use --engine local.",
            )
        if of == "csv" and _literal(address) != address:  # Spark expands the names of such files once more as it reads them
            raise InputError(address, "for --engine spark a CSV file without any of []{}*? in its path", "Rename it.")
        found.setdefault(of, []).append(address)
    return found


def read_rows(spark: "SparkSession", inputs: Mapping[str, Sequence[str]], columns: Columns) -> "DataFrame":
    """All rows of the files, with columns `INPUT`.

    Raises:
        InputError: a file has no column for the text.
    """
    frames = []
    for kind, given in inputs.items():
        files = [_literal(file) for file in given]
        if kind == "jsonl":
            frames.append(lines(spark.read.format("text").load(files)))
        else:
            reader = spark.read.options(**CSV) if kind == "csv" else spark.read.options(mergeSchema=True)
            frames.append(cells(reader.format(kind).load(files), kind, columns))
    return reduce(lambda first, second: first.unionAll(second), frames)


def readable_rows(
    spark: "SparkSession", inputs: Mapping[str, Sequence[str]], columns: Columns, error: Exception
) -> tuple["DataFrame", dict[str, str]]:
    """Rows of the files that can be read to their end, after a job failed with `error`; and why each other file cannot.

    Raises:
        Exception: `error` itself, if it came from something else or no file is left.
    """
    from py4j.protocol import Py4JJavaError

    left = {kind: list(files) for kind, files in inputs.items()}
    unreadable: dict[str, str] = {}
    found: Exception | None = error
    while found is not None:
        file = _named(found, left)
        if file is None:
            raise found
        unreadable[_path(file)] = f"{_path(file)}: cannot be read to its end; expected a whole file. Copy the file again."
        left = {kind: kept for kind, files in left.items() if (kept := [other for other in files if other != file])}
        if not left:
            raise found
        try:
            rows = read_rows(spark, left, columns)
            rows.write.format("noop").mode("overwrite").save()  # reads all of it and scores nothing
            found = None
        except Py4JJavaError as another:
            found = another
    return rows, unreadable


def _named(error: Exception, inputs: Mapping[str, Sequence[str]]) -> str | None:
    """Which of the files an error of Spark names as one that it cannot read."""
    said = _UNREADABLE.search(str(error))
    if said is None:
        return None
    places = (said[1], plain(said[1]))
    return next((file for files in inputs.values() for file in files if file in places or _path(file) in places), None)


def _path(address: str) -> str:
    return address.removeprefix(LOCAL)


def _literal(address: str) -> str:
    """A local address whose brackets and stars Spark does not take for a glob."""
    return re.sub(r"([][{}*?\\])", r"\\\1", address) if address.startswith(LOCAL) else address


def stream_rows(spark: "SparkSession", source: str, kind: str, columns: Columns, options: Mapping[str, str]) -> "DataFrame":
    """A stream of rows with columns `INPUT`.

    Args:
        source: folder or glob of files; for Kafka the bootstrap servers.
        kind: jsonl, csv, parquet or kafka (whose values are lines of JSONL).
        options: of Spark's reader.

    Raises:
        InputError: no such kind, or no column for the text.
    """
    from pyspark.sql import functions as F  # noqa: N812

    if kind == KAFKA:
        frame = spark.readStream.format(KAFKA).option("kafka.bootstrap.servers", source).options(**options).load()
        place = F.concat_ws("/", "topic", "partition")
        return frame.select(*_columns(line=F.col("value"), file=place, row=F.col("offset")))
    if kind not in KINDS:
        raise InputError(f"stream of kind {kind!r}", f"one of {', '.join((*KINDS, KAFKA))}", "Mend kind.")
    if kind == "jsonl":
        return lines(spark.readStream.format("text").options(**options).load(source))
    settings = CSV if kind == "csv" else {}
    # A stream must know its columns before it starts; those of the files already there say which.
    schema = spark.read.options(**settings).format(kind).load(source).schema
    return cells(spark.readStream.schema(schema).options(**settings).options(**options).format(kind).load(source), kind, columns)


def lines(frame: "DataFrame") -> "DataFrame":
    """Rows of a frame of text lines; blank lines are none."""
    from pyspark.sql import functions as F  # noqa: N812

    kept = frame.where(F.col("value").rlike(r"\S"))
    return kept.select(*_columns(line=F.col("value").cast("binary"), file=F.col("_metadata.file_path")))


def cells(frame: "DataFrame", kind: str, columns: Columns) -> "DataFrame":
    """Rows of a frame of CSV or Parquet.

    Raises:
        InputError: it has no column for the text.
    """
    from pyspark.sql import functions as F  # noqa: N812

    names = {name.encode(BYTES).decode("utf-8-sig") if kind == "csv" else name: name for name in frame.columns}
    if columns.text not in names:
        raise InputError(
            f"{kind} with the columns {', '.join(names) or 'none'}",
            f"a column {columns.text!r} in every file",
            "Name the text's column with --text-column.",
        )

    def taken(name: str) -> "Column":
        if name not in names:
            return F.lit(None).cast("binary")
        value = F.col(f"`{names[name]}`").cast("string")
        return F.encode(value, BYTES) if kind == "csv" else value.cast("binary")

    number = F.col("_metadata.row_index") + 1 if kind == "parquet" else F.lit(None)
    file = F.col("_metadata.file_path")
    return frame.select(*_columns(text=taken(columns.text), id=taken(columns.id), title=taken(columns.title), file=file, row=number))


def _columns(**given: "Column") -> list["Column"]:
    from pyspark.sql import functions as F  # noqa: N812

    types = {"file": "string", "row": "bigint"}
    return [given.get(name, F.lit(None)).cast(types.get(name, "binary")).alias(name) for name in INPUT]
