"""Where an interpreter keeps its installed packages, read from the layout of its folders: it is not started."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_VERSION = re.compile(r"3\.\d+")
_MAX_BYTES = 1024 * 1024  # of a `.pth` file or an editable install's finder, which are a few lines


def site_folders(python: Path) -> tuple[Path, ...]:
    """Return the folders of installed packages of the interpreter at `python`, in the order it searches them.

    A virtual environment is told by its `pyvenv.cfg`; any other interpreter by the folder above its `bin`. Lines of
    `.pth` files that name folders, and the folders of editable installs, follow. Empty where the layout is unknown.
    """
    found: list[Path] = []
    for folder in _site_packages(python):
        found += [folder, *_added_by_pth(folder)]
    return tuple(dict.fromkeys(found))


def _site_packages(python: Path) -> Iterator[Path]:
    environment = python.parent.parent
    settings = _pyvenv(environment / "pyvenv.cfg")
    if settings is None:
        real = python.resolve()
        yield from _below(real.parent.parent, _version_of(real))
        return
    version = settings.get("version", settings.get("version_info", ""))
    yield from _below(environment, _minor(version) or _version_of(python.resolve()))
    home = settings.get("home")
    if home and settings.get("include-system-site-packages", "").lower() == "true":
        yield from _below(Path(home).parent, _minor(version) or _version_of(python.resolve()))


def _below(prefix: Path, version: str | None) -> Iterator[Path]:
    """Yield the folders of packages below `prefix` that exist, for one version or else for any."""
    names = [f"python{version}"] if version else sorted(path.name for path in prefix.glob("lib/python3.*"))
    for name in names:
        # Debian's python keeps its own packages in `dist-packages`, those of pip under `local`.
        for folder in (f"lib/{name}/site-packages", f"local/lib/{name}/dist-packages", "lib/python3/dist-packages"):
            if (prefix / folder).is_dir():
                yield prefix / folder


def _pyvenv(path: Path) -> dict[str, str] | None:
    text = _text(path)
    if text is None:
        return None
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _minor(version: str) -> str | None:
    found = _VERSION.match(version)
    return found.group() if found else None


def _version_of(real: Path) -> str | None:
    found = _VERSION.search(real.name)
    if found:
        return found.group()
    own = Path(sys.executable).resolve()
    return f"{sys.version_info.major}.{sys.version_info.minor}" if real == own else None


def _added_by_pth(folder: Path) -> Iterator[Path]:
    """Yield the folders that `.pth` files of `folder` put on the path. Lines with code are not run."""
    for path in sorted(folder.glob("*.pth")):
        for line in (_text(path) or "").splitlines():
            if line.startswith(("import ", "import\t")):
                yield from _mapped_by_finder(folder, line)
            elif line and not line.startswith("#") and "\0" not in line and (folder / line).is_dir():
                yield folder / line


def _mapped_by_finder(folder: Path, line: str) -> Iterator[Path]:
    """Yield the folders that hold the packages of an editable install, whose finder has them in `MAPPING`."""
    name = re.match(r"import\s+(__editable__\w+)", line)
    text = _text(folder / f"{name.group(1)}.py") if name else None
    found = re.search(r"^MAPPING\b[^=]*=\s*(\{[^}]*\})", text or "", re.MULTILINE)
    if not found:
        return
    try:
        mapping = ast.literal_eval(found.group(1))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return
    for module, place in sorted(mapping.items()):
        if isinstance(place, str) and "." not in str(module) and "\0" not in place:
            yield Path(place).parent


def _text(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
