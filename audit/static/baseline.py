"""The baseline: findings that were there when it was written. It only ever shrinks, and none of them becomes a pass."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationError

from audit.errors import UsageError
from audit.report.document import Baseline, Unneeded
from audit.report.files import write_atomically
from audit.results import Frozen, Outcome, Result

_MAX_BYTES = 256 * 1024 * 1024
_PARSES = "static.parses"


class Key(NamedTuple):
    """What identifies a finding. Several findings can have one key: the same line twice in a function."""

    path: str
    check: str
    qualname: str
    fingerprint: str


class Entry(Frozen):
    """Findings with one key, and how many of them there may be."""

    path: str
    check: str
    qualname: str | None = None
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    count: Annotated[int, Field(ge=1, lt=2**31)]


class BaselineFile(Frozen):
    """The content of a baseline file."""

    version: Literal[1]
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Scope:
    """Which entries a run can tell anything about."""

    checks: Set[str]
    holds: Callable[[str], bool]
    unread: Set[str]

    def covers(self, key: Key) -> bool:
        """Return whether the run would have found what `key` stands for."""
        return (
            key.check in self.checks and self.holds(key.path) and (key.path not in self.unread or key.check == _PARSES)
        )


def scope_of(results: Iterable[Result], holds: Callable[[str], bool]) -> Scope:
    """Return the scope of a run: the checks that came to a conclusion, on paths that `holds`, in readable files."""
    results = list(results)
    undecided = {result.check for result in results if not result.outcome.judged}
    unread = {each.location.path for each in results if each.check == _PARSES and each.location and is_failure(each)}
    return Scope({result.check for result in results} - undecided, holds, unread)


def is_failure(result: Result) -> bool:
    """Return whether a result is one that a baseline can hold."""
    return result.outcome is Outcome.FAILED and result.fingerprint is not None


def key_of(result: Result) -> Key:
    """Return the key of a failure."""
    assert result.location
    assert result.fingerprint
    return Key(result.location.path, result.check, result.location.qualname or "", result.fingerprint)


def counted(results: Iterable[Result]) -> Counter[Key]:
    """Return how many failures there are of each key."""
    return Counter(key_of(result) for result in results if is_failure(result))


def read_baseline(path: Path) -> Counter[Key]:
    """Read a baseline.

    Raises:
        UsageError: it is missing, or no baseline.
    """
    try:
        if path.exists() and not path.is_file():  # a device or a pipe has no end
            raise UsageError(f"baseline {path}: not a file; name the file that --write-baseline wrote")
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"baseline {path}: larger than {_MAX_BYTES} bytes; this is no baseline")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"baseline {path}: cannot be read: {reason}; write one by --write-baseline") from error
    try:
        entries = BaselineFile.model_validate_json(content).entries
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise UsageError(f"baseline {path}: not a baseline: {where}: {first['msg']}") from error
    found: Counter[Key] = Counter()
    for entry in entries:
        found[Key(entry.path, entry.check, entry.qualname or "", entry.fingerprint)] += entry.count
    return found


def write_baseline(path: Path, results: Sequence[Result], scope: Scope) -> Counter[Key]:
    """Write what is failed to a new baseline, or take out of an old one what is not; return what it then holds.

    Raises:
        UsageError: the old one is no baseline, or would grow.
        WriteError: it cannot be written.
    """
    found = counted(results)
    if path.exists():
        known = read_baseline(path)
        added = sum((found - known).values())
        if added:
            findings = "1 finding is" if added == 1 else f"{added} findings are"
            raise UsageError(
                f"--write-baseline {path}: {findings} not in it, and a baseline only shrinks; mend or silence what is "
                "new, or delete the file to begin anew"
            )
        found = Counter({key: found[key] if scope.covers(key) else count for key, count in known.items()})
    write_atomically(path, _text(found))
    return +found


def _text(found: Mapping[Key, int]) -> str:
    entries = [
        Entry(
            path=key.path, check=key.check, qualname=key.qualname or None, fingerprint=key.fingerprint, count=count
        ).model_dump()
        for key, count in sorted(found.items())
        if count
    ]
    return json.dumps({"version": 1, "entries": entries}, indent=1, sort_keys=True) + "\n"


def set_apart(results: Sequence[Result], known: Mapping[Key, int], reason: str) -> tuple[list[Result], int]:
    """Mark the failures that are `known`, of each key as many as there may be; return how many are marked now."""
    left = Counter(known)
    marked: list[Result] = []
    number = 0
    for result in sorted(results, key=lambda each: each.sort_key):
        if is_failure(result) and left[key_of(result)] > 0:
            left[key_of(result)] -= 1
            if result.set_apart is None:
                result = result.model_copy(update={"set_apart": reason})
                number += 1
        marked.append(result)
    return marked, number


def compare(
    results: Sequence[Result], known: Mapping[Key, int], *, source: str, scope: Scope
) -> tuple[list[Result], Baseline]:
    """Set apart what the baseline that `source` names holds; tell which of its entries are not needed any more."""
    marked, number = set_apart(results, known, f"in {source}")
    found = counted(results)
    unneeded = [
        Unneeded(check=key.check, path=key.path, qualname=key.qualname or None, found=found[key], listed=count)
        for key, count in sorted(known.items())
        if found[key] < count and scope.covers(key)
    ]
    return marked, Baseline(source=source, set_apart=number, unneeded=tuple(unneeded))
