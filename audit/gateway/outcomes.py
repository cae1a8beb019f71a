"""The two ways a call into the target ends without a reply."""

from dataclasses import dataclass


class ProbeFailure(Exception):
    """The target's process did not answer: hang, crash, out of memory, flood of output, or an unusable interpreter.

    Says nothing about whether the subject is right or wrong, so it becomes an `error` result.
    """

    def __init__(self, reason: str, *, output_tail: str = "", timed_out: bool = False) -> None:
        """Keep the reason, the last lines that the target printed, and whether its time was up."""
        super().__init__(reason)
        self.reason = reason
        self.output_tail = output_tail
        self.timed_out = timed_out


@dataclass(frozen=True, kw_only=True)
class RaisedAt:
    """The innermost frame of a traceback that lies in a file; absolute path as the child saw it."""

    path: str
    line: int


class TargetRaised(Exception):
    """The target's own code raised; `phase` says which part of the procedure was running."""

    def __init__(
        self, *, phase: str, type_name: str, message: str, frames: tuple[RaisedAt, ...], traceback: str
    ) -> None:
        """Keep the exception as text: the object itself never crosses the process boundary."""
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.phase = phase
        self.type_name = type_name
        self.message = message
        self.frames = frames
        self.traceback = traceback

    @property
    def is_out_of_memory(self) -> bool:
        """Whether an allocation was refused, which says something about the limit and not about the target."""
        texts = ("can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory")
        return self.type_name in ("MemoryError", "OutOfMemoryError") or (
            self.type_name in ("RuntimeError", "OSError") and any(text in self.message.lower() for text in texts)
        )

    @property
    def is_out_of_disk(self) -> bool:
        """Whether something could not be written for want of space, which says something about the machine."""
        texts = ("no space left on device", "file too large", "disk quota exceeded")
        return self.type_name in ("OSError", "SafetensorError", "RuntimeError") and any(
            text in self.message.lower() for text in texts
        )

    @property
    def is_of_the_specs(self) -> bool:
        """Whether the specs gave what the procedure cannot use, so that nothing is known of the target."""
        return self.type_name == "SpecError" or self.is_refused_call

    @property
    def is_refused_call(self) -> bool:
        """Whether a function of the specs was not entered: it takes other arguments than the procedure gives."""
        return self.type_name == "TypeError" and not self.frames and "argument" in self.message

    @property
    def is_of_the_machine(self) -> bool:
        """Whether the machine refused something, so that nothing is known of the target."""
        return self.is_out_of_memory or self.is_out_of_disk
