import os
from pathlib import Path

import pytest

from newswatch import InputError
from newswatch.shards import find_shards


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def names(shards: list[Path]) -> list[str]:
    return [path.name for path in shards]


def found(*paths: Path | str, out: Path = Path("/nowhere")) -> list[Path]:
    return [shard.file for shard in find_shards(paths, out)]


def test_folders_globs_and_files_in_order_each_once(tmp_path: Path) -> None:
    a, b, c = tmp_path / "one" / "a.jsonl", tmp_path / "one" / "deep" / "b.csv.zst", tmp_path / "two.parquet"
    touch(a, b, c, tmp_path / "one" / "other.bin")
    assert found(tmp_path / "one") == [a, b]
    assert found(str(tmp_path / "**" / "*.[jcp]*"), out=tmp_path / "out") == [a, b, c]
    assert found(c, tmp_path, a) == [c, a, b]


def test_a_file_named_outright_is_taken_whatever_its_name(tmp_path: Path) -> None:
    odd = tmp_path / "[x].bin"
    touch(odd, tmp_path / "x.bin")
    assert found(odd) == [odd]


def test_what_a_run_wrote_is_not_its_input(tmp_path: Path) -> None:
    touch(tmp_path / "a.jsonl", tmp_path / "out" / "a-1.jsonl", tmp_path / "out" / "manifest" / "a-1.jsonl")
    assert names(found(tmp_path, out=tmp_path / "out")) == ["a.jsonl"]
    assert names(found(f"{tmp_path}/**", out=tmp_path / "out")) == ["a.jsonl"]


def test_names_are_stable_and_apart(tmp_path: Path) -> None:
    paths = [tmp_path / "x" / "a.jsonl", tmp_path / "y" / "a.jsonl", tmp_path / "y" / "a.csv", tmp_path / "y" / "a.jsonl.gz"]
    touch(*paths)
    made = {shard.file: shard.name for shard in find_shards(paths, tmp_path / "out")}
    assert len(set(made.values())) == 4
    assert all(name.startswith("a-") for name in made.values())
    assert find_shards([paths[1]], tmp_path / "out")[0].name == made[paths[1]]


def test_a_link_and_its_file_are_one(tmp_path: Path) -> None:
    touch(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "a.jsonl")
    assert names(found(tmp_path)) == ["a.jsonl"]


def test_a_name_that_is_no_unicode_is_usable(tmp_path: Path) -> None:
    path = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.txt"))
    touch(path)
    assert find_shards([tmp_path], tmp_path / "out")[0].name.startswith("caf_-")


@pytest.mark.parametrize("path", ["none.jsonl", "*.nothing", "empty", "-"])
def test_a_path_to_no_file_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no input file"):
        find_shards([tmp_path / path], tmp_path / "out")
