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
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a worker imports what its engine needs and no more: its start is timed
    from newswatch.bundle import Bundle
    from newswatch.model import Model
    from newswatch_labels.record import Record

ROOT = Path(__file__).resolve().parents[1]
PIPELINE, SENTENCES, FASTTEXT = "transformers pipeline", "sentence-transformers + logistic regression", "fastText"
LINEAR, ENCODER, BOTH, CASCADE = "newswatch linear", "newswatch encoder", "newswatch, both", "newswatch, cascade"
LIST = 16  # articles scored at once, for throughput
WINDOW = 256
LONG = (380, 420)
UNTAGGED = 0.8
WARM = 300  # records, none of them timed, that fill the linear model's cache of words
COLD = 3
PEAK_SECONDS = 0.6
FASTTEXT_RECORDS = 600
PACKAGES = (
    "newswatch", "numpy", "onnxruntime", "openvino", "tokenizers", "torch", "transformers", "sentence-transformers", "scikit-learn",
    "fasttext", "fasttext-wheel", "fasttext-numpy2-wheel",
)  # fmt: skip


# Engines, in a process of their own


class Engine(Protocol):
    """What is timed."""

    def score(self, texts: list[str]) -> object:
        """Probabilities of every tag of every text."""

    def warm(self, texts: list[str]) -> None:
        """Come to the state of a service that has run for a while."""

    def fresh(self) -> None:
        """Forget what the timed articles left behind; before each pass."""

    @property
    def alone(self) -> int | None:
        """Articles since `fresh` that the linear member answered alone; None without a cascade."""


class _Reference:
    """An engine of others, without a cache."""

    alone = None

    def score(self, texts: list[str]) -> object:
        raise NotImplementedError

    def warm(self, texts: list[str]) -> None:
        self.score(texts[:4])

    def fresh(self) -> None:
        pass


def cut_windows(tokenizer: Any, text: str) -> list[str]:
    """The text in parts of at most `WINDOW` tokens, special tokens counted, cut between words: nothing is lost."""
    room = WINDOW - tokenizer.num_special_tokens_to_add()
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    words, offsets = encoding.word_ids(0), encoding["offset_mapping"]
    parts, start = [], 0
    while start < len(words):
        end = min(start + room, len(words))
        while start + 1 < end < len(words) and words[end] == words[end - 1]:
            end -= 1
        parts.append(text[offsets[start][0] : offsets[end - 1][1]])
        start = end
    return parts or [""]


def _flat(tokenizer: Any, texts: Sequence[str]) -> tuple[list[str], list[int]]:
    parts = [cut_windows(tokenizer, text) for text in texts]
    return [part for own in parts for part in own], [number for number, own in enumerate(parts) for _ in own]


class _Pipeline(_Reference):
    """transformers' text-classification pipeline in fp32; an article's score is the maximum over its windows."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

        torch.set_num_threads(plan["threads"])
        self.tokenizer = AutoTokenizer.from_pretrained(plan["backbone"])
        model = AutoModelForSequenceClassification.from_pretrained(
            plan["backbone"], num_labels=plan["tags"], problem_type="multi_label_classification", dtype=torch.float32
        )
        self.pipeline = pipeline(
            "text-classification",
            model=model,
            tokenizer=self.tokenizer,
            device="cpu",
            top_k=None,
            function_to_apply="sigmoid",
            batch_size=8,
        )

    def score(self, texts: list[str]) -> object:
        parts, owners = _flat(self.tokenizer, texts)
        best: list[dict[str, float]] = [{} for _ in texts]
        scored: Any = self.pipeline(parts, truncation=True, max_length=WINDOW)
        for owner, found in zip(owners, scored, strict=True):
            for row in found:
                best[owner][row["label"]] = max(row["score"], best[owner].get(row["label"], 0.0))
        return best


class _SentenceTransformers(_Reference):
    """The mean of the windows' embeddings, and a logistic regression for each tag."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        import joblib
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(plan["threads"])
        self.model = SentenceTransformer(plan["backbone"], device="cpu")
        self.model.max_seq_length = WINDOW
        self.heads = joblib.load(plan["heads"])

    def score(self, texts: list[str]) -> object:
        import numpy as np

        parts, owners = _flat(self.model.tokenizer, texts)
        vectors = np.asarray(self.model.encode(parts, show_progress_bar=False))
        counts = np.bincount(owners, minlength=len(texts))
        means = np.add.reduceat(vectors, np.cumsum(counts) - counts) / counts[:, None]
        return self.heads.predict_proba(means)


class _FastText(_Reference):
    """A supervised fastText model, one binary loss for each tag."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        import fasttext

        self.model = fasttext.load_model(plan["fasttext"])

    def score(self, texts: list[str]) -> object:
        return self.model.predict([" ".join(text.split()) for text in texts], k=-1)


class _Newswatch:
    """A scorer; the linear model keeps the words that a service has met, and no window's logits are kept."""

    def __init__(self, plan: Mapping[str, Any], bundle: str, cascade: bool) -> None:
        from newswatch import Scorer

        self.scorer = Scorer.load(plan["bundles"][bundle], cascade=cascade)
        self.cascade, self.given, self.read = cascade, 0, 0
        model: Any = self.scorer.bundle.model
        self.linear: Any = model if model.kind == "linear" else getattr(model, "linear", None)
        self.encoder: Any = model if model.kind == "encoder" else getattr(model, "encoder", None)
        self.words: dict[str, Any] = {}
        if cascade:
            self._count_read()

    def _count_read(self) -> None:
        logits = self.encoder.logits

        def counted(documents: Sequence[Any]) -> Any:
            self.read += len(documents)
            return logits(documents)

        self.encoder.logits = counted

    def score(self, texts: list[str]) -> object:
        self.given += len(texts)
        return self.scorer.score(texts)

    def warm(self, texts: list[str]) -> None:
        from newswatch.text import Document

        if self.linear is not None:
            self.linear.logits([Document.read(text) for text in texts])
            self.words = dict(self.linear._cache)
        self.score(texts[:4])

    def fresh(self) -> None:
        if self.linear is not None:
            self.linear._cache = dict(self.words)
        if self.encoder is not None:
            self.encoder._cached.cache_clear()
        self.given = self.read = 0

    @property
    def alone(self) -> int | None:
        return self.given - self.read if self.cascade else None


ENGINES: dict[str, Callable[[Mapping[str, Any]], Engine]] = {
    PIPELINE: _Pipeline,
    SENTENCES: _SentenceTransformers,
    FASTTEXT: _FastText,
    LINEAR: lambda plan: _Newswatch(plan, "linear", cascade=False),
    ENCODER: lambda plan: _Newswatch(plan, "encoder", cascade=False),
    BOTH: lambda plan: _Newswatch(plan, "whole", cascade=False),
    CASCADE: lambda plan: _Newswatch(plan, "whole", cascade=True),
}
PEAK = "peak"


def serve(name: str, plan: Mapping[str, Any]) -> None:
    """Load an engine, score one short article, say so, then answer one JSON line for each on stdin."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers

    def answer(row: Mapping[str, Any]) -> None:
        print(json.dumps(row), file=answers, flush=True)

    if name == PEAK:
        answer(measure_peak(plan["shapes"], plan["threads"]))
        return
    try:
        engine = ENGINES[name](plan)
    except ImportError as error:
        answer({"left_out": str(error)})
        return
    engine.score([plan["short"]])
    answer({"left_out": None})
    for line in sys.stdin:
        job = json.loads(line)
        if job["do"] == "warm":
            engine.warm(plan["warm"])
            answer({})
        else:
            answer(time_pass(engine, plan["streams"][job["stream"]], job["size"]))


def time_pass(engine: Engine, texts: Sequence[str], size: int) -> dict[str, Any]:
    """Score `texts` in lists of `size`."""
    lists = [list(texts[start : start + size]) for start in range(0, len(texts), size)]
    engine.fresh()
    each = []
    cpu, started = time.process_time(), time.perf_counter()
    for own in lists:
        begun = time.perf_counter()
        engine.score(own)
        each.append(time.perf_counter() - begun)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {"wall": wall, "cpu": cpu, "each": each, "alone": engine.alone, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


# The bound


def measure_peak(shapes: Sequence[Sequence[int]], threads: int) -> dict[str, Any]:
    """Thousand million operations a second of matrix products (m, k, n), the best of many, and the highest of each kind.

    `int8` is of the products alone, `int8_dynamic` with the quantising around them that the encoder's graph does.
    """
    import numpy as np

    found: list[dict[str, Any]] = []
    with TemporaryDirectory() as work:
        for m, k, n in shapes:
            rng = np.random.default_rng(0)
            a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
            product = np.empty((m, n), np.float32)
            runs: dict[str, Callable[[], object]] = {
                "fp32": partial(np.matmul, a, b, out=product),
                "int8": _integer_product(m, b, threads),
                "int8_dynamic": _dynamic_product(a, b, Path(work), threads),
            }
            found.append({"shape": [m, k, n], **{kind: 2e-9 * m * k * n / _best(run) for kind, run in runs.items()}})
    return {kind: max(row[kind] for row in found) for kind in ("fp32", "int8", "int8_dynamic")} | {"shapes": found}


def _best(run: Callable[[], object]) -> float:
    run()
    best, end = float("inf"), time.perf_counter() + PEAK_SECONDS
    while (begun := time.perf_counter()) < end:
        run()
        best = min(best, time.perf_counter() - begun)
    return best


def _integer_product(m: int, b: Any, threads: int) -> Callable[[], object]:
    """ONNX Runtime's MatMulInteger of bytes, without the quantising around it."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    k, n = b.shape
    rng = np.random.default_rng(0)
    weights = numpy_helper.from_array(rng.integers(-127, 128, (k, n), np.int8), "b")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [m, k])],
        [helper.make_tensor_value_info("c", TensorProto.INT32, [m, n])],
        [weights],
    )
    return _bound_run(_model(graph), rng.integers(0, 256, (m, k), np.uint8), np.empty((m, n), np.int32), threads)


def _dynamic_product(a: Any, b: Any, work: Path, threads: int) -> Callable[[], object]:
    """The same product as the encoder's graph has it: fp32 outside, quantised as newswatch_training.graph does."""
    import logging

    import numpy as np
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    logging.getLogger().setLevel(logging.ERROR)
    (m, _), (_, n) = a.shape, b.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, a.shape)],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [m, n])],
        [numpy_helper.from_array(b, "b")],
    )
    whole, prepared, target = (work / f"{name}.onnx" for name in ("whole", "prepared", "int8"))
    whole.write_bytes(_model(graph))
    quant_pre_process(whole, prepared, skip_symbolic_shape=True)
    quantize_dynamic(
        prepared,
        target,
        per_channel=True,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul"],
        extra_options={"MatMulConstBOnly": True},
    )
    return _bound_run(target.read_bytes(), a, np.empty((m, n), np.float32), threads)


def _model(graph: Any) -> bytes:
    from onnx import helper

    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()  # type: ignore[no-any-return]


def _bound_run(model: bytes, given: Any, result: Any, threads: int) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_ortvalue_input("a", onnxruntime.OrtValue.ortvalue_from_numpy(given))
    binding.bind_ortvalue_output("c", onnxruntime.OrtValue.ortvalue_from_numpy(result))
    return lambda: session.run_with_iobinding(binding)


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
    from newswatch_training.encoder import find_backbone

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
