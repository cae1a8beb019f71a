"""Loads a class or function of the target: as a module of its package, as a stand-alone file, or alone.

What cannot be imported may still hold a class that can: its file is then parsed, and the class is executed with what
it needs of the file and with those imports that work.
"""

import ast
import builtins
import contextlib
import hashlib
import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass

from .problems import NotGuessed, told

_PREFIX = "_astrobio_audit_guessed_"
_ABSENT = "_astrobio_audit_absent"


@dataclass(frozen=True)
class Loaded:
    """`value` is what was loaded; `how` is `package`, `file` or `class`, and `why` says why not the one before.

    `absent` are the names that a class executed alone refers to and that nothing in its file could bind.
    """

    value: object
    how: str
    why: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """How it was loaded, where that was not by an import of its module; else empty."""
        why = "; ".join(self.why)
        if self.how == "package":
            return f"loaded by its package, whose import fails afterwards: {why}" if why else ""
        if self.how != "class":
            return f"loaded as a file, without its package: {why}" if why else ""
        missing = f"; nothing stands for the names {', '.join(self.absent)}" if self.absent else ""
        return f"executed alone: {why}{missing}"


def load(path: str, module: str | None, qualname: str, *, how: str | None = None) -> Loaded:
    """Return the class or function `qualname` of the file at `path`.

    With `how` it is loaded in that way alone: what stands in for a library must not make another class of it.

    Raises:
        NotGuessed: it cannot be loaded in any way; each way's reason is told.
    """
    reasons: list[str] = []
    if module and how in (None, "package"):
        try:
            return Loaded(_attribute(_as_module(path, module), qualname), "package")
        except BaseException as error:  # SystemExit at import is the target's doing
            reasons.append(f"import {module}: {told(error, within=path)}")
            # Its package may have imported it and failed on something else: it is whole then, and stays known by its
            # name, so that a second import would find it where the first did not.
            with contextlib.suppress(AttributeError, KeyError):
                return Loaded(_attribute(_left_whole(path, module), qualname), "package", tuple(reasons))
    if how in (None, "file"):
        try:
            return Loaded(_attribute(_as_file(path), qualname), "file", tuple(reasons))
        except BaseException as error:
            reasons.append(f"import of the file: {told(error, within=path)}")
    if how in (None, "class"):
        try:
            value, absent = _alone(path, qualname)
            return Loaded(value, "class", tuple(reasons), absent)
        except BaseException as error:
            reasons.append(f"the definition alone: {told(error, within=path)}")
    raise NotGuessed(f"cannot load {qualname}: " + "; ".join(reasons))


def _as_module(path: str, name: str) -> types.ModuleType:
    with _first_on_path(_above(path, name)):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            is_own = f"{name}.".startswith(f"{error.name}.")
            if not is_own or not (owner := _owner_of(path, name)):
                raise
            raise ImportError(owner) from error
    found = getattr(module, "__file__", None)
    if found is None or os.path.realpath(found) != os.path.realpath(path):
        raise ImportError(_owner_of(path, name) or f"it is another file: {found}")
    return module


def _left_whole(path: str, name: str) -> types.ModuleType:
    """Return a module that an import which failed has left behind, executed to its end.

    Raises:
        KeyError: there is none of this name and file.
    """
    module = sys.modules[name]
    found = getattr(module, "__file__", None)
    if found is None or os.path.realpath(found) != os.path.realpath(path):
        raise KeyError(name)
    return module


def _owner_of(path: str, name: str) -> str:
    """Return which other package has the name of the file's topmost one, and hides it; empty where none does."""
    top = name.partition(".")[0]
    other = getattr(sys.modules.get(top), "__file__", None)
    if not isinstance(other, str):  # not imported, or a folder without an __init__.py, to which others can add theirs
        return ""
    if os.path.realpath(other).startswith(os.path.join(os.path.realpath(_above(path, name)), "")):
        return ""
    whose = "Python's standard library has" if top in sys.stdlib_module_names else "there is"
    return f"{whose} another {top}, {other}, which hides this one; rename yours"


def _as_file(path: str) -> types.ModuleType:
    name = _PREFIX + hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    if name in sys.modules:
        return sys.modules[name]
    folder = os.path.dirname(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _first_on_path(folder):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _above(path: str, name: str) -> str:
    """Return the folder from which a file is seen under a dotted name: that of its topmost package, or above it."""
    folder = os.path.dirname(path)
    inside = name.count(".") + (os.path.basename(path) == "__init__.py")
    for _ in range(inside):
        folder = os.path.dirname(folder)
    return folder


@contextlib.contextmanager
def _first_on_path(folder: str) -> Iterator[None]:
    """Look for modules in a folder first while a file runs.

    Behind all others later: what it imports then is still found, and a neighbour that is called like a module of the
    standard library does not stand in for it.
    """
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)


def _attribute(module: types.ModuleType, qualname: str) -> object:
    value: object = module
    for part in qualname.split("."):
        value = getattr(value, part)
    return value


def _alone(path: str, qualname: str) -> tuple[object, tuple[str, ...]]:
    """Execute a top-level definition with what it needs of its file alone; return it, and the names left unbound."""
    with open(path, "rb") as file:
        tree = ast.parse(file.read(), path)
    first, *rest = qualname.split(".")
    name = f"{_PREFIX}alone_{hashlib.sha256((path + qualname).encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"
    if name not in sys.modules:
        module = types.ModuleType(name)
        module.__file__ = path
        sys.modules[name] = module  # dataclasses look their module up there
        try:
            module.__dict__[_ABSENT] = _execute_needed(tree, first, module, path)
        except BaseException:
            del sys.modules[name]
            raise
    names = vars(sys.modules[name])
    value: object = names[first]
    for part in rest:
        value = getattr(value, part)
    return value, names[_ABSENT]


def _execute_needed(tree: ast.Module, name: str, module: types.ModuleType, path: str) -> tuple[str, ...]:
    bound: dict[str, list[ast.stmt]] = {}
    for node in tree.body:
        for each in _bound_names(node):
            bound.setdefault(each, []).append(node)
    if name not in bound:
        raise NameError(f"{name} is not defined at the top level of the file")
    futures = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    needed: set[ast.stmt] = set()
    seen: set[str] = set()
    waiting = [name, "*"]  # what a star import binds is not known before it runs
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for node in bound.get(current, []):
            if node not in needed:
                needed.add(node)
                waiting += [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]
    failed: set[str] = set()
    for node in tree.body:
        if node not in needed or node in futures:
            continue
        code = compile(ast.Module([*futures, node], []), path, "exec", dont_inherit=True)
        try:
            exec(code, vars(module))
        except Exception:
            # An import that fails, or a constant made of what it would have brought, may not be needed at all; what
            # is needed and absent says so by its name when the class is built. The definition itself must work.
            if name in _bound_names(node):
                raise
            failed.update(_bound_names(node))
    return tuple(sorted(each for each in failed & seen if each not in vars(module) and not hasattr(builtins, each)))


def _bound_names(node: ast.AST) -> list[str]:
    """Return the names that a statement at the top level binds, in any of its branches."""
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.Import(names=aliases):
            return [alias.asname or alias.name.partition(".")[0] for alias in aliases]
        case ast.ImportFrom(names=aliases):
            return [alias.asname or alias.name for alias in aliases]
        case ast.If() | ast.With() | ast.Try() | ast.ExceptHandler() | ast.For() | ast.While():
            return [name for child in ast.iter_child_nodes(node) for name in _bound_names(child)]
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
