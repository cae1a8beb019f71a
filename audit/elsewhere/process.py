"""A process of the toolkit, here or over ssh, that execnet talks to: started, spoken to and ended within limits."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable

import execnet
from execnet.gateway_base import Popen2IO, get_execmodel
from execnet.gateway_bootstrap import HostNotFound, bootstrap
from execnet.gateway_io import popen_args, ssh_args

from audit.elsewhere.specs import GatewaySpec
from audit.gateway.output import OutputTail
from audit.report.text import one_line

# A connection over ssh takes seconds, and the toolkit on a slow disk as long again.
START_TIMEOUT_S = 60.0
_POLL_S = 0.1
# The process ends what it has started once its input is closed; execnet interrupts it after 5 s and ends it after 15.
_END_TIMEOUT_S = 16.0
_MAX_MESSAGE_BYTES = 80 * 1024 * 1024  # of a reply with its frame; as text it may be twice the limit of its content
_SSH_OPTIONS = (
    "-o", "BatchMode=yes",  # nobody is there to type a password
    "-o", f"ConnectTimeout={int(START_TIMEOUT_S) // 2}",
    "-o", "ServerAliveInterval=15",  # a network that went away ends the connection within a minute
    "-o", "ServerAliveCountMax=4",
)  # fmt: skip


class GatewayEnded(Exception):
    """The other side cannot be used, or not any more; says why in one line."""


class _Process(Popen2IO):
    """The local end of a connection: the interpreter itself, or ssh."""

    def __init__(self, spec: GatewaySpec) -> None:
        command = popen_args(spec.spec) if spec.is_here else ssh_args(spec.spec)
        if not spec.is_here:
            command[1:1] = _SSH_OPTIONS
            self.remoteaddress = spec.spec.ssh  # tells execnet what status 255 means
        self.popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the coordinator's affair
        )
        assert self.popen.stderr
        self.output = OutputTail(self.popen.stderr)
        super().__init__(self.popen.stdin, self.popen.stdout, execmodel=get_execmodel("thread"))

    def read(self, numbytes: int) -> bytes:
        """Read exactly so many bytes; called by execnet. Raises EOFError where there are no more, or too many."""
        if numbytes > _MAX_MESSAGE_BYTES:
            raise EOFError(f"a message of {numbytes} bytes")
        data: bytes = super().read(numbytes)
        return data

    def close_write(self) -> None:
        """Close the way to the other side; called by execnet."""
        with contextlib.suppress(OSError):
            super().close_write()

    def wait(self) -> int | None:
        """Return the exit status; called by execnet after the end of the connection."""
        try:
            return self.popen.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it and what it has started here, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)


class Connection:
    """One gateway with one channel. `close` may be called from any thread, and twice."""

    def __init__(self, spec: GatewaySpec, source: str, *, is_stopping: Callable[[], bool] = lambda: False) -> None:
        """Start the process and execute `source` there.

        Raises:
            GatewayEnded: it does not start within the time, or is no Python, or cannot be reached.
        """
        self.name = spec.name
        self._process: _Process | None = None
        try:
            self._process = process = _Process(spec)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise GatewayEnded(f"cannot be started: {reason}") from error
        started: list[execnet.Gateway] = []
        problems: list[str] = []
        spec.spec.execmodel = "main_thread_only"  # what it does there must not be in the way of signals
        spec.spec.id = "gateway"

        def connect() -> None:
            try:
                started.append(bootstrap(process, spec.spec))
            except HostNotFound:
                problems.append("ssh does not reach the host")
            except (OSError, AssertionError, EOFError):
                problems.append("no Python answers there")

        starter = threading.Thread(target=connect, name="gateway-start", daemon=True)
        starter.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while starter.is_alive() and time.monotonic() < deadline and not is_stopping():
            starter.join(_POLL_S)
        if not started or problems:
            silent = f"no answer within {START_TIMEOUT_S:.0f} s" if starter.is_alive() else "no Python answers there"
            self.close(at_once=True)
            starter.join(_END_TIMEOUT_S)
            if not started:  # execnet's receiver closes them once there is one
                process.close_read()
                process.close_write()
            raise GatewayEnded(self._with_output(problems[0] if problems else silent))
        try:
            self.channel: execnet.Channel = started[0].remote_exec(source)
        except OSError as error:
            self.close(at_once=True)
            raise GatewayEnded(self._with_output("no Python answers there")) from error

    def send(self, message: object) -> None:
        """Send plain data.

        Raises:
            GatewayEnded: the other side is gone.
        """
        try:
            self.channel.send(message)
        except OSError as error:
            raise GatewayEnded(self._with_output(self._how_it_ended())) from error

    def receive(self, *, within_s: float, is_stopping: Callable[[], bool] = lambda: False) -> object:
        """Return the next message, plain data.

        Raises:
            GatewayEnded: there is none within the time, or the other side is gone.
        """
        deadline = time.monotonic() + within_s
        while not is_stopping():
            try:
                return self.channel.receive(timeout=_POLL_S)
            except self.channel.TimeoutError:
                if time.monotonic() > deadline:
                    raise GatewayEnded(f"silent for {within_s:.0f} s") from None
            except EOFError as error:
                raise GatewayEnded(self._with_output(self._how_it_ended())) from error
            except self.channel.RemoteError as error:
                lines = error.formatted.strip().splitlines() or ["it closed its connection"]
                raise GatewayEnded(one_line(lines[-1])) from error
        raise GatewayEnded("stopped by the user")

    @property
    def pid(self) -> int:
        """Process id of the local end."""
        assert self._process
        return self._process.popen.pid

    def close(self, *, at_once: bool = False) -> None:
        """End the other side: by closing its input, and after a time, or with `at_once`, by a signal."""
        process = self._process
        if process is None:
            return
        if process.popen.poll() is None and not at_once:
            process.close_write()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.popen.wait(_END_TIMEOUT_S)
        if process.popen.poll() is None:
            process.kill()
            process.popen.wait()
        process.output.finish(_POLL_S)

    def _how_it_ended(self) -> str:
        assert self._process
        status = self._process.wait()
        if status is None:
            return "it closed its connection"
        return f"killed by signal {-status}" if status < 0 else f"exited with status {status}"

    def _with_output(self, reason: str) -> str:
        assert self._process
        self._process.output.finish(_POLL_S)
        tail = self._process.output.tail(lines=1)
        return f"{reason}: {one_line(tail)}" if tail else reason
