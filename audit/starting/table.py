"""The table `[tool.astrobio-audit]` of a project that has none."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from audit.configuration import TABLE, TABLE_NAME
from audit.errors import UsageError

_SOURCE_FOLDERS = (".", "src")  # where a package is found without being told
_NOT_THE_PACKAGE = frozenset(("test", "tests", "docs", "examples", "scripts", "benchmarks", "build", "dist"))
_INIT = "__init__.py"
_SPECS = ("specs", "audit_specs")


def table_text(package: str, specs: str) -> str:
    """Return the table, with what else can be said as comments."""
    return f"""{TABLE}
package = {quoted(package)}
# What is audited, and how it is built, once that file is filled in; until then models and attention are built and fed
# as their own source suggests:
# specs = {quoted(specs)}

# What a release needs beside the absence of critical and major failures:
# [tool.astrobio-audit.gates]
# min_coverage = 0.9
# judged = ["smoke", "attention"]
# fail_on = ["minor"]
"""


def quoted(text: str) -> str:
    """Return a text as a string of TOML, and of Python, with its own letters."""
    return json.dumps(text, ensure_ascii=False)


def has_table(document: Mapping[str, object]) -> bool:
    """Whether a pyproject.toml that was read has the table."""
    tool = document.get("tool")
    return isinstance(tool, dict) and TABLE_NAME in tool


def appended(content: str, table: str) -> str:
    """Return a pyproject.toml with the table at its end.

    Raises:
        UsageError: the file is so written that no table can follow.
    """
    end = "\r\n" if "\r\n" in content else "\n"
    table = table.replace("\n", end)
    text = content + ("" if not content or content.endswith("\n") else end) + (end if content.strip() else "") + table
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"pyproject.toml: {TABLE} cannot follow what stands there ({error}); write it by hand, under [tool]"
        ) from error
    return text


def find_package(root: Path, document: Mapping[str, object]) -> str:
    """Return the one package of a project that has no configuration yet, by its import name.

    Raises:
        UsageError: there is none, or there are several and none has the project's name.
    """
    found = sorted({path.parent.name for folder in _SOURCE_FOLDERS for path in (root / folder).glob(f"*/{_INIT}")})
    found = [name for name in found if name.isidentifier() and name not in _NOT_THE_PACKAGE]
    own = _project_name(document)
    if own in found or (own.isidentifier() and any((root / each / f"{own}.py").is_file() for each in _SOURCE_FOLDERS)):
        return own
    if len(found) == 1:
        return found[0]
    there = f"there are {', '.join(found[:8])}" if found else f"no folder in {root} or {root / 'src'} has an {_INIT}"
    raise UsageError(f"which package is audited cannot be told, for {there}; pass --package NAME")


def _project_name(document: Mapping[str, object]) -> str:
    project = document.get("project")
    name = project.get("name") if isinstance(project, dict) else None
    return re.sub(r"[-.]+", "_", name).lower() if isinstance(name, str) else ""


def specs_module(package: str, place: Path) -> str:
    """Return the name of a module for the specs: one that is there and speaks of MODELS, or that no other one has.

    `place` is the folder of the package, or its file where it is a single module.
    """
    if not place.is_dir():
        return f"{package}_specs"
    name = next((each for each in _SPECS if _is_free(place, each)), _SPECS[-1])
    return f"{package}.{name}"


def _is_free(folder: Path, name: str) -> bool:
    file = folder / f"{name}.py"
    if not file.is_file():
        return not os.path.lexists(file) and not (folder / name).exists()
    return b"MODELS" in file.read_bytes()
