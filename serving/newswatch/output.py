"""The output of a batch: one row an article, as JSON lines or as Parquet."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from newswatch.prediction import Prediction
from newswatch.whole_file import whole_file
from newswatch_labels.errors import InputError, MissingExtraError

OUTPUTS = ("jsonl", "parquet")
ROWS_A_GROUP = 4_096  # of a Parquet file; fixed, so that its bytes do not depend on how the work was cut

OutputRow = dict[str, Any]


def output_row(prediction: Prediction, *, evidence: bool = True) -> OutputRow:
    """A prediction as a row: `Prediction.to_dict`, without the evidence if it is not wanted.

    With `--dedupe` a row has `duplicate_of` besides: the id of the first article it is a copy of, or null.
    """
    row = prediction.to_dict()
    if not evidence:
        del row["evidence"]
    return row


def arrow_schema(*, evidence: bool = True, dedupe: bool = False) -> Any:
    """The rows' schema in Arrow, and so in Parquet.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    pa = _arrow()
    found = pa.struct(
        {"start": pa.int32(), "end": pa.int32(), "text": pa.string(), "score": pa.float64(), "field": pa.string()},
    )
    fields = {
        "id": pa.string(),
        "tags": pa.list_(pa.string()),
        "scores": pa.map_(pa.string(), pa.float64()),
        "evidence": pa.map_(pa.string(), pa.list_(found)),
        "review": pa.list_(pa.string()),
        "model": pa.string(),
        "duplicate_of": pa.string(),
    }
    left_out = {name for name, wanted in (("evidence", evidence), ("duplicate_of", dedupe)) if not wanted}
    return pa.schema([(name, kind) for name, kind in fields.items() if name not in left_out])


def arrow_batch(rows: Iterable[Mapping[str, Any]], schema: Any) -> Any:
    """Rows as an Arrow record batch of `arrow_schema`."""
    maps = [name for name in ("scores", "evidence") if name in schema.names]
    return _arrow().RecordBatch.from_pylist([{**row, **{name: list(row[name].items()) for name in maps}} for row in rows], schema=schema)


class RowWriter(Protocol):
    """Takes encoded rows of one output file, in order."""

    def write(self, rows: Any) -> None:
        """Append what `Output.encode` made."""

    def close(self) -> None:
        """Write what is still held back."""


class JsonLines:
    """Rows as lines of UTF-8."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def write(self, rows: bytes) -> None:
        """Append lines."""
        self.file.write(rows)

    def close(self) -> None:
        """Nothing is held back."""


class ParquetRows:
    """Rows as row groups of `ROWS_A_GROUP`."""

    def __init__(self, file: IO[bytes], schema: Any) -> None:
        from pyarrow.parquet import ParquetWriter

        self.schema = schema
        self.writer = ParquetWriter(file, schema, compression="zstd")
        self.held: list[Any] = []
        self.rows = 0

    def write(self, rows: Any) -> None:
        """Append a record batch."""
        self.held.append(rows)
        self.rows += rows.num_rows
        if self.rows >= ROWS_A_GROUP:
            table = _arrow().Table.from_batches(self.held, self.schema)
            whole = self.rows - self.rows % ROWS_A_GROUP
            self._write_groups(table.slice(0, whole))
            rest = table.slice(whole)
            self.held, self.rows = rest.to_batches(), rest.num_rows

    def close(self) -> None:
        """Write the last, smaller group and the file's end."""
        self._write_groups(_arrow().Table.from_batches(self.held, self.schema))
        self.writer.close()

    def _write_groups(self, table: Any) -> None:
        for start in range(0, table.num_rows, ROWS_A_GROUP):
            # One array a column: how many it came in would show in the pages.
            self.writer.write_table(table.slice(start, ROWS_A_GROUP).combine_chunks(), row_group_size=ROWS_A_GROUP)


class Output:
    """A form of output: how rows become bytes in a worker, and how those become a file."""

    def __init__(self, form: str, *, evidence: bool = True, dedupe: bool = False) -> None:
        """Choose a form.

        Args:
            form: jsonl or parquet.

        Raises:
            InputError: no such form.
            MissingExtraError: Parquet without pyarrow.
        """
        if form not in OUTPUTS:
            raise InputError(f"output {form!r}", " or ".join(OUTPUTS), "Mend --output.")
        self.form = form
        self.schema = arrow_schema(evidence=evidence, dedupe=dedupe) if form == "parquet" else None

    def encode(self, rows: Iterable[OutputRow]) -> Any:
        """Rows as this form's writer takes them."""
        if self.form == "parquet":
            return arrow_batch(rows, self.schema)
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()

    @contextmanager
    def open(self, path: Path) -> Iterator[RowWriter]:
        """Open an output file that takes its name only when it is whole (see `whole_file`)."""
        with whole_file(path) as file:
            writer: RowWriter = ParquetRows(file, self.schema) if self.form == "parquet" else JsonLines(file)
            yield writer
            writer.close()


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError(error.name or "pyarrow", "files") from error
    return pyarrow
