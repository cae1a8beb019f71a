"""What is on the interpreter's path: where a module is, and which names its source binds. Nothing is imported."""

import mmap
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from audit.static.imports.compile import compile_program
from audit.static.imports.interpreter import InterpreterFacts
from audit.static.imports.program import Anything, ImportFrom, Program, Step, every_step
from audit.static.imports.run_time import RunTime, made_at_run_time
from audit.static.imports.standard_library import StandardLibrary
from audit.static.reading import ParsedFile
from audit.static.records import analyse_files
from audit.static.sources import SourceFile
from audit.static.store import FactStore
from audit.static.tree import TreeIndex

# A module whose text has one of these can have attributes and submodules that its statements do not bind.
_DYNAMIC = re.compile(
    r"sys\.modules|__path__|meta_path|def __getattr__|__getattr__\s*[=,]|globals\(\)|\bexec\(|vars\(|setattr\("
)
# torch binds most of its names from a binary, and ships stubs of it: what is a word neither there nor in its own files
# nor a text in the binary is no name of it. Names of these forms it puts together. A test compares with `dir(torch)`.
_STUBBED = "torch"
_STUBS = ("*.py", "_C/*.pyi")
_BINARY = "lib/libtorch_python.*"
_REPLACED = frozenset({"distutils"})  # setuptools puts its own in place of the standard library's
_PUT_TOGETHER = re.compile(r"_|sym_|u?int\d|\w+(?:Tensor|Storage)$")
_FIRST_WORD = re.compile(r"^(?:class |def )?(\w+)", re.MULTILINE)
_OWN_FOLDER = Path(__file__).parents[2]  # audit/


class Kind(StrEnum):
    """What a module is stored as."""

    SOURCE = "source"
    BINARY = "binary"  # extension, builtin, or in an archive: its names are not known
    NAMESPACE = "namespace"


@dataclass(frozen=True, slots=True)
class Found:
    """A module on the path; `folders` are those of a package, in which its submodules are."""

    kind: Kind
    path: str
    folders: tuple[str, ...] = ()


_BUILTIN = Found(Kind.BINARY, "")


class Installed:
    """Looks modules up on the path, in the order of the path, and keeps what it has seen."""

    def __init__(self, facts: InterpreterFacts, source: Path, *, package: str, store: FactStore | None = None) -> None:
        """Look in `source` first, as the target's process does; nothing is read yet.

        Files of which `store` knows what importing them does are not parsed again.
        """
        self._facts = facts
        self._store = store
        self._path: tuple[str, ...] = (str(source), *facts.path)
        hidden = [name for name in ("audit", "validation") if package.partition(".")[0] != name]
        self._hidden = {str(_OWN_FOLDER.with_name(name)) for name in hidden}  # the probe steps over them as well
        self._loaded: frozenset[str] = frozenset()  # top-level modules for which the first folder is not asked
        self._listings: dict[str, dict[str, bool]] = {}
        self._found: dict[str, Found | None] = {}
        self._texts: dict[str, str] = {}
        self._programs: dict[str, Program | None] = {}
        self._looked_at: set[Path] = set()
        self._words_at_start: dict[str, frozenset[str]] = {}
        self._dynamic: dict[str, bool] = {}
        self._made: dict[tuple[str, str], RunTime] = {}
        self._lacking: dict[tuple[str, str], bool] = {}
        self._words: dict[str, str] = {}  # of torch, by its path
        self._standard = StandardLibrary(facts, store)

    def seen_from(self, folder: Path | None) -> "Installed":
        """Return what a file in `folder` finds when it is run; None for no folder. Files are read once for both."""
        other = Installed(self._facts, folder or Path(), package="", store=self._store)
        if folder:
            other._loaded = self._facts.loaded_at_start
        else:
            other._path = self._facts.path
        other._hidden = self._hidden
        other._listings, other._texts, other._programs = self._listings, self._texts, self._programs
        other._words_at_start, other._dynamic, other._words = self._words_at_start, self._dynamic, self._words
        other._looked_at, other._made, other._standard = self._looked_at, self._made, self._standard
        return other

    @property
    def consulted(self) -> set[Path]:
        """The files and folders that were looked at."""
        files = {Path(path) for path in (*self._listings, *self._texts, *self._programs)}
        return files | self._looked_at | self._standard.consulted

    @property
    def is_certain(self) -> bool:
        """Whether nothing was left open for the interpreter has not answered: it may answer the next time."""
        return self._standard.is_certain

    def find(self, module: str) -> Found | None:
        """Return where `module` is; None where there is none, or where a parent of it is no package."""
        if module not in self._found:
            self._found[module] = self._find(module)
        return self._found[module]

    def _find(self, module: str) -> Found | None:
        parent, _, name = module.rpartition(".")
        if not parent:
            if module in self._facts.builtin_modules:
                return _BUILTIN
            if module in self._facts.editable:
                path = Path(self._facts.editable[module])
                return self._in([str(path.parent)], path.name)
            return self._in(self._path[module in self._loaded :], name)
        outer = self.find(parent)
        if outer is None:
            return None
        found = self._in(outer.folders, name)
        return found or (_BUILTIN if self._may_make(outer, parent, name) else None)

    def has_file(self, package: Found, name: str) -> bool:
        """Whether a submodule of a package has a file of its own."""
        found = self._in(package.folders, name)
        return found is not None and found.path != ""

    def _may_make(self, outer: Found, parent: str, name: str) -> bool:
        """Whether a module may make a submodule at run time that has no file."""
        if outer.kind is Kind.NAMESPACE or not self._is_dynamic(outer):
            return False
        if outer.kind is Kind.BINARY:
            return True
        if self._run_time(outer.path, parent).may_have_submodule(f"{parent}.{name}"):
            return parent != _STUBBED or self._is_named_in_torch(outer, name)
        return False

    def _run_time(self, path: str, module: str) -> RunTime:
        if (path, module) not in self._made:
            self._made[path, module] = made_at_run_time(self.text(path), module)
        return self._made[path, module]

    def _in(self, folders: tuple[str, ...] | list[str], name: str) -> Found | None:
        namespace: list[str] = []
        for folder in folders:
            entries = self._listing(folder)
            place = f"{folder}/{name}"
            if entries.get(name) and place not in self._hidden:
                inside = self._listing(place)
                for suffix in (".py", *self._facts.extension_suffixes, ".pyc"):
                    if inside.get(f"__init__{suffix}") is False:
                        kind = Kind.SOURCE if suffix == ".py" else Kind.BINARY
                        return Found(kind, f"{place}/__init__{suffix}", (place,))
                namespace.append(place)
            for suffix in (*self._facts.extension_suffixes, ".py", ".pyc"):  # as Python tries them
                if entries.get(name + suffix) is False:
                    return Found(Kind.SOURCE if suffix == ".py" else Kind.BINARY, place + suffix)
        return Found(Kind.NAMESPACE, "", tuple(namespace)) if namespace else None

    def _listing(self, folder: str) -> dict[str, bool]:
        """Return the entries of a folder, or of an archive on the path, and which of them are folders."""
        if folder not in self._listings:
            entries = list(_entries(folder))
            self._listings[folder] = {name: is_folder for name, is_folder, _ in entries}
            # What is behind a link can come and go while the folder stays as it is.
            self._looked_at.update(Path(folder, name) for name, _, is_link in entries if is_link)
        return self._listings[folder]

    def _is_dynamic(self, found: Found) -> bool:
        """Whether the module can have attributes and submodules that cannot be seen."""
        return found.kind is Kind.BINARY or (found.kind is Kind.SOURCE and self._is_dynamic_text(found.path))

    def _is_dynamic_text(self, path: str) -> bool:
        if path not in self._dynamic:
            self._dynamic[path] = _DYNAMIC.search(self.text(path)) is not None
        return self._dynamic[path]

    def _starts_line(self, path: str, name: str) -> bool:
        """Whether a line of the file starts with a name, or defines it as a function or class."""
        if path not in self._words_at_start:
            self._words_at_start[path] = frozenset(_FIRST_WORD.findall(self.text(path)))
        return name in self._words_at_start[path]

    def text(self, path: str) -> str:
        """Return the text of a file on the path; empty where it cannot be read."""
        if path not in self._texts:
            try:
                self._texts[path] = Path(path).read_text(encoding="utf-8", errors="replace")
            except OSError:
                self._texts[path] = ""
        return self._texts[path]

    def lacks(self, module: str, name: str) -> bool:
        """Whether it is certain that `from module import name` fails: the source binds no such name anywhere."""
        if (module, name) not in self._lacking:
            is_there = self._has(module, name, seen=set())
            top = module.partition(".")[0]
            if is_there is False and top == _STUBBED != module:  # its binary binds names in modules below it as well
                torch = self.find(top)
                is_known = torch and not _PUT_TOGETHER.match(name)
                is_there = not (torch and is_known and not self._is_in_binary(Path(torch.path).parent, name))
            self._lacking[module, name] = is_there is False and top not in _REPLACED
        return self._lacking[module, name]

    def _has(self, module: str, name: str, *, seen: set[str]) -> bool | None:
        """Return whether a module has a name; None where that cannot be seen."""
        found = self.find(module)
        if found is None or module in seen or name.startswith("__"):
            return None
        seen.add(module)
        if found.kind is Kind.BINARY:
            return self._standard.has(module, found.path, name)
        if found.folders and self._in(found.folders, name):
            return True
        if found.kind is Kind.NAMESPACE:
            return False
        if self._starts_line(found.path, name):
            return True
        if module == _STUBBED and not _PUT_TOGETHER.match(name):
            return None if self._is_named_in_torch(found, name) else False
        if (told := self._standard.has(module, found.path, name)) is not None:
            return told
        is_dynamic = self._is_dynamic_text(found.path)
        if is_dynamic and self._run_time(found.path, module).may_have_name(name):
            return None
        program = self._program(found.path)
        if program is None:
            return None
        if name in program.names or name in program.may_bind:
            return True
        steps = [step for step in every_step(program.body) if not (is_dynamic and isinstance(step, Anything))]
        return self._through_stars(module, steps, name, seen, is_package=bool(found.folders))

    def _is_named_in_torch(self, torch: Found, name: str) -> bool:
        return self._is_word_of_torch(torch, name) or self._is_in_binary(Path(torch.path).parent, name)

    def _is_in_binary(self, folder: Path, name: str) -> bool:
        """Whether a text is in the binary that torch binds its names from, or that cannot be told."""
        paths = list(folder.glob(_BINARY))
        self._looked_at.update(((folder / _BINARY).parent, *paths))
        try:
            for path in paths:
                with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    if content.find(name.encode()) >= 0:
                        return True
        except (OSError, ValueError):
            return True
        return not paths

    def _is_word_of_torch(self, torch: Found, name: str) -> bool:
        """Whether a word is in torch's own files or its stubs; few are asked for, so that no list of all is made."""
        folder = Path(torch.path).parent
        if torch.path not in self._words:
            self._looked_at.update((folder, *((folder / pattern).parent for pattern in _STUBS)))
            texts = (self.text(str(path)) for pattern in _STUBS for path in sorted(folder.glob(pattern)))
            self._words[torch.path] = "\n".join(texts)
        text = self._words[torch.path]
        return name in text and re.search(rf"\b{re.escape(name)}\b", text) is not None

    def _through_stars(
        self, module: str, steps: Iterable[Step], name: str, seen: set[str], *, is_package: bool
    ) -> bool | None:
        answer: bool | None = False
        for step in steps:
            if isinstance(step, Anything):
                return None
            if isinstance(step, ImportFrom) and any(each == "*" for each, _ in step.names):
                origin = absolute(step.module, step.level, module, is_package=is_package)
                has = self._has(origin, name, seen=seen) if origin else None
                if has:
                    return True
                answer = answer if has is False else None
        return answer

    def _program(self, path: str) -> Program | None:
        if path not in self._programs:
            file = SourceFile(path=Path(path), relative=path, module="")
            (program,) = analyse_files([file], program_of, store=self._store)
            self._programs[path] = program if isinstance(program, Program) else None
        return self._programs[path]


def program_of(file: SourceFile, parsed: ParsedFile) -> Program:
    """Return what importing a file does."""
    return compile_program(TreeIndex(parsed.tree), parsed.text)


def absolute(module: str, level: int, importer: str, *, is_package: bool) -> str | None:
    """Return the full name of a relative import's module; None where it leads above the top package."""
    if not level:
        return module
    parts = importer.split(".") if is_package else importer.split(".")[:-1]
    kept = len(parts) - (level - 1)
    if kept < 1:
        return None
    return ".".join([*parts[:kept], *([module] if module else [])])


def _entries(folder: str) -> Iterator[tuple[str, bool, bool]]:
    """Yield the entries of a folder or an archive: the name, whether it is a folder, and whether it is a link."""
    try:
        if os.path.isfile(folder):
            with zipfile.ZipFile(folder) as archive:
                for name in archive.namelist():
                    yield f"{name.partition('/')[0].removesuffix('.py')}.pyc", False, False
            return
        with os.scandir(folder) as found:
            for entry in found:
                yield entry.name, entry.is_dir(), entry.is_symlink()
    except (OSError, zipfile.BadZipFile):
        return
