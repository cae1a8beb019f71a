"""One child interpreter that runs the target: started on first use, held to its limits, started again after its end."""

import copy
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

import execnet
from execnet.gateway_base import DumpError
from execnet.gateway_bootstrap import bootstrap

from audit.gateway import templates
from audit.gateway.forks import Template
from audit.gateway.limits import Limits
from audit.gateway.outcomes import ProbeFailure, RaisedAt, TargetRaised
from audit.gateway.processes import TargetProcess
from audit.gateway.reads import FilesRead, is_told
from audit.gateway.shipping import bootstrap_source, sources

# What may cross the boundary: execnet's own serialisation knows builtin types only, so nothing is ever unpickled.
Plain = None | bool | int | float | str | bytes | list["Plain"] | tuple["Plain", ...] | dict[str, "Plain"]

_POLL_S = 0.05
_START_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 2.0
_MAX_STARTS = 2  # of one call: in a child that served others before, and in a new one
_NOTHING = object()
_OWN_PACKAGES = ("audit", "validation")


class _NeverBegun(Exception):
    """The child ended before it turned to a call: that is an earlier one's doing."""

    def __init__(self, failure: ProbeFailure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Probe:
    """Calls procedures of `audit.probe` inside the target's interpreter.

    Not for use from several threads at once, save for `kill`. Every call is complete in itself: nothing but imported
    modules carries over from one to the next, so that a restart loses nothing.
    """

    def __init__(
        self,
        *,
        python: Path,
        source: Path,
        root: Path,
        package: str,
        limits: Limits,
        threads: int = 1,
        forks: bool = True,
        device: str = "cpu",
    ) -> None:
        """Describe the child; it starts with the first call.

        Args:
            python: the target's interpreter.
            source: folder that holds the target's package; comes first on the child's `sys.path`.
            root: the child's working folder.
            package: the target's import name.
            limits: of each call.
            threads: torch's number of threads in the child.
            forks: whether the child may be a fork of a process that has imported torch.
            device: `cpu`, `cuda` or `cuda:N`: where the target's modules and what they are given lie.
        """
        self._python = python
        self._forks = forks
        self._limits = limits
        own = Path(__file__).parents[1]
        hidden = [str(own.with_name(name)) for name in _OWN_PACKAGES if package.partition(".")[0] != name]
        self._settings: dict[str, Plain] = {
            "source": str(source),
            "root": str(root),
            "threads": threads,
            "device": device,
            "timeout_s": limits.timeout_s,
            "hidden": list[Plain](hidden),
        }
        self._process: TargetProcess | None = None
        self._channel: execnet.Channel | None = None
        self._calls = 0  # of the present child
        self._unusable: ProbeFailure | None = None
        self._killed = threading.Event()
        self._beside: dict[str, Self] = {}
        self._lasting: dict[str, Self] = {}
        self.read = FilesRead()
        self.ahead: tuple[str, ...] = ()  # modules that a fork has imported before it is one; of the next child

    def __enter__(self) -> Self:
        """Return the probe itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the child, and those of probes that last."""
        self.end()

    def call(self, procedure: str, /, *, timeout_s: float | None = None, **arguments: Plain) -> Mapping[str, Plain]:
        """Run `procedure` in the child and return its reply.

        Raises:
            TargetRaised: the target's code raised.
            ProbeFailure: there was no reply; the child is gone and the next call starts another.
        """
        limits = self._limits if timeout_s is None else replace(self._limits, timeout_s=timeout_s)
        for _ in range(_MAX_STARTS):
            self._make_ready()
            self._calls += 1
            try:
                return self._ask((procedure, arguments), procedure, limits)
            except _NeverBegun as ended:
                failure = ended.failure
                if self._calls == 1:
                    break
        raise failure

    def call_unharmed(self, procedure: str, /, **arguments: Plain) -> Mapping[str, Plain]:
        """Call, and call again in another child when that fails in one that has served other calls before.

        For calls into different parts of the target in a row: what one does to the process is not the next one's
        doing. One that ran out of time is not called again.

        Raises:
            TargetRaised: as `call`.
            ProbeFailure: as `call`.
        """
        try:
            return self.call(procedure, timeout_s=None, **arguments)
        except (ProbeFailure, TargetRaised) as problem:
            if self._calls == 1 or (isinstance(problem, ProbeFailure) and problem.timed_out):
                raise
        self.close()
        return self.call(procedure, timeout_s=None, **arguments)

    def beside(self, name: str) -> Self:
        """Return a probe with a child of its own, the same for the same name; `kill` and `close` end both."""
        return self._beside.setdefault(name, self._another())

    def lasting(self, name: str) -> Self:
        """Return one that `close` leaves alone: for what is slow to begin, and is asked of one subject after another.

        What one of them does to the process may reach the next: what looks wrong there must be seen in a new one.
        """
        return self._lasting.setdefault(name, self._another())

    def _another(self) -> Self:
        other = copy.copy(self)
        other._process = other._channel = other._unusable = None
        other._beside, other._lasting = {}, {}
        return other

    def kill(self) -> None:
        """End the child at once, from any thread; a call in flight raises ProbeFailure."""
        self._killed.set()
        process = self._process
        if process:
            process.kill()

    def close(self) -> None:
        """End the child and release what belongs to it; the probe can be used again and then has another child."""
        for other in self._beside.values():
            other.close()
        self._beside.clear()
        process, channel = self._process, self._channel
        self._process = self._channel = None
        if process:
            process.end()
        if channel:
            channel.gateway.join(timeout=_END_TIMEOUT_S)

    def end(self) -> None:
        """Close this probe and all that it has given."""
        self.close()
        for other in self._lasting.values():
            other.end()
        self._lasting.clear()

    def _make_ready(self) -> None:
        """Start a child where there is none, or where the last has ended or has spoken without being asked."""
        if self._killed.is_set():
            raise ProbeFailure("stopped before it was called")
        if self._process and self._channel and self._process.is_alive and _is_silent(self._channel):
            return
        self.close()
        if self._unusable:
            raise self._unusable
        try:
            self._start()
        except ProbeFailure as failure:
            if not self._killed.is_set():
                self._unusable = failure  # an interpreter that cannot be used costs its time once
            raise

    def _start(self) -> None:
        name = self._python.name
        self._calls = 0
        template = self._template() if self._forks else None
        if self._killed.is_set():
            raise self._failure(None)
        self._process = process = TargetProcess(self._python, self._limits, template)
        gateways: list[execnet.Gateway] = []

        def connect() -> None:
            spec = execnet.XSpec(f"popen//python={name}//execmodel=main_thread_only//id=target")
            try:
                gateways.append(bootstrap(process, spec))
            except (OSError, AssertionError, EOFError):
                process.close_connection()  # execnet's receiver does so once there is one

        starter = threading.Thread(target=connect, name="probe-start", daemon=True)
        starter.start()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while starter.is_alive() and time.monotonic() < deadline and not self._killed.is_set():
            starter.join(timeout=_POLL_S)
        if not gateways:
            silent = f" within {_START_TIMEOUT_S:.0f} s" if starter.is_alive() else ""
            failure = self._failure(f"interpreter {name} did not start{silent}")
            starter.join(timeout=_END_TIMEOUT_S)
            raise failure
        try:
            self._channel = gateways[0].remote_exec(bootstrap_source())
        except OSError as error:
            raise self._failure(f"interpreter {name} did not start") from error
        limits = replace(self._limits, timeout_s=_START_TIMEOUT_S + self._limits.timeout_s)
        try:
            self._ask((dict[str, object](sources()), self._settings), "start", limits)
        except _NeverBegun as ended:
            raise ended.failure from ended
        except TargetRaised as error:
            raise self._failure(f"the probe cannot run in {name}: {error}") from error

    def _template(self) -> Template | None:
        def is_wanted() -> bool:
            return not self._killed.is_set()

        template = templates.ready(self._python, is_wanted, self.ahead)
        # One that has imported more may not be able to fork.
        return template or (templates.ready(self._python, is_wanted) if self.ahead else None)

    def _ask(self, question: tuple[object, ...], procedure: str, limits: Limits) -> Mapping[str, Plain]:
        """Send a question and return the answer to it, within the limits."""
        assert self._channel is not None
        channel = self._channel
        # The target shares its descriptors with the probe and can write there; only the answer to this call counts.
        call_id = secrets.token_hex(8)
        problems: list[Exception] = []

        def send() -> None:
            try:
                channel.send((call_id, *question))
            except (DumpError, OSError) as problem:
                problems.append(problem)

        # In a thread, for a process that no longer reads would hold up whoever writes to it.
        sender = threading.Thread(target=send, name="probe-send", daemon=True)
        sender.start()
        reply = self._wait(channel, call_id, procedure, limits, problems)
        sender.join(timeout=_END_TIMEOUT_S)
        try:
            return _unpacked(reply, call_id)
        except ProbeFailure as malformed:
            raise self._failure(malformed.reason) from malformed

    def _wait(
        self, channel: execnet.Channel, call_id: str, procedure: str, limits: Limits, problems: list[Exception]
    ) -> object:
        assert self._process is not None
        begun = False
        process = self._process
        printed_before = process.output.total_bytes
        deadline = time.monotonic() + limits.timeout_s
        while True:
            remaining = deadline - time.monotonic()
            if self._killed.is_set():  # the kill may have come before there was a process to end
                raise self._failure(None)
            if remaining <= 0:
                raise self._failure(f"timed out: {procedure} took longer than {limits.timeout_s:g} s", timed_out=True)
            reply: object = _NOTHING
            try:
                reply = channel.receive(timeout=min(_POLL_S, remaining))
            except channel.TimeoutError:
                if problems and isinstance(problems[0], DumpError):
                    raise problems[0] from None
            except EOFError as error:
                failure = self._failure(None)
                raise (failure if begun or self._killed.is_set() else _NeverBegun(failure)) from error
            except channel.RemoteError as error:
                words = error.formatted.strip().splitlines() or ["it closed its connection"]
                raise self._failure(f"the probe itself failed: {words[-1]}") from error
            if process.output.total_bytes - printed_before > limits.output_bytes:
                raise self._failure(f"flood of output: more than {limits.output_mb} MiB printed")
            if reply == (call_id, "begun"):
                begun = True
            elif is_told(reply, call_id):
                self.read.add(reply)
            elif reply is not _NOTHING:
                return reply
            if process.resident_bytes > limits.memory_bytes:
                raise self._failure(f"out of memory: more than {limits.memory_mb} MiB in use")

    def _failure(self, reason: str | None, *, timed_out: bool = False) -> ProbeFailure:
        """End the child; `None` asks for how it ended by itself."""
        process = self._process
        self.read.is_complete = False  # it did not come to telling
        if self._killed.is_set():
            reason = "stopped by the user"
        elif reason is None and process:
            reason = f"the target's process {_how_it_ended(process.wait(_END_TIMEOUT_S))}"
        self.close()
        tail = process.output.tail() if process else ""
        return ProbeFailure(reason or "the target's process ended", output_tail=tail, timed_out=timed_out)


def _is_silent(channel: execnet.Channel) -> bool:
    """Whether nothing has come that no call asked for, the end of the connection included."""
    try:
        channel.receive(timeout=0)
    except channel.TimeoutError:
        return True
    except (EOFError, channel.RemoteError):
        pass
    return False


def _how_it_ended(status: int | None) -> str:
    if status is None:
        return "closed its connection and went on; it was ended"
    if status < 0:
        try:
            return f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"was killed by signal {-status}"
    return f"exited with status {status} before it answered"


def _unpacked(reply: object, call_id: str) -> Mapping[str, Plain]:
    """Read the reply to a call; its content is the target's word and is checked for its form only."""
    match reply:
        case (str() as answered, "ok", dict() as value) if answered == call_id:
            return value
        case (str() as answered, "raised", dict() as raised) if answered == call_id:
            frames = raised.get("frames")
            raise TargetRaised(
                phase=str(raised.get("phase")),
                type_name=str(raised.get("type")),
                message=str(raised.get("message")),
                frames=tuple(_frames(frames if isinstance(frames, list) else [])),
                traceback=str(raised.get("traceback")),
            )
    raise ProbeFailure("the target's process sent a reply that is not one of the probe's")


def _frames(frames: list[object]) -> Iterator[RaisedAt]:
    for frame in frames:
        if isinstance(frame, tuple) and len(frame) == 2 and isinstance(frame[0], str) and isinstance(frame[1], int):
            yield RaisedAt(path=frame[0], line=frame[1])
