"""The audit: append-only, whole lines, and what the champion's changes write into it."""

import json
import multiprocessing
import os
import shutil
from pathlib import Path

import pytest

from newswatch import Bundle
from newswatch.model import BundleError
from newswatch.scorer import Article, Scorer
from newswatch_training.audit import AUDIT, Action, Entry, Named, append, make_entry, read_audit
from newswatch_training.champion import current_champion, keep, promote, rollback, settle
from newswatch_training.gate import Gate
from newswatch_training.lock import LockedError, locked, user_at_host


@pytest.fixture
def home(bundle: Bundle, tmp_path: Path) -> Path:
    """A store of three bundles named a, b and c; the same model under three versions."""
    home = tmp_path / "mlruns"
    for version in "abc":
        folder = home / "bundles" / version
        shutil.copytree(bundle.folder, folder)
        manifest = json.loads((folder / "bundle.json").read_text())
        manifest |= {"version": version, "mlflow": {}}
        (folder / "bundle.json").write_text(json.dumps(manifest))
    return home


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'registry.db'}")


def load(home: Path, version: str) -> Bundle:
    return Bundle.load(home / "bundles" / version)


def serving(home: Path) -> str:
    found = current_champion(home)
    assert found is not None
    return str(found.manifest["version"])


def entry(home: Path, why: str = "why") -> Entry:
    return make_entry(Action.KEPT, None, None, home, why, "me", (Gate("floor", False, 0.5, 0.6, "low"),), champion=None)


def test_lines_are_only_ever_added(tmp_path: Path) -> None:
    before = b""
    for number in range(5):
        append(tmp_path, entry(tmp_path, f"reason {number} – ü"))
        now = (tmp_path / AUDIT).read_bytes()
        assert now.startswith(before)
        assert now.count(b"\n") == number + 1
        before = now
    entries, faults = read_audit(tmp_path)
    assert [e.why for e in entries] == [f"reason {number} – ü" for number in range(5)]
    assert faults == []
    assert entries[0] == Entry.from_dict(json.loads(json.dumps(entry(tmp_path, "reason 0 – ü").to_dict() | {"when": entries[0].when})))


def test_a_torn_line_is_named_and_costs_no_other(tmp_path: Path) -> None:
    append(tmp_path, entry(tmp_path, "one"))
    with (tmp_path / AUDIT).open("ab") as file:
        file.write(b'{"action": "promo')
    append(tmp_path, entry(tmp_path, "two"))
    entries, faults = read_audit(tmp_path)
    assert [e.why for e in entries] == ["one", "two"]
    assert "audit.jsonl:2" in str(faults[0])
    assert len(faults) == 1


def write_many(folder: Path, who: str) -> None:
    for number in range(15):
        append(folder, entry(folder, f"{who} {number} " + "x" * 500))


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(tmp_path, who)) for who in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    entries, faults = read_audit(tmp_path)
    assert faults == []
    said = [e.why.split(" x")[0] for e in entries]
    assert sorted(said) == sorted(f"{who} {number}" for who in "ab" for number in range(15))


def test_promotions_and_rollbacks_walk_the_champions(home: Path) -> None:
    text = Article("The joint center of Peshmerga and Iraqi army opened in Khanaqin. An IS cell attacked a post near Daquq.")
    scores = {}
    for version in "abc":
        assert promote(load(home, version), home, f"promote {version}", "me")
        scores[version] = json.dumps(Scorer.load(home / "champion").score([text])[0].to_dict())
    assert rollback(home, "c is loose", by="me").manifest["version"] == "b"
    assert json.dumps(Scorer.load(home / "champion").score([text])[0].to_dict()) == scores["b"]
    assert rollback(home, "b too").manifest["version"] == "a"
    with pytest.raises(BundleError, match="no champion before newswatch@a"):
        rollback(home, "further")
    assert serving(home) == "a"
    assert rollback(home, "by name", to="newswatch@c").manifest["version"] == "c"
    entries, _ = read_audit(home)
    assert [e.action.value for e in entries] == ["promoted"] * 3 + ["rolled back"] * 3
    assert [e.champion.bundle[-1] for e in entries if e.champion] == list("abcbac")
    assert [e.previous.bundle[-1] if e.previous else None for e in entries] == [None, *"abcba"]
    assert entries[0].who == "me"
    assert entries[4].who == f"{os.environ.get('USER') or entries[4].who.split('@')[0]}@{os.uname().nodename}"
    assert all(e.champion and Bundle.load(home / e.champion.folder).sha256 == e.champion.sha256 for e in entries)


def test_rollback_refuses_a_bundle_that_is_not_the_one_written_down(home: Path) -> None:
    promote(load(home, "a"), home, "a")
    promote(load(home, "b"), home, "b")
    manifest = home / "bundles" / "a" / "bundle.json"
    manifest.write_text(manifest.read_text() + " ")
    with pytest.raises(BundleError, match="pinned sha256"):
        rollback(home, "b is loose")
    assert serving(home) == "b"


def test_rollback_from_a_damaged_champion(home: Path) -> None:
    promote(load(home, "a"), home, "a")
    promote(load(home, "b"), home, "b")
    (home / "bundles" / "b" / "linear.npz").write_bytes(b"")
    with pytest.raises(BundleError):
        current_champion(home)
    assert rollback(home, "damaged").manifest["version"] == "a"
    entries, _ = read_audit(home)
    assert entries[-1].previous == entries[-2].champion


def test_a_champion_changed_elsewhere_is_written_down(home: Path) -> None:
    promote(load(home, "a"), home, "a")
    (home / "champion").unlink()
    (home / "champion").symlink_to("bundles/b")
    settle(home)
    entries, _ = read_audit(home)
    assert entries[-1].action is Action.FOUND
    assert entries[-1].champion == Named.of(load(home, "b"), home)
    settle(home)
    assert len(read_audit(home)[0]) == 2
    assert rollback(home, "undo").manifest["version"] == "a"


def test_a_promotion_cut_off_before_its_link_is_seen(home: Path) -> None:
    promote(load(home, "a"), home, "a")
    before = Named.of(load(home, "a"), home)
    append(home, make_entry(Action.PROMOTED, load(home, "b"), before, home, "cut off", champion=Named.of(load(home, "b"), home)))
    assert serving(home) == "a"
    settle(home)
    assert read_audit(home)[0][-1].champion == before
    with pytest.raises(BundleError, match="no champion before newswatch@a"):
        rollback(home, "b never served")


def test_a_champion_other_than_the_one_compared_is_not_replaced(home: Path) -> None:
    a, b, c = (load(home, version) for version in "abc")
    assert promote(a, home, "a", expected="")
    assert promote(b, home, "b", expected=a.sha256)
    assert not promote(c, home, "c", expected=a.sha256)
    assert serving(home) == "b"


def test_what_is_kept_becomes_the_challenger_until_it_is_promoted(home: Path) -> None:
    promote(load(home, "a"), home, "a")
    keep(load(home, "b"), home, "below", gates=(Gate("floor", False, 0.5, 0.6, "low"),))
    assert serving(home) == "a"
    assert Bundle.load(home / "challenger").manifest["version"] == "b"
    promote(Bundle.load(home / "challenger"), home, "read by hand")
    assert serving(home) == "b"
    assert not (home / "challenger").is_symlink()


def test_lock_names_who_holds_it_and_is_let_go(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(LockedError, match=f"held by process {os.getpid()} of "), locked(tmp_path / "lock"):
        pass
    with locked(tmp_path / "lock"):
        pass


def test_a_user_without_a_name_is_named_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr("getpass.getuser", unknown)
    assert user_at_host().startswith(f"{os.getuid()}@")
    with locked(tmp_path / "lock"):
        assert f"of {os.getuid()}@" in (tmp_path / "lock").read_text()
