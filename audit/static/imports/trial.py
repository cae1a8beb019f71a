"""Whether installed packages with compiled parts load: each is imported alone in a child of the target's interpreter.

This runs code of installed packages, not of the target, and only where the user asks for it.
"""

import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from audit.gateway.processes import output_of
from audit.static.imports.declared import PLATFORM_PACKAGES
from audit.static.imports.installed import Installed, Kind
from audit.static.imports.interpreter import InterpreterFacts

DIED = ""  # no exception: what ends the process is caught by no handler
_MAX_BYTES = 64 * 1024
_MAX_SHOWN = 160
_MAX_FILES = 20_000  # of one package, looked at for a compiled part

_IMPORT = """
import importlib, json, os, sys
if sys.path and sys.path[0] in ("", os.getcwd()):
    del sys.path[0]
kept = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
said = ["", ""]
try:
    importlib.import_module(sys.argv[1])
except BaseException as error:
    missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    said = [type(error).__name__, str(error)[:2000], missing or ""]
os.write(kept, json.dumps(said).encode())
os._exit(0)
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """How the import of an installed package failed: the class of the exception, its first line, what it lacked."""

    exception: str
    message: str
    lacked: str = ""


def failing_binaries(
    packages: Iterable[str],
    installed: Installed,
    facts: InterpreterFacts,
    python: Path,
    *,
    timeout_s: float,
    side_by_side: int,
) -> Mapping[str, Trial]:
    """Import those of the top-level `packages` that have compiled parts; return the ones that fail, and how."""
    tried = sorted(name for name in set(packages) if _has_binary(name, installed, facts))
    with ThreadPoolExecutor(side_by_side) as pool:
        ends = pool.map(lambda name: _try(name, python, timeout_s=timeout_s), tried)
        return {name: end for name, end in zip(tried, ends, strict=True) if end}


def _try(package: str, python: Path, *, timeout_s: float) -> Trial | None:
    said = output_of(python, "-W", "ignore", "-c", _IMPORT, package, max_bytes=_MAX_BYTES, timeout_s=timeout_s)
    try:
        exception, message, *lacked = map(str, json.loads(said or "null") or ())
    except (ValueError, TypeError):
        return Trial(DIED, f"the process died or took more than {timeout_s:g} s")
    if not exception:
        return None
    return Trial(exception, _in_one_line(message), lacked[0] if lacked else "")


def _in_one_line(message: str) -> str:
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in message).split())
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


def _has_binary(package: str, installed: Installed, facts: InterpreterFacts) -> bool:
    """Whether an installed package has a compiled part, or is one for some devices only."""
    found = installed.find(package)
    if found is None or package in facts.standard_library or package in facts.builtin_modules:
        return False
    if package in PLATFORM_PACKAGES or found.kind is Kind.BINARY:
        return True
    seen = 0
    for folder in found.folders:
        for _, _, names in os.walk(folder):
            if any(name.endswith(facts.extension_suffixes) for name in names):
                return True
            seen += len(names)
            if seen > _MAX_FILES:
                return False
    return False
