"""Runs between the auditor and the target's interpreter, so that nothing of the target outlives the auditor.

Called as `python -I -S supervisor.py AUDITOR_PID DATA_LIMIT_BYTES PYTHON ARGUMENT...`: a script of its own that imports
nothing of the auditor's. It starts PYTHON, adopts every process that the target starts and leaves behind, in whatever
session, and ends with the exit status of PYTHON once all of them have ended. A signal, or the auditor's end, ends all.
The template of the target's processes (`audit.probe.template`) executes this text too, and supervises its forks by it.
"""

import contextlib
import ctypes
import os
import signal
import sys

# prctl(2)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_WATCHED = (signal.SIGCHLD, *_ENDING)
_CHECK_EVERY_S = 0.5
_MAX_ROUNDS = 60  # of killing: a process of another user, or one that the kernel holds, cannot be ended
_NOT_STARTED = 127


def main(arguments: list[str]) -> None:
    """Start the interpreter, wait for its end or a reason to end it, end what is left, and leave with its status."""
    auditor, data_limit, *command = arguments
    child = begin()
    if child == 0:
        _become(command, int(data_limit))
    _leave_as(supervise(child, parent=int(auditor)))


def begin() -> int:
    """Adopt what the child to come leaves behind, and fork it; return as `os.fork` does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return child


def supervise(child: int, *, parent: int) -> int | None:
    """Return the child's wait status once nothing below this process is left; None when all was to be ended."""
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)  # the child alone holds the connection, so that its end is seen
    os.dup2(0, 1)
    status = _wait(child, parent)
    _end_descendants()
    return status


def descendants(root: int) -> list[int]:
    """Return every process below `root`, nearest first."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                children.setdefault(_parent(name), []).append(int(name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def _parent(pid: str) -> int:
    # Fields after the command, which is in parentheses and may itself contain spaces and parentheses: state, parent,
    # ... (proc(5)).
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def stand_alone(data_limit: int) -> None:
    """Hold the child to its limits, in a session of its own: what it sends to its group must not reach us."""
    os.setsid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # should something kill us outright
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if data_limit:
        resource.setrlimit(resource.RLIMIT_DATA, (data_limit, data_limit))


def _become(command: list[str], data_limit: int) -> None:
    """Become the target's interpreter."""
    try:
        stand_alone(data_limit)
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode(errors="backslashreplace"))
    finally:
        os._exit(_NOT_STARTED)


def _wait(child: int, parent: int) -> int | None:
    """Return the child's wait status once it has ended; None when all is to be ended first."""
    while True:
        ended = _reaped()
        if child in ended:
            return ended[child]
        told = signal.sigtimedwait(_WATCHED, _CHECK_EVERY_S)
        if (told and told.si_signo in _ENDING) or os.getppid() != parent:
            return None


def _reaped() -> dict[int, int]:
    """Take leave of every child that has ended; return their wait statuses."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while (waited := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            ended[waited[0]] = waited[1]
    return ended


def _end_descendants() -> None:
    for _ in range(_MAX_ROUNDS):  # processes may start others while they are being ended
        left = descendants(os.getpid())
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        signal.sigtimedwait((signal.SIGCHLD,), _CHECK_EVERY_S)
        _reaped()


def _leave_as(status: int | None) -> None:
    """End as the child did: with its exit status, or by its signal."""
    if status is None:
        os._exit(0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError):  # that of SIGKILL cannot be set, and need not be
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
