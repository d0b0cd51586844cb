"""Batches that are killed, run out of disk or lose a worker: nothing is lost, nothing is there twice."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from newswatch import Bundle
from newswatch.batch import run_batch
from newswatch_labels import Record

KILLS = 20
SHARDS = 60
ROWS = 4
RUN = """
import os, signal, sys, time
import newswatch.batch
from newswatch import Scorer

quick = Scorer.score

def slow(self, articles):
    time.sleep(0.03)
    if os.path.exists({poison!r}) and any(article.id == "poison" for article in articles):
        os.kill(os.getpid(), signal.SIGKILL)
    return quick(self, articles)

Scorer.score = slow  # in the workers too: they run this file again
newswatch.batch.CHUNK_ROWS = 2

def report(*told):
    if told[2] == 2:
        print("begun", flush=True)

if __name__ == "__main__":
    newswatch.batch.run_batch([{source!r}], {out!r}, bundle={bundle!r}, workers=1, report=report)
"""


@pytest.fixture
def source(small_records: list[Record], tmp_path: Path) -> Path:
    """Many small shards; ids are numbers."""
    folder = tmp_path / "in"
    folder.mkdir()
    for shard in range(SHARDS):
        rows = [{"id": str(shard * ROWS + n), "text": small_records[shard * ROWS + n].text} for n in range(ROWS)]
        (folder / f"{shard:02}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def whole(source: Path, bundle: Bundle, tmp_path: Path) -> dict[str, bytes]:
    """What an unbroken run writes."""
    run_batch([source], tmp_path / "whole", bundle=bundle.folder, workers=1)
    return outputs(tmp_path / "whole")


def outputs(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.jsonl")}


def script(tmp_path: Path, bundle: Bundle, source: Path, out: Path, poison: Path = Path("/nowhere")) -> list[str]:
    path = tmp_path / "run.py"
    path.write_text(RUN.format(source=str(source), out=str(out), bundle=str(bundle.folder), poison=str(poison)))
    return [sys.executable, str(path)]


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(reached: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not reached() and time.monotonic() < end:
        time.sleep(0.02)
    return reached()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="workers are looked for in /proc, which this system lacks")
def test_killed_twenty_times_it_loses_and_doubles_nothing(source: Path, whole: dict[str, bytes], bundle: Bundle, tmp_path: Path) -> None:
    rng = random.Random(5)
    out = tmp_path / "out"
    command = script(tmp_path, bundle, source, out)
    in_mid_run, finished, workers = 0, [0], set[int]()
    for _ in range(KILLS):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
            assert run.stdout is not None
            begun = run.stdout.readline()
            time.sleep(rng.uniform(0, 0.2))
            workers.update(children(run.pid))
            run.kill()
        in_mid_run += run.returncode == -signal.SIGKILL and begun == b"begun\n" and len(outputs(out)) < SHARDS
        assert outputs(out).items() <= whole.items(), "what bears its final name is whole"
        finished.append(len(outputs(out)))
    assert in_mid_run >= 15
    assert finished == sorted(finished)
    assert 0 < finished[-1] < SHARDS
    assert wait_until(lambda: not any(map(alive, workers))), "workers end with the run that started them"

    summary = run_batch([source], out, bundle=bundle.folder, workers=1)
    assert outputs(out) == whole
    ids = [json.loads(line)["id"] for data in outputs(out).values() for line in data.splitlines()]
    assert sorted(map(int, ids)) == list(range(SHARDS * ROWS))
    assert summary.tally.articles == len(ids)
    assert 0 < summary.skipped < SHARDS
    assert not list(out.rglob("*.part"))


def test_a_dead_worker_ends_the_run_and_a_rerun_completes(source: Path, bundle: Bundle, tmp_path: Path) -> None:
    (source / "30.jsonl").write_text('{"id": "poison", "text": "The ministry denied it."}\n')
    out, poison = tmp_path / "out", tmp_path / "poison"
    poison.touch()
    ended = subprocess.run(script(tmp_path, bundle, source, out, poison), capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert "WorkerError: a worker process died with the article" in ended.stderr
    assert 20 < len(outputs(out)) <= 30
    assert not list(out.rglob("*.part"))
    assert not (out / "summary.json").exists()
    poison.unlink()
    assert run_batch([source], out, bundle=bundle.folder, workers=1).tally.articles == (SHARDS - 1) * ROWS + 1
    assert len(outputs(out)) == SHARDS


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("output", ["jsonl", "parquet"])
def test_a_full_disk_ends_the_run_and_room_completes_it(
    source: Path, bundle: Bundle, tmp_path: Path, small_disk: Path, output: str
) -> None:
    run_batch([source], tmp_path / "whole", bundle=bundle.folder, workers=1, output=output)
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").glob(f"*.{output}")}
    out = small_disk / "out"
    options = ["--out", str(out), "--bundle", str(bundle.folder), "--workers", "1", "--output", output]
    command = [sys.executable, "-c", "from newswatch.cli import main; main()", "batch", str(source), *options]
    filler = small_disk / "filler"
    filler.write_bytes(bytes(200_000))
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "No space left on device; expected room" in ended.stderr
    assert "Traceback" not in ended.stderr
    found = {path.name: path.read_bytes() for path in out.glob(f"*.{output}")}
    assert 0 < len(found) < SHARDS
    assert found.items() <= whole.items()
    assert not list(out.rglob("*.part"))

    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert {path.name: path.read_bytes() for path in out.glob(f"*.{output}")} == whole
    assert (out / "summary.json").exists()
