"""Processes that run the target's command: forks of this one, or new interpreters, each with a record of its steps."""

import atexit
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from importlib.abc import InspectLoader
from pathlib import Path
from typing import NoReturn, cast

import torch

from . import harness

_POLL_S = 0.01
_SAID_BYTES = 3000
_STDERR = 2
_LONGEST_TMPDIR = 70  # of the 104 bytes that a socket's path may have (BSD); torch's workers have theirs below it


class Running:
    """A process that was started, its record and its output; ended at the latest by `end`."""

    def __init__(self, pid: int, record: Path, output: Path) -> None:
        """Take it over; it leads a group of its own."""
        self.pid, self._record, self._output = pid, record, output
        self.status: int | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; its status is known afterwards."""
        if self.status is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is None

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False where it took longer and was ended."""
        deadline = time.monotonic() + seconds
        while self.is_alive:
            if time.monotonic() > deadline:
                self.end()
                return False
            time.sleep(_POLL_S)
        self.end()  # what it has left behind
        return True

    def end(self) -> None:
        """Kill it and everything in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # a fork that does not lead its group yet
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)

    @property
    def steps(self) -> int:
        """How many optimizer steps it has recorded."""
        with contextlib.suppress(OSError):
            return self._record.stat().st_size // harness.ENTRY.size
        return 0

    def described(self) -> dict[str, object]:
        """Return what it did, as plain data."""
        data = self._record.read_bytes() if self._record.exists() else b""
        entries = list(harness.ENTRY.iter_unpack(data[: len(data) // harness.ENTRY.size * harness.ENTRY.size]))
        named, dtypes = Path(f"{self._record}.named"), Path(f"{self._record}.dtypes")
        return {
            "status": self.status,
            "weights": [entry[0] for entry in entries],
            "checksums": [entry[1] for entry in entries],
            "copies": [entry[2] for entry in entries],
            "gradients": [entry[3] for entry in entries],
            "times": [entry[4] for entry in entries],
            "said": self._said(),
            "named": named.read_text(encoding="utf-8") if named.exists() else None,
            "dtypes": dtypes.read_text(encoding="utf-8").split() if dtypes.exists() else [],
        }

    def _said(self) -> str:
        with contextlib.suppress(OSError), self._output.open("rb") as file:
            file.seek(max(0, self._output.stat().st_size - _SAID_BYTES))
            return file.read().decode(errors="replace")
        return ""


def environment(source: str, folder: Path) -> dict[str, str]:
    """Return the environment of a new interpreter: the package is found there as it is here.

    What a killed one leaves in its folder for temporary files is removed with `folder`.
    """
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    return {**os.environ, **own, **_temporary(folder)}


def _temporary(folder: Path) -> dict[str, str]:
    place = folder / "tmp"
    if len(os.fsencode(place)) > _LONGEST_TMPDIR:
        return {}
    place.mkdir(exist_ok=True)
    return {"TMPDIR": str(place)}


def new_interpreter(
    words: list[str], *, folder: Path, root: str, source: str, options: Mapping[str, object]
) -> Running:
    """Run the words behind `{python}` of a command in a new interpreter."""
    record, output = _names(folder)
    given = [str(record), *(str(options[name]) for name in ("harm", "after", "max_file_bytes", "watched"))]
    line = [sys.executable, "-c", _source(), *given, *words]
    return _started(line, record, output, root=root, source=source)


def _source() -> str:
    assert harness.__spec__ is not None
    text = cast(InspectLoader, harness.__spec__.loader).get_source(harness.__name__)
    assert text is not None
    return text


def plain(words: list[str], *, folder: Path, root: str, source: str) -> Running:
    """Run a command as it is, without a record."""
    record, output = _names(folder)
    return _started(words, record, output, root=root, source=source)


def _started(line: list[str], record: Path, output: Path, *, root: str, source: str) -> Running:
    with output.open("wb") as file:
        process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=root,
            env=environment(source, output.parent),
            start_new_session=True,
        )
    running = Running(process.pid, record, output)
    process.returncode = 0  # its end is waited for by `Running` alone
    return running


def fork(words: list[str], *, folder: Path, root: str, options: Mapping[str, object]) -> Running:
    """The same in a fork of this process, where torch and the target are there already."""
    record, output = _names(folder)
    torch.set_num_threads(1)  # a fork has none of the threads of the process that it comes from
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return Running(child, record, output)
    _become(words, record, output, root, options)


def _become(words: list[str], record: Path, output: Path, root: str, options: Mapping[str, object]) -> NoReturn:
    code = 1
    try:
        os.setsid()
        with contextlib.suppress(AttributeError):
            atexit._clear()  # what was registered before belongs to the process that we come from
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, _STDERR)
        os.closerange(_STDERR + 1, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 65536 else 65536)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(_STDERR, "w", buffering=1)  # noqa: SIM115
        os.chdir(root)
        os.environ.update(_temporary(output.parent))
        tempfile.tempdir = None  # looked up before, in another environment
        _draw_anew()
        after, most = (int(str(options[name])) for name in ("after", "max_file_bytes"))
        harness.main(str(record), str(options["harm"]), after, most, str(options["watched"]), words)
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 0 if left.code is None else 1
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]  # waits for its threads, as the end of an interpreter does
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 0xFF)


def _draw_anew() -> None:
    """Seed from chance: what a command does not seed itself must differ between its runs, as in new interpreters."""
    torch.default_generator.seed()
    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def _names(folder: Path) -> tuple[Path, Path]:
    number = len(list(folder.glob("*.record")))
    record = folder / f"{number:03d}.record"
    record.touch()
    return record, folder / f"{number:03d}.output"
