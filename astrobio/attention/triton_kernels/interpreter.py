"""Whether Triton runs kernels on the CPU, without importing it."""

import os


def is_interpreting() -> bool:
    """Whether `TRITON_INTERPRET` is set, read as Triton reads it; it counts from before triton is imported."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "yes", "on", "y")
