"""Imports point one way, and each part runs without what it does not need."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from newswatch import Bundle

ROOT = Path(__file__).parent.parent
HEAVY = [
    "torch",
    "transformers",
    "datasets",
    "mlflow",
    "sklearn",
    "scipy",
    "pandas",
    "matplotlib",
    "pyarrow",
    "trafilatura",
    "datasketch",
]
PICKLES = {"pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError("blocked: " + name, name=name)
sys.meta_path.insert(0, Block())
"""


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize(("part", "forbidden"), [("labels", {"newswatch", "newswatch_training"}), ("serving", {"newswatch_training"})])
def test_imports_point_one_way(part: str, forbidden: set[str]) -> None:
    files = list((ROOT / part).rglob("*.py"))
    assert files
    for path in files:
        assert not {name.partition(".")[0] for name in imported(path)} & forbidden, path


def test_no_pickle_is_imported_by_ours() -> None:
    for part in ("labels", "serving"):
        for path in (ROOT / part).rglob("*.py"):
            assert not {name.partition(".")[0] for name in imported(path)} & PICKLES, path


def run(code: str, blocked: list[str]) -> str:
    ended = subprocess.run([sys.executable, "-c", BLOCK.format(blocked=blocked) + code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_labels_import_without_heavy_packages() -> None:
    assert run("import newswatch_labels, newswatch_labels.check; print('fine')", [*HEAVY, "numpy", "newswatch"]) == "fine\n"


def test_scoring_needs_neither_heavy_packages_nor_pickle(bundle: Bundle) -> None:
    code = f"""
from newswatch import Scorer
made = Scorer.load({str(bundle.folder)!r}).score(["ISIS gunmen ambushed a patrol near Daquq and killed two policemen."])[0]
print(sorted(made.tags))
"""
    assert "isis_attack" in run(code, [*HEAVY, "joblib", "cloudpickle", "dill", "skops"])


def test_missing_extra_names_the_install_line(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>x</p>")
    code = f"""
from newswatch.reading import read_articles
from newswatch_labels import MissingExtraError
try:
    list(read_articles([{str(tmp_path / "a.html")!r}]))
except MissingExtraError as error:
    print(error)
"""
    assert "pip install 'newswatch[files]'" in run(code, HEAVY)


def test_first_score_is_quick_and_small(bundle: Bundle) -> None:
    """Start, import, load and score in under half a second of CPU time and 150 MB; the best of five, since other work slows caches too."""
    code = f"""
import time
from newswatch import Scorer
Scorer.load({str(bundle.folder)!r}).score(["ISIS gunmen ambushed a patrol near Daquq."])
print(time.process_time())
print(next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc, which this system lacks")
    runs = [list(map(float, run(code, HEAVY).split())) for _ in range(5)]
    assert min(seconds for seconds, _ in runs) < 0.5
    assert max(megabytes for _, megabytes in runs) < 150
