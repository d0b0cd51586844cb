"""The champion: the bundle that serves. It changes here alone, in the link, the audit and the registry."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from newswatch.bundle import Bundle
from newswatch.model import BundleError
from newswatch_training.audit import Action, Named, append, make_entry, read_audit
from newswatch_training.export import publish
from newswatch_training.gate import Gate
from newswatch_training.lock import locked
from newswatch_training.registry import drop_alias, point_alias

CHAMPION = "champion"
CHALLENGER = "challenger"
LOCK = ".champion.lock"


def current_champion(store: Path) -> Bundle | None:
    """The champion, loaded and proved whole; None where there is none.

    Raises:
        BundleError: it is damaged.
    """
    link = store / CHAMPION
    return Bundle.load(link) if link.is_symlink() or link.exists() else None


def promote(bundle: Bundle, store: Path, why: str, by: str | None = None, gates: Iterable[Gate] = (), expected: str | None = None) -> bool:
    """Make the bundle the champion.

    The audit comes first and the link last, so that no champion serves unwritten. The registry's alias follows the link; where
    the tracking server does not answer, `settle` moves it later.

    Args:
        expected: sha256 of the champion that the bundle was compared with ("" for none); None if it was compared with none.

    Returns:
        Whether it was promoted; not so if the champion is another than expected.
    """
    with _changing(store) as previous:
        if expected is not None and expected != (previous.sha256 if previous else ""):
            return False
        _switch(bundle, previous, store, Action.PROMOTED, why, by, gates)
        return True


def keep(bundle: Bundle | None, store: Path, why: str, by: str | None = None, gates: Iterable[Gate] = ()) -> None:
    """Leave the champion where it is and write down why; the bundle, if one was written, becomes the challenger."""
    with _changing(store) as previous:
        append(store, make_entry(Action.KEPT, bundle, previous, store, why, by, gates, champion=previous))
        if bundle:
            publish(bundle, store / CHALLENGER)
            point_alias(bundle, CHALLENGER)


def rollback(store: Path, why: str, to: str | None = None, by: str | None = None) -> Bundle:
    """Make an earlier bundle the champion again.

    Args:
        to: folder, label or version of a bundle; default: the champion before the one that serves, so that two rollbacks go back
            two champions.

    Returns:
        The bundle that serves now.

    Raises:
        BundleError: there is no such bundle, it is damaged, or it is not the one that the audit names.
    """
    with _changing(store) as previous:
        bundle = Bundle.load(find_folder(store, to)) if to else _load_named(_before(store, previous), store)
        _switch(bundle, previous, store, Action.ROLLED_BACK, why, by)
        return bundle


def find_folder(store: Path, name: str) -> Path:
    """The folder of a bundle named by folder, by label (`newswatch@<version>`) or by version."""
    below = store / "bundles" / name.rpartition("@")[2]
    return below if below.is_dir() else Path(name)


def settle(store: Path) -> None:
    """Write down a champion that the audit does not know, and point the registry's alias at it.

    It was published by hand, or a promotion was cut off between its line and its link.
    """
    with _changing(store):
        pass


@contextmanager
def _changing(store: Path) -> Iterator[Named | None]:
    """Hold the champion still, settled; yields its name."""
    with locked(store / LOCK, wait=True):
        found = _find_named(store)
        entries, _ = read_audit(store)
        known = entries[-1].champion if entries else None
        if found != known:
            written = f"the audit's last line names {known.bundle if known else 'none'}"
            bundle = _try_load(store / CHAMPION) if found else None
            append(store, make_entry(Action.FOUND, bundle, known, store, f"changed elsewhere or cut off: {written}", champion=found))
            if bundle:
                point_alias(bundle, CHAMPION)
        yield found


def _find_named(store: Path) -> Named | None:
    """The champion's name; a damaged one is named by its folder, so that it can be rolled back."""
    link = store / CHAMPION
    if not (link.is_symlink() or link.exists()):
        return None
    bundle = _try_load(link)
    if bundle:
        return Named.of(bundle, store)
    entries, _ = read_audit(store)
    known = entries[-1].champion if entries else None
    folder = link.resolve()
    return known if known and (store / known.folder).resolve() == folder else Named("damaged", "", str(folder))


def _try_load(link: Path) -> Bundle | None:
    try:
        return Bundle.load(link)
    except BundleError:  # the caller names it as damaged
        return None


def _switch(
    bundle: Bundle, previous: Named | None, store: Path, action: Action, why: str, by: str | None, gates: Iterable[Gate] = ()
) -> None:
    append(store, make_entry(action, bundle, previous, store, why, by, gates, champion=Named.of(bundle, store)))
    publish(bundle, store / CHAMPION)
    point_alias(bundle, CHAMPION)
    challenger = store / CHALLENGER
    if challenger.is_symlink() and challenger.resolve() == bundle.folder.resolve():
        challenger.unlink()
        drop_alias(bundle, CHALLENGER)


def _before(store: Path, current: Named | None) -> Named:
    """The champion that the current one took over from, when it was promoted or first found."""
    entries, _ = read_audit(store)
    taken = [entry for entry in entries if entry.champion == current and entry.previous != current]
    promoted = [entry for entry in taken if entry.action is Action.PROMOTED][-1:]
    found = [entry for entry in taken if entry.action is Action.FOUND][:1]
    for entry in promoted or found:
        if entry.previous:
            return entry.previous
    received = f"no champion before {current.bundle} in the audit" if current else f"{store} without a champion"
    raise BundleError(received, "an earlier champion", "Name a bundle with --to.")


def _load_named(named: Named, store: Path) -> Bundle:
    """Load a bundle, and prove that it is the one that was written down."""
    return Bundle.load(store / named.folder, named.sha256)
