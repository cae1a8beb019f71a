"""The facts of the target's interpreter on which an import depends, told by the interpreter itself."""

import json
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from audit.gateway.processes import output_of
from audit.results import Frozen

_TIMEOUT_S = 60.0
_MAX_BYTES = 16 * 1024 * 1024

# Runs in the target's interpreter, of whatever version; imports nothing of the target. It is not isolated with `-I`:
# the probe's process takes over PYTHONPATH and the user's site-packages, and the forecast is about that process.
_QUESTION = """
import sys
loaded_at_start = sorted(sys.modules)
import builtins, json, os, platform, sys
if sys.path and sys.path[0] in ("", os.getcwd()):
    del sys.path[0]
import importlib.machinery as machinery
try:
    from importlib import metadata
    found = [(each.metadata["Name"], each.version) for each in metadata.distributions()]
except ImportError:
    found = []
mapping = {}
for finder in sys.meta_path:
    module = getattr(finder, "__module__", None) or type(finder).__module__
    mapping.update(getattr(sys.modules.get(module), "MAPPING", {}))
print(json.dumps({
    "executable": sys.executable or "",
    "version": list(sys.version_info[:3]),
    "platform": sys.platform,
    "os_name": os.name,
    "system": platform.system(),
    "machine": platform.machine(),
    "implementation": sys.implementation.name,
    "path": [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)],
    "standard_library": sorted(getattr(sys, "stdlib_module_names", ())),
    "loaded_at_start": loaded_at_start,
    "builtin_modules": list(sys.builtin_module_names),
    "builtin_names": dir(builtins),
    "extension_suffixes": machinery.EXTENSION_SUFFIXES,
    "distributions": [[str(name), str(version)] for name, version in found if name],
    "editable": {str(name): str(path) for name, path in mapping.items()},
}))
"""


class InterpreterFacts(Frozen):
    """What an interpreter says of itself. `editable` are packages that an import hook finds elsewhere.

    `loaded_at_start` are the modules that it loads before it runs anything: no file can stand in for one of these.
    """

    executable: str
    version: tuple[int, int, int]
    platform: str
    os_name: str
    system: str
    machine: str
    implementation: str
    path: tuple[str, ...]
    standard_library: frozenset[str]
    loaded_at_start: frozenset[str]
    builtin_modules: frozenset[str]
    builtin_names: frozenset[str]
    extension_suffixes: tuple[str, ...]
    distributions: tuple[tuple[str, str], ...]
    editable: Mapping[str, str]

    @cached_property
    def version_of(self) -> Mapping[str, str]:
        """The versions of installed distributions by normalised name; the first on the path counts."""
        return {normalised(name): version for name, version in reversed(self.distributions)}

    @property
    def told(self) -> str:
        """All of it as one text, in an order that does not change from run to run."""
        values = ((name, getattr(self, name)) for name in type(self).model_fields)
        return repr([(name, sorted(value) if isinstance(value, frozenset) else value) for name, value in values])

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment that the target's process takes over from this one."""
        return os.environ


def normalised(name: str) -> str:
    """Return the name of a distribution as PEP 503 compares it."""
    return name.lower().replace("_", "-").replace(".", "-")


def interpreter_facts(python: Path) -> InterpreterFacts | None:
    """Ask an interpreter for its facts; None where it does not give them."""
    said = output_of(python, "-c", _QUESTION, max_bytes=_MAX_BYTES, timeout_s=_TIMEOUT_S)
    lines = (said or "").strip().splitlines()
    try:
        return InterpreterFacts.model_validate(json.loads(lines[-1])) if lines else None
    except (ValueError, ValidationError):
        return None


class FactsAhead:
    """The facts of an interpreter that is asked while this process does something else."""

    def __init__(self, python: Path) -> None:
        """Ask it."""
        self._python = python
        self._facts: InterpreterFacts | None = None
        self._asking = threading.Thread(target=self._ask, daemon=True)  # a run that is stopped does not wait for it
        self._asking.start()

    def _ask(self) -> None:
        with suppress(OSError):  # it is raised where it is asked again
            self._facts = interpreter_facts(self._python)

    def wait(self) -> InterpreterFacts | None:
        """Return the facts, asked for again where there are none; None where the interpreter does not give them."""
        self._asking.join()
        return self._facts or interpreter_facts(self._python)


_COMPILE = """
import json, sys
problems = {}
for path in sys.argv[1:]:
    try:
        with open(path, "rb") as file:
            compile(file.read(), path, "exec", dont_inherit=True)
    except SyntaxError as error:
        problems[path] = [error.lineno or 1, str(error.msg)]
    except Exception as error:
        problems[path] = [1, type(error).__name__]
print(json.dumps(problems))
"""


def syntax_problems(python: Path, paths: Sequence[Path]) -> Mapping[str, tuple[int, str]] | None:
    """Have an interpreter compile files, which runs nothing of them; return line and message where it refuses."""
    problems: dict[str, tuple[int, str]] = {}
    for first in range(0, len(paths), _FILES_AT_ONCE):
        batch = map(str, paths[first : first + _FILES_AT_ONCE])
        said = output_of(
            python, "-I", "-W", "ignore", "-c", _COMPILE, *batch, max_bytes=_MAX_BYTES, timeout_s=_TIMEOUT_S
        )
        try:
            problems |= {path: (line, message) for path, (line, message) in json.loads(said or "").items()}
        except ValueError:
            return None
    return problems


_FILES_AT_ONCE = 500  # the command line holds their names
