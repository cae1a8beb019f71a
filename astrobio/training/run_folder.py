"""The folder of a run: what it is (run.json), its loss curve (log.jsonl), checkpoints and figures (figures.json)."""

import fcntl
import json
import math
import os
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path
from typing import BinaryIO, cast

from torch import Tensor

from astrobio.training.checkpoints import Checkpoint, load_newest, save_checkpoint
from astrobio.training.errors import RunFolderError, WriteError
from astrobio.training.files import sync_folder, write_file, write_json
from astrobio.training.run_identity import read_identity
from astrobio.training.run_state import Json

RUN_FILE = "run.json"
LOG_FILE = "log.jsonl"
FIGURES_FILE = "figures.json"
_LOCK_FILE = ".lock"


class RunFolder:
    """One run on the disk; only one process at a time trains in it."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is read or written yet."""
        self.path = path
        self._log: BinaryIO | None = None
        self._lock: FileIO | None = None

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are."""
        return self.path / "checkpoints"

    def begin(self, identity: Json) -> None:
        """Create the folder of a new run and open its log.

        Raises:
            RunFolderError: the folder already holds a run, or files that are not ours.
            WriteError: it cannot be written.
        """
        if (self.path / RUN_FILE).exists():
            raise RunFolderError(f"{self.path} already holds a run; resume it, or choose another output folder")
        if self.path.exists() and (not self.path.is_dir() or any(self._foreign())):
            raise RunFolderError(f"{self.path} is not an empty folder; choose another output folder")
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{self.path} cannot be created: {error.strerror}") from error
        self._take_lock()
        write_json(self.path / RUN_FILE, identity)
        self._open_log()

    def go_on(self, identity: Json, *, report: Callable[[str], None]) -> Checkpoint | None:
        """Open the folder of an interrupted run and its newest good checkpoint; the log is cut back to its step.

        Raises:
            RunFolderError: there is no run, or it is another one, or all its checkpoints are damaged.
            WriteError: the log cannot be written.
        """
        there = self.identity()
        differing = [name for name, value in identity.items() if there.get(name) != value and name not in _MAY_DIFFER]
        if differing:
            told = "; ".join(f"{name} is {there.get(name)!r}, not {identity[name]!r}" for name in differing)
            raise RunFolderError(f"{self.path} holds another run: {told}")
        for name in _MAY_DIFFER:
            if there.get(name) != identity.get(name):
                report(
                    f"{name} was {there.get(name)} and is {identity.get(name)}: the result may differ in its last bits"
                )
        self._take_lock()
        checkpoint = load_newest(self.checkpoints, report=report)
        self._cut_log(checkpoint.step if checkpoint else 0, report=report)
        self._open_log()
        return checkpoint

    def identity(self) -> Json:
        """What kind of run this is, as `begin` was told.

        Raises:
            RunFolderError: there is no run, or what is said of it is nonsense.
        """
        try:
            identity = read_identity((self.path / RUN_FILE).read_bytes())
        except OSError as error:
            raise RunFolderError(f"{self.path} holds no run: {RUN_FILE} is missing or unreadable") from error
        except ValueError as error:
            raise RunFolderError(f"{self.path} holds no run: {RUN_FILE} {error}") from error
        return identity

    def log(self, record: Mapping[str, float]) -> None:
        """Append one step to the loss curve; what is not finite, such as an overflowing gradient norm, becomes null.

        Raises:
            WriteError: the disk is full.
        """
        if self._log is None:
            raise AssertionError("the run was not begun")
        try:
            finite = {name: value if math.isfinite(value) else None for name, value in record.items()}
            self._log.write(json.dumps(finite, allow_nan=False).encode() + b"\n")
        except OSError as error:
            raise WriteError(f"{self.path / LOG_FILE} cannot be written: {error.strerror}") from error

    def save(self, step: int, tensors: Mapping[str, Tensor], state: Json, *, keep: int) -> None:
        """Write the checkpoint of a step, after the loss curve up to it.

        Raises:
            WriteError: it cannot be written; older ones are intact.
        """
        self._sync_log()
        save_checkpoint(self.checkpoints, step, tensors, state, keep=keep)

    def write_figures(self, figures: Json) -> None:
        """Write what was measured on held-out data; raises WriteError."""
        write_json(self.path / FIGURES_FILE, figures)

    def curve(self) -> list[dict[str, float | None]]:
        """The loss curve, up to the first line that a crash left cut off or unreadable."""
        try:
            lines = (self.path / LOG_FILE).read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        records: list[dict[str, float | None]] = []
        for line in lines:
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                break
            if not isinstance(record, dict) or type(record.get("step")) is not int:
                break
            records.append(record)
        return records

    def close(self) -> None:
        """Close the log and let other processes train here; raises WriteError where the log's end does not fit."""
        log, self._log = self._log, None
        lock, self._lock = self._lock, None
        try:
            if log is not None:
                log.close()
        except OSError as error:
            raise WriteError(f"{self.path / LOG_FILE} cannot be written: {error.strerror}") from error
        finally:
            if lock is not None:
                lock.close()

    def _foreign(self) -> list[str]:
        ours = {"checkpoints", _LOCK_FILE, f".{RUN_FILE}.partial"}  # left by a run that ended before it began
        return [each.name for each in self.path.iterdir() if each.name not in ours]

    def _take_lock(self) -> None:
        try:
            self._lock = FileIO(self.path / _LOCK_FILE, "a")
        except OSError as error:
            raise WriteError(f"{self.path} cannot be written to: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise RunFolderError(f"another process is training in {self.path}") from error

    def _open_log(self) -> None:
        try:
            self._log = (self.path / LOG_FILE).open("ab")
            sync_folder(self.path)
        except OSError as error:
            raise WriteError(f"{self.path / LOG_FILE} cannot be written: {error.strerror}") from error

    def _sync_log(self) -> None:
        if self._log is None:
            raise AssertionError("the run was not begun")
        try:
            self._log.flush()
            os.fsync(self._log.fileno())
        except OSError as error:
            raise WriteError(f"{self.path / LOG_FILE} cannot be written: {error.strerror}") from error

    def _cut_log(self, step: int, *, report: Callable[[str], None]) -> None:
        kept = [record for record in self.curve() if cast(int, record["step"]) <= step]
        if len(kept) != step:
            report(f"{LOG_FILE} is damaged: of the first {step} steps {step - len(kept)} are missing")
        write_file(self.path / LOG_FILE, b"".join(json.dumps(record).encode() + b"\n" for record in kept))


# Another version may compute other bits; that is said, and no reason to refuse.
_MAY_DIFFER = ("version", "torch")
