"""Executed in a process that imports torch and the probe once, and whose forks then are the target's processes.

No code of the target's runs here. A fork is what a plain start would be by the time it has imported as much: same
command line, environment and folder, standard streams of its own, and nothing else that is open. It goes on by reading
execnet's first line. Between this process and a fork stands a supervisor, a fork as well.

The seed of the hashes of texts, which Python draws once, is the same in all forks; random numbers are not.
"""

import contextlib
import gc
import importlib
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Protocol, cast

HERE, READY, UNFIT = b"here\n", b"ready\n", b"unfit\n"
REQUEST_BYTES = 64
_IDLE_S = 300.0
_SAID_BYTES = 2**20


class _Supervisor(Protocol):
    begin: Callable[[], int]
    supervise: Callable[..., int | None]
    stand_alone: Callable[[int], None]


def serve(
    supervisor: _Supervisor, boot: dict[str, object], sources: dict[str, str], said: int, ahead: Sequence[str]
) -> None:
    """Import the probe, then fork for each request; returns in the forks alone.

    Standard input is a socket: by it come requests, a limit of data in bytes with four descriptors: the fork's standard
    streams, and a socket that the supervisor answers to, first with its process, later with the fork's exit status.

    Args:
        supervisor: the namespace of `audit.gateway.supervisor`.
        boot: that of `audit.probe.bootstrap`.
        sources: the probe's modules.
        said: where what is written to standard output and standard error can be read.
        ahead: modules of the interpreter's that its forks will import anyhow.
    """
    connection = socket.socket(fileno=os.dup(0))
    connection.sendall(HERE)
    sys.dont_write_bytecode = True
    finder = cast(Callable[[dict[str, str]], object], boot["ProbeModules"])(sources)
    sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
    gc.disable()  # it would go again and again through what is imported, and nearly all of that stays
    importlib.import_module(f"{boot['NAME']}.server").procedures_by_name()
    for name in ahead:
        with contextlib.suppress(ImportError):  # another version's; what needs it says so in the fork
            importlib.import_module(name)
    importlib.import_module(f"{boot['NAME']}.opened").look_ahead()
    if not _is_fit({0, 1, 2, said, connection.fileno()}):
        connection.sendall(UNFIT)
        os._exit(1)
    os.set_blocking(said, False)
    words = _read(said)
    own = os.getpid()
    # What is there by now stays: no fork's collector goes through it again, and so copies none of its pages.
    gc.freeze()
    gc.enable()
    connection.sendall(READY)
    while True:
        data_limit, descriptors = _request(connection)
        if os.fork() == 0:
            try:
                _supervised(supervisor, own, data_limit, descriptors, words)
            except BaseException:  # must not become a template itself; the auditor sees the connection close
                os._exit(1)
            return
        for descriptor in descriptors:
            os.close(descriptor)


def _request(connection: socket.socket) -> tuple[int, list[int]]:
    """Wait for a request; leave when there was none for long and nothing runs, or will be none and all have ended."""
    connection.settimeout(_IDLE_S)
    while True:
        try:
            data, descriptors, *_ = socket.recv_fds(connection, REQUEST_BYTES, 4)
        except TimeoutError:
            if not _has_children():
                os._exit(0)
            continue
        if not data:
            _has_children(os.WEXITED)
            os._exit(0)
        _has_children()
        return int(data), descriptors


def _has_children(how: int = os.WEXITED | os.WNOHANG) -> bool:
    """Take leave of those that have ended, so that their time counts; whether others are left."""
    try:
        while os.waitid(os.P_ALL, 0, how):
            pass
    except ChildProcessError:
        return False
    return True


def _supervised(supervisor: _Supervisor, template: int, data_limit: int, descriptors: list[int], words: bytes) -> None:
    """Fork the target's process and return in it; here, wait for its end, say how it ended, and leave."""
    *streams, answers = descriptors
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.setsid()
    child = supervisor.begin()
    if child == 0:
        before = set(sys.modules)
        supervisor.stand_alone(data_limit)
        for name in set(sys.modules) - before:
            del sys.modules[name]  # the target may have a module of that name
        _close_all_but({0, 1, 2})
        sys.stderr.buffer.write(words)
        _draw_anew()
        return
    _close_all_but({0, 1, 2, answers})
    own = os.pidfd_open(os.getpid())  # a number may be another process's by the time it is used, this may not
    with socket.socket(fileno=answers) as auditor:
        socket.send_fds(auditor, [str(os.getpid()).encode()], [own])
        status = supervisor.supervise(child, parent=template)
        with contextlib.suppress(OSError):  # the auditor wants to know no more
            auditor.sendall(str(0 if status is None else os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _draw_anew() -> None:
    """Seed what was seeded from chance as it was imported; Python's own `random` sees to that by itself."""
    sys.modules["torch"].default_generator.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def _is_fit(known: set[int]) -> bool:
    """Whether forks of this process are as good as new: no other thread, process or open file that one would share."""
    child = os.fork()  # numpy's library ends its threads before each fork and starts them when they are needed
    if child == 0:
        os._exit(int(sys.modules["torch"].cuda._is_in_bad_fork()))
    if os.waitpid(child, 0)[1] != 0:
        return False
    return not _has_children() and len(os.listdir("/proc/self/task")) == 1 and _open_descriptors() <= known


def _open_descriptors() -> set[int]:
    found = {int(name) for name in os.listdir("/proc/self/fd")}
    return {each for each in found if os.path.exists(f"/proc/self/fd/{each}")}  # less that of the listing itself


def _close_all_but(kept: set[int]) -> None:
    for descriptor in _open_descriptors() - kept:
        os.close(descriptor)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _SAID_BYTES)
    except BlockingIOError:
        return b""
