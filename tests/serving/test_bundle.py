import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from newswatch import Bundle, BundleError, NewswatchError, Scorer

TRAVERSALS = [
    "../x", "../../etc/passwd", "/etc/passwd", "a/../../x", "..", "./../x", "a/..", "..\\x", "C:\\x", "c:x",
    "\\\\host\\x", "x\0", "//x", "a/b/../../../x", "/", "../", "..//x", "a\\..\\x", "/../x", "a/../..",
]  # fmt: skip


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle.folder, tmp_path / "copy"))


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))


def test_manifest_says_what_affects_a_score(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest["format"] == 1
    assert set(manifest["files"]) == {p.name for p in bundle.folder.iterdir()} - {"bundle.json"}
    assert len(manifest["mlflow"]["run_id"]) == 32
    assert manifest["scheme"]["tags"][0]["name"] == bundle.scheme.names[0]


@pytest.mark.parametrize("name", ["linear.npz", "vocabulary.txt", "golden.jsonl", "README.md"])
def test_one_flipped_byte_is_refused_by_name_and_hash(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name}: sha256 [0-9a-f]{{64}}; expected sha256 [0-9a-f]{{64}}"):
        Bundle.load(copy)


@pytest.mark.parametrize("name", ["linear.npz", "golden.jsonl", "bundle.json"])
def test_missing_and_truncated_files_are_refused(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:100])
    with pytest.raises(BundleError, match=name):
        Bundle.load(copy)
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: No such file"):
        Bundle.load(copy)


def test_swapped_files_are_refused(copy: Path) -> None:
    golden, card = (copy / "golden.jsonl").read_bytes(), (copy / "README.md").read_bytes()
    (copy / "golden.jsonl").write_bytes(card)
    (copy / "README.md").write_bytes(golden)
    with pytest.raises(BundleError, match="sha256"):
        Bundle.load(copy)


def test_later_format_is_refused(copy: Path) -> None:
    edit(copy, format=2)
    with pytest.raises(BundleError, match=r"format 2; expected format 1\. Update newswatch"):
        Bundle.load(copy)


@pytest.mark.parametrize("change", [{"model": {"kind": "oracle"}}, {"model": {}}, {"scheme": {}}, {"decision": {}}, {"files": {}}])
def test_manifest_that_lacks_something_is_refused(copy: Path, change: dict[str, Any]) -> None:
    edit(copy, **change)
    with pytest.raises(NewswatchError, match="expected"):
        Bundle.load(copy)


@pytest.mark.parametrize("name", TRAVERSALS)
def test_names_outside_the_bundle_are_refused(copy: Path, name: str) -> None:
    manifest = json.loads((copy / "bundle.json").read_bytes())
    edit(copy, files=manifest["files"] | {name: "0" * 64})
    with pytest.raises(BundleError):
        Bundle.load(copy)


def test_golden_rows_catch_a_model_that_scores_otherwise(copy: Path) -> None:
    with np.load(copy / "linear.npz") as arrays:
        changed = {name: arrays[name] * (1.01 if name == "article_coef" else 1) for name in arrays.files}
    np.savez(copy / "linear.npz", **changed)
    manifest = json.loads((copy / "bundle.json").read_bytes())
    edit(copy, files=manifest["files"] | {"linear.npz": hashlib.sha256((copy / "linear.npz").read_bytes()).hexdigest()})
    with pytest.raises(BundleError, match=r"golden\.jsonl: a score .* off"):
        Bundle.load(copy)


def test_pinned_hash_must_match(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Bundle.load(bundle.folder, bundle.sha256).label == bundle.label
    with pytest.raises(BundleError, match="the pinned sha256 00"):
        Bundle.load(bundle.folder, "00")
    monkeypatch.setenv("NEWSWATCH_BUNDLE_SHA256", "11")
    with pytest.raises(BundleError, match="the pinned sha256 11"):
        Scorer.load(bundle.folder)


def test_missing_bundle_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match=r"mlruns/champion.*NEWSWATCH_BUNDLE"):
        Bundle.load()


def test_environment_names_the_bundle(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSWATCH_BUNDLE", str(bundle.folder))
    assert Bundle.load().sha256 == bundle.sha256
