"""What takes over on the other side: runs a command of the toolkit and sends what it prints, as it prints it."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING

from audit.elsewhere.starting import difference

if TYPE_CHECKING:
    import execnet

ALIVE_EVERY_S = 5.0
STOP = "stop"
_END = "end"
_READ_BYTES = 256 * 1024
_PARTIAL_S = 60.0  # how long a command has to write what it has measured, once it is told to stop
_PR_SET_PDEATHSIG = 1
# The folder is the target's: with `-m` its packages would come before the toolkit's.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); sys.argv[0] = 'astrobio-audit'; "
    "from audit.cli import main; main()"
)


def serve(channel: "execnet.Channel", given: Mapping[str, object]) -> None:
    """Run the command in the present folder; end it where the coordinator says so, or is gone."""
    if problem := difference(given):
        channel.send(("refused", problem))
        return
    words = given["words"]
    assert isinstance(words, list)
    channel.send(("started",))
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "ASTROBIO_AUDIT_PROGRESS": "lines", "PYTHONUNBUFFERED": "1"},
        preexec_fn=_end_with_parent,
    )

    def obey(message: object) -> None:
        process.send_signal(signal.SIGINT)
        if message == _END and process.poll() is None:  # nobody is there any more; some commands keep what they have
            killer = threading.Timer(_PARTIAL_S, process.kill)
            killer.daemon = True
            killer.start()

    channel.setcallback(obey, endmarker=_END)
    assert process.stdout
    assert process.stderr
    ended = threading.Event()
    threads = [
        threading.Thread(target=_pass_on, args=(channel, "out", process.stdout), daemon=True),
        threading.Thread(target=_pass_on, args=(channel, "err", process.stderr), daemon=True),
    ]
    threading.Thread(target=_tell_alive, args=(channel, ended), daemon=True).start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    status = process.wait()
    ended.set()
    try:
        channel.send(("ended", status))
    except OSError:  # nobody reads any more
        return


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _pass_on(channel: "execnet.Channel", kind: str, stream: IO[bytes]) -> None:
    with stream:
        while chunk := os.read(stream.fileno(), _READ_BYTES):
            try:
                channel.send((kind, chunk))
            except OSError:  # read on, so that the command can end
                continue


def _tell_alive(channel: "execnet.Channel", ended: threading.Event) -> None:
    while not ended.wait(ALIVE_EVERY_S):
        try:
            channel.send(("alive",))
        except OSError:
            return
