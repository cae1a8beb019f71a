"""What importing an installed module loads for certain, and whether some of that is missing. Nothing is imported.

Read are the import statements without indentation: those run whatever the conditions are. They are found by their text,
since parsing everything that torch loads takes seconds; only a file that seems to import what is missing is parsed.
"""

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from audit.static.imports.installed import Installed, Kind, absolute
from audit.static.imports.interpreter import InterpreterFacts

_IMPORT = re.compile(
    r"^(?:import[ \t]+(?P<modules>[^\n;#]+)"
    r"|from[ \t]+(?P<dots>\.*)[ \t]*(?P<origin>[\w.]*)[ \t]+import[ \t]+(?P<names>\([^)]*\)|[^\n;#]*))",
    re.MULTILINE,
)
_COMMENT = re.compile(r"#[^\n]*")
_FINDS_ELSEWHERE = re.compile(r"\bsys\.path\b|\bmeta_path\b")  # setuptools has its own copies of what it needs
_NOT_FOLLOWED = "torch"  # it loads 800 modules, 0.4 s of reading for each run, and its wheels declare what they need


@dataclass(frozen=True, slots=True)
class Unmet:
    """A module that an installed one imports whatever the conditions are, and that is not installed."""

    missing: str
    by: str


class Dependencies:
    """Follows the imports of installed modules, each once. What `own` packages import is not told: they are judged."""

    def __init__(self, installed: Installed, facts: InterpreterFacts, *, own: Collection[str]) -> None:
        """Read nothing yet."""
        self._installed = installed
        self._own = frozenset(own)
        self._loaded = facts.loaded_at_start
        self._standard = facts.standard_library | set(facts.builtin_modules)
        self._imports: dict[str, tuple[str, ...]] = {}
        self._unmet: dict[str, Unmet | None] = {}
        self._tops: dict[str, frozenset[str]] = {}

    def unmet(self, module: str) -> Unmet | None:
        """Return what importing `module` needs and does not find; None where nothing is known to be missing."""
        if module not in self._unmet:
            self._unmet[module] = next(self._missing_from(module), None)
        return self._unmet[module]

    def tops(self, module: str) -> frozenset[str]:
        """Return the top-level names that importing `module` loads for certain."""
        if module not in self._tops:
            self._tops[module] = frozenset(name.partition(".")[0] for name, _ in self._follow(module, stop_at=set()))
        return self._tops[module]

    def _missing_from(self, module: str) -> Iterator[Unmet]:
        for name, by in self._follow(module, stop_at={_NOT_FOLLOWED, *self._standard}):
            top = name.partition(".")[0]
            if by and not self._installed.find(name) and self._is_missing(top, by=by):
                yield Unmet(top, by)

    def _follow(self, start: str, *, stop_at: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield what importing `start` imports, itself first, each with the module whose statement does."""
        seen, pending = {start}, [(start, "")]
        while pending:
            module, by = pending.pop()
            yield module, by
            top = module.partition(".")[0]
            if top in stop_at or top in self._own or module in self._loaded:
                continue
            for name in self._imported_by(module):
                if name not in seen:
                    seen.add(name)
                    pending.append((name, module))

    def _is_missing(self, top: str, *, by: str) -> bool:
        """Whether a top-level module is nowhere and the statement that imports it is one, not words in a text."""
        if top in self._standard or top in self._own or self._installed.find(top):
            return False
        if any(_FINDS_ELSEWHERE.search(self._text(each)) for each in (by.partition(".")[0], by)):
            return False
        try:
            tree = ast.parse(self._text(by))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
        return any(top in _tops_of(node) for node in tree.body)

    def _imported_by(self, module: str) -> tuple[str, ...]:
        """Return the modules that importing `module` imports, the packages that it is in among them."""
        if module not in self._imports:
            parent = module.rpartition(".")[0]
            self._imports[module] = tuple(dict.fromkeys(([parent] if parent else []) + list(self._statements(module))))
        return self._imports[module]

    def _text(self, module: str) -> str:
        found = self._installed.find(module)
        return self._installed.text(found.path) if found and found.kind is Kind.SOURCE else ""

    def _statements(self, module: str) -> Iterator[str]:
        found = self._installed.find(module)
        for statement in _IMPORT.finditer(self._text(module)):
            if statement["modules"]:
                yield from (name.split()[0] for name in statement["modules"].split(",") if name.split())
                continue
            origin = absolute(
                statement["origin"], len(statement["dots"]), module, is_package=bool(found and found.folders)
            )
            if origin:
                yield origin
                yield from self._submodules(origin, statement["names"])

    def _submodules(self, origin: str, names: str) -> Iterator[str]:
        """Yield those of the imported names that can only be modules in `origin`."""
        package = self._installed.find(origin)
        if not package or not package.folders:
            return
        for each in _COMMENT.sub("", names).strip("()").split(","):
            words = each.split()
            if words and words[0].isidentifier() and self._installed.has_file(package, words[0]):
                yield f"{origin}.{words[0]}"


def _tops_of(node: ast.stmt) -> set[str]:
    match node:
        case ast.Import(names=aliases):
            return {alias.name.partition(".")[0] for alias in aliases}
        case ast.ImportFrom(module=str(module), level=0):
            return {module.partition(".")[0]}
    return set()
