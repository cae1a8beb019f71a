"""The probe's sources, as they are sent into the child."""

import functools
from pathlib import Path

from audit import probe

_FOLDER = Path(probe.__file__).parent


@functools.cache
def sources() -> dict[str, str]:
    """Return the text of every module of the probe by its name, such as `server` or `guess.loading`."""
    return {_name(path): path.read_text() for path in sorted(_FOLDER.rglob("*.py")) if path.stem != "bootstrap"}


def _name(path: Path) -> str:
    """Return a module's name below the probe's; a package of it is named as its folder is."""
    parts = path.relative_to(_FOLDER).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


@functools.cache
def bootstrap_source() -> str:
    """Return the text that execnet executes in the child."""
    return (_FOLDER / "bootstrap.py").read_text()
