"""Speed of `newswatch batch` on Spark against the local runner, interleaved in one run on one machine.

    python benchmarks/spark_speed.py --bundle mlruns/champion --articles 3000 30000

The local runner has two worker processes, Spark a standalone cluster of two workers with one core each, started before and left
running. Both score the same JSONL files of articles made from the corpus; every run starts the command anew and writes into an empty
folder. What two sizes differ by is free of what it costs to start. Results go to docs/spark_speed.json.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pyspark
from batch_speed import NEWSWATCH, articles
from encoder_speed import machine

from newswatch.bundle import read_manifest
from newswatch_labels.terminal import out, table

ROOT = Path(__file__).resolve().parents[1]
SPARK_HOME = Path(pyspark.__file__).parent
FILES = 8
WAIT = 120


@contextmanager
def cluster(work: Path) -> Iterator[str]:
    """A master and two workers of one core each; yields the master's address."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str, kind: str, *arguments: str, said: str) -> str:
        log = work / f"{name}.log"
        command = [str(SPARK_HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}", "--host", "127.0.0.1", "--webui-port", "0"]
        environment = {**os.environ, "SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_DIRS": str(work)}
        with log.open("wb") as sink:
            processes.append(subprocess.Popen([*command, *arguments], env=environment, stdout=sink, stderr=sink, start_new_session=True))
        for _ in range(10 * WAIT):
            if found := re.search(said, log.read_text(encoding="utf-8")):
                return found[0]
            time.sleep(0.1)
        raise SystemExit(f"{name} did not start: {log.read_text(encoding='utf-8')}")

    try:
        url = start("master", "master.Master", "--port", "0", said=r"spark://127\.0\.0\.1:\d+")
        for name in ("worker-1", "worker-2"):
            room = ("--cores", "1", "--memory", "2g", "--work-dir", str(work / name))
            start(name, "worker.Worker", *room, url, said="Successfully registered")
        yield url
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(given: Path, bundle: Path, work: Path, *arguments: str) -> dict[str, Any]:
    """One run of the command: seconds of all of it, and its summary."""
    environment = {
        **os.environ,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": "--conf spark.driver.host=127.0.0.1 --conf spark.executor.memory=1g pyspark-shell",
    }
    with TemporaryDirectory(dir=work) as folder:
        command = [*NEWSWATCH, "batch", str(given), "--out", folder, "--bundle", str(bundle), *arguments]
        started = time.perf_counter()
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
        seconds = time.perf_counter() - started
        summary = json.loads(Path(folder, "summary.json").read_text(encoding="utf-8"))
    return {"seconds": seconds, "articles": summary["articles"], "tags": summary["tags"]}


def compare(count: int, options: argparse.Namespace, master: str, work: Path) -> dict[str, Any]:
    """Both engines on so many articles, in turn."""
    given = work / f"given-{count}"
    given.mkdir()
    rows = [json.dumps(row, ensure_ascii=False) + "\n" for row in islice(articles(options.corpus, random.Random(0)), count)]
    for part in range(FILES):
        (given / f"{part}.jsonl").write_text("".join(rows[part::FILES]), encoding="utf-8")
    engines = {"local": ("--workers", "2"), "spark": ("--engine", "spark", "--master", master)}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in engines}
    for _ in range(options.rounds):
        for name, arguments in engines.items():
            runs[name].append(run(given, options.bundle, work, *arguments))
    assert all(found["articles"] == count and found["tags"] == runs["local"][0]["tags"] for each in runs.values() for found in each)
    seconds = {name: median(found["seconds"] for found in each) for name, each in runs.items()}
    return {
        "articles": count,
        "megabytes": round(sum(map(len, rows)) / 1e6, 1),
        **{f"{name}_seconds": round(value, 2) for name, value in seconds.items()},
        "spark_to_local": round(seconds["spark"] / seconds["local"], 2),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("mlruns/champion"))
    parser.add_argument("--corpus", type=Path, default=ROOT / "labels" / "corpus")
    parser.add_argument("--articles", type=int, nargs="+", default=[3000, 30000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "spark_speed.json")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, cluster(Path(folder)) as master:
        sizes = [compare(count, options, master, Path(folder)) for count in options.articles]
    least, most = sizes[0], sizes[-1]
    result: dict[str, Any] = {
        "machine": machine(),
        "bundle": read_manifest(options.bundle)[2]["model"]["kind"],
        "spark": version("pyspark"),
        "rounds": options.rounds,
        "sizes": sizes,
    }
    if len(sizes) > 1:
        more = most["articles"] - least["articles"]
        rates = {name: more / (most[f"{name}_seconds"] - least[f"{name}_seconds"]) for name in ("local", "spark")}
        result |= {f"{name}_articles_per_second": round(rate, 1) for name, rate in rates.items()}
        result["spark_to_local_once_started"] = round(rates["local"] / rates["spark"], 2)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    columns = ("articles", "MB", "local s", "Spark s", "Spark to local")
    out.print(table("Spark against the local runner", columns, (size.values() for size in sizes)))


if __name__ == "__main__":
    main()
