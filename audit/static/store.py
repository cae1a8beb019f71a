"""What was learned about files in earlier runs: one SQLite file in the user's cache folder.

A fact is found by a key made of everything that it depends on, so nothing in the store is ever out of date, and a
file that is unchanged is found without being opened. Rows are text with a checksum. Nobody but the user can write to
the folder, and a text that someone did write is decoded as data: it can say something false, as any program of that
user can, but run nothing.

A store that is corrupt or of another kind is replaced by an empty one, and one that cannot be written is done
without: no run fails for want of it.
"""

import hashlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from audit import plugins

FOLDER_VARIABLE = "ASTROBIO_AUDIT_CACHE"
LIMIT_BYTES = 512 * 1024 * 1024  # 6,606 files of torch, transformers, diffusers and timm take 34 MB
_NAME = "facts-1.sqlite"  # a change of the tables changes the number
_APPLICATION_ID = 0x41734175  # "AsAu"
_TABLES = """
CREATE TABLE facts (key BLOB PRIMARY KEY, used INTEGER, sum BLOB, text TEXT) WITHOUT ROWID;
CREATE TABLE states (path BLOB PRIMARY KEY, used INTEGER, sum BLOB, state TEXT, digest TEXT) WITHOUT ROWID;
CREATE INDEX facts_by_use ON facts (used);
CREATE INDEX states_by_use ON states (used);
"""
_STATE = "SELECT path, used, sum, state, digest FROM states"
_FACT = "SELECT used, sum, text FROM facts WHERE key = ?"
# Three tenths at a time, so that not every run has to.
_REMOVE_OLDEST = (
    "DELETE FROM facts WHERE key IN "
    "(SELECT key FROM facts ORDER BY used LIMIT (SELECT (count(*) * 3 + 9) / 10 FROM facts))",
    "DELETE FROM states WHERE path IN "
    "(SELECT path FROM states ORDER BY used LIMIT (SELECT (count(*) * 3 + 9) / 10 FROM states))",
)
_BUSY_S = 5.0
_BATCH = 500
_MANY = 50  # files of one tree stand side by side in the table, so that most rows between them are theirs
_DAY_S = 86_400
_Found = TypeVar("_Found")


def cache_folder() -> Path:
    """Return where the store is: `ASTROBIO_AUDIT_CACHE`, else `astrobio-audit` in the user's cache folder."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME", "")
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        home = os.devnull  # a user without a home has no store either
    return (Path(base) if os.path.isabs(base) else Path(home) / ".cache") / "astrobio-audit"


@cache
def analyser_digest() -> bytes:
    """Return a digest of what facts depend on besides the file: this package's sources and tables, the plug-ins, and
    the Python.
    """
    reader = f"{sys.version} {sys.get_int_max_str_digits()}"  # the environment sets the second
    total = hashlib.blake2b(reader.encode(), digest_size=16)
    folder = Path(__file__).parent
    for path in sorted((*folder.rglob("*.py"), *folder.rglob("*.json"))):
        content = path.read_bytes()
        total.update(f"{path.name}\0{len(content)}\0".encode() + content)
    total.update(plugins.digest().encode())
    return total.digest()


def fact_key(*given: str) -> bytes:
    """Return the key of a fact that is made of what is `given`: a function's name, a file's name and digest."""
    parts = "\0".join(given)
    return hashlib.blake2b(analyser_digest() + parts.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _sum(*parts: object) -> bytes:
    total = hashlib.blake2b(digest_size=8)
    for part in parts:
        if not isinstance(part, str | bytes):  # SQLite holds any type in any column
            raise TypeError(f"{type(part).__name__} in place of a text")
        total.update((part if isinstance(part, bytes) else part.encode()) + b"\0")
    return total.digest()


class FactStore:
    """Facts by key, and digests of contents by path and state. Usable as a context manager; nothing it does raises."""

    def __init__(self, folder: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        """Open the store in `folder`, which is created where it is missing."""
        self.folder = folder
        self._path = folder / _NAME
        self._limit_bytes = limit_bytes
        self._today = int(time.time()) // _DAY_S
        self._facts: list[tuple[bytes, int, bytes, str]] = []
        self._states: list[tuple[bytes, int, bytes, str, str]] = []
        self._used: dict[str, list[bytes]] = {"facts": [], "states": []}
        self._connection: sqlite3.Connection | None = None
        with suppress(OSError, sqlite3.Error, ValueError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_uid == os.geteuid():  # what another user can write is not believed
                self._connection = self._opened()

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store; what a run that was stopped has learned is kept."""
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether what is added may be there to be asked for; what has failed once is closed."""
        return self._connection is not None

    @property
    def is_empty(self) -> bool:
        """Whether there is no fact at all, so that looking for one is in vain."""
        return self._attempt(lambda db: db.execute("SELECT 1 FROM facts LIMIT 1").fetchone(), None) is None

    def flushed(self) -> bool:
        """Write what is left; return whether another process finds there what was added."""
        self._write()
        return self.is_open

    def states(self, paths: Sequence[Path]) -> dict[Path, tuple[str, str]]:
        """Return for every path that is known its last settled state, and the digest of its content in that state."""

        def find(connection: sqlite3.Connection) -> dict[Path, tuple[str, str]]:
            keys = {os.fsencode(path): path for path in paths}
            found = {}
            for key, used, total, state, digest in _states_among(connection, sorted(keys)):
                if key in keys and total == _sum(key, state, digest):
                    found[keys[key]] = (state, digest)
                    self._note_use("states", key, used)
            return found

        return self._attempt(find, {})

    def facts(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        """Return the texts of those keys that are known."""
        if self._facts:
            self._write()

        def find(connection: sqlite3.Connection) -> dict[bytes, str]:
            found = {}
            for key in keys:
                row = connection.execute(_FACT, (key,)).fetchone()
                if row and row[1] == _sum(key, row[2]):
                    found[key] = row[2]
                    self._note_use("facts", key, row[0])
            return found

        return self._attempt(find, {})

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of `keys` under which there is a text, which is not read."""

        def find(connection: sqlite3.Connection) -> set[bytes]:
            found = set()
            for key in keys:
                row = connection.execute("SELECT used FROM facts WHERE key = ?", (key,)).fetchone()
                if row:
                    found.add(key)
                    self._note_use("facts", key, row[0])
            return found

        return self._attempt(find, set())

    def add_fact(self, key: bytes, text: str) -> None:
        """Keep a fact."""
        self._facts.append((key, self._today, _sum(key, text), text))
        if len(self._facts) >= _BATCH:
            self._write()

    def add_state(self, path: Path, state: str, digest: str) -> None:
        """Keep what content the file has while it is in this state."""
        key = os.fsencode(path)
        self._states.append((key, self._today, _sum(key, state, digest), state, digest))

    def close(self) -> None:
        """Write what is left, remove what has not been used for longest where there is too much, and close."""
        self._write()
        self._attempt(self._bound_size, None)
        if self._connection:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _note_use(self, table: str, key: bytes, used: int) -> None:
        if used != self._today:  # once a day, so that most runs write nothing
            self._used[table].append(key)

    def _write(self) -> None:
        if self._facts or self._states or any(self._used.values()):
            self._attempt(self._write_all, None)
        self._facts.clear()
        self._states.clear()
        self._used = {"facts": [], "states": []}

    def _write_all(self, connection: sqlite3.Connection) -> None:
        with connection:
            connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)", self._facts)
            connection.executemany("INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?)", self._states)
            for table, column in (("facts", "key"), ("states", "path")):
                rows = [(self._today, key) for key in self._used[table]]
                connection.executemany(f"UPDATE {table} SET used = ? WHERE {column} = ?", rows)

    def _bound_size(self, connection: sqlite3.Connection) -> None:
        while _size(connection) > self._limit_bytes:
            with connection:
                removed = sum(connection.execute(statement).rowcount for statement in _REMOVE_OLDEST)
            if not removed:
                return

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except (sqlite3.Error, ValueError) as error:
            if not _is_unfit(error):
                raise
            self._remove()
            return self._connected()

    def _connected(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level="IMMEDIATE", check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")  # readers and one writer do not wait for each other
            connection.execute("PRAGMA synchronous = OFF")  # after a power cut it is made anew
            if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
                _create_tables(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _attempt(self, action: Callable[[sqlite3.Connection], _Found], otherwise: _Found) -> _Found:
        """Return what `action` does with the store; without one, or where it fails, `otherwise`."""
        if self._connection is None:
            return otherwise
        try:
            return action(self._connection)
        except (sqlite3.Error, ValueError, TypeError, OSError) as error:
            unfit = _is_unfit(error)
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
            if unfit:
                with suppress(OSError, sqlite3.Error):
                    self._remove()
                    self._connection = self._connected()
            return otherwise

    def _remove(self) -> None:
        for suffix in ("-wal", "-shm", ""):
            self._path.with_name(_NAME + suffix).unlink(missing_ok=True)


def _states_among(
    connection: sqlite3.Connection, keys: Sequence[bytes]
) -> Iterator[tuple[bytes, int, bytes, str, str]]:
    """Yield the rows of the sorted `keys`: of many, in one query, with rows between them that are of others."""
    if len(keys) < _MANY:
        for key in keys:
            yield from connection.execute(f"{_STATE} WHERE path = ?", (key,))
    else:
        yield from connection.execute(f"{_STATE} WHERE path BETWEEN ? AND ?", (keys[0], keys[-1]))


def _size(connection: sqlite3.Connection) -> int:
    """Return the bytes that rows take; pages that were freed are filled again before the file grows."""
    pages, free, page_bytes = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page_bytes)


def _create_tables(connection: sqlite3.Connection) -> None:
    """Fill an empty file. Of two runs that do so at once the second finds the tables of the first."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA application_id").fetchone()[0] == _APPLICATION_ID:
            return
        for statement in _TABLES.strip().splitlines():
            connection.execute(statement)  # fails on a file of another kind that has these tables
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")


def _is_unfit(error: Exception) -> bool:
    """Whether the file is corrupt or no store, rather than busy, on a full disk or not to be written."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
