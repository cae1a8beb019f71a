"""The names of the standard library's modules, told by the target's interpreter in a child process.

Many of these modules are compiled or bind names in ways that their sources do not show. The child sees nothing but the
standard library, and is asked for none of the modules whose import does something that a user notices.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from audit.gateway.processes import output_of
from audit.static.imports.interpreter import InterpreterFacts
from audit.static.per_file import file_state
from audit.static.store import FactStore, fact_key

_TIMEOUT_S = 30.0
_MAX_BYTES = 4 * 1024 * 1024
# They open a window or a browser, print, read standard input, write to the terminal, or are no part of every
# installation; another package stands in for `distutils` where setuptools is installed.
_NEVER_IMPORTED = frozenset(
    {
        "__main__", "antigravity", "builtins", "curses", "distutils", "ensurepip", "idlelib", "lib2to3", "pip", "pty",
        "pydoc_data", "readline", "rlcompleter", "site", "sitecustomize", "test", "this", "tkinter", "tty", "turtle",
        "turtledemo", "usercustomize", "venv",
    }
)  # fmt: skip
# What programs import names from most, so that one child answers for nearly all of them.
_ASKED_TOGETHER = frozenset(
    {
        "collections", "contextlib", "dataclasses", "enum", "functools", "importlib", "inspect", "itertools", "math",
        "operator", "os", "random", "re", "sys", "time", "types", "typing",
    }
)  # fmt: skip
# Asked along with them, but after them: an import can add the name of a submodule to its package.
_ASKED_TOO = frozenset(
    {
        "_codecs", "abc", "array", "ast", "atexit", "collections.abc", "concurrent.futures", "contextvars", "io",
        "json", "logging", "os.path", "pathlib", "struct", "threading", "warnings", "weakref",
    }
)  # fmt: skip
_NOT_TOLD = ("", None)  # of a module that cannot be imported
# Isolated and without site-packages, a module of this name can only be the standard library's.
_ASK = """
import sys, json, importlib
names = {}
for module in sys.argv[1:]:
    try:
        found = importlib.import_module(module)
    except BaseException:
        continue
    given = None if "__getattr__" in vars(found) else sorted(dir(found))
    names[module] = [getattr(found, "__file__", None) or "", given]
print(json.dumps(names))
"""


@dataclass(frozen=True, slots=True)
class _Told:
    """Where a module is, and its names; None where it makes names when it is asked for them."""

    path: str
    names: frozenset[str] | None


class StandardLibrary:
    """Asks an interpreter for the names of modules, each once; what `store` knows of this interpreter is not asked."""

    def __init__(self, facts: InterpreterFacts, store: FactStore | None) -> None:
        """Ask nothing yet."""
        self._facts = facts
        self._store = store
        self._told: dict[str, _Told | None] = {}
        self.is_certain = True  # whether the interpreter has answered each time
        self.consulted: set[Path] = set()

    def _names(self, module: str, path: str) -> frozenset[str] | None:
        """Return all names of a module that is found at `path`; None where they cannot be told, or it is another."""
        top = module.partition(".")[0]
        if top not in self._facts.standard_library or top in _NEVER_IMPORTED or not self._facts.executable:
            return None
        if module not in self._told:
            self._learn({module, *((_ASKED_TOGETHER | _ASKED_TOO) - self._told.keys())})
        if path:
            self.consulted.add(Path(path))
        told = self._told[module]
        return told.names if told and told.path == path else None

    def has(self, module: str, path: str, name: str) -> bool | None:
        """Return whether a module that is found at `path` has a name; None where that cannot be told."""
        names = self._names(module, path)
        if names is None or (module == "sys" and name.startswith("_")):  # `site`, which the child lacks, sets some
            return None
        return name in names

    def _learn(self, modules: Iterable[str]) -> None:
        program = Path(self._facts.executable)
        self.consulted.add(program)
        asked = (str(program), str(file_state(program)), repr(self._facts.version))
        keys = {module: fact_key("standard library", *asked, module) for module in modules}
        known = self._store.facts(keys.values()) if self._store else {}
        texts = {module: known[key] for module, key in keys.items() if key in known}
        missing = sorted(keys.keys() - texts.keys(), key=lambda module: (module not in _ASKED_TOGETHER, module))
        for module, text in (self._answers(missing) if missing else {}).items():
            texts[module] = text
            if self._store:
                self._store.add_fact(keys[module], text)
        for module in keys:
            self._told[module] = _told(texts.get(module))

    def _answers(self, modules: list[str]) -> dict[str, str]:
        said = output_of(
            Path(self._facts.executable), "-I", "-S", "-W", "ignore", "-c", _ASK, *modules,
            max_bytes=_MAX_BYTES, timeout_s=_TIMEOUT_S,
        )  # fmt: skip
        try:
            answers = json.loads((said or "").strip().rpartition("\n")[2])
            return {module: json.dumps(answers.get(module, _NOT_TOLD)) for module in modules}
        except (ValueError, TypeError, AttributeError):
            self.is_certain = False
            return {}


def _told(text: str | None) -> _Told | None:
    if text is None:
        return None
    try:
        path, names = json.loads(text)
        return _Told(str(path), None if names is None else frozenset(map(str, names)))
    except (ValueError, TypeError):
        return None  # not what was written, though its sum is right
