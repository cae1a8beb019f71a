"""The owner's tests: run without a mutant first, twice, and then as often as there are mutants."""

import re
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from audit.errors import UsageError
from audit.target import Target
from validation.mutation.copies import Copies, Copy
from validation.mutation.records import Record, read_record, write_selection
from validation.mutation.running import Ended, run_limited
from validation.mutation.tests_command import TestsCommand, prepare_plugin

MOST_TIME_S = 3600.0  # of the first run, of which nothing is known
_USAGE, _NO_TESTS = 4, 5  # pytest's exit statuses
_MISTAKEN = re.compile(r"file or directory not found: .*|unrecognized arguments: .*|unknown command-line option.*")


@dataclass(frozen=True, kw_only=True)
class Finished:
    """One run: how the process ended, and what was written down of it."""

    ended: Ended
    record: Record

    @property
    def is_green(self) -> bool:
        """Whether all tests passed."""
        return self.ended.status == 0 and not (self.ended.is_over_time or self.ended.is_over_memory)


@dataclass
class Suite:
    """The owner's tests in copies of the target, as many as run side by side."""

    target: Target
    command: TestsCommand
    folder: Path
    workers: int
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _green: dict[frozenset[str], bool] = field(default_factory=dict)

    @cached_property
    def copies(self) -> Copies:
        """The copies of the target."""
        return Copies(self.target, self.folder, most=self.workers)

    def require_tests(self) -> None:
        """Make the first copy, and collect the tests in it.

        Raises:
            UsageError: the target cannot be copied, or there are no tests.
        """
        with self.copies.lent() as copy:
            if not self.command.is_pytest:
                return
            done = self.run(copy, ("--collect-only", "-q"), timeout_s=MOST_TIME_S)
        if done.ended.status == _NO_TESTS:
            raise UsageError(f"--tests {self.command.text!r}: no tests found")
        if done.ended.status == _USAGE and (said := _MISTAKEN.search(done.ended.tail)):
            raise UsageError(f"--tests {self.command.text!r}: pytest says: {said.group(0)}")

    def is_green(self, tests: frozenset[str], *, timeout_s: float) -> bool:
        """Return whether these tests pass on their own without a mutant; known after the first time.

        Some pass only after others, and fail here as they would with any mutant.
        """
        with self._lock:
            known = self._green.get(tests)
        if known is None:
            with self.copies.lent() as copy:
                known = self.run(copy, timeout_s=timeout_s, tests=tests).is_green
            with self._lock:
                self._green[tests] = known
        return known

    def run(
        self,
        copy: Copy,
        more: Sequence[str] = (),
        *,
        timeout_s: float,
        tests: frozenset[str] | None = None,
        with_lines: bool = False,
    ) -> Finished:
        """Run the tests, or some of them, in a copy as it is.

        Raises:
            KeyboardInterrupt: the user asked to stop.
        """
        folder = Path(tempfile.mkdtemp(dir=self.folder, prefix="run"))
        prepare_plugin(folder)
        record = folder / "record"
        env = self.command.environment(self.target, copy.root, folder, workers=self.workers)
        env["ASTROBIO_AUDIT_RECORD"] = str(record)
        if with_lines and self.command.sees_lines:
            env["ASTROBIO_AUDIT_LINES"] = "1"
        if tests is not None:
            write_selection(folder / "selected", tests)
            env["ASTROBIO_AUDIT_SELECTED"] = str(folder / "selected")
        words = list(self.command.words)
        if self.command.is_pytest:
            words += [*more, "-o", f"cache_dir={folder / 'cache'}"]
        if not words[0].startswith("/"):
            words[0] = str(copy.root / words[0])
        try:
            ended = run_limited(
                words,
                cwd=copy.root,
                env=env,
                timeout_s=timeout_s,
                memory_bytes=self.target.settings.memory_mb * 1024 * 1024,
            )
            return Finished(ended=ended, record=read_record(record))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
