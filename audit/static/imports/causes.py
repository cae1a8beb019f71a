"""Why an import fails, and where the reason lies."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from audit.results import Frozen


class Cause(StrEnum):
    """The kinds of reason for which a module cannot be imported."""

    MISSING_DEPENDENCY = "missing_dependency"  # declared by the target and not installed
    UNDECLARED_DEPENDENCY = "undeclared_dependency"  # neither declared nor installed
    PLATFORM_ONLY = "platform_only"  # not installed, and made for some platforms or devices only
    BROKEN_DEPENDENCY = "broken_dependency"  # installed, and needs what is not
    BINARY_DOES_NOT_LOAD = "binary_does_not_load"  # installed, and importing it alone fails; found by `--probe` only
    MISSING_MODULE = "missing_module"  # the package is installed and has no such submodule
    MISSING_SYMBOL = "missing_symbol"  # the installed module binds no such name
    LOCAL_MODULE_MISSING = "local_module_missing"
    LOCAL_SYMBOL_MISSING = "local_symbol_missing"
    CIRCULAR = "circular"  # a name is read from a module that has not bound it yet
    RAISED = "raised"  # the module's own code raises
    BROKEN_FALLBACK = "broken_fallback"  # what a guard leaves unbound or None is used at import all the same
    UNDEFINED_NAME = "undefined_name"
    SHADOWED = "shadowed"  # of a file that is run: one beside it hides a module of the same name
    NOT_ON_PATH = "not_on_path"  # of a file that is run: its own package is not on the interpreter's path
    REGISTERED_TWICE = "registered_twice"  # by a file that is run, after its package has imported it as well
    RELATIVE_IMPORT = "relative_import"  # above the top package, or in a file that is no part of one
    SYNTAX_ERROR = "syntax_error"
    UNREADABLE = "unreadable"

    @property
    def in_words(self) -> str:
        """The cause in words, to be followed by a name."""
        return _TITLES[self]

    @property
    def is_of_the_environment(self) -> bool:
        """Whether the same name missing at several places is one cause."""
        return self in _OF_THE_ENVIRONMENT


_OF_THE_ENVIRONMENT = frozenset(
    {
        Cause.MISSING_DEPENDENCY, Cause.UNDECLARED_DEPENDENCY, Cause.PLATFORM_ONLY, Cause.BROKEN_DEPENDENCY,
        Cause.BINARY_DOES_NOT_LOAD,
    }
)  # fmt: skip
_TITLES = {
    Cause.MISSING_DEPENDENCY: "declared dependency not installed",
    Cause.UNDECLARED_DEPENDENCY: "dependency neither declared nor installed",
    Cause.PLATFORM_ONLY: "package of some platforms only, not installed",
    Cause.BROKEN_DEPENDENCY: "installed package that lacks what it needs itself",
    Cause.BINARY_DOES_NOT_LOAD: "installed but its binary does not load",
    Cause.MISSING_MODULE: "installed package has no module",
    Cause.MISSING_SYMBOL: "installed module has no name",
    Cause.LOCAL_MODULE_MISSING: "the target has no module",
    Cause.LOCAL_SYMBOL_MISSING: "the target's module has no name",
    Cause.CIRCULAR: "circular import reads before it is bound",
    Cause.RAISED: "raised at import",
    Cause.BROKEN_FALLBACK: "guarded import whose fallback leaves unusable",
    Cause.UNDEFINED_NAME: "undefined name",
    Cause.SHADOWED: "a file beside it hides the module",
    Cause.NOT_ON_PATH: "its package is not on the path when the file is run",
    Cause.REGISTERED_TWICE: "run as a file it registers again what its package has registered, by",
    Cause.RELATIVE_IMPORT: "relative import without a parent package",
    Cause.SYNTAX_ERROR: "syntax error",
    Cause.UNREADABLE: "cannot be read",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One exception at import: the name of its class, why, and where it arises first.

    `path` is that of the target's file, relative to the source.
    """

    exception: str
    cause: Cause
    path: str
    line: int
    name: str


class Root(Frozen):
    """Where a failure arises: path relative to the target's root, line, and the missing or faulty name."""

    path: str
    line: int
    name: str


class FileForecast(Frozen):
    """How `python path/to/file.py` ends, without what stands under `if __name__ == "__main__"`."""

    forecast: Literal["ok", "fails"]
    cause: Cause | None = None
    root: Root | None = None


class ImportRow(Frozen):
    """The forecast of one module."""

    module: str
    path: str
    forecast: Literal["ok", "fails"]
    cause: Annotated[Cause | None, Field(description="Of an `ok` module: why an import fails that it guards.")] = None
    root: Root | None = None
    then: Annotated[
        tuple[str, ...],
        Field(description="Other packages that are not installed and that it would miss once the root's is there."),
    ] = ()
    guarded: Annotated[bool, Field(description="Whether a guard catches it; a module can fail all the same.")] = False
    as_file: Annotated[
        FileForecast | None,
        Field(description="Run as a file; null for one in a package that has no `__main__` guard."),
    ] = None
