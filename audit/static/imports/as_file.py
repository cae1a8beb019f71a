"""What happens to files that are run as such: `python path/to/file.py`, up to what stands under a `__main__` guard.

Then the file's folder is first on the path, so that its neighbours are top-level modules and may hide others; the file
is no part of a package, so that its relative imports fail; and its package is found only where the interpreter has it
on its own path.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from audit.static.imports.causes import Cause, Failure
from audit.static.imports.execute import Executor
from audit.static.imports.importing import Importer, Surroundings, TargetModule
from audit.static.imports.installed import Kind
from audit.static.imports.machine import Raised
from audit.static.imports.program import Compare, Constant, If, ImportFrom, Name, Program, every_step, imported_names

_GUARD = {Name("__name__"), Constant("__main__")}


def is_meant_to_be_run(module: TargetModule, targets: Mapping[str, TargetModule]) -> bool:
    """Whether a file has a `__main__` guard, or lies in a folder that is no package."""
    if module.program and any(isinstance(step, If) and _is_guard(step) for step in module.program.body):
        return True
    return not module.is_package and module.module.rpartition(".")[0] not in targets


def _is_guard(step: If) -> bool:
    return isinstance(step.test, Compare) and {step.test.left, step.test.right} == _GUARD


def attempt(importer: Importer, module: str) -> Failure | None:
    """Return what a first import of `module` raises; None where it raises nothing that is known."""
    try:
        importer.load(module, (importer.targets[module].path, 1))
    except Raised as raised:
        return raised.failure
    except RecursionError:
        return None  # nothing is known of it, and what is not known does not fail
    return None


def forecast_files(
    files: Sequence[TargetModule], modules: Sequence[TargetModule], outside: Surroundings, *, source: Path
) -> dict[str, Failure | None]:
    """Return how running each of `files` ends, by its module name; `modules` are all of the target."""
    if not files:
        return {}
    everywhere = any(os.path.realpath(entry) == os.path.realpath(source) for entry in outside.facts.path)
    found = [module for module in modules if everywhere or _top(module) in outside.facts.editable]
    found_tops = set(map(_top, found))
    outside = replace(outside, off_path=frozenset(set(map(_top, modules)) - found_tops))
    folders: dict[str, list[TargetModule]] = defaultdict(list)
    apart: list[TargetModule] = []
    beside = _by_folder(modules)
    offered = {name for file in files for name in beside[PurePosixPath(file.path).parent.as_posix()]}
    named = _names_that_matter(modules, outside, offered=offered)
    for file in files:
        folder = PurePosixPath(file.path).parent.as_posix()
        if named.isdisjoint(beside[folder]):
            apart.append(file)  # nothing that is imported can be one of its neighbours
        else:
            folders[folder].append(file)
    ends = _run(apart, found, replace(outside, installed=outside.installed.seen_from(None)))
    for folder, members in sorted(folders.items()):
        neighbours = list(_neighbours(folder, modules, outside))
        tops = {_top(each) for each in neighbours}
        hiding = {
            top
            for top in tops
            if top in outside.facts.standard_library or top in found_tops or outside.installed.find(top)
        }
        place = Path(os.path.abspath(source / folder))
        here = replace(outside, installed=outside.installed.seen_from(place), hiding=frozenset(hiding))
        ends |= _run(members, [*(each for each in found if _top(each) not in tops), *neighbours], here)
    return ends


def _top(module: TargetModule) -> str:
    return module.module.partition(".")[0]


def _run(
    files: Sequence[TargetModule], found: Iterable[TargetModule], outside: Surroundings
) -> dict[str, Failure | None]:
    """Run files for which the same modules are found, each in a new process."""
    # The name of a module that is run has no dot, so that it is in no package, and is none that an import can name.
    mains = {f"<{file.path.replace('.', ' ')}>": file for file in files}
    run = [replace(file, module=name, is_package=False) for name, file in mains.items()]
    importer = Importer([*found, *run], outside)
    Executor(importer)
    ends = {}
    for name, file in mains.items():
        importer.begin(())
        ends[file.module] = attempt(importer, name) or _registers_again(file, importer)
    return ends


def _registers_again(file: TargetModule, importer: Importer) -> Failure | None:
    """Return the failure of a file whose package has imported it as well, so that it registers names twice."""
    same = importer.targets.get(file.module)
    if file.program is None or same is None or same.path != file.path or file.module not in importer.loaded:
        return None
    for line, name in file.program.decorators:
        if _refuses_twice(file.program, name, importer):
            return Failure("Exception", Cause.REGISTERED_TWICE, file.path, line, name)
    return None


def _refuses_twice(program: Program, name: str, importer: Importer) -> bool:
    """Whether a name is imported from a module of the target that is loaded once, and is a registrar there."""
    for step in every_step(program.body):
        if isinstance(step, ImportFrom) and not step.level:
            original = next((original for original, bound in step.names if bound == name), None)
            target = importer.targets.get(step.module) if original else None
            if target and target.program and original in target.program.registrars:
                return True
    return False


def _by_folder(modules: Iterable[TargetModule]) -> Mapping[str, set[str]]:
    """Return the top-level names that each folder has for a file that is run in it."""
    names: dict[str, set[str]] = defaultdict(set)
    for module in modules:
        path = PurePosixPath(module.path)
        below = path.with_suffix("").name
        for folder in path.parents:
            if below != "__init__":
                names[folder.as_posix()].add(below)
            below = folder.name
    return names


def _neighbours(folder: str, modules: Iterable[TargetModule], outside: Surroundings) -> Iterator[TargetModule]:
    """Yield the modules below a folder under the names that they have for a file that is run in it."""
    facts = outside.facts
    fixed = facts.loaded_at_start | facts.builtin_modules
    base = PurePosixPath(folder)
    below = [(module, PurePosixPath(module.path).relative_to(base)) for module in modules if _is_below(module, base)]
    packages = {path.parts[0] for _, path in below if len(path.parts) == 2 and path.name == "__init__.py"}
    for module, path in below:
        top = path.parts[0].removesuffix(".py")
        if top in fixed or path.as_posix() == "__init__.py":
            continue
        if len(path.parts) > 1 and top not in packages:  # a folder without `__init__.py` gives way to anything else
            elsewhere = outside.installed.find(top)
            if elsewhere and elsewhere.kind is not Kind.NAMESPACE:
                continue
        parts = path.with_suffix("").parts
        yield replace(module, module=".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def _is_below(module: TargetModule, base: PurePosixPath) -> bool:
    return PurePosixPath(module.path).is_relative_to(base)


def _names_that_matter(
    modules: Iterable[TargetModule], outside: Surroundings, *, offered: Collection[str]
) -> frozenset[str]:
    """Return those of the `offered` top-level names that something imports when a file of the target is run."""
    tops = {name.partition(".")[0] for module in modules if module.program for name in imported_names(module.program)}
    facts = outside.facts
    others = {
        name
        for name in set(offered) - tops - facts.loaded_at_start - facts.builtin_modules
        if name in facts.standard_library or outside.installed.find(name)
    }
    if others:  # what installed modules import among themselves takes long to find out
        tops.update(*(outside.dependencies.tops(name) for name in sorted(tops) if outside.installed.find(name)))
    return frozenset(tops & set(offered))
