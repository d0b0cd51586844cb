"""The batch: many files of articles scored on one machine without loss, going on where an earlier run stopped."""

import fcntl
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path

from newswatch.bundle import read_manifest
from newswatch.copies import Copies
from newswatch.manifest import Manifest, shard_key
from newswatch.output import Output
from newswatch.processors import count_processors
from newswatch.reading import Columns, Fault, check_kind, read_file
from newswatch.shards import Shard, find_shards
from newswatch.stream import printable
from newswatch.summary import SUMMARY, Summary, Tally
from newswatch.whole_file import PART, OutputError, whole_file
from newswatch.worker import Chunk, Scored, Task, open_pool, score_chunks
from newswatch_labels.errors import InputError

CHUNK_ROWS = 32
CHUNK_CHARS = 500_000

Report = Callable[[int, int, int], None]
"""Told as the work goes on: bytes of input done, bytes of input in all, articles scored in this run."""


def run_batch(
    paths: Iterable[str | Path],
    out: str | Path,
    *,
    bundle: str | Path | None = None,
    columns: Columns | None = None,
    kind: str | None = None,
    output: str = "jsonl",
    evidence: bool = True,
    cascade: bool = True,
    dedupe: bool = False,
    workers: int | None = None,
    report: Report | None = None,
) -> Summary:
    """Score files into a folder: one output file a shard, `quarantine/` with what cannot be scored, `manifest/`, `summary.json`.

    Run again with the same arguments it scores what is not done: shards whose input, bundle or settings changed, and those that
    an earlier run did not come to. Outputs of files that are no longer named stay where they are. The output's bytes depend
    neither on `workers` nor on interruptions. Worker processes are spawned: a script that calls this needs the usual
    `if __name__ == "__main__":`.

    Args:
        paths: files, folders and globs (see `find_shards`).
        out: folder of the output; made if it is not there.
        bundle: see `Bundle.load`.
        columns: fields that hold an article in JSONL, CSV and Parquet.
        kind: text, html, jsonl, csv or parquet; default: by each file's ending.
        output: jsonl or parquet.
        evidence: write the sentences that carry each tag.
        cascade: let an ensemble's linear model answer alone where it is certain.
        dedupe: mark copies of an earlier article (`duplicate_of`); a shard's output then depends on all shards before it.
        workers: processes that score, one thread each; default: one for each processor.
        report: called after each chunk.

    Raises:
        InputError: a path leads to no file, or an argument is wrong.
        BundleError: there is no bundle, or it is damaged.
        OutputError: the output cannot be written, or another run writes into `out`.
        WorkerError: a worker process died.
        MissingExtraError: a format needs a package that is not installed.
    """
    started = time.perf_counter()
    count = count_processors() if workers is None else workers
    if count < 1:
        raise InputError(f"{count} workers", "a whole number from 1", "Mend --workers.")
    if kind is not None:
        check_kind(kind)
    folder, sha256, stated = read_manifest(bundle)
    out = Path(out)
    columns = columns or Columns()
    task = Task(folder, sha256, Output(output, evidence=evidence, dedupe=dedupe), cascade, evidence, dedupe)
    settings = {
        "bundle": sha256,
        "columns": asdict(columns),
        "kind": kind,
        "output": output,
        "evidence": evidence,
        "cascade": cascade,
        "dedupe": dedupe,
    }
    shards = find_shards(paths, out)
    run = _Run(shards, Manifest(out), settings, task.output, columns, kind, Copies() if dedupe else None, report)
    with _reserved(out), open_pool(task, count) as pool:
        run.write(score_chunks(pool, run.pieces(), count))
        seconds = time.perf_counter() - started
        summary = Summary(f"{stated['name']}@{stated['version']}", run.tally, run.scored, len(shards), run.skipped, seconds)
        summary.write(out)
    return summary


@dataclass(frozen=True)
class _Pending:
    """A shard to be scored, and the key under which it will be recorded."""

    shard: Shard
    key: str


@dataclass
class _Piece(Chunk):
    """A chunk of one shard, the faults found between its articles, and how many bytes of the file were read up to its end."""

    pending: _Pending = field(kw_only=True)
    faults: list[Fault] = field(default_factory=list)
    position: int = 0
    chars: int = 0

    @property
    def full(self) -> bool:
        return len(self.articles) + len(self.faults) >= CHUNK_ROWS or self.chars >= CHUNK_CHARS


@dataclass
class _Run:
    """One run: gives out the pieces of shards that are not done, and writes what comes back."""

    shards: Sequence[Shard]
    manifest: Manifest
    settings: Mapping[str, object]
    output: Output
    columns: Columns
    kind: str | None
    copies: Copies | None
    report: Report | None
    tally: Tally = field(default_factory=Tally)
    scored: int = 0
    skipped: int = 0
    done: int = 0

    def pieces(self) -> Iterator[_Piece]:
        """Pieces of all shards that are not done, in order; each shard has at least one."""
        key = ""
        unread: list[Shard] = []
        for shard in self.shards:
            key = shard_key(shard.digest(), self.settings, key if self.copies else "")
            tally = self.manifest.find(shard, key)
            if tally is None:
                self._remember(unread)
                yield from self._cut(_Pending(shard, key))
            else:
                self.tally.add(tally)
                self.skipped += 1
                self.done += shard.size
                unread.append(shard)

    def _remember(self, unread: list[Shard]) -> None:
        """Know the articles of skipped shards, so that later ones are marked as in an unbroken run."""
        while self.copies and unread:
            for row, _ in read_file(unread.pop(0).file, self.columns, self.kind):
                if not isinstance(row, Fault):
                    self.copies.original(row)

    def _cut(self, pending: _Pending) -> Iterator[_Piece]:
        piece = _Piece(pending=pending)
        for row, piece.position in read_file(pending.shard.file, self.columns, self.kind):
            if isinstance(row, Fault):
                piece.faults.append(row)
            else:
                piece.articles.append(row)
                piece.copy_of.append(self.copies.original(row) if self.copies else None)
                piece.chars += len(row.text)
            if piece.full:
                yield piece
                piece = _Piece(pending=pending)
        piece.position = pending.shard.size
        yield piece

    def write(self, scored: Iterable[tuple[_Piece, Scored]]) -> None:
        """Write the rows of each shard, in order."""
        for pending, pieces in groupby(scored, key=lambda pair: pair[0].pending):
            self._write_shard(pending, pieces)

    def _write_shard(self, pending: _Pending, pieces: Iterable[tuple[_Piece, Scored]]) -> None:
        shard, tally = pending.shard, Tally()
        path, apart = self.manifest.output(shard, self.output.form), self.manifest.quarantine(shard)
        with ExitStack() as files:
            rows = files.enter_context(self.output.open(path))
            quarantine = None
            for piece, made in pieces:
                rows.write(made.rows)
                tally.add(made.tally)
                self.scored += made.tally.articles
                if piece.faults:
                    quarantine = quarantine or files.enter_context(whole_file(apart))
                    quarantine.writelines(_quarantined(shard, fault) for fault in piece.faults)
                    tally.quarantined += len(piece.faults)
                self._tell(piece.position)
        self.manifest.record(shard, pending.key, path, tally)
        self.tally.add(tally)
        self.done += shard.size

    def _tell(self, position: int) -> None:
        if self.report:
            self.report(self.done + position, sum(shard.size for shard in self.shards), self.scored)


def _quarantined(shard: Shard, fault: Fault) -> bytes:
    row = {
        "file": printable(shard.file),
        "row": fault.row,
        "place": fault.place,
        "reason": str(fault.error),
        "content": fault.content,
    }
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


@contextmanager
def _reserved(out: Path) -> Iterator[None]:
    """Keep other runs out of the folder, and clear away what a killed one left half written.

    Raises:
        OutputError: another run writes there, or the folder cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("wb")
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror}", "a folder that can be written", "Name another folder with --out.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"{out}: another run is writing there", "one run a folder", "Wait for it, or name another --out.") from error
        for part in (out / SUMMARY, *out.rglob(f".*{PART}")):
            part.unlink(missing_ok=True)
        yield
