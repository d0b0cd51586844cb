"""The layout of `newswatch.db`: what serving writes and the import of reviews reads, with its version and migrations.

Version 1:

- `articles`: one row an article. `number` counts arrivals; `time` is when it was published, or seen where that is unknown or in the future;
  `story` is the id of the first article of its story; `partial` is 1 where only the feed's own text could be had.
- `predictions`: one row per article and model; `json` is `Prediction.to_dict`, `tags` and `review` are JSON lists out of it. The newest row
  of an article is the one with the highest `number`.
- `reviews`: what a person decided; `tags` is a JSON object `{tag: [sentence, ...]}`. The newest row of an article counts.
- `carried`: the tags an article carries now: those of its newest review, or of its newest prediction where nobody has read it.
- `feeds`, `attempts`, `files`, `alerts`: what `newswatch watch` must remember between two runs; an alert's `webhook` is a hash.

Times are UTC, `YYYY-MM-DDTHH:MM:SSZ`. A change adds an entry to `MIGRATIONS`; what stands there is never edited.
"""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from newswatch_labels.errors import InputError

APPLICATION = 0x4E575354
BUSY_SECONDS = 30.0

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE articles (
            number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, outlet TEXT NOT NULL, url TEXT, title TEXT NOT NULL, text TEXT NOT NULL,
            published TEXT, seen TEXT NOT NULL, time TEXT NOT NULL, story TEXT NOT NULL, partial INTEGER NOT NULL)""",
        "CREATE INDEX articles_by_time ON articles (time, number)",
        "CREATE INDEX articles_by_outlet ON articles (outlet, time, number)",
        """CREATE TABLE predictions (
            number INTEGER PRIMARY KEY AUTOINCREMENT, article TEXT NOT NULL REFERENCES articles (id), model TEXT NOT NULL,
            json TEXT NOT NULL, tags TEXT NOT NULL, review TEXT NOT NULL, scored TEXT NOT NULL, UNIQUE (article, model))""",
        """CREATE TABLE reviews (
            number INTEGER PRIMARY KEY AUTOINCREMENT, article TEXT NOT NULL REFERENCES articles (id), reviewer TEXT NOT NULL,
            tags TEXT NOT NULL, note TEXT NOT NULL, created TEXT NOT NULL)""",
        "CREATE INDEX reviews_by_article ON reviews (article, number)",
        """CREATE TABLE carried (
            tag TEXT NOT NULL, article TEXT NOT NULL REFERENCES articles (id), PRIMARY KEY (tag, article)) WITHOUT ROWID""",
        "CREATE INDEX carried_by_article ON carried (article)",
        "CREATE TABLE feeds (url TEXT PRIMARY KEY, etag TEXT, modified TEXT, not_before TEXT) WITHOUT ROWID",
        "CREATE TABLE attempts (article TEXT PRIMARY KEY, tries INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE files (path TEXT PRIMARY KEY, size INTEGER NOT NULL, changed INTEGER NOT NULL) WITHOUT ROWID",
        """CREATE TABLE alerts (
            key TEXT PRIMARY KEY, story TEXT NOT NULL, webhook TEXT NOT NULL, body TEXT NOT NULL, created TEXT NOT NULL, sent TEXT,
            UNIQUE (story, webhook)) WITHOUT ROWID""",
    ),
)
VERSION = len(MIGRATIONS)


def open_database(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Connect to a store; where it does not exist it is made, and an older version is migrated, unless `read_only`.

    Transactions are explicit (`BEGIN`); several threads may use the connection, one at a time.

    Raises:
        InputError: the file is missing (read only), no store of newswatch, or of a version this newswatch does not know.
    """
    if read_only and not path.is_file():
        raise InputError(f"store {path}: no such file", "a newswatch.db", "Check the path.")
    address = f"file:{quote(str(path.absolute()))}?mode={'ro' if read_only else 'rwc'}"
    try:
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise InputError(f"store {path}: {error}", "a file that can be opened", "Check the folder and its permissions.") from error
    connection.row_factory = sqlite3.Row
    try:
        _prepare(connection, path, read_only)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise InputError(f"store {path}: {error}", "a newswatch.db", "Name another file.") from error
    except InputError:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, read_only: bool) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    if _known_version(connection, path) < VERSION:
        if read_only:
            raise InputError(f"store {path} of an older version", f"version {VERSION}", "Open it once with newswatch watch or serve.")
        connection.execute("PRAGMA journal_mode = WAL")
        # Another process may be doing the same: the version counts once the write lock is held.
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            for statements in MIGRATIONS[_known_version(connection, path) :]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")


def _known_version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and (version or tables):
        raise InputError(f"store {path}: another program's database", "a newswatch.db", "Name another file.")
    if version > VERSION:
        raise InputError(f"store {path} of version {version}", f"version {VERSION} or older", "Upgrade newswatch, or name another file.")
    return int(version)
