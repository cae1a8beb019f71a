"""What happens to files that are run as such: `python path/to/file.py`, up to what stands under a `__main__` guard.

Then the file's folder is first on the path, so that its neighbours are top-level modules and may hide others; the file
is no part of a package, so that its relative imports fail; and its package is found only where the interpreter has it
on its own path.
"""

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from audit.static.imports.causes import Cause, Failure
from audit.static.imports.course import Attempt
from audit.static.imports.importing import Importer
from audit.static.imports.installed import Kind
from audit.static.imports.memory import Courses
from audit.static.imports.program import ImportFrom, Program, every_step
from audit.static.imports.programs import Traits
from audit.static.imports.world import Surroundings, TargetModule, World


def is_meant_to_be_run(module: TargetModule, traits: Traits, targets: Collection[str]) -> bool:
    """Whether a file has a `__main__` guard, or lies in a folder that is no package."""
    return traits.is_guarded or (not module.is_package and module.module.rpartition(".")[0] not in targets)


def forecast_files(
    files: Sequence[TargetModule],
    modules: Sequence[TargetModule],
    outside: Surroundings,
    *,
    source: Path,
    tops: Collection[str],
    courses: Courses,
) -> dict[str, Failure | None]:
    """Return how running each of `files` ends, by its module name.

    `modules` are all of the target, and `tops` the top-level modules that any of them may import.
    """
    if not files:
        return {}
    everywhere = any(os.path.realpath(entry) == os.path.realpath(source) for entry in outside.facts.path)
    found = [module for module in modules if everywhere or _top(module) in outside.facts.editable]
    found_tops = set(map(_top, found))
    outside = replace(outside, off_path=frozenset(set(map(_top, modules)) - found_tops))
    folders: dict[str, list[TargetModule]] = defaultdict(list)
    apart: list[TargetModule] = []
    beside = _by_folder(modules)
    offered = sorted({name for file in files for name in beside[_folder(file)]})
    named = courses.names((sorted(tops), offered), partial(_names_that_matter, tops, outside, offered=offered))
    for file in files:
        if named.isdisjoint(beside[_folder(file)]):
            apart.append(file)  # nothing that is imported can be one of its neighbours
        else:
            folders[_folder(file)].append(file)
    ends = _run(apart, found, replace(outside, installed=outside.installed.seen_from(None)), courses, place="")
    below = _Below(modules)
    for folder, members in sorted(folders.items()):
        neighbours = list(_neighbours(folder, below, outside))
        near = {_top(each) for each in neighbours}
        hiding = {
            top
            for top in near
            if top in outside.facts.standard_library or top in found_tops or outside.installed.find(top)
        }
        place = Path(os.path.abspath(source / folder))
        here = replace(outside, installed=outside.installed.seen_from(place), hiding=frozenset(hiding))
        others = [each for each in found if _top(each) not in near]
        ends |= _run(members, [*others, *neighbours], here, courses, place=folder)
    return ends


def _top(module: TargetModule) -> str:
    return module.module.partition(".")[0]


def _folder(module: TargetModule) -> str:
    return module.path.rpartition("/")[0] or "."


def _run(
    files: Sequence[TargetModule], found: Iterable[TargetModule], outside: Surroundings, courses: Courses, *, place: str
) -> dict[str, Failure | None]:
    """Run files for which the same modules are found, each in a new process."""
    # The name of a module that is run has no dot, so that it is in no package, and is none that an import can name.
    mains = {f"<{file.path.replace('.', ' ')}>": file for file in files}
    run = [replace(file, module=name, is_package=False) for name, file in mains.items()]
    attempts = [Attempt(name, and_then=partial(_registers_again, file)) for name, file in mains.items()]
    log = courses.run(f"as files {place}", World([*found, *run], outside), attempts)
    return {file.module: entry.failure for file, entry in zip(mains.values(), log, strict=True)}


def _registers_again(file: TargetModule, importer: Importer) -> Failure | None:
    """Return the failure of a file whose package has imported it as well, so that it registers names twice."""
    same = importer.targets.get(file.module)
    if same is None or same.path != file.path or file.module not in importer.loaded:
        return None
    program = importer.program(file.module)
    for line, name in program.decorators:
        if _refuses_twice(program, name, importer):
            return Failure("Exception", Cause.REGISTERED_TWICE, file.path, line, name)
    return None


def _refuses_twice(program: Program, name: str, importer: Importer) -> bool:
    """Whether a name is imported from a module of the target that is loaded once, and is a registrar there."""
    for step in every_step(program.body):
        if isinstance(step, ImportFrom) and not step.level:
            original = next((original for original, bound in step.names if bound == name), None)
            if original and original in importer.program(step.module).registrars:
                return True
    return False


def _by_folder(modules: Iterable[TargetModule]) -> Mapping[str, set[str]]:
    """Return the top-level names that each folder has for a file that is run in it."""
    names: dict[str, set[str]] = defaultdict(set)
    for module in modules:
        folder, _, name = module.path.rpartition("/")
        below = _stem(name)
        while True:
            if below != "__init__":
                names[folder or "."].add(below)
            if not folder:
                break
            folder, _, below = folder.rpartition("/")
    return names


def _stem(name: str) -> str:
    """Return the name of a file without its suffix."""
    return PurePosixPath(name).stem if not name.endswith(".py") else name.removesuffix(".py")


class _Below:
    """The modules below each folder, in their order; the folders of a large tree are asked for one by one."""

    def __init__(self, modules: Iterable[TargetModule]) -> None:
        self._modules = list(modules)
        self._paths = sorted((module.path, position) for position, module in enumerate(self._modules))

    def of(self, folder: str) -> Iterator[tuple[TargetModule, str]]:
        """Yield the modules below a folder, with their paths from there."""
        prefix = "" if folder == "." else f"{folder}/"
        found = []
        for path, position in self._paths[bisect_left(self._paths, (prefix, -1)) :]:
            if not path.startswith(prefix):
                break
            found.append(position)
        for position in sorted(found):
            yield self._modules[position], self._modules[position].path.removeprefix(prefix)


def _neighbours(folder: str, modules: _Below, outside: Surroundings) -> Iterator[TargetModule]:
    """Yield the modules below a folder under the names that they have for a file that is run in it."""
    facts = outside.facts
    fixed = facts.loaded_at_start | facts.builtin_modules
    below = [(module, path.split("/")) for module, path in modules.of(folder)]
    packages = {parts[0] for _, parts in below if len(parts) == 2 and parts[1] == "__init__.py"}
    for module, parts in below:
        top = parts[0].removesuffix(".py")
        if top in fixed or parts == ["__init__.py"]:
            continue
        if len(parts) > 1 and top not in packages:  # a folder without `__init__.py` gives way to anything else
            elsewhere = outside.installed.find(top)
            if elsewhere and elsewhere.kind is not Kind.NAMESPACE:
                continue
        names = [*parts[:-1], _stem(parts[-1])]
        yield replace(module, module=".".join(names[:-1] if names[-1] == "__init__" else names))


def _names_that_matter(tops: Collection[str], outside: Surroundings, *, offered: Collection[str]) -> frozenset[str]:
    """Return those of the `offered` top-level names that something imports when a file of the target is run.

    `tops` are those that the target's own files may import.
    """
    named = set(tops)
    facts = outside.facts
    others = {
        name
        for name in set(offered) - named - facts.loaded_at_start - facts.builtin_modules
        if name in facts.standard_library or outside.installed.find(name)
    }
    if others:  # what installed modules import among themselves takes long to find out
        named.update(*(outside.dependencies.tops(name) for name in sorted(named) if outside.installed.find(name)))
    return frozenset(named & set(offered))
