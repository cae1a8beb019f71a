"""Results of earlier runs: what a subject was judged to be, under a key made of everything that it depends on.

So a run that was killed goes on where it was, and what has not changed is not measured again. One file per subject, in
the user's cache folder; what holds an error is not kept, for that may be the machine's doing and is tried again. Of
what depends on more than can be told, only what a run has found that did not come to its end is known to the next.
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from audit import __version__, plugins, provenance
from audit.plan import Group, PlannedCheck
from audit.results import Defect, Outcome, Result, SubjectKind
from audit.static.discovery import discover
from audit.static.environment import site_folders
from audit.static.store import cache_folder
from audit.target import Target
from audit.unfinished import Unfinished
from audit.variables import counted_variables

_FOLDER = "results-4"  # a change of the form changes the number
_FOLDER_OF_UNFINISHED = "unfinished-1"
_MOST_FILES = 4000  # of some 30 kB
_MOST_NEIGHBOURS = 10_000
_MOST_READ_BYTES = 16 * 1024 * 1024  # of a larger file the size and the time of its last change count


class _Kept(BaseModel):
    """What a file holds. Results are by check and subject; a check without any result was never finished."""

    model_config = ConfigDict(frozen=True)

    measured_at: str
    measured_commit: str | None = None
    results: dict[str, tuple[Result, ...]]
    defects: tuple[Defect, ...]
    files: dict[str, str]  # what the target read, and its state afterwards
    run: str | None = None  # that which has found it, where that counts only until this has come to its end


class Known(NamedTuple):
    """What an earlier run found: the results of each planned check of a group, in their order, and their defects."""

    results: tuple[tuple[Result, ...], ...]
    defects: tuple[Defect, ...]


class KeptResults:
    """Results by subject. Nothing that it does raises: no run fails for want of a folder to write to."""

    def __init__(self, target: Target, content: str, *, folder: Path | None = None) -> None:
        """Open the folder, which is created where it is missing.

        Args:
            target: what is audited.
            content: a digest of the target's files, and of the code of all who plan and judge.
            folder: in place of the user's cache folder.
        """
        given = (
            __version__, content, str(target.root), str(target.source), str(target.python),
            target.config_digest, *_elsewhere_too(target.flags), str(target.settings.seed),
            _installed(target.python), plugins.digest(),
            *provenance.machine(), counted_variables(os.environ),
        )  # fmt: skip
        self._base = "\0".join(given)
        self._place = (target.device, target.device_seen)
        self._root = target.root
        self._folder = (folder or cache_folder()) / _FOLDER
        self._usable = False
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._usable = self._folder.stat().st_uid == os.geteuid()  # what another user can write is not believed
        self._unfinished = Unfinished(self._folder.parent / _FOLDER_OF_UNFINISHED)

    def takes(self, group: Group) -> bool:
        """Return whether what is known of a group may stand in for carrying it out."""
        return self.lasts(group) or group.is_resumed

    def lasts(self, group: Group) -> bool:
        """Return whether it may for every later run, and not only for the one that takes this one up again."""
        return group.is_kept

    def of(self, group: Group) -> Known | None:
        """Return what is known of a group; None where a planned check is missing."""
        kept = self._read(group)
        if kept is None or any(_key(group, planned) not in kept.results for planned in group.planned):
            return None
        if not self.lasts(group) and (kept.run is None or not self._unfinished.is_over(kept.run)):
            return None
        if any(state_of(path) != state for path, state in kept.files.items()):
            return None
        results = tuple(
            tuple(_dated(result, kept) for result in kept.results[_key(group, planned)]) for planned in group.planned
        )
        return Known(results, tuple(_left(kept.defects, results)))

    def of_no_profile(self, group: Group, tell: Callable[[PlannedCheck], Sequence[Result]]) -> Known | None:
        """Return what a run for no profile has found of a group of which a part lies outside of this one's.

        What lies outside is told by `tell` and not judged, and the rest is the same where none of it needs a GPU.
        """
        if not any(each.outside for each in group.planned) or any(
            each.gpus and not each.outside for each in group.planned
        ):
            return None
        known = self.of(replace(group, planned=tuple(replace(each, outside="") for each in group.planned)))
        if known is None:
            return None
        results = tuple(
            tuple(tell(planned)) if planned.outside else found
            for planned, found in zip(group.planned, known.results, strict=True)
        )
        return known._replace(results=results)

    def keep(
        self,
        group: Group,
        results: Sequence[Sequence[Result]],
        defects: Sequence[Defect] = (),
        *,
        read: Iterable[str] = (),
        begun: float | None = None,
    ) -> None:
        """Keep the results of every planned check of a group and their defects, unless one is an error.

        They hold as long as the files that the target has read stay as they are now; where one has changed since
        `begun`, in seconds since the epoch, nothing tells what was read of it, and nothing is kept.
        """
        if not self._usable or any(result.outcome is Outcome.ERROR for each in results for result in each):
            return
        if not self.lasts(group) and not self._unfinished.is_usable:
            return
        by_check = {_key(group, planned): tuple(each) for planned, each in zip(group.planned, results, strict=True)}
        # What a run that is resumed wrote aside itself, as a compiler does, is new each time.
        paths = sorted(path for path in read if self.lasts(group) or not self._is_scratch(path))
        if begun is not None and any(_changed_since(path, begun) for path in paths):
            return
        files = {path: state_of(path) for path in paths}
        text = _Kept(
            measured_at=provenance.now(),
            measured_commit=self._commit,
            results=by_check,
            defects=tuple(defects),
            files=files,
            run=None if self.lasts(group) else self._unfinished.run,
        ).model_dump_json()
        with suppress(OSError, UnicodeEncodeError):
            path = self._path(group)
            descriptor, name = tempfile.mkstemp(dir=path.parent)  # whole, or not there: a kill may come at any time
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(name, path)

    def finished(self, groups: Iterable[Group]) -> None:
        """Forget of a run that has come to its end what only one that takes it up again would need."""
        for group in groups:
            if group.is_resumed and not self.lasts(group):
                with suppress(OSError):
                    self._path(group).unlink(missing_ok=True)

    def close(self) -> None:
        """Tell other runs that this one is over."""
        self._unfinished.end()

    def _is_scratch(self, path: str) -> bool:
        place = Path(os.path.realpath(path))
        return place.is_relative_to(os.path.realpath(tempfile.gettempdir())) and not place.is_relative_to(self._root)

    @cached_property
    def _commit(self) -> str | None:
        commit, dirty = provenance.git_state(self._root)
        return f"{commit}-dirty" if commit and dirty else commit

    def tidy(self) -> None:
        """Remove the files that were written longest ago, where there are too many."""
        self._unfinished.tidy()
        for folder in (self._folder, self._unfinished.folder):
            with suppress(OSError):
                paths = list(folder.glob("*.json"))
                if len(paths) > _MOST_FILES:
                    for path in sorted(paths, key=lambda path: path.stat().st_mtime)[: -_MOST_FILES // 2]:
                        path.unlink(missing_ok=True)

    def _path(self, group: Group) -> Path:
        subject = group.subject
        ways = sorted({tuple(_elsewhere_too(planned.flags)) for planned in group.planned})
        flags = [flag for way in ways for flag in way]
        areas = sorted({planned.check.area for planned in group.planned})  # of one model each has checks of its own
        left_out = "" if group.whole is None else "in part"
        outside = sorted({planned.outside for planned in group.planned if planned.outside})
        # The same whether the run or the group is for the device.
        place = (group.device, group.device_seen) if group.device else self._place
        # A claim is the same wherever its words stand in the text.
        line = None if subject.kind is SubjectKind.CLAIM else subject.line
        given = (*areas, left_out, subject.kind, subject.name, subject.path, line, subject.digest, *flags,
                 *outside, *place, *([group.depends_on] if group.depends_on else []),
                 # A package has several groups; what is known of one that is kept may be of more checks than these.
                 *(() if self.lasts(group) else (_key(group, planned) for planned in group.planned)))  # fmt: skip
        text = "\0".join((self._base, *map(str, given)))
        folder = self._folder if self.lasts(group) else self._unfinished.folder
        return folder / f"{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:40]}.json"

    def _read(self, group: Group) -> _Kept | None:
        if not self._usable:
            return None
        try:
            return _Kept.model_validate_json(self._path(group).read_bytes())
        except (OSError, ValidationError):  # not there; or cut off, or edited: as good as not there
            return None


def _elsewhere_too(flags: Sequence[str]) -> Iterator[str]:
    """Yield options without that which names a device."""
    rest = iter(flags)
    for flag in rest:
        if flag == "--device":
            next(rest, None)
        else:
            yield flag


def _key(group: Group, planned: PlannedCheck) -> str:
    """Return the check's id, which is not alone in a group of several subjects."""
    return planned.check.id if planned.subject == group.subject else "\0".join(planned.key)


def digest_of_neighbours(target: Target) -> str | None:
    """Return a digest of all Python files that lie where the target's code may import them from, below its folders.

    None where those are too many.
    """
    folders = {path if path.is_dir() else path.parent for path in target.paths} or {target.source}
    found = {file.path for folder in folders for file in discover(folder, folder).files}
    if len(found) > _MOST_NEIGHBOURS:
        return None
    total = hashlib.sha256()
    for path in sorted(found):
        if not path.is_file():  # a pipe would never end
            continue
        with suppress(OSError):
            total.update(os.fsencode(path) + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _dated(result: Result, kept: _Kept) -> Result:
    if result.evidence.measured_at:  # by a run that was earlier still
        return result
    when = {"measured_at": kept.measured_at, "measured_commit": kept.measured_commit}
    return result.model_copy(update={"evidence": result.evidence.model_copy(update=when)})


def _left(defects: Iterable[Defect], results: Iterable[Sequence[Result]]) -> Iterator[Defect]:
    """Yield the defects that the results name, with those of their checks that are among them."""
    named = {(result.defect.id, result.check) for each in results for result in each if result.defect}
    for defect in defects:
        checks = tuple(check for check in defect.checks if (defect.id, check) in named)
        if checks:
            yield defect.model_copy(update={"checks": checks})


def _changed_since(path: str, begun: float) -> bool:
    """Return whether a regular file was written after a moment, as far as its system tells."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and status.st_mtime >= begun


def state_of(path: str) -> str:
    """Return what tells whether a file has changed, or is there at all."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return "no file"
        if status.st_size > _MOST_READ_BYTES:
            return f"{status.st_size} {status.st_mtime_ns}"
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except (OSError, ValueError):
        return "cannot be read"


def _installed(python: Path) -> str:
    """Return what tells whether packages were installed or removed: the names in the folders of an interpreter."""
    names: list[str] = []
    for folder in site_folders(python):
        with suppress(OSError):
            names += sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith((".dist-info", ".pth")))
    return "\n".join(names)
