"""Speed and memory of `newswatch batch` on this machine, with one worker process and with two.

    python benchmarks/batch_speed.py --bundle mlruns/champion --megabytes 1000
    python benchmarks/batch_speed.py --megabytes 0 FILE ...

Scores one generated JSONL file of so many megabytes, whose articles are the corpus' titles, lengths and sentences, shuffled; and
each FILE (or folder, or glob) given. Every run starts the command anew and writes into an empty folder. Memory is what all its processes
together hold at most (shared pages counted once), looked at four times a second. Linux only.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory
from typing import Any

from encoder_speed import machine

from newswatch.bundle import read_manifest
from newswatch.shards import find_shards
from newswatch.text import split_sentences
from newswatch_labels import Scheme, read_corpus
from newswatch_labels.terminal import out, table

ROOT = Path(__file__).resolve().parents[1]
MEGABYTE = 1_000_000
NEWSWATCH = [sys.executable, "-c", "from newswatch.cli import main; main()"]
COLUMNS = ("input", "workers", "MB", "articles", "s", "articles/s", "CPU ms each", "peak MB")


def articles(corpus: Path, rng: random.Random) -> Iterator[dict[str, str]]:
    """Without end: the title and the number of sentences of one record, the sentences of any."""
    records = read_corpus(corpus, Scheme.load()).records
    split = [[sentence.text for sentence in split_sentences(record.text)] for record in records]
    sentences = [sentence for own in split for sentence in own]
    number = 0
    while True:
        chosen = rng.randrange(len(records))
        yield {"id": f"made-{number}", "title": records[chosen].title, "text": " ".join(rng.choices(sentences, k=len(split[chosen])))}
        number += 1


def generate(path: Path, megabytes: int, corpus: Path) -> None:
    """Write a JSONL file of so many megabytes."""
    size = 0
    with path.open("wb") as file:
        for row in articles(corpus, random.Random(0)):
            size += file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            if size >= megabytes * MEGABYTE:
                return


def tree_memory(process: int) -> int:
    """Bytes that a process and all below it hold now."""
    whole = 0
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines():
            whole += int(line.split()[1]) * 1024 if line.startswith("Pss:") else 0
        for task in Path(f"/proc/{process}/task").iterdir():
            whole += sum(tree_memory(int(child)) for child in (task / "children").read_text(encoding="utf-8").split())
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return whole
    return whole


def measure(path: str, workers: int, bundle: Path, work: Path) -> dict[str, Any]:
    """One run of the command: its summary, the time of the whole command, the peak of its memory."""
    with TemporaryDirectory(dir=work) as folder:
        command = [*NEWSWATCH, "batch", path, "--out", folder, "--bundle", str(bundle), "--workers", str(workers)]
        started, before, peak = time.perf_counter(), getrusage(RUSAGE_CHILDREN), 0
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
            while run.poll() is None:
                peak = max(peak, tree_memory(run.pid))
                time.sleep(0.25)
        seconds, after = time.perf_counter() - started, getrusage(RUSAGE_CHILDREN)
        if run.returncode not in (0, 3):
            raise SystemExit(f"newswatch batch {path} ended with status {run.returncode}")
        summary = json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8"))
        size = sum(shard.size for shard in find_shards([path], Path(folder)))
        written = sum(file.stat().st_size for file in Path(folder).glob("*.jsonl"))
    return {
        "workers": workers,
        "megabytes": size / MEGABYTE,
        "output_megabytes": written / MEGABYTE,
        "articles": summary["articles"],
        "seconds": seconds,
        "articles_per_second": summary["articles"] / seconds,
        "cpu_ms_per_article": 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / summary["articles"],
        "megabytes_per_second": size / MEGABYTE / seconds,
        "peak_megabytes": peak / MEGABYTE,
        "quarantined": summary["quarantined"],
        "review_share": summary["review_share"],
    }


def show(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Print the table."""
    keys = ("megabytes", "articles", "seconds", "articles_per_second", "cpu_ms_per_article", "peak_megabytes")
    rows = [
        (name, run["workers"], *(f"{run[key]:,.1f}" if isinstance(run[key], float) else f"{run[key]:,}" for key in keys))
        for name, runs in results.items()
        for run in runs
    ]
    out.print(table("newswatch batch", COLUMNS, rows), width=110)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="real input to score besides")
    parser.add_argument("--bundle", type=Path, help="default: NEWSWATCH_BUNDLE, then mlruns/champion")
    parser.add_argument("--corpus", type=Path, default=ROOT / "labels/corpus", help="labelled records the generated articles are made of")
    parser.add_argument("--megabytes", type=int, default=20, help="of generated input; 0 for none")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--work", type=Path, help="folder for input and output meanwhile: about four times the input's size")
    parser.add_argument("--json", type=Path, default=ROOT / "docs/batch_speed.json")
    options = parser.parse_args()
    bundle, _, manifest = read_manifest(options.bundle)
    results: dict[str, list[dict[str, Any]]] = {}
    with TemporaryDirectory(dir=options.work) as folder:
        inputs = {f"{Path(path).parent.name}/{Path(path).stem}": path for path in options.paths}
        if options.megabytes:
            made = Path(folder) / "generated.jsonl"
            generate(made, options.megabytes, options.corpus)
            inputs = {"generated": str(made), **inputs}
        for name, path in inputs.items():
            results[name] = [measure(path, workers, bundle, Path(folder)) for workers in options.workers]
    whole = {
        "bundle": f"{manifest['name']}@{manifest['version']}",
        "kind": manifest["model"]["kind"],
        "machine": {**machine(), "load": os.getloadavg()[0]},
        "runs": results,
    }
    options.json.write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    show(results)


if __name__ == "__main__":
    main()
