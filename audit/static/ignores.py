"""`per_path_ignores` of the configuration: which rules say nothing about which paths."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from audit.errors import UsageError
from audit.static.ignoring import PatternFile
from audit.static.rules.naming import rules_named
from audit.target import TABLE

_KEY = f"{TABLE} per_path_ignores"
_ROOT = "/"


class PathIgnores:
    """Which rules are ignored for a path, decided once for each path.

    A pattern is one of `.gitignore`: it holds for a folder's whole content. All that match count.
    """

    def __init__(self, table: Mapping[str, Sequence[str]]) -> None:
        """Read the table.

        Raises:
            UsageError: it names a rule or family that does not exist, or has a pattern that matches nothing.
        """
        self._entries = [(_pattern(text), _rules(text, names)) for text, names in table.items()]
        self._known: dict[str, frozenset[str]] = {"": frozenset()}

    def ignores(self, path: str, rule: str) -> bool:
        """Return whether findings of `rule` in the file at `path`, relative to the target's root, are ignored."""
        return bool(self._entries) and rule in self._of(PurePosixPath(path), is_folder=False)

    def _of(self, path: PurePosixPath, *, is_folder: bool) -> frozenset[str]:
        text = "" if path == path.parent else path.as_posix()
        if text not in self._known:
            above = self._of(path.parent, is_folder=True)
            own = [rules for pattern, rules in self._entries if _matches(pattern, text, is_folder=is_folder)]
            self._known[text] = above.union(*own)
        return self._known[text]


def _pattern(text: str) -> PatternFile:
    found = PatternFile.from_lines([text], origin="", folder=_ROOT)
    if not found.patterns or found.patterns[0].negated:
        raise UsageError(f"{_KEY}: {text!r} matches nothing; write a pattern as in .gitignore")
    return found


def _matches(pattern: PatternFile, path: str, *, is_folder: bool) -> bool:
    return pattern.last_match(f"{_ROOT}{path}", is_folder=is_folder) is not None


def _rules(pattern: str, names: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(rules_named(name, where=f"{_KEY}: {pattern!r}") for name in names))
