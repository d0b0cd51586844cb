"""Send twenty records through a real Label Studio and back: `python tests/label_studio_roundtrip.py`.

Not collected by pytest: it installs Label Studio from the package index into a temporary environment (some 200 MB) and starts it on
127.0.0.1 with a fresh data folder, analytics, error reports and update checks off. `--server PATH` takes an installed `label-studio`.
"""

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from newswatch.prediction import Evidence, Prediction
from newswatch.text import Field
from newswatch_labels import Record, Scheme, read_corpus
from newswatch_labels.label_studio import from_label_studio, label_studio_config, to_label_studio
from newswatch_labels.terminal import out

CORPUS = Path(__file__).parent.parent / "labels" / "corpus"
STARTUP_SECONDS = 300
ODD = Record(
    id="odd-emoji-crlf",
    title="",
    text="🚨 <b>Kirkuk</b> 👨🏻‍🚒 &amp; Daquq.\r\n\r\nISIS 🔥 gunmen ambushed a patrol\r\nnear Daquq.\r"
    "Two  policemen were killed 😢. It rained.\u2028",
    labels=("isis_attack", "casualties"),
    evidence={
        "isis_attack": ("ISIS 🔥 gunmen ambushed a patrol\r\nnear Daquq.",),
        "casualties": ("Two  policemen were killed 😢.",),
    },
)
UNMARKED = Record(id="odd-unmarked", text="Nobody marked this.", labels=("talks",), extra={"pool": "p"})


class Client:
    """Label Studio's HTTP API, JSON in and out."""

    def __init__(self, address: str, token: str) -> None:
        self.address, self.token = address, token
        # No proxy stands between this script and its own server.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}{path}", data, headers, method=method)
        try:
            with self.opener.open(request, timeout=120) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()[:2000]}") from error

    def is_up(self) -> bool:
        try:
            with self.opener.open(f"{self.address}/health", timeout=5):
                return True
        except OSError:
            return False


def install(folder: Path) -> Path:
    """Install Label Studio into an environment of its own; its command."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "label-studio"]
    ended = subprocess.run(pip, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"pip install label-studio: {ended.stderr[-4000:]}")
    return folder / "bin" / "label-studio"


@contextmanager
def serve(command: Path, folder: Path) -> Iterator[Client]:
    """Run the server on a free port of 127.0.0.1 until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(20)
    settings = {
        "BASE_DATA_DIR": str(folder / "data"),
        "USERNAME": "annotator@localhost.example",
        "PASSWORD": secrets.token_urlsafe(16),
        "USER_TOKEN": token,
        # Without this a fresh organisation accepts JWT tokens alone, and USER_TOKEN is refused.
        "ENABLE_LEGACY_API_TOKEN": "true",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "FEATURE_FLAGS_OFFLINE": "true",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LABEL_STUDIO_", "HEARTEX_", "DJANGO_"))}
    environment = inherited | {f"LABEL_STUDIO_{name}": value for name, value in settings.items()}
    log = (folder / "server.log").open("w+", encoding="utf-8")
    start = [str(command), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(start, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    client = Client(f"http://127.0.0.1:{port}", token)
    try:
        deadline = time.monotonic() + STARTUP_SECONDS
        while not client.is_up():
            if server.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                raise SystemExit(f"the server did not start:\n{log.read()[-4000:]}")
            time.sleep(1)
        yield client
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()


def choose_records(scheme: Scheme) -> list[Record]:
    """Twenty: the two odd ones, some with characters beyond the basic plane, with evidence in the title, without a tag, and others."""
    records = read_corpus(CORPUS, scheme).records
    astral = [r for r in records if any(ord(c) > 0xFFFF for c in r.title + r.text)][:4]
    titled = [r for r in records if any(s in r.title for found in (r.evidence or {}).values() for s in found)][:4]
    plain = [r for r in records if not r.labels][:3]
    chosen = {r.id: r for r in (ODD, UNMARKED, *astral, *titled, *plain)}
    chosen |= {r.id: r for r in records[:: max(1, len(records) // 40)] if len(r.labels) > 1}
    return list(chosen.values())[:20]


def predict(record: Record, scheme: Scheme) -> dict[str, Any]:
    """A row in the form of `newswatch score`: the record's own tags and evidence."""
    evidence: dict[str, tuple[Evidence, ...]] = dict.fromkeys(record.labels, ())
    for tag, passages in (record.evidence or {}).items():
        for passage in passages:
            field: Field = "text" if passage in record.text else "title"
            start = getattr(record, field).index(passage)
            evidence[tag] += (Evidence(start, start + len(passage), passage, 0.8, field),)
    scores = {name: 0.9 if name in record.labels else 0.1 for name in scheme.names}
    return Prediction(record.id, record.labels, scores, evidence, (), "newswatch 7").to_dict()


def region(record: Record, passage: str, tags: list[str], field: str = "text") -> dict[str, Any]:
    """A region as the front end stores it: offsets in code points, the text with line breaks as a literal backslash-n."""
    start = getattr(record, field).index(passage)
    shown = passage.replace("\r", "\\n").replace("\n", "\\n")
    value = {"start": start, "end": start + len(passage), "text": shown, "labels": tags}
    name = "evidence" if field == "text" else "evidence_title"
    return {"id": secrets.token_hex(5), "type": "labels", "from_name": name, "to_name": field, "origin": "manual", "value": value}


def choices(tags: list[str]) -> dict[str, Any]:
    return {"id": "c", "type": "choices", "from_name": "tags", "to_name": "text", "origin": "manual", "value": {"choices": tags}}


def comparable(record: Record) -> Record:
    """The record with its evidence in no order: Label Studio gives it back in reading order."""
    marked = record.evidence
    return replace(record, evidence=None if marked is None else {tag: tuple(sorted(found)) for tag, found in marked.items()})


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--server", type=Path, help="an installed label-studio command")
    given = options.parse_args()
    scheme = Scheme.load()
    records = choose_records(scheme)
    expected = {record.id: record for record in records}
    tasks = to_label_studio(records, scheme, [predict(record, scheme) for record in records])
    with tempfile.TemporaryDirectory(prefix="label-studio-") as name:
        folder = Path(name)
        command = given.server or install(folder / "venv")
        with serve(command, folder) as client:
            version = client.call("GET", "/api/version")["release"]
            config = {"title": "newswatch", "label_config": label_studio_config(scheme)}
            project = client.call("POST", "/api/projects", config)["id"]
            counts = client.call("POST", f"/api/projects/{project}/import?return_task_ids=true", tasks)
            numbers = dict(zip(expected, counts["task_ids"], strict=True))

            # One annotation is changed in place: a tag goes, one comes; a region runs over an emoji and CR LF.
            mark = "gunmen ambushed a patrol\r\nnear Daquq.\rTwo  policemen were killed 😢."
            result = [choices(["isis_attack"]), region(ODD, mark, ["isis_attack"]), region(ODD, "It rained.", ["civilian_harm"])]
            first = client.call("GET", f"/api/tasks/{numbers[ODD.id]}")["annotations"][0]["id"]
            client.call("PATCH", f"/api/annotations/{first}", {"result": result})
            expected[ODD.id] = replace(
                ODD, labels=("isis_attack", "civilian_harm"), evidence={"isis_attack": (mark,), "civilian_harm": ("It rained.",)}
            )
            # One task gets a second annotation, and a third that is cancelled.
            second = records[-1]
            sentence = second.text[: second.text.index(".") + 1]
            path = f"/api/tasks/{numbers[second.id]}/annotations"
            again = [choices(["talks"]), region(second, sentence, ["talks"]), region(second, second.title, ["denial"], "title")]
            client.call("POST", path, {"result": again})
            client.call("POST", path, {"result": [choices(["casualties"])], "was_cancelled": True})
            expected[second.id] = replace(second, labels=("talks", "denial"), evidence={"talks": (sentence,), "denial": (second.title,)})

            predictions = client.call("GET", f"/api/predictions?project={project}")
            export = client.call("GET", f"/api/projects/{project}/export?exportType=JSON&download_all_tasks=true")
    found, faults = from_label_studio(export, scheme)
    sent = {numbers[task["data"]["id"]]: task["predictions"][0]["result"] for task in tasks}
    wrong = [record.id for record in found if comparable(record) != comparable(expected[record.id])]
    missing = sorted(set(expected) - {record.id for record in found})
    versions = sorted({f"{p['model_version']} {p['score']}" for p in predictions})
    raw = next(task for task in export if task["data"]["id"] == ODD.id)
    summary = {
        "Label Studio": version,
        "imported": {key: counts[key] for key in ("task_count", "annotation_count", "prediction_count")},
        "exported tasks": len(export),
        "predictions on the server": f"{len(predictions)} ({', '.join(versions)})",
        "predictions to the letter": sum(p["result"] == sent[p["task"]] for p in predictions),
        "records read back": len(found),
        "faults": [str(fault) for fault in faults],
        "differ": wrong,
        "missing": missing,
        "text kept to the letter": raw["data"]["text"] == ODD.text,
        "changed record": next((record for record in found if record.id == ODD.id), None),
        "second annotation": next((record.evidence for record in found if record.id == second.id), None),
    }
    for key, value in summary.items():
        out.print(f"{key}: {value}", markup=False, highlight=False, soft_wrap=True)
    if faults or wrong or missing or summary["predictions to the letter"] != len(records):
        raise SystemExit("the round trip failed")
    out.print("the round trip passed")


if __name__ == "__main__":
    main()
