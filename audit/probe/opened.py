"""Which files the target's process has read, so that what was measured in it can be told to be out of date.

Modules by what was imported, everything else by the interpreter's own event of opening a file. Files of the standard
library and of installed packages are left out; what compiled code opens by itself, and what a process that the target
starts reads, is not seen.
"""

import os
import sys
import sysconfig

_MOST = 20_000
_WRITES_ONLY = os.O_WRONLY
_KINDS_OF_ACCESS = os.O_RDONLY | os.O_WRONLY | os.O_RDWR
_INSTALLED = ("stdlib", "platstdlib", "purelib", "platlib")

_read: set[str] = set()
_told: set[str] = set()
_left_out: tuple[str, ...] = ()
_loaded: set[str] = set()  # files of modules as these name them
_installed: dict[str, object] = {}  # modules that were there before the target's, and whose files are left out


def look_ahead() -> None:
    """Tell the modules that are there whose files are left out: they are most, and need not be looked at again."""
    global _left_out
    folders = {sysconfig.get_path(name) for name in _INSTALLED}
    _left_out = tuple(f"{os.path.realpath(folder)}{os.sep}" for folder in folders if folder)
    _left_out += ("/proc/", "/sys/", "/dev/")
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if type(file) is not str or _is_left_out(os.path.abspath(file)):
            _installed[name] = module


def watch() -> None:
    """Begin to keep the paths of files that are opened to be read; for the rest of the process."""
    if not _left_out:  # else this is a fork of a process that has looked ahead
        look_ahead()
    sys.addaudithook(_hook)


def untold() -> list[str]:
    """Return the absolute paths of files that were read and that no earlier call has returned."""
    for name, module in list(sys.modules.items()):
        if _installed.get(name) is module:
            continue
        file = getattr(module, "__file__", None)
        if type(file) is str and file not in _loaded and len(_read) < _MOST:
            _loaded.add(file)
            _read.add(os.path.abspath(file))
    new = sorted(path for path in _read - _told if not _is_left_out(path))
    _told.update(_read)
    return new


def _is_left_out(path: str) -> bool:
    return os.path.realpath(path).startswith(_left_out)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    # Called for everything that the interpreter tells of: first what rules out most of it.
    if event != "open" or len(_read) >= _MOST:
        return
    path, _, flags = arguments
    if not isinstance(path, str | bytes) or not isinstance(flags, int) or flags & _KINDS_OF_ACCESS == _WRITES_ONLY:
        return
    name = os.fsdecode(path)
    if not name.endswith(".pyc"):  # stands for a source that is among the modules
        _read.add(os.path.abspath(name))
