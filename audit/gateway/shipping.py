"""The probe's sources, as they are sent into the child."""

import functools
from pathlib import Path

from audit import probe

_FOLDER = Path(probe.__file__).parent


@functools.cache
def sources() -> dict[str, str]:
    """Return the text of every module of the probe by its name."""
    return {path.stem: path.read_text() for path in sorted(_FOLDER.glob("*.py")) if path.stem != "bootstrap"}


@functools.cache
def bootstrap_source() -> str:
    """Return the text that execnet executes in the child."""
    return (_FOLDER / "bootstrap.py").read_text()
