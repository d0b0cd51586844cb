"""Spark on a real cluster: a master and two workers in processes of their own, some of them killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from newswatch import Article, Bundle, Scorer
from newswatch.cli import app
from newswatch_labels import Record
from newswatch_labels.corpus import Corpus

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pyspark = pytest.importorskip("pyspark", reason="pyspark is not installed")
if not shutil.which("java") and not os.environ.get("JAVA_HOME"):
    pytest.skip("Spark needs Java, which is not installed", allow_module_level=True)

HOME = Path(pyspark.__file__).parent
BAD = b'{"id": "broken", "text": \n{"id": "none"}\n{"id": "bytes", "text": "\xff"}\n'


@dataclass
class Cluster:
    """A standalone cluster; each process leads a group of its own, in which its executors are."""

    folder: Path
    url: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, kind: str, *arguments: str, said: str) -> re.Match[str]:
        log = self.folder / f"{name}.log"
        options = {"SPARK_HOME": str(HOME), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(self.folder)}
        with log.open("wb") as sink:
            command = [str(HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}", "--host", "127.0.0.1", "--webui-port", "0"]
            process = subprocess.Popen(
                [*command, *arguments], env={**os.environ, **options}, stdout=sink, stderr=sink, start_new_session=True
            )
        self.processes.append(process)
        found: re.Match[str] = wait_for(lambda: re.search(said, log.read_text()), log)
        return found

    def start_worker(self, name: str) -> subprocess.Popen[bytes]:
        room = ("--cores", "1", "--memory", "1g", "--work-dir", str(self.folder / name))
        self.start(name, "worker.Worker", *room, self.url, said="Successfully registered")
        return self.processes[-1]


def wait_for(found: Callable[[], Any], about: object, seconds: float = 300) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain: {about.read_text() if isinstance(about, Path) else about}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.url = made.start("master", "master.Master", "--port", "0", said=r"spark://127\.0\.0\.1:\d+")[0]
        for name in ("worker-1", "worker-2"):
            made.start_worker(name)
        yield made
    finally:
        for process in made.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def spark(cluster: Cluster) -> "Iterator[SparkSession]":
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={cluster.folder}",
        "spark.driver.host": "127.0.0.1",
        "spark.executor.memory": "512m",
        "spark.executorEnv.PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "spark.local.dir": str(cluster.folder),
        "spark.pyspark.python": sys.executable,
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(cluster.folder / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master(cluster.url).appName("tests")
    for name, value in settings.items():
        builder = builder.config(name, value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        session = builder.getOrCreate()
        yield session
        session.stop()


def line(record: Record) -> bytes:
    return json.dumps({"id": record.id, "title": record.title or None, "text": record.text}).encode() + b"\n"


def read_json(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(row) for file in sorted(folder.rglob("part-*.json")) for row in file.read_text().splitlines()]


def expect(scorer: Scorer, records: list[Record]) -> dict[str | None, dict[str, Any]]:
    return {p.id: p.to_dict() for p in scorer.score([Article(r.text, r.id, r.title or None) for r in records])}


def agree(made: dict[str, Any], expected: dict[str, Any]) -> None:
    """Equal but for scores, which may lie 1e-5 apart."""
    assert {name: made[name] for name in ("id", "tags", "review", "model")} == {n: expected[n] for n in ("id", "tags", "review", "model")}
    assert made["scores"] == pytest.approx(expected["scores"], abs=1e-5)
    assert made["evidence"].keys() == expected["evidence"].keys()
    for tag, sentences in expected["evidence"].items():
        for found, sentence in zip(made["evidence"][tag], sentences, strict=True):
            assert {**found, "score": 0} == {**sentence, "score": 0}
            assert found["score"] == pytest.approx(sentence["score"], abs=1e-5)


def test_column_function_and_mlflow_udf_agree_with_the_function_on_two_thousand_texts(
    spark: "SparkSession", store: Path, bundle: Bundle, scorer: Scorer, corpus: Corpus
) -> None:
    import mlflow
    from pyspark.sql import functions as F  # noqa: N812

    from newswatch.spark import score_udf
    from newswatch_training.tracking import local_uri

    records = list(corpus.records[:2000])
    expected = expect(scorer, records)
    frame = spark.createDataFrame([(r.id, r.title or None, r.text) for r in records], "id string, title string, text string").repartition(2)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(local_uri(store))
    try:
        udf = mlflow.pyfunc.spark_udf(spark, "models:/newswatch@champion", env_manager="local")
        doors = {"ours": score_udf(spark, bundle.folder)("text", "id", "title"), "mlflow": udf(F.col("text"), F.col("id"), F.col("title"))}
        for name, column in doors.items():
            rows = [row.made.asDict(recursive=True) for row in frame.select(column.alias("made")).collect()]
            assert len(rows) == 2000
            assert {row["id"] for row in rows} == set(expected), name
            for row in rows:
                assert row.pop("error", None) is None
                agree(row, expected[row["id"]])
    finally:
        mlflow.set_tracking_uri(before)


def test_column_function_keeps_rows_that_cannot_be_scored(spark: "SparkSession", bundle: Bundle, scorer: Scorer) -> None:
    from newswatch.spark import score_udf

    text = "ISIS gunmen ambushed a patrol near Daquq and killed two policemen."
    frame = spark.createDataFrame([(1, text), (2, None)], "number int, text string").coalesce(1)
    score = score_udf(spark, bundle.folder, evidence=False)
    good, bad = frame.withColumn("made", score("text")).where("made.error IS NOT NULL OR size(made.tags) > 0").orderBy("number").collect()
    assert good.made.tags == list(scorer.score([text])[0].tags)
    assert (good.made.id, good.made.error) == (None, None)
    assert "evidence" not in good.made
    assert (bad.number, bad.made.tags) == (2, None)
    assert "text is None" in bad.made.error


def test_command_reads_three_kinds_and_puts_apart_what_cannot_be_scored(
    spark: "SparkSession", bundle: Bundle, scorer: Scorer, small_records: list[Record], tmp_path: Path
) -> None:
    import csv
    import gzip

    import pyarrow as pa
    from pyarrow import parquet

    from newswatch.output import arrow_schema

    records, given, out = small_records[:90], tmp_path / "in put", tmp_path / "out"
    given.mkdir()
    (given / "a [1].jsonl.gz").write_bytes(gzip.compress(b"\n".join(map(line, records[:30])) + BAD))
    with (given / "b.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("title", "id", "text"), *((r.title, r.id, r.text) for r in records[30:60])])
    rows = [{"id": r.id, "text": r.text, "title": r.title or None} for r in records[60:]] + [{"id": "null", "text": None, "title": None}]
    parquet.write_table(pa.Table.from_pylist(rows), given / "c.parquet")
    (given / "d.parquet").write_bytes((given / "c.parquet").read_bytes()[:-20])
    (given / "e.jsonl.gz").write_bytes(gzip.compress(os.urandom(2000).hex().encode())[:900])

    command = ["batch", str(given), "--out", str(out), "--bundle", str(bundle.folder), "--engine", "spark", "--output", "parquet"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 3, result.output
    table = parquet.read_table(out / "articles")
    assert table.schema.names == arrow_schema().names
    made = {row["id"]: row for row in table.cast(arrow_schema()).to_pylist(maps_as_pydicts="strict")}
    assert table.num_rows == 90
    assert set(made) == {r.id for r in records}
    for identity, expected in expect(scorer, records).items():
        agree(made[str(identity)], expected)

    faults = read_json(out / "quarantine")
    assert Counter(Path(fault["file"]).name for fault in faults) == {"a [1].jsonl.gz": 3, "c.parquet": 1, "d.parquet": 1, "e.jsonl.gz": 1}
    assert {Path(fault["file"]).parent for fault in faults} == {given}
    assert all(fault["reason"] for fault in faults)
    assert [(f["row"], f["place"]) for f in faults if f["file"].endswith("c.parquet")] == [(31, "c.parquet:31")]
    assert {f["content"] for f in faults if ".jsonl" in f["file"] and f["content"]} == {
        '{"id": "broken", "text": ', '{"id": "none"}', '{"id": "bytes", "text": "\\xff"}'
    }  # fmt: skip
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["articles"], summary["quarantined"], summary["shards"]) == (90, 6, 5)
    assert summary["tags"] == dict(sorted(Counter(tag for row in made.values() for tag in row["tags"]).items()))
    assert summary["review"] == sum(bool(row["review"]) for row in made.values())


def test_stream_killed_in_mid_run_goes_on_exactly_once(
    spark: "SparkSession", bundle: Bundle, scorer: Scorer, small_records: list[Record], tmp_path: Path
) -> None:
    from newswatch.spark import score_stream

    given, out, checkpoint = (tmp_path / name for name in ("in", "out", "checkpoint"))
    given.mkdir()
    records = small_records[:160]
    for start in range(0, 160, 10):
        (given / f"{start:03}.jsonl").write_bytes(b"".join(map(line, records[start : start + 10])) + BAD)
    code = f"""
from pyspark.sql import SparkSession
from newswatch.spark import score_stream
spark = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1").config("spark.local.dir", {str(tmp_path)!r}).getOrCreate())
query = score_stream(
    spark, {str(given)!r}, {str(out)!r}, {str(checkpoint)!r}, bundle={str(bundle.folder)!r}, options={{"maxFilesPerTrigger": "2"}})
query.awaitTermination()
"""
    log = tmp_path / "log"
    with log.open("wb") as sink:
        job = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            env={**os.environ, "PYSPARK_PYTHON": sys.executable},
        )
    wait_for(lambda: len(list(out.glob("articles/*/_SUCCESS"))) >= 2 or job.poll() is not None, log)
    os.killpg(job.pid, signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL, log.read_text()
    before = {row["id"] for row in read_json(out / "articles")}
    assert 40 <= len(before) < 160

    options = {"maxFilesPerTrigger": "2"}
    score_stream(spark, str(given), str(out), str(checkpoint), bundle=bundle.folder, options=options).awaitTermination()
    rows, expected = read_json(out / "articles"), expect(scorer, records)
    assert Counter(row["id"] for row in rows) == dict.fromkeys(expected, 1)
    for row in rows:
        agree(row, expected[row["id"]])
    assert Counter(Path(row["file"]).name for row in read_json(out / "quarantine")) == {path.name: 3 for path in given.iterdir()}
    assert len(list(out.glob("articles/*/_SUCCESS"))) == 8

    (given / "new.jsonl").write_bytes(line(records[0]))
    again = score_stream(spark, str(given), str(out), str(checkpoint), bundle=bundle.folder, options=options, every="1 second")
    wait_for(lambda: (out / "articles" / "batch=8" / "_SUCCESS").exists(), again.lastProgress)
    again.stop()
    assert [row["id"] for row in read_json(out / "articles" / "batch=8")] == [records[0].id]


def test_worker_killed_in_mid_job_loses_no_row_and_doubles_none(
    cluster: Cluster, spark: "SparkSession", bundle: Bundle, scorer: Scorer, corpus: Corpus, tmp_path: Path
) -> None:
    from newswatch.spark import run_batch

    given, out = tmp_path / "given.jsonl", tmp_path / "out"
    given.write_bytes(b"".join(map(line, corpus.records)))
    ended: list[Any] = []
    job = threading.Thread(target=lambda: ended.append(run_batch([str(given)], out, bundle=bundle.folder)))
    job.start()
    tasks = wait_for(lambda: running(spark), "a task done and others to do")
    victim = next(process for process in cluster.processes[1:] if process.poll() is None)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()
    assert job.is_alive(), tasks
    job.join(300)
    (summary,) = ended
    rows = read_json(out / "articles")
    assert Counter(row["id"] for row in rows) == Counter(record.id for record in corpus.records)
    assert (summary.tally.articles, summary.tally.quarantined) == (len(corpus.records), 0)
    assert summary.tally.tags == Counter(tag for row in rows for tag in row["tags"])
    expected = expect(scorer, list(corpus.records[-200:]))
    for row in rows:
        if row["id"] in expected:
            agree(row, expected[row["id"]])


def running(spark: "SparkSession") -> tuple[int, int] | None:
    """Tasks done and tasks in all of a stage that is under way, once some are done and several are not."""
    tracker = spark.sparkContext.statusTracker()
    for stage in map(tracker.getStageInfo, tracker.getActiveStageIds()):
        if stage and stage.numCompletedTasks >= 2 and stage.numTasks - stage.numCompletedTasks >= 3:
            return stage.numCompletedTasks, stage.numTasks
    return None


def test_what_spark_cannot_read_or_do_is_said(spark: "SparkSession", bundle: Bundle, tmp_path: Path) -> None:
    from newswatch import InputError
    from newswatch.spark import SparkError, run_batch, score_stream

    (tmp_path / "a.txt").write_text("A denial.")
    with pytest.raises(InputError, match="--engine local"):
        run_batch([str(tmp_path / "a.txt")], tmp_path / "out", bundle=bundle.folder)
    (tmp_path / "a.csv").write_text("id,body\n1,A denial.\n")
    with pytest.raises(InputError, match="--text-column"):
        run_batch([str(tmp_path / "a.csv")], tmp_path / "out", bundle=bundle.folder)
    (tmp_path / "a[1].csv").write_text("id,text\n1,A denial.\n")
    with pytest.raises(InputError, match="Rename it"):
        run_batch([str(tmp_path / "a[1].csv")], tmp_path / "out", bundle=bundle.folder)
    with pytest.raises(InputError, match="output 'xml'"):
        run_batch([str(tmp_path / "a.csv")], tmp_path / "out", bundle=bundle.folder, output="xml")
    with pytest.raises(SparkError, match=r"spark\.jars\.packages"):
        score_stream(spark, "127.0.0.1:1", str(tmp_path / "out"), str(tmp_path / "kept"), bundle=bundle.folder, kind="kafka")


def test_command_alone_scores_with_this_very_python(bundle: Bundle, tmp_path: Path) -> None:
    """No session is there, and the python3 on the path has none of our packages."""
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "ISIS gunmen ambushed a patrol near Daquq and killed two policemen."}\n')
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to("/bin/false")
    arguments = ["batch", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "out"), "--bundle", str(bundle.folder), "--engine", "spark"]
    code = f"import sys; sys.argv[1:] = {arguments!r}; from newswatch.cli import main; main()"
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "PYSPARK_PYTHON"} | {"PATH": path}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert [row["id"] for row in read_json(tmp_path / "out" / "articles")] == ["a"]


def test_missing_java_is_said(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "A denial."}\n')
    arguments = ["batch", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "out"), "--bundle", str(bundle.folder), "--engine", "spark"]
    code = f"import sys; sys.argv[1:] = {arguments!r}; from newswatch.cli import main; main()"
    bash = str(Path(shutil.which("bash") or "").parent)
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "dirname", "cat", "ps", "env"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or bash)
    environment = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"} | {"PATH": str(tmp_path / "bin")}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Install Java 17" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_missing_pyspark_names_the_install_line(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "A denial."}\n')
    arguments = ["batch", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "out"), "--bundle", str(bundle.folder), "--engine", "spark"]
    code = f"import sys; sys.modules['pyspark'] = None; sys.argv[1:] = {arguments!r}; from newswatch.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "pip install 'newswatch[spark]'" in ended.stderr
