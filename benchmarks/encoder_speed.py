"""Speed of the encoder, the cascade and what others would use, interleaved in one run; and the bound that this machine sets.

    python benchmarks/encoder_speed.py --bundle mlruns/champion

Every engine has a process of its own with its own number of threads, and scores the same articles, in lists of 16 and one by one.
In each repeat every engine has its turn, each repeat begins with the next one. Figures are medians over the repeats; `times` is the
median over the repeats of the ratio to the transformers pipeline in the same repeat. No window is scored from the cache.
With --news FILE (articles as `newswatch score` reads them, unknown to the bundle) a third stream, `news`, is drawn from these:
on the corpus's own records the bundle's linear model is surer than it is of new ones, and the cascade too fast.
Linux only; wants sentence-transformers and fasttext beside newswatch[encoder], and leaves out what is not installed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from speed_engines import ENCODER, ENGINES, PEAK, serve
from speed_plan import make_plan, read_config
from speed_tables import show, summarise

if TYPE_CHECKING:  # a worker imports what its engine needs and no more: its start is timed
    from newswatch.bundle import Bundle

ROOT = Path(__file__).resolve().parents[1]
LIST = 16  # articles scored at once, for throughput
COLD = 3
PACKAGES = (
    "newswatch", "numpy", "onnxruntime", "openvino", "tokenizers", "torch", "transformers", "sentence-transformers", "scikit-learn",
    "fasttext", "fasttext-wheel", "fasttext-numpy2-wheel",
)  # fmt: skip


def count_operations(lengths: Sequence[int], layers: int, hidden: int, inner: int) -> float:
    """Multiplications and additions of windows of these many tokens: matrices of every layer, and attention."""
    return float(sum(layers * (2 * n * (4 * hidden**2 + 2 * hidden * inner) + 2 * 2 * n * n * hidden) for n in lengths))


class Worker:
    """An engine's process."""

    def __init__(self, name: str, plan: Path, threads: int, log: Path) -> None:
        """Start it; `cold` is the seconds until it has scored one short article, `left_out` why it cannot."""
        self.name, self.log = name, log
        limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "NEWSWATCH_THREADS")
        env = os.environ | dict.fromkeys(limits, str(threads)) | {"TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}
        started = time.perf_counter()
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, __file__, "--worker", name, "--plan", str(plan)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=env,
            )
        self.first = self._read()
        self.cold = time.perf_counter() - started
        self.left_out: str | None = self.first.get("left_out")

    def ask(self, **job: Any) -> dict[str, Any]:
        """Its answer to a job."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise SystemExit(f"{self.name} ended with status {self._process.returncode}:\n{self.log.read_text(errors='replace')[-3000:]}")
        return json.loads(line)  # type: ignore[no-any-return]

    def stop(self) -> None:
        """End it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._process.wait()


@dataclass
class Figures:
    """What one engine's passes with one number of threads gave."""

    wall: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    alone: dict[str, int | None] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    cold: float = 0.0
    peak_mb: float = 0.0


@dataclass
class Bench:
    """The benchmark of one bundle."""

    plan: dict[str, Any]
    work: Path
    left_out: dict[str, str]
    say: Callable[[str], None]

    def measure(self, threads: int, repeats: int) -> dict[str, Figures]:
        """Figures of every engine; latency, cold start and memory with one thread only."""
        found: dict[str, Figures] = {}
        with self._workers(threads) as workers:
            for name, (worker, cold) in workers.items():
                found[name] = Figures(cold=cold)
                worker.ask(do="warm")
            names = list(workers)
            for repeat in range(repeats):
                start = repeat % len(names)
                for name in names[start:] + names[:start]:
                    self.say(f"{threads} threads, repeat {repeat + 1} of {repeats}: {name}")
                    self._turn(workers[name][0], found[name], latency=threads == 1)
        return found

    def _turn(self, worker: Worker, figures: Figures, *, latency: bool) -> None:
        for stream in self.plan["streams"]:
            row = worker.ask(do="pass", stream=stream, size=LIST)
            figures.wall.setdefault(stream, []).append(row["wall"])
            figures.cpu.setdefault(stream, []).append(row["cpu"])
            figures.alone[stream] = row["alone"]
            figures.peak_mb = row["peak_mb"]
        if latency:
            row = worker.ask(do="pass", stream="long", size=1)
            figures.latencies += row["each"]
            figures.peak_mb = row["peak_mb"]

    @contextmanager
    def _workers(self, threads: int) -> Iterator[dict[str, tuple[Worker, float]]]:
        """Every engine's worker, and its shortest cold start."""
        plan = self.plan_file(threads)
        started: dict[str, tuple[Worker, float]] = {}
        try:
            for name in ENGINES:
                if name in self.left_out:
                    continue
                self.say(f"{threads} threads: starting {name}")
                cold = []
                for _ in range(COLD - 1 if threads == 1 else 0):
                    once = Worker(name, plan, threads, self.work / "log")
                    cold.append(once.cold)
                    once.stop()
                    if once.left_out:
                        break
                worker = Worker(name, plan, threads, self.work / f"{len(started)}.log")
                if worker.left_out:
                    worker.stop()
                    self.left_out[name] = worker.left_out
                    continue
                started[name] = worker, min(*cold, worker.cold) if cold else worker.cold
            yield started
        finally:
            for worker, _ in started.values():
                worker.stop()

    def peak(self, threads: int) -> dict[str, Any]:
        """`measure_peak` in a process of its own."""
        self.say(f"{threads} threads: the peak of matrix products")
        worker = Worker(PEAK, self.plan_file(threads), threads, self.work / "log")
        worker.stop()
        return worker.first

    def plan_file(self, threads: int) -> Path:
        """What a worker reads."""
        path = self.work / f"plan-{threads}.json"
        path.write_text(json.dumps(self.plan | {"threads": threads}), encoding="utf-8")
        return path


def bound(bench: Bench, bundle: "Bundle", threads: Sequence[int], summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the peak of matrix products allows on the long stream; None without an encoder."""
    from newswatch.text import Document

    encoder: Any = bundle.model if bundle.model.kind == "encoder" else getattr(bundle.model, "encoder", None)
    if encoder is None:
        return None
    config = read_config(bench.plan["backbone"])
    hidden, inner, size = config.hidden_size, config.intermediate_size, encoder.cutter.size
    lengths = [[len(window.ids) for window in encoder.cutter.cut(Document.read(text))] for text in bench.plan["streams"]["long"]]
    each = mean(count_operations(own, config.num_hidden_layers, hidden, inner) for own in lengths)
    bench.plan["shapes"] = [(size, hidden, hidden), (size, hidden, inner), (size, inner, hidden)]
    found: dict[str, Any] = {
        "gop_an_article": each / 1e9,
        "windows_an_article": mean(map(len, lengths)),
        "tokens_an_article": mean(map(sum, lengths)),
        "precision": encoder.precision,
        "threads": {},
    }
    for number in threads:
        peak = bench.peak(number)
        allowed = peak["int8"] * 1e9 / each
        reached = summary[str(number)][ENCODER]["long"]["articles_per_second"]
        fp32 = peak["fp32"] * 1e9 / each
        found["threads"][str(number)] = peak | {"allowed": allowed, "allowed_fp32": fp32, "reached": reached, "share": reached / allowed}
    return found


def machine() -> dict[str, Any]:
    """Processor and versions."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set(fields.get("flags", "").split())
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": fields.get("model name", platform.machine()),
        "processors": len(os.sched_getaffinity(0)),
        "instructions": [name for name in ("avx2", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16") if name in flags],
        "python": platform.python_version(),
        "versions": versions,
    }


def run(options: argparse.Namespace) -> None:
    """Measure, write the JSON file, print the tables."""
    from newswatch.bundle import Bundle
    from newswatch_labels.corpus import read_corpus, write_whole
    from newswatch_labels.terminal import err, report_faults

    bundle = Bundle.load(options.bundle)
    corpus = read_corpus(options.corpus)
    report_faults(corpus.faults)
    from newswatch_training.backbone import find_backbone
    from newswatch_training.export import read_trained_on

    with TemporaryDirectory() as work, err.status("") as status:
        backbone = find_backbone(options.backbone)
        status.update("members, fastText and logistic regression")
        plan, left_out = make_plan(bundle, corpus.records, options.articles, backbone, Path(work), options.news)
        bench = Bench(plan, Path(work), left_out, status.update)
        measured = {threads: bench.measure(threads, options.repeats) for threads in options.threads}
        summary = summarise(measured, options.articles)
        limit = bound(bench, bundle, options.threads, summary)
    streams = plan["streams"]
    result = {
        "bundle": bundle.label,
        "backbone": options.backbone,
        "repeats": options.repeats,
        "list": LIST,
        "machine": machine(),
        "streams": {name: {"articles": len(texts), "words": mean(len(t.split()) for t in texts)} for name, texts in streams.items()},
        "trained_on_these": bool((read_trained_on(bundle) or set()) & {record.fingerprint for record in corpus.records}),
        "engines": summary,
        "bound": limit,
        "left_out": left_out,
    }
    write_whole(json.dumps(result, ensure_ascii=False, indent=1) + "\n", options.json)
    show(result)


def _count(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text}; expected a whole number from 1")
    return value


def main() -> None:
    """Run the benchmark, or one engine of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="default: NEWSWATCH_BUNDLE, then mlruns/champion")
    parser.add_argument("--corpus", type=Path, default=ROOT / "labels/corpus", help="labelled records the streams are drawn from")
    parser.add_argument("--backbone", default="all-MiniLM-L6-v2", help="of the references: the bundle's own, for a fair comparison")
    parser.add_argument("--news", type=Path, help="articles of a third stream, unknown to the bundle")
    parser.add_argument("--articles", type=_count, default=60, help="of each stream")
    parser.add_argument("--repeats", type=_count, default=5)
    parser.add_argument("--threads", type=_count, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path, default=ROOT / "docs/encoder_speed.json")
    parser.add_argument("--worker", choices=[*ENGINES, PEAK], help=argparse.SUPPRESS)
    parser.add_argument("--plan", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        serve(options.worker, json.loads(options.plan.read_text(encoding="utf-8")))
        return
    from newswatch_labels.terminal import run_command

    run_command(lambda: run(options))


if __name__ == "__main__":
    main()
