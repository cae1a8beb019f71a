"""Whether a module that the configuration names has a file, as far as files tell."""

import difflib
import sys
from pathlib import Path


def missing_module(source: Path, name: str) -> str | None:
    """Return what is missing of the module `name`, where it is in a package of the folder `source`; else None.

    What is in the standard library alone is no one's to name. Only an import can tell of a module that is installed
    elsewhere, lies in a namespace, or whose package looks for its modules in other places.
    """
    first, *inner = name.split(".")
    place, around = source / first, first
    if first in sys.stdlib_module_names and not place.is_dir() and not any(source.glob(f"{first}.*")):
        return "that is in Python's standard library; name a module of your own"
    for part in inner:
        if not (place / "__init__.py").is_file() or b"__path__" in _bytes(place / "__init__.py"):
            return None
        if not (place / part).is_dir() and not any(place.glob(f"{part}.*")):
            near = difflib.get_close_matches(part, sorted({each.stem for each in place.iterdir()}), n=1)
            hint = f"; did you mean {around}.{near[0]}?" if near else ""
            return f"there is no module {part} in {place.relative_to(source)}{hint}"
        place, around = place / part, f"{around}.{part}"
    return _unreadable(place.with_name(f"{place.name}.py"), source)


def _unreadable(file: Path, source: Path) -> str | None:
    """Return why nothing can be read from a file that is there by its name; None where something can, or it is not."""
    named = file.relative_to(source)
    try:
        if file.with_suffix("").is_dir():  # a package goes before a file
            return None
        if file.is_symlink() and not file.exists():
            return f"{named} is a link that leads nowhere"
        if file.is_dir():
            return f"{named} is a folder"
        return f"{named} is no regular file" if file.exists() and not file.is_file() else None
    except OSError:  # a name that no file can have; the import says so
        return None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # whatever imports it says so
        return b""
