"""Imports modules for real, one process each, and writes how each ends, as JSON on standard output.

    python tests/tools/import_truth.py package ROOT [PRELOADED...] < modules.txt
    python tests/tools/import_truth.py file ROOT [PRELOADED...] < paths.txt

Runs in the interpreter that is asked about and knows nothing of the audit. Standard input names one a line: a module,
or the path of a file relative to ROOT.

- `package`: `importlib.import_module(module)`, with ROOT first on the path.
- `file`: what `python path/to/file.py` runs, up to what stands under `if __name__ == "__main__"`: the file's folder is
  first on the path, it is no part of a package, and its name is not `__main__`. ROOT is on the path only where the
  interpreter itself has it there.

Each process is forked from one that has loaded those of the modules PRELOADED that can be imported, and what they load,
which saves seconds for each.
Where the file's folder holds a module of a name that is loaded so, and the order matters, it is a new process.
"""

import contextlib
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable

TIMEOUT_S = 120
_NOT_MAIN = "__not_main__"


def as_package(root: str, module: str) -> None:
    """Import a module with `root` first on the path."""
    sys.path[0] = root
    importlib.import_module(module)


def as_file(root: str, path: str) -> None:
    """Run a file as Python runs a script, under another name than `__main__`."""
    full = os.path.join(root, path)
    sys.path[0] = os.path.dirname(full)
    runpy.run_path(full, run_name=_NOT_MAIN)


def end_of(run: Callable[[], None]) -> str:
    """Return the exception that a call ends in; empty where it ends in none."""
    try:
        run()
    except SystemExit as error:
        return f"SystemExit: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:300] or type(error).__name__
    return ""


def in_a_fork(run: Callable[[], None]) -> str:
    """Return how a call ends in a forked process, which says nothing on its streams."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(TIMEOUT_S)
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        os.write(writing, end_of(run).encode() or b"-")
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, errors="replace") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said.strip("-") if said else "the process died"


# Imports nothing before the file does.
_ALONE = """
import sys
import os
path = sys.argv[1]
sys.path[0] = os.path.dirname(path)
kept = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
end = ""
try:
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, {"__name__": "__not_main__", "__file__": path, "__builtins__": __builtins__})
except BaseException as error:
    end = type(error).__name__ + ": " + str(error)[:300]
os.write(kept, (end or "-").encode("utf-8", "replace"))
os._exit(0)
"""


def in_a_new_process(path: str) -> str:
    """Return the same of a file in a process that starts with nothing loaded."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ALONE, path],  # `-W` would load `warnings` before the file does
            capture_output=True, timeout=TIMEOUT_S, check=False, cwd="/",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "the process took too long"
    said = done.stdout.decode(errors="replace")
    return said.strip("-") if said else "the process died"


def order_matters(folder: str) -> bool:
    """Whether a file run from this folder finds a module there that something loads under the same name."""
    with contextlib.suppress(OSError):
        names = {entry.partition(".")[0] for entry in os.listdir(folder)}
        return bool(names & {*sys.modules, *sys.stdlib_module_names})
    return False


def main() -> None:
    """Write how each ends."""
    way, root = sys.argv[1], os.path.abspath(sys.argv[2])
    call = as_package if way == "package" else as_file
    for loaded_before in sys.argv[3:]:
        # A failed import leaves parts of the package loaded, with which its modules would end otherwise.
        if not in_a_fork(lambda name=loaded_before: as_package(root, name)):  # type: ignore[misc]
            as_package(root, loaded_before)
    ends = {}
    for name in sys.stdin.read().split("\n"):
        if name and way == "file" and order_matters(os.path.dirname(os.path.join(root, name))):
            ends[name] = in_a_new_process(os.path.join(root, name))
        elif name:
            ends[name] = in_a_fork(lambda name=name: call(root, name))  # type: ignore[misc]
    json.dump(ends, sys.stdout)


if __name__ == "__main__":
    main()
