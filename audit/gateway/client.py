"""One child interpreter that runs the target: started on first use, held to its limits, started again after its end."""

import inspect
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from audit.gateway import launcher
from audit.gateway.limits import Limits
from audit.gateway.outcomes import ProbeFailure, RaisedAt, TargetRaised
from audit.gateway.output import OutputTail
from audit.gateway.processes import kill_group, resident_bytes
from audit.gateway.shipping import bootstrap_source, sources

if TYPE_CHECKING:
    import execnet

# What may cross the boundary: execnet's own serialisation knows builtin types only, so nothing is ever unpickled.
Plain = None | bool | int | float | str | bytes | list["Plain"] | tuple["Plain", ...] | dict[str, "Plain"]

_POLL_S = 0.05
_START_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 2.0
_OWN_PACKAGES = ("audit", "validation")


class Probe:
    """Calls procedures of `audit.probe` inside the target's interpreter.

    Not for use from several threads at once, save for `kill`. Every call is complete in itself: nothing but imported
    modules carries over from one to the next, so that a restart loses nothing.
    """

    def __init__(
        self, *, python: Path, source: Path, root: Path, package: str, limits: Limits, threads: int = 1
    ) -> None:
        """Describe the child; it starts with the first call.

        Args:
            python: the target's interpreter.
            source: folder that holds the target's package; comes first on the child's `sys.path`.
            root: the child's working folder.
            package: the target's import name.
            limits: of each call.
            threads: torch's number of threads in the child.
        """
        self._python = python
        self._limits = limits
        own = Path(__file__).parents[1]
        hidden = [str(own.with_name(name)) for name in _OWN_PACKAGES if package.partition(".")[0] != name]
        self._settings: dict[str, Plain] = {
            "source": str(source),
            "root": str(root),
            "threads": threads,
            "hidden": list[Plain](hidden),
        }
        self._gateway: execnet.Gateway | None = None
        self._channel: execnet.Channel | None = None
        self._output: OutputTail | None = None
        self._killed = threading.Event()

    def __enter__(self) -> Self:
        """Return the probe itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the child."""
        self.close()

    def call(self, procedure: str, /, *, timeout_s: float | None = None, **arguments: Plain) -> Mapping[str, Plain]:
        """Run `procedure` in the child and return its reply.

        Raises:
            TargetRaised: the target's code raised.
            ProbeFailure: there was no reply; the child is gone and the next call starts another.
        """
        limits = (
            self._limits
            if timeout_s is None
            else Limits(timeout_s=timeout_s, memory_mb=self._limits.memory_mb, output_mb=self._limits.output_mb)
        )
        channel = self._started()
        assert self._output is not None
        printed_before = self._output.total_bytes
        try:
            channel.send((procedure, arguments))
            reply = self._wait(channel, procedure, limits, printed_before)
        except OSError as error:
            raise self._failure(f"could not reach the target's process: {error}") from error
        return _unpacked(reply)

    def kill(self) -> None:
        """End the child at once, from any thread; a call in flight raises ProbeFailure."""
        self._killed.set()
        output = self._output
        if output and output.pid:
            kill_group(output.pid)

    def close(self) -> None:
        """End the child and release what belongs to it; the probe can be used again."""
        gateway, output = self._gateway, self._output
        self._gateway = self._channel = self._output = None
        if output and output.pid:
            kill_group(output.pid)
        if gateway:
            gateway.exit()
            gateway._io.wait()
            gateway.join(timeout=5)
        if output:
            output.close()

    def _started(self) -> "execnet.Channel":
        if self._killed.is_set():
            raise ProbeFailure("stopped before it was called")
        if self._channel is None:
            self._start()
        assert self._channel is not None
        return self._channel

    def _start(self) -> None:
        import execnet

        self._output = OutputTail()
        spec = execnet.XSpec("popen")
        data_limit = (
            0 if Path("/dev/nvidiactl").exists() else self._limits.memory_bytes
        )  # CUDA maps far more than it uses
        arguments = [
            sys.executable, "-I", "-S", inspect.getfile(launcher), str(self._output.path), str(data_limit),
            str(self._output.path.parent), str(self._python),
        ]  # fmt: skip
        spec.python = shlex.join(arguments)
        gateways: list[execnet.Gateway] = []
        errors: list[Exception] = []

        def connect() -> None:
            try:
                # One group per child: a shared one would wait for all of them when one ends.
                gateways.append(execnet.Group(execmodel="main_thread_only").makegateway(spec))
            except (OSError, AssertionError, EOFError, subprocess.SubprocessError) as error:
                errors.append(error)

        starter = threading.Thread(target=connect, name="probe-start", daemon=True)
        starter.start()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while starter.is_alive() and time.monotonic() < deadline and not self._killed.is_set():
            starter.join(timeout=_POLL_S)
        if not gateways:
            reason = (
                f"did not start within {_START_TIMEOUT_S:.0f} s" if starter.is_alive() else f"did not start: {errors}"
            )
            raise self._failure(f"interpreter {self._python.name} {reason}")
        self._gateway = gateways[0]
        self._boot()

    def _boot(self) -> None:
        assert self._gateway is not None
        assert self._output is not None
        limits = Limits(timeout_s=_START_TIMEOUT_S + self._limits.timeout_s, memory_mb=self._limits.memory_mb)
        try:
            self._channel = channel = self._gateway.remote_exec(bootstrap_source())
            channel.send((dict[str, object](sources()), self._settings))
            reply = self._wait(channel, "start", limits, self._output.total_bytes)
        except OSError as error:
            raise self._failure(f"interpreter {self._python.name} did not start: {error}") from error
        try:
            _unpacked(reply)
        except TargetRaised as error:
            self.close()
            raise ProbeFailure(f"the probe cannot run in {self._python.name}: {error}") from error

    def _wait(self, channel: "execnet.Channel", procedure: str, limits: Limits, printed_before: int) -> object:
        assert self._output is not None
        output = self._output
        deadline = time.monotonic() + limits.timeout_s
        while True:
            remaining = deadline - time.monotonic()
            if self._killed.is_set():  # the kill may have come before there was a process to end
                raise self._failure(None)
            if remaining <= 0:
                raise self._failure(f"timed out: {procedure} took longer than {limits.timeout_s:g} s")
            try:
                reply: object = channel.receive(timeout=min(_POLL_S, remaining))
            except channel.TimeoutError:
                if output.total_bytes - printed_before > limits.output_bytes:
                    raise self._failure(f"flood of output: more than {limits.output_mb} MiB printed") from None
                if output.pid and resident_bytes(output.pid) > limits.memory_bytes:
                    raise self._failure(f"out of memory: more than {limits.memory_mb} MiB in use") from None
            except EOFError as error:
                raise self._failure(None) from error
            except channel.RemoteError as error:
                raise self._failure(f"the probe itself failed: {error.formatted.strip().splitlines()[-1]}") from error
            else:
                if output.total_bytes - printed_before > limits.output_bytes:
                    raise self._failure(f"flood of output: more than {limits.output_mb} MiB printed")
                return reply

    def _ended(self) -> int | None:
        """Return the exit status of a child that closed its connection; one that lives on is ended."""
        assert self._gateway is not None
        child: subprocess.Popen[bytes] = self._gateway._io.popen  # type: ignore[attr-defined]
        try:
            return int(child.wait(timeout=_END_TIMEOUT_S))
        except subprocess.TimeoutExpired:
            if self._output and self._output.pid:
                kill_group(self._output.pid)
            return None

    def _failure(self, reason: str | None) -> ProbeFailure:
        """End the child; `None` asks for how it ended by itself."""
        if self._killed.is_set():
            reason = "stopped by the user"
        elif reason is None and self._gateway is not None:
            reason = f"the target's process {_how_it_ended(self._ended())}"
        tail = self._output.tail() if self._output else ""
        self.close()
        return ProbeFailure(reason or "the target's process ended", output_tail=tail)


def _how_it_ended(status: int | None) -> str:
    if status is None:
        return "closed its connection and went on; it was ended"
    if status < 0:
        try:
            return f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"was killed by signal {-status}"
    return f"exited with status {status} before it answered"


def _unpacked(reply: object) -> Mapping[str, Plain]:
    """Read a reply; its content is the target's word and is checked for its form only."""
    match reply:
        case ("ok", dict() as value):
            return value
        case ("raised", dict() as raised):
            frames = raised.get("frames")
            raise TargetRaised(
                phase=str(raised.get("phase")),
                type_name=str(raised.get("type")),
                message=str(raised.get("message")),
                frames=tuple(
                    RaisedAt(path=frame[0], line=frame[1])
                    for frame in (frames if isinstance(frames, list) else [])
                    if isinstance(frame, tuple)
                    and len(frame) == 2
                    and isinstance(frame[0], str)
                    and isinstance(frame[1], int)
                ),
                traceback=str(raised.get("traceback")),
            )
    raise ProbeFailure("the target's process sent a reply that is not one of the probe's")
