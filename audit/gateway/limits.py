"""What one call into the target may use."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one call: wall time in seconds; resident memory of all its processes, output and reply in MiB."""

    timeout_s: float = 60.0
    memory_mb: int = 8192
    output_mb: int = 16
    reply_mb: int = 1024

    @property
    def memory_bytes(self) -> int:
        """The memory limit in bytes."""
        return self.memory_mb * MIB

    @property
    def output_bytes(self) -> int:
        """The output limit in bytes."""
        return self.output_mb * MIB

    @property
    def reply_bytes(self) -> int:
        """How much the target may send in one reply: it is read into the auditor's memory."""
        return self.reply_mb * MIB
