"""What one call into the target may use."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one call: wall time in seconds, resident memory of the process group and output in MiB."""

    timeout_s: float = 60.0
    memory_mb: int = 8192
    output_mb: int = 16

    @property
    def memory_bytes(self) -> int:
        """The memory limit in bytes."""
        return self.memory_mb * MIB

    @property
    def output_bytes(self) -> int:
        """The output limit in bytes."""
        return self.output_mb * MIB
