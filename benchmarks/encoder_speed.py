"""Speed of the encoder, the cascade and what others would use, interleaved in one run; and the bound that this machine sets.

    python benchmarks/encoder_speed.py --bundle mlruns/champion

Every engine has a process of its own with its own number of threads, and scores the same articles, in lists of 16 and one by one.
In each repeat every engine has its turn, each repeat begins with the next one. Figures are medians over the repeats; `times` is the
median over the repeats of the ratio to the transformers pipeline in the same repeat. No window is scored from the cache.
Linux only; wants sentence-transformers and fasttext beside newswatch[encoder], and leaves out what is not installed.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from speed_engines import BOTH, CASCADE, ENCODER, ENGINES, FASTTEXT, LINEAR, PEAK, PIPELINE, SENTENCES, serve

if TYPE_CHECKING:  # a worker imports what its engine needs and no more: its start is timed
    from newswatch.bundle import Bundle
    from newswatch.model import Model
    from newswatch_labels.record import Record

ROOT = Path(__file__).resolve().parents[1]
LIST = 16  # articles scored at once, for throughput
LONG = (380, 420)
UNTAGGED = 0.8
WARM = 300  # records, none of them timed, that fill the linear model's cache of words
COLD = 3
FASTTEXT_RECORDS = 600
PACKAGES = (
    "newswatch", "numpy", "onnxruntime", "openvino", "tokenizers", "torch", "transformers", "sentence-transformers", "scikit-learn",
    "fasttext", "fasttext-wheel", "fasttext-numpy2-wheel",
)  # fmt: skip


def count_operations(lengths: Sequence[int], layers: int, hidden: int, inner: int) -> float:
    """Multiplications and additions of windows of these many tokens: matrices of every layer, and attention."""
    return float(sum(layers * (2 * n * (4 * hidden**2 + 2 * hidden * inner) + 2 * 2 * n * n * hidden) for n in lengths))


# Streams


def long_stream(records: Sequence["Record"], count: int, rng: random.Random) -> list[str]:
    """Articles of `LONG` words: records of that length, then joined shorter ones."""
    low, high = LONG
    whole = [record.text for record in records if low <= record.words <= high]
    found = rng.sample(whole, min(count, len(whole)))
    short = sorted((record for record in records if record.words < low), key=lambda record: record.words)
    while len(found) < count:
        words, parts = 0, []
        while words < low and (fitting := [record for record in short if record.words <= high - words]):
            parts.append(rng.choice(fitting))
            words += parts[-1].words
        if not parts:
            raise SystemExit(f"no record of at most {high} words; expected shorter ones. Name another --corpus.")
        if words >= low:
            found.append("\n\n".join(part.text for part in parts))
    return found


def mixed_stream(records: Sequence["Record"], count: int, rng: random.Random) -> list[str]:
    """Four in five articles without a tag, one in five with tags, each in its own length."""
    untagged = round(UNTAGGED * count)
    found = []
    for wanted, pool in ((untagged, [r for r in records if not r.labels]), (count - untagged, [r for r in records if r.labels])):
        if wanted and not pool:
            raise SystemExit("no record with, or none without a tag; expected both. Name another --corpus.")
        texts = [record.text for record in rng.sample(pool, min(wanted, len(pool)))]
        found += texts
        found += [_reorder(texts[number % len(texts)], rng) for number in range(wanted - len(texts))]
    rng.shuffle(found)
    return found


def _reorder(text: str, rng: random.Random) -> str:
    paragraphs = [part for part in text.split("\n") if part.strip()]
    rng.shuffle(paragraphs)
    return "\n\n".join(paragraphs)


# The run


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


def prepare(bundle: "Bundle", records: Sequence["Record"], count: int, backbone: str, work: Path, say: Callable[[str], None]) -> Bench:
    """Draw the streams, write each member as a bundle of its own, and train what the references need."""
    left_out: dict[str, str] = {}
    rng = random.Random(0)
    streams = {"long": long_stream(records, count, rng), "mixed": mixed_stream(records, count, rng)}
    timed = {text for texts in streams.values() for text in texts}
    others = [record for record in records if record.text not in timed] or list(records)
    say("members, fastText and logistic regression")
    bundles = _member_bundles(bundle, records, work)
    for name, key in ((LINEAR, "linear"), (ENCODER, "encoder"), (BOTH, "whole"), (CASCADE, "whole")):
        if key not in bundles:
            left_out[name] = f"the bundle holds a {bundle.model.kind} model"
    if not find_spec("sentence_transformers"):
        left_out[SENTENCES] = "sentence-transformers is not installed"
    if fault := _train_fasttext(records[:: max(1, len(records) // FASTTEXT_RECORDS)], work):
        left_out[FASTTEXT] = fault
    plan = {
        "backbone": backbone,
        "tags": len(bundle.scheme.names),
        "bundles": bundles,
        "heads": _fit_heads(len(bundle.scheme.names), backbone, work),
        "fasttext": str(work / "fasttext.bin"),
        "streams": streams,
        "warm": [record.text for record in rng.sample(others, min(WARM, len(others)))],
        "short": min(others, key=lambda record: record.words).text,
    }
    return Bench(plan, work, left_out, say)


def _member_bundles(bundle: "Bundle", records: Sequence["Record"], work: Path) -> dict[str, str]:
    """Folders of the linear member, the encoder and the whole, those that there are."""
    from newswatch.ensemble import EnsembleModel
    from newswatch_training.examples import Examples
    from newswatch_training.export import Provenance, write_bundle

    if not isinstance(bundle.model, EnsembleModel):
        return {bundle.model.kind: str(bundle.folder)}
    examples = Examples.prepare(sorted(records, key=lambda record: record.words)[:50], bundle.scheme)
    origin = Provenance("member", "0", {}, {}, {}, {})
    members: dict[str, Model] = {"linear": bundle.model.linear, "encoder": bundle.model.encoder}
    for name, member in members.items():
        write_bundle(work / name, member, bundle.decision, examples, origin, "")
    return {"whole": str(bundle.folder), **{name: str(work / name) for name in members}}


def _config(backbone: str) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(backbone)


def _fit_heads(tags: int, backbone: str, work: Path) -> str:
    """Logistic regressions on random vectors and labels: their quality does not change their speed."""
    import joblib
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((200, _config(backbone).hidden_size))
    heads = OneVsRestClassifier(LogisticRegression()).fit(vectors, rng.random((200, tags)) < 0.3)
    joblib.dump(heads, work / "heads.joblib")
    return str(work / "heads.joblib")


def _train_fasttext(records: Sequence["Record"], work: Path) -> str | None:
    """Write fasttext.bin; why not, if not."""
    try:
        import fasttext
    except ImportError as error:
        return str(error)
    rows = [f"{' '.join(f'__label__{tag}' for tag in r.labels)} {' '.join(r.text.split())}" for r in records if r.labels]
    (work / "fasttext.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    # 200,000 buckets are a tenth of fastText's default: less memory, nothing lost on so few records.
    model = fasttext.train_supervised(str(work / "fasttext.txt"), wordNgrams=2, loss="ova", bucket=200_000, verbose=0)
    model.save_model(str(work / "fasttext.bin"))
    return None


# What comes out


def summarise(measured: Mapping[int, Mapping[str, Figures]], count: int) -> dict[str, Any]:
    """Medians and ratios, by number of threads and engine."""
    import numpy as np

    found: dict[str, Any] = {}
    for threads, engines in measured.items():
        rows = found[str(threads)] = {}
        for name, own in engines.items():
            base = engines.get(PIPELINE, own)
            row: dict[str, Any] = {}
            for stream, walls in own.wall.items():
                cpus = own.cpu[stream]
                row[stream] = {
                    "articles_per_second": median(count / wall for wall in walls),
                    "cpu_ms": median(1000 * cpu / count for cpu in cpus),
                    "times": median(theirs / ours for theirs, ours in zip(base.wall[stream], walls, strict=True)),
                    "cpu_times": median(theirs / ours for theirs, ours in zip(base.cpu[stream], cpus, strict=True)),
                    "alone": None if (alone := own.alone[stream]) is None else alone / count,
                    "wall": walls,
                    "cpu": cpus,
                }
            if own.latencies:
                p50, p99 = (1000 * float(value) for value in np.percentile(own.latencies, [50, 99]))
                row |= {"p50_ms": p50, "p99_ms": p99, "cold_s": own.cold, "peak_mb": own.peak_mb}
            rows[name] = row
    return found


def bound(bench: Bench, bundle: "Bundle", threads: Sequence[int], summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the peak of matrix products allows on the long stream; None without an encoder."""
    from newswatch.text import Document

    encoder: Any = bundle.model if bundle.model.kind == "encoder" else getattr(bundle.model, "encoder", None)
    if encoder is None:
        return None
    config = _config(bench.plan["backbone"])
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


def show(result: Mapping[str, Any]) -> None:
    """Print the tables."""
    from newswatch_labels.terminal import out, table

    for threads, engines in result["engines"].items():
        for stream, about in result["streams"].items():
            rows: list[tuple[object, ...]] = []
            for name, row in engines.items():
                own = row[stream]
                alone = "" if own["alone"] is None else f"{own['alone']:.0%}"
                times = (f"{own['times']:.2f}", f"{own['cpu_times']:.2f}")
                rows.append((name, f"{own['articles_per_second']:.1f}", times[0], f"{own['cpu_ms']:.2f}", times[1], alone))
            title = f"{stream}: {about['articles']} articles of {about['words']:.0f} words, lists of {LIST}, threads: {threads}"
            out.print(table(title, ("engine", "articles/s", "times", "CPU ms", "times", "linear alone"), rows))
    single = [(name, row) for name, row in result["engines"].get("1", {}).items() if "p50_ms" in row]
    if single:
        rows = [(n, f"{r['p50_ms']:.1f}", f"{r['p99_ms']:.1f}", f"{r['cold_s']:.2f}", f"{r['peak_mb']:.0f}") for n, r in single]
        out.print(table("long, one by one, one thread", ("engine", "p50 ms", "p99 ms", "cold start s", "peak MB"), rows))
    if limit := result["bound"]:
        rows = [
            (
                threads,
                *(f"{r[kind]:.0f}" for kind in ("fp32", "int8", "int8_dynamic")),
                f"{r['allowed_fp32']:.1f}",
                f"{r['allowed']:.1f}",
                f"{r['share']:.0%}",
            )
            for threads, r in limit["threads"].items()
        ]
        each = f"{limit['gop_an_article']:.1f} thousand million operations"
        title = f"bound: a long article takes {each}; the encoder is in {limit['precision']}, its share is of the int8 peak"
        columns = ("threads", "fp32 peak G/s", "int8 peak G/s", "with quantising", "fp32 articles/s", "int8 articles/s", "encoder reaches")
        out.print(table(title, columns, rows))
    for name, reason in result["left_out"].items():
        out.print(f"left out: {name}: {reason}", markup=False, highlight=False, soft_wrap=True)
    if result["trained_on_these"]:
        note = "The bundle was trained on the records of the streams: the share that its linear member answers alone is too high."
        out.print(note, highlight=False, soft_wrap=True)


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

    with TemporaryDirectory() as work, err.status("") as status:
        backbone = find_backbone(options.backbone)
        bench = prepare(bundle, corpus.records, options.articles, backbone, Path(work), status.update)
        measured = {threads: bench.measure(threads, options.repeats) for threads in options.threads}
        summary = summarise(measured, options.articles)
        limit = bound(bench, bundle, options.threads, summary)
    streams = bench.plan["streams"]
    result = {
        "bundle": bundle.label,
        "backbone": options.backbone,
        "repeats": options.repeats,
        "machine": machine(),
        "streams": {name: {"articles": len(texts), "words": mean(len(t.split()) for t in texts)} for name, texts in streams.items()},
        "trained_on_these": bundle.manifest.get("corpus", {}).get("sha256") == corpus.sha256,
        "engines": summary,
        "bound": limit,
        "left_out": bench.left_out,
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
