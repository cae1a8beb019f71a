"""What a failure means for a release. Apart from `audit.results`, so that what reads files loads no pydantic."""

from enum import StrEnum


class Severity(StrEnum):
    """What a failure means for a release: `critical` and `major` block it, `minor` is reported only."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"

    @property
    def gates_release(self) -> bool:
        """Whether a release needs this check to pass."""
        return self is not Severity.MINOR
