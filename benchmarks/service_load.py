"""Load on the service, beside `mlflow models serve` of the same bundle and a plain FastAPI app with a transformers pipeline.

    python benchmarks/service_load.py --bundle mlruns/champion

Callers send one article a request over connections that they keep, each its next as soon as it has an answer. In each repeat every
server has its turn at every number of callers, while the others idle; figures are medians over the repeats, and `times` are medians of
the ratios in the same repeat. No text is sent to a server twice. Then the time that the service adds to the function is measured, and ten
swaps of the bundle within thirty seconds at fifty requests a second. Linux only; wants newswatch[serve,encoder].
"""

import argparse
import http.client
import json
import os
import platform
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

from newswatch import Bundle, Scorer
from newswatch_labels import Scheme, read_corpus

ROOT = Path(__file__).resolve().parents[1]
CALLERS = (1, 8, 32)
SWAPS, SWAP_SECONDS, SWAP_RATE, SWAP_CALLERS = 10, 30, 50, 10
OWN, MLFLOW, PLAIN = "newswatch serve", "mlflow models serve", "FastAPI + transformers pipeline"
START_SECONDS = 180
PACKAGES = ("newswatch", "fastapi", "uvicorn", "mlflow", "onnxruntime", "torch", "transformers")


@dataclass
class Server:
    """A server that runs: how one article is sent to it, and how far it has come through the texts."""

    name: str
    port: int
    path: str
    body: Callable[[str], Any]
    numbers: Iterator[int] = field(default_factory=count)

    def send(self, connection: http.client.HTTPConnection, text: str) -> int:
        """Send one article and read the answer; its status."""
        connection.request("POST", self.path, json.dumps(self.body(text)), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status


def text_of(texts: Sequence[str], number: int) -> str:
    """The `number`th text of an endless stream: no two are alike, so that no cache answers a whole article."""
    return f"{texts[number % len(texts)]}\n\nIt was dispatch {number} of the day."


def load(server: Server, texts: Sequence[str], callers: int, seconds: float) -> dict[str, Any]:
    """Send articles with so many callers for so long; latencies in milliseconds."""
    taking, times, failures = threading.Lock(), list[float](), list[int]()
    deadline = time.perf_counter() + seconds

    def call() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
        while time.perf_counter() < deadline:
            with taking:
                number = next(server.numbers)
            text = text_of(texts, number)
            begun = time.perf_counter()
            status = server.send(connection, text)
            (times if status == 200 else failures).append(time.perf_counter() - begun if status == 200 else status)  # type: ignore[arg-type]
        connection.close()

    started = time.perf_counter()
    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - started
    return {**percentiles(times), "articles_per_s": len(times) / wall, "answers": len(times), "failures": len(failures)}


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    if len(times) < 2:
        return {"p50_ms": 1000 * sum(times), "p99_ms": 1000 * sum(times)}
    cuts = quantiles(times, n=100, method="inclusive")
    return {"p50_ms": 1000 * cuts[49], "p99_ms": 1000 * cuts[98]}


def measure_overhead(server: Server, scorer: Scorer, texts: Sequence[str], articles: int) -> dict[str, float]:
    """The same articles through the function and the service in turns, one at a time; what the service adds to each."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    function, service = [], []
    for _ in range(articles):
        text = text_of(texts, next(server.numbers))
        begun = time.perf_counter()
        scorer.score([text])
        middle = time.perf_counter()
        server.send(connection, text)
        function.append(middle - begun)
        service.append(time.perf_counter() - middle)
    connection.close()
    added = median(own - bare for own, bare in zip(service, function, strict=True))
    return {"function_p50_ms": 1000 * median(function), "service_p50_ms": 1000 * median(service), "added_p50_ms": 1000 * added}


def measure_swaps(bundle: Bundle, texts: Sequence[str], folder: Path) -> dict[str, Any]:
    """Requests at a steady rate while the champion's link changes ten times."""
    link = folder / "champion"
    link.symlink_to(bundle.folder)
    seen, failures, times = set[str](), list[str](), list[float]()
    with run_service(link, folder) as server:
        ended = time.perf_counter() + SWAP_SECONDS

        def call() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            while (begun := time.perf_counter()) < ended:
                body = json.dumps(server.body(text_of(texts, next(server.numbers))))
                connection.request("POST", server.path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content = answer.read()
                if answer.status == 200:
                    seen.add(json.loads(content)["model"])
                    times.append(time.perf_counter() - begun)
                else:
                    failures.append(content.decode())
                time.sleep(max(0.0, SWAP_CALLERS / SWAP_RATE - (time.perf_counter() - begun)))
            connection.close()

        callers = [threading.Thread(target=call) for _ in range(SWAP_CALLERS)]
        for caller in callers:
            caller.start()
        for swap in range(SWAPS):
            time.sleep(SWAP_SECONDS / (SWAPS + 1))
            target = shutil.copytree(bundle.folder, folder / f"swap{swap}")
            (target / "bundle.json").write_text(json.dumps({**bundle.manifest, "version": f"swap{swap}"}))
            (folder / "next").symlink_to(target)
            (folder / "next").replace(link)
        for caller in callers:
            caller.join()
    answers = {"requests": len(times) + len(failures), "failures": len(failures), "bundles_seen": len(seen)}
    return {**answers, "requests_per_s": answers["requests"] / SWAP_SECONDS, **percentiles(times)}


# Servers


def run_service(bundle: Path, folder: Path) -> Any:
    """`newswatch serve` as it comes, with one worker or more by the number of processors."""
    command = [sys.executable, "-c", "from newswatch.cli import main; main()", "serve", f"--bundle={bundle}"]
    return running(
        OWN, lambda port: [*command, f"--port={port}"], folder, "/v1/score", lambda text: {"articles": [{"text": text}]}, "/readyz"
    )


def run_mlflow(bundle: Bundle, folder: Path) -> Any:
    """`mlflow models serve` of the same bundle."""
    from newswatch.flavour import save_flavour

    save_flavour(bundle, folder / "model")
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder / "model"), "--env-manager", "local", "-h", "127.0.0.1"]
    return running(
        MLFLOW,
        lambda port: [*command, "-p", str(port)],
        folder,
        "/invocations",
        lambda text: {"dataframe_records": [{"text": text}]},
        "/ping",
    )


def run_plain(tags: int, folder: Path) -> Any:
    """FastAPI before a pipeline of the default backbone."""
    from newswatch_training.backbone import find_backbone
    from newswatch_training.encoder_settings import DEFAULT_BACKBONE

    command = [sys.executable, str(ROOT / "benchmarks" / "plain_service.py"), str(find_backbone(DEFAULT_BACKBONE))]
    return running(PLAIN, lambda port: [*command, str(port), str(tags)], folder, "/score", lambda text: {"text": text}, "/healthz")


@contextmanager
def running(
    name: str, command: Callable[[int], list[str]], folder: Path, path: str, body: Callable[[str], Any], health: str
) -> Iterator[Server]:
    """Start a server in a session of its own and wait until it is well; end it and what it started."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / f"{name.split()[0]}.log").open("ab") as log:
        process = subprocess.Popen(command(port), stdout=log, stderr=log, cwd=ROOT)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _well(port, health):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{name} did not start:\n{Path(log.name).read_text()[-3000:]}")
            time.sleep(0.2)
        yield Server(name, port, path, body)
    finally:
        process.terminate()
        process.wait(30)


def _well(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def summarise(runs: dict[str, dict[int, list[dict[str, Any]]]]) -> dict[str, Any]:
    """Medians over the repeats, and the own server's articles/s and latencies as multiples of the others'."""
    made: dict[str, Any] = {}
    for name, levels in runs.items():
        made[name] = {}
        for callers, repeats in levels.items():
            row = {key: round(median(one[key] for one in repeats), 2) for key in ("p50_ms", "p99_ms", "articles_per_s")}
            row["failures"] = sum(one["failures"] for one in repeats)
            if name != OWN:
                own = runs[OWN][callers]
                row["times"] = round(median(a["articles_per_s"] / b["articles_per_s"] for a, b in zip(own, repeats, strict=True)), 2)
                row["p50_times"] = round(median(b["p50_ms"] / a["p50_ms"] for a, b in zip(own, repeats, strict=True)), 2)
            made[name][callers] = row
    return made


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ROOT / "mlruns" / "champion")
    parser.add_argument("--seconds", type=float, default=10, help="of each server at each number of callers, in each repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--articles", type=int, default=200, help="for the time that the service adds")
    parser.add_argument("--without-swaps", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "service_load.json")
    plan = parser.parse_args()
    bundle = Bundle.load(plan.bundle)
    texts = [record.text for record in read_corpus(ROOT / "labels" / "corpus", Scheme.load()).records]
    random.Random(0).shuffle(texts)
    with TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        made = (run_service(bundle.folder, folder), run_mlflow(bundle, folder), run_plain(len(bundle.scheme.names), folder))
        servers = [stack.enter_context(one) for one in made]
        load_average = os.getloadavg()
        for server in servers:
            load(server, texts, 2, 2)  # warm
        overhead = measure_overhead(servers[0], Scorer(bundle), texts, plan.articles)
        print(overhead)
        runs: dict[str, dict[int, list[dict[str, Any]]]] = {server.name: {callers: [] for callers in CALLERS} for server in servers}
        for repeat in range(plan.repeats):
            for callers in CALLERS:
                for server in servers[repeat % len(servers) :] + servers[: repeat % len(servers)]:
                    runs[server.name][callers].append(found := load(server, texts, callers, plan.seconds))
                    print(f"{repeat} {callers:>2} callers, {server.name}: {found}")
        stack.close()
        swaps = {} if plan.without_swaps else measure_swaps(bundle, texts, folder)
        print(swaps)
    result = {
        "bundle": {"label": bundle.label, "kind": bundle.manifest["model"]["kind"]},
        "machine": {"processors": len(os.sched_getaffinity(0)), "load_before": load_average, "python": platform.python_version()},
        "packages": {name: version(name) for name in PACKAGES},
        "plan": {"seconds": plan.seconds, "repeats": plan.repeats, "articles": plan.articles},
        "overhead": {name: round(value, 3) for name, value in overhead.items()},
        "load": summarise(runs),
        "swaps": swaps,
    }
    plan.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written to {plan.out}")


if __name__ == "__main__":
    main()
