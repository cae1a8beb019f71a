"""Rows as they are finished, on the disk, so that a run that was killed goes on where it was."""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from audit.report.files import WriteError, write_atomically
from validation.benchmark.document import Ceiling
from validation.benchmark.rows import Row

NAME = "bench.journal.jsonl"


def key_of(facts: Mapping[str, object]) -> str:
    """Return a digest of everything that must be the same for rows of an earlier run to count in this one."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


class Journal:
    """A file with a line for the key, then one for each ceiling and row; half a line at its end is not read."""

    def __init__(self, path: Path, key: str, *, fresh: bool) -> None:
        """Read what an earlier run with the same key has left, unless `fresh`, and go on behind it.

        Raises:
            WriteError: the file cannot be written.
        """
        self._path = path
        self.rows: dict[tuple[str, str], Row] = {}
        self.unsettled: dict[tuple[str, str], Row] = {}  # asked by an earlier run, and worth asking again
        self.ceilings: dict[str, Ceiling] = {}
        kept = [] if fresh else self._read(key)
        # Written anew, for a line that was cut off must not swallow the next one; at once, for this can be killed too.
        first: dict[str, object] = {"key": key}
        write_atomically(path, "".join(json.dumps(line) + "\n" for line in (first, *kept)))
        try:
            self._file = path.open("a")
        except OSError as error:
            raise self._unwritten(error) from error

    def _read(self, key: str) -> list[dict[str, object]]:
        try:
            lines = self._path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError):
            return []
        kept: list[dict[str, object]] = []
        for number, line in enumerate(lines):
            try:
                read = json.loads(line)
            except ValueError:
                continue
            if not isinstance(read, dict) or (number == 0 and read != {"key": key}):
                return []
            with contextlib.suppress(ValidationError):  # of another version
                if "row" in read:
                    row = Row.model_validate_json(json.dumps(read["row"]))
                    known = self.rows if row.outcome.is_settled else self.unsettled
                    known[row.key] = row
                    kept.append(read)
                elif "ceiling" in read:
                    ceiling = Ceiling.model_validate(read["ceiling"])
                    self.ceilings[ceiling.dtype] = ceiling
                    kept.append(read)
        return kept

    def add_row(self, row: Row) -> None:
        """Keep a row, flushed to the disk."""
        self.rows[row.key] = row
        self._write({"row": row.model_dump(mode="json")})

    def add_ceiling(self, ceiling: Ceiling) -> None:
        """Keep a ceiling."""
        self.ceilings[ceiling.dtype] = ceiling
        self._write({"ceiling": ceiling.model_dump(mode="json")})

    def _write(self, line: Mapping[str, object]) -> None:
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: OSError) -> WriteError:
        return WriteError(f"{self._path}: could not be written: {error.strerror or error}")

    def close(self) -> None:
        """Close the file, which stays: whoever has written the document removes it."""
        self._file.close()
