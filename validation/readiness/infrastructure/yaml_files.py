"""Reads YAML as data, within limits."""

from collections.abc import Iterator
from typing import Any

import yaml

from validation.readiness.project import Project

MAX_YAML_BYTES = 256 * 1024  # of a settings file; the reader in Python takes some four seconds for a MiB
# The same as yaml.SafeLoader: plain data alone; in C where libyaml is there.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NoYaml(Exception):
    """Why a file is no YAML, and on which line."""

    def __init__(self, reason: str, line: int = 0) -> None:
        """Keep the line, 0 where there is none."""
        super().__init__(reason)
        self.line = line


def yaml_of(project: Project, path: str) -> object:
    """Return what a file holds.

    Raises:
        NoYaml: it cannot be read, is too long, or is no YAML.
    """
    text = project.text(path)
    if text is None or len(text.content) > MAX_YAML_BYTES:
        raise NoYaml(f"it cannot be read as a text of at most {MAX_YAML_BYTES} characters")
    try:
        return yaml.load(text.content, Loader=_LOADER)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        raise NoYaml(f"no YAML: {problem.problem or problem.context}", mark.line + 1 if mark else 0) from problem
    except (yaml.YAMLError, ValueError, RecursionError) as problem:  # ValueError: no such date, too long a number
        raise NoYaml(f"no YAML: {type(problem).__name__}") from problem


def table(value: object) -> dict[str, Any]:
    """Return a mapping with its keys as texts; nothing of anything else. `on` is a truth value in YAML 1.1."""
    if not isinstance(value, dict):
        return {}
    return {"on" if key is True else str(key): each for key, each in value.items()}


def tables(value: object) -> Iterator[dict[str, Any]]:
    """Yield the mappings of a list."""
    for each in value if isinstance(value, list) else ():
        if isinstance(each, dict):
            yield table(each)
