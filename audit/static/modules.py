"""Where the modules of a target are: which file a dotted module name means, and what a star import takes from it."""

from collections.abc import Iterable, Mapping

from audit.static.installed import InstalledModules
from audit.static.names import FileSummary
from audit.static.reads import Kept, Reads
from audit.static.sources import SourceFile
from audit.static.standard_library import STANDARD_LIBRARY

ALWAYS_INSTALLED = STANDARD_LIBRARY | {"torch"}


def _is_given(module: str) -> bool:
    """Whether the module belongs to the standard library or torch, whose sources are not read."""
    return module.partition(".")[0] in ALWAYS_INSTALLED


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


class ModuleIndex:
    """The target's modules by name, then the installed ones. Of two files of one name the package wins."""

    def __init__(
        self,
        files: Mapping[str, FileSummary],
        sources: Iterable[SourceFile],
        *,
        installed: InstalledModules,
        reads: Reads,
    ) -> None:
        """Index those of `sources` whose paths are among `files`, whose summaries are looked at when they are needed.

        Installed modules are looked up when a name leads to one. Every file that is looked at is noted in `reads`.
        """
        self._installed = installed
        self._files = files
        self._reads = reads
        self._paths: dict[str, str] = {}
        for source in sorted(sources, key=lambda source: (source.is_package, source.relative)):
            if source.relative in files:
                self._paths[source.module] = source.relative
        self._stars: dict[str, tuple[str, ...]] = {}
        self._exports: Kept[tuple[str, str], bool] = {}
        self._folders = {parent for module in self._paths for parent in _parents(module)} - self._paths.keys()

    def file(self, module: str) -> FileSummary | None:
        """Return the file of `module`; None for a folder without `__init__.py` and for what is nowhere."""
        if module in self._paths:
            file: FileSummary | None = self._files[self._paths[module]]
        else:
            file = None if _is_given(module) else self._installed.file(module)
        if file:
            self._reads.note(file.path)
        return file

    def has(self, module: str) -> bool:
        """Return whether there is a file or a folder of Python files for `module`."""
        if module in self._paths or module in self._folders:
            return True
        return not _is_given(module) and self._installed.has(module)

    def find(self, module: str, *, seen_from: FileSummary | None) -> tuple[str, tuple[str, ...]] | None:
        """Return the longest part of `module` that there is, and the attributes that are left.

        Names count from the root, then from the folder that Python puts first when it runs the importing file: the
        nearest one that is no package; then in the installed packages. None where it is in none of these, and for
        torch and the standard library. A folder without `__init__.py` gives way to an installed package, so such a
        folder must hold the module itself.
        """
        prefixes = [""] if seen_from is None else ["", self._script_folder(seen_from)]
        for prefix in dict.fromkeys(prefixes):
            found = self._longest_part(
                f"{prefix}.{module}" if prefix else module, start=prefix.count(".") + bool(prefix)
            )
            if found:
                return found
        return None if _is_given(module) else self._installed.find(module)

    def _longest_part(self, module: str, *, start: int) -> tuple[str, tuple[str, ...]] | None:
        parts = module.split(".")
        if ".".join(parts[: start + 1]) in self._folders and parts[start] in ALWAYS_INSTALLED:
            return None
        for length in range(len(parts), start, -1):
            part, rest = ".".join(parts[:length]), tuple(parts[length:])
            if part in self._paths:
                return part, rest
            if part in self._folders:
                return None if rest else (part, rest)
        return None

    def _script_folder(self, file: FileSummary) -> str:
        folder = file.module if file.is_package else file.module.rpartition(".")[0]
        while folder in self._paths:
            folder = folder.rpartition(".")[0]
        return folder

    def exports(self, module: str, name: str) -> bool:
        """Return whether `from module import *` binds `name`, through whatever star imports `module` has itself."""
        return self._reads.answer(self._exports, (module, name), lambda: self._does_export(module, name))

    def _does_export(self, module: str, name: str) -> bool:
        seen, pending = {module}, [module]
        while pending:
            current = pending.pop()
            if current not in self._paths and not self._installed.may_export(current, name):
                continue
            file = self.file(current)
            if file is None or not self._offers(file, name, seen=set()):
                continue
            listed = file.exports is not None and name in file.exports.names
            if name in file.bindings or (listed and self.has(f"{current}.{name}")):
                return True
            for star in self._star_modules(file):
                if star not in seen:
                    seen.add(star)
                    pending.append(star)
        return False

    def _star_modules(self, file: FileSummary) -> tuple[str, ...]:
        """Return the modules of which the file takes all names, those that there are."""
        if file.path not in self._stars:
            found = (self.find(star.module, seen_from=file) for star in file.stars)
            self._stars[file.path] = tuple(each[0] for each in found if each and not each[1])
        return self._stars[file.path]

    def _offers(self, file: FileSummary, name: str, *, seen: set[str]) -> bool:
        """Return whether the file's `__all__`, or without one the lack of an underscore, lets `name` out."""
        seen.add(file.path)
        if file.exports is None:
            return not name.startswith("_")
        if file.exports.dynamic or name in file.exports.names:
            return True
        for candidate in file.exports.included:
            found = self.find(".".join(filter(None, (candidate.module, *candidate.attributes))), seen_from=file)
            other = self.file(found[0]) if found and not found[1] else None
            if other and other.path not in seen and self._offers(other, name, seen=seen):
                return True
        return False
