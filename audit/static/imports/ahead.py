"""A forecast in a process of its own, so that it is made while this one makes the inventory: it needs nothing of it.

What the process finds out it leaves in the store, where whoever asks for the forecast afterwards finds it. Where it has
left nothing, for whatever reason, the forecast is made by whoever asks.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from audit.static.analysis import StaticAnalysis
from audit.static.encoding import Codec
from audit.static.imports.forecast import forecast
from audit.static.memory import give_back
from audit.static.reading import UnreadableFile
from audit.static.record import record_of
from audit.static.records import Records
from audit.static.sources import SourceFile
from audit.static.store import FactStore
from audit.stopping import stop_if_wanted
from audit.target import Target

# Below this, what the process costs until it is ready (0.3 s of CPU) is more than what it takes off this one.
MIN_FILES = 1000
_COMMAND = (sys.executable, "-I", "-S", "-c")
_CODE = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from audit.static.imports.ahead import main; main()"
_HOUSE = str(Path(__file__).parents[3])  # found by an import hook, it is not on the path
_POLL_S = 0.05
_UNREADABLE = Codec[tuple[UnreadableFile, ...]](tuple[UnreadableFile, ...])


class ForecastAhead:
    """The process, or none where it would not pay or cannot be started."""

    def __init__(self, process: "subprocess.Popen[bytes] | None" = None) -> None:
        """Watch over the process."""
        self._process = process

    @classmethod
    def of(
        cls, analysis: StaticAnalysis, target: Target, *, search: Sequence[Path] = (), undecided: Set[str] = frozenset()
    ) -> Self:
        """Begin the forecast of files that have been read; of the `analysis` neither inventory nor findings matter."""
        store = analysis.store
        if target.workers == 1 or target.probe or len(analysis.files) < MIN_FILES or not (store and store.flushed()):
            return cls()
        request = _request(analysis, target, store, search=search, undecided=undecided)
        path = json.dumps([_HOUSE, *(os.path.abspath(entry) for entry in sys.path if entry)])
        give_back()
        try:
            process = subprocess.Popen(
                [*_COMMAND, _CODE, path],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(os.environ),  # which the forecast depends on; a library can have set more behind Python's back
            )
        except OSError:
            return cls()
        assert process.stdin
        with suppress(OSError):  # a dead process has left nothing in the store
            process.stdin.write(request)
            process.stdin.flush()
        return cls(process)

    @property
    def is_running(self) -> bool:
        """Whether the process is still at it."""
        return self._process is not None and self._process.poll() is None

    def wait(self) -> None:
        """Return when the process has ended. Raises what Ctrl-C raises, where that ends the run."""
        if self.is_running:  # it takes most memory towards its end
            give_back()
        while self._process:
            stop_if_wanted()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_POLL_S)
                self.close()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process:
            process.kill()
            process.wait()
            assert process.stdin
            with suppress(OSError):
                process.stdin.close()


def _request(
    analysis: StaticAnalysis, target: Target, store: FactStore, *, search: Iterable[Path], undecided: Iterable[str]
) -> bytes:
    """Return what the process has to know, as one line of JSON."""
    asked = {
        "target": target.model_dump(mode="json"),
        "store": str(store.folder),
        "files": [(str(file.path), file.relative, file.module) for file in analysis.files],
        "digests": analysis.file_digests,
        "unreadable": _UNREADABLE.encode(analysis.unreadable),
        "given": analysis.given(),
        "search": list(map(str, search)),
        "undecided": sorted(undecided),
    }
    return json.dumps(asked).encode() + b"\n"


def main() -> None:
    """Make the forecast that standard input asks for, and end when the caller does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the caller as well, who ends this process
    gc.disable()  # see `audit.static.records`
    asked = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with, args=(sys.stdin.buffer,), daemon=True).start()
    target = Target.model_validate(asked["target"])
    files = tuple(SourceFile(Path(path), relative, module) for path, relative, module in asked["files"])
    digests, unreadable, given = asked["digests"], _UNREADABLE.decode(asked["unreadable"]), tuple(asked["given"])
    search, undecided, folder = list(map(Path, asked["search"])), frozenset(asked["undecided"]), Path(asked["store"])
    del asked
    with FactStore(folder) as store:
        analysis = StaticAnalysis(
            files=files,
            unreadable=unreadable,
            skipped_trees=(),
            inventory=(),
            file_digests=digests,
            records=Records.known(files, record_of, digests=digests, unreadable=unreadable, store=store),
            store=store,
            given=lambda: given,
        )
        forecast(analysis, target, search=search, undecided=undecided)
    os._exit(0)  # freeing what the forecast has made takes 0.1 s


def _end_with(caller: IO[bytes]) -> None:
    """End this process when the caller's end of its standard input is closed."""
    caller.read()
    os._exit(1)
