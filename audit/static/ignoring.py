"""Which paths `.gitignore` files and exclude patterns leave out, decided one folder level at a time as git does.

`pathspec` translates one pattern into a regular expression. Its own verdict on a whole file is not used, because a
translated pattern also matches everything below a folder it names: for the two lines `/*` and `!/pkg/` git keeps
`pkg/x.py`, since a folder that is walked into was decided before. So the last pattern that matches the entry itself
wins here, and a folder left out is never entered.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec
from pathspec.pattern import Pattern

IGNORE_FILE = ".gitignore"


@dataclass(frozen=True, slots=True)
class IgnorePattern:
    """One line of an ignore file, with what decides whether it can match an entry."""

    text: str
    line: int
    pattern: Pattern
    negated: bool
    folders_only: bool
    contents_only: bool  # ends in `/**`: what a folder holds, never the folder
    segments: int | None  # parts a matching path has: 0 for "any folder, this name", None where `**` leaves it open

    def matches(self, path: str, *, is_folder: bool) -> bool:
        """Return whether this pattern names `path` itself, given relative to the folder of its ignore file."""
        if self.folders_only and not is_folder:
            return False
        if self.segments == 0:
            path = path.rpartition("/")[2]
        elif self.segments is not None and self.segments != path.count("/") + 1:
            return False
        if is_folder and not self.contents_only:
            path += "/"
        return self.pattern.match_file(path) is not None


def _parse(text: str, *, line: int) -> IgnorePattern | None:
    """Return the pattern on one line; None for blanks, comments and what git can never match either."""
    negated = text.startswith("!")
    body = text.removeprefix("!")
    if negated and body.startswith(("!", "#")):  # only the first sign of a line has a meaning
        body = "\\" + body
    try:
        (pattern,) = GitIgnoreSpec.from_lines([body]).patterns
    except ValueError:
        return None
    if pattern.include is None:
        return None
    body = _without_trailing_spaces(body)
    stem = body.removesuffix("/")
    return IgnorePattern(
        text=text,
        line=line,
        pattern=pattern,
        negated=negated,
        folders_only=body.endswith("/"),
        contents_only=stem.endswith("/**") and stem.strip("/*") != "",
        segments=_segments(stem),
    )


def _segments(body: str) -> int | None:
    """Return how many parts a path has that the pattern can match; see `IgnorePattern.segments`."""
    if "/" not in body.removeprefix("/**/").removeprefix("**/"):
        return 0
    parts = body.removeprefix("/").split("/")
    return None if "**" in parts else len(parts)


def _without_trailing_spaces(text: str) -> str:
    """Git drops spaces at the end of a line unless a backslash stands before them."""
    stripped = text.rstrip(" ")
    return stripped + " " if stripped.endswith("\\") and stripped != text else stripped


@dataclass(frozen=True, slots=True)
class PatternFile:
    """The patterns of one origin, and the folder they are relative to."""

    origin: str
    folder: str
    patterns: tuple[IgnorePattern, ...]

    @classmethod
    def from_lines(cls, lines: Iterable[str], *, origin: str, folder: str) -> "PatternFile":
        """Return the patterns of `lines`; a line that is no valid pattern matches nothing, as in git."""
        parsed = (_parse(text, line=number) for number, text in enumerate(lines, start=1))
        return cls(origin=origin, folder=folder, patterns=tuple(pattern for pattern in parsed if pattern))

    def last_match(self, path: str, *, is_folder: bool) -> IgnorePattern | None:
        """Return the pattern that decides about the absolute `path`, or None where none matches."""
        prefix = self.folder.rstrip("/") + "/"
        if not path.startswith(prefix):
            return None
        relative = path[len(prefix) :]
        return next((p for p in reversed(self.patterns) if p.matches(relative, is_folder=is_folder)), None)


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """Pattern files from the least to the most specific; the most specific one that matches decides."""

    files: tuple[PatternFile, ...] = ()

    def extended(self, folder: Path) -> "IgnoreRules":
        """Return these rules with the `.gitignore` of `folder`, where it has one that can be read."""
        path = folder / IGNORE_FILE
        if path.is_symlink() or not path.is_file():  # git does not follow links either; a pipe would never end
            return self
        try:
            content = path.read_bytes()
        except OSError:
            return self
        lines = os.fsdecode(content.removeprefix(b"\xef\xbb\xbf")).split("\n")
        lines = [line.removesuffix("\r") for line in lines]
        return IgnoreRules(
            (*self.files, PatternFile.from_lines(lines, origin=path.as_posix(), folder=folder.as_posix()))
        )

    def ignores(self, path: str, *, is_folder: bool) -> tuple[PatternFile, IgnorePattern] | None:
        """Return what leaves the absolute `path` out, or None where it is kept. Ask about its folders first."""
        for file in reversed(self.files):
            match = file.last_match(path, is_folder=is_folder)
            if match:
                return None if match.negated else (file, match)
        return None
