"""A target as it was at a revision of its git repository, so that only what a branch adds counts.

The files come out of git as they are stored. No filter runs over them, and nothing is checked out: both start programs
that the repository names.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from audit.errors import UsageError
from audit.provenance import git_output
from audit.results import Result
from audit.static.baseline import is_failure
from audit.static.fingerprints import fingerprint, source_lines
from audit.static.notebooks import SUFFIX as NOTEBOOK
from audit.target import Target

_NAMES = frozenset({"pyproject.toml", "setup.cfg", "setup.py", ".gitignore"})  # what says how the files are analysed
_SUFFIXES = (".py", NOTEBOOK)
_MAX_OTHER_BYTES = 4 * 1024 * 1024  # what rules find in a larger document or data file counts as new
_FILE_MODES = ("100644", "100755")
_LINK_MODE = "120000"
_BLOBS_AT_ONCE = 200
_RENAMED = "R"


@dataclass(frozen=True)
class Revision:
    """A commit, what the user called it, and the files renamed since: the new path of each old one."""

    name: str
    commit: str
    renames: Mapping[str, str]


def find_revision(root: Path, name: str) -> Revision:
    """Return the revision that `name` means in the repository around `root`.

    Renames are those of files that git knows: of a file that was moved, but not added, nothing is known.

    Raises:
        UsageError: there is no repository, or it has no such revision.
    """
    if git_output(root, "rev-parse", "--git-dir") is None:
        raise UsageError(f"--diff-base {name}: {root} is in no git repository, or git does not run")
    said = git_output(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if said is None:
        raise UsageError(f"--diff-base {name}: the repository has no such revision; name a branch, tag or commit")
    commit = said.decode().strip()
    how = ("--cached", "--find-renames", "--name-status", "-z", "--relative", "--no-ext-diff", "--no-textconv")
    changes = git_output(root, "diff-index", *how, commit, "--", ".")
    return Revision(name, commit, _renames(changes or b""))


def _renames(changes: bytes) -> dict[str, str]:
    fields = iter(os.fsdecode(changes).split("\0"))
    renames = {}
    for status in fields:
        if not status:
            break
        path = next(fields)
        if status.startswith((_RENAMED, "C")):
            new = next(fields)
            if status.startswith(_RENAMED):
                renames[path] = new
    return renames


def target_at(revision: Revision, target: Target, folder: Path) -> Target | None:
    """Write the target's files as they were to `folder`; return it there, None where none of it existed.

    The configuration is that of today: what the branch changes in it is nothing that the branch adds.

    Raises:
        UsageError: git does not give the files.
    """
    listed = list(_listed(target.root, revision, everything=not target.paths))
    links = {path for path, _, is_link in listed if is_link}
    for path, content in _contents(target.root, revision, {path: blob for path, blob, _ in listed}):
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if path not in links:
            place.write_bytes(content)
        elif _stays_inside(path, goal := os.fsdecode(content)):
            place.symlink_to(goal)
    source = folder / target.source.relative_to(target.root)
    paths = _old_paths(revision, target, folder)
    moved = target.model_copy(update={"root": folder, "source": source, "paths": paths})
    if target.paths:
        return moved if paths else None
    if not target.is_tree and moved.package_path == source:
        return None
    return moved if _has_sources(folder) else None


def _stays_inside(link: str, goal: str) -> bool:
    """Return whether what a link leads to lies in the folder that the link's path is relative to."""
    reached = os.path.normpath(os.path.join(os.path.dirname(link), goal))
    return not os.path.isabs(reached) and reached.split(os.sep)[0] != os.pardir


def _has_sources(folder: Path) -> bool:
    return any(next(folder.rglob(f"*{suffix}"), None) for suffix in _SUFFIXES)


def _listed(root: Path, revision: Revision, *, everything: bool) -> Iterator[tuple[str, bytes, bool]]:
    """Yield the sources below `root`, or `everything` that some rule can find something in.

    Each has its path, its object and whether it is a link; links are sources only.
    """
    listed = git_output(root, "ls-tree", "-r", "-l", "-z", revision.commit)
    if listed is None:
        raise UsageError(f"--diff-base {revision.name}: git does not list its files; fetch the whole commit")
    for entry in listed.split(b"\0")[:-1]:
        facts, _, name = entry.partition(b"\t")
        mode, _, blob, size = facts.split()
        path = PurePosixPath(os.fsdecode(name))
        is_link = mode.decode() == _LINK_MODE
        wanted = path.suffix in _SUFFIXES or (path.name in _NAMES and not is_link)
        wanted |= everything and not is_link and size.isdigit() and int(size) <= _MAX_OTHER_BYTES
        known = is_link or mode.decode() in _FILE_MODES
        if wanted and known and not {"..", ".git"}.intersection(path.parts):
            yield path.as_posix(), blob, is_link


def _contents(root: Path, revision: Revision, blobs: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    paths = list(blobs)
    for first in range(0, len(paths), _BLOBS_AT_ONCE):
        batch = paths[first : first + _BLOBS_AT_ONCE]
        said = git_output(root, "cat-file", "--batch", given=b"".join(blobs[path] + b"\n" for path in batch))
        found = list(_split(said or b""))
        if len(found) != len(batch):  # a clone can lack objects
            raise UsageError(f"--diff-base {revision.name}: git does not give its files; fetch the whole commit")
        yield from zip(batch, found, strict=True)


def _split(said: bytes) -> Iterator[bytes]:
    """Yield the contents in what `cat-file --batch` says: `OBJECT blob SIZE`, the content, a line end."""
    start = 0
    while start < len(said):
        end = said.index(b"\n", start)
        words = said[start:end].split()
        start = end + 1
        if len(words) == 3:  # else `OBJECT missing`
            yield said[start : start + int(words[2])]
            start += int(words[2]) + 1


def _old_paths(revision: Revision, target: Target, folder: Path) -> tuple[Path, ...]:
    """Return what the chosen paths were, as far as they existed: themselves, and what was renamed into them."""
    names = [PurePosixPath(path.relative_to(target.root).as_posix()) for path in target.paths]
    wanted = set(names)
    old = [
        before
        for before, after in revision.renames.items()
        if before.endswith(_SUFFIXES) and not wanted.isdisjoint((PurePosixPath(after), *PurePosixPath(after).parents))
    ]
    found = {folder / name for name in (*map(str, names), *old) if (folder / name).exists()}
    return tuple(sorted(path for path in found if path.is_file() or _has_sources(path)))


def as_of_today(results: Iterable[Result], revision: Revision, root: Path) -> list[Result]:
    """Return the failures at a revision, whose files are in `root`, as if the files had today's names."""
    moved = []
    lines: dict[str, list[str]] = {}
    for result in results:
        place = result.location
        new = revision.renames.get(place.path) if place else None
        if place and new and is_failure(result):
            if place.path not in lines:
                lines[place.path] = source_lines(root / place.path)
            prints = fingerprint(result.check, place, lines[place.path], path=new)
            update = {"location": place.model_copy(update={"path": new}), "fingerprint": prints}
            result = result.model_copy(update=update)
        moved.append(result)
    return moved
