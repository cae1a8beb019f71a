"""Imports every module of a package and writes what each class defined in it is, as JSON on standard output.

    python tests/tools/introspect.py PACKAGE > truth.json

Runs in the interpreter that can import the package, which needs torch; knows nothing of the audit.
"""

import ast
import contextlib
import functools
import importlib
import inspect
import io
import json
import pkgutil
import sys
import warnings
from collections.abc import Iterator


def roots() -> dict[str, type]:
    """Return the class that decides each kind; Lightning's only where it is installed."""
    from torch.nn import Module
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
    from torch.utils.data import Dataset, Sampler

    found = {"model": Module, "dataset": Dataset, "optimizer": Optimizer, "scheduler": LRScheduler, "sampler": Sampler}
    with contextlib.suppress(Exception):
        found["datamodule"] = importlib.import_module("lightning.pytorch").LightningDataModule
    return found


def import_all(package: str) -> tuple[list[str], dict[str, str]]:
    """Import the package and every module below it; return those that were imported, and why others were not."""
    imported: list[str] = []
    failed: dict[str, str] = {}
    pending = [package]
    while pending:
        name = pending.pop()
        try:
            module = importlib.import_module(name)
        except BaseException as error:  # a module may exit, or raise what is no Exception
            failed[name] = f"{type(error).__name__}: {error}"[:200]
            continue
        imported.append(name)
        pending += [found.name for found in pkgutil.iter_modules(getattr(module, "__path__", []), f"{name}.")]
    return imported, failed


def classes_of(module: str) -> Iterator[tuple[str, type]]:
    """Yield the classes that the module defines under their own names, and those in them."""
    pending = [(None, vars(sys.modules[module]))]
    while pending:
        outer, names = pending.pop()
        for name, value in list(names.items()):
            if not isinstance(value, type) or value.__module__ != module:
                continue
            if value.__qualname__ == (f"{outer}.{name}" if outer else name):
                yield value.__qualname__, value
                pending.append((value.__qualname__, vars(value)))


@functools.cache
def statements(module: str) -> frozenset[str]:
    """Return the qualified names of the class statements of a module that are not in functions."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError, SyntaxError):
        return frozenset()
    found: set[str] = set()
    pending: list[tuple[str, ast.AST]] = [("", tree)]
    while pending:
        prefix, node = pending.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                found.add(prefix + child.name)
                pending.append((f"{prefix}{child.name}.", child))
            elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.expr):
                pending.append((prefix, child))
    return frozenset(found)


def descendants(root: type) -> Iterator[tuple[str, str, type]]:
    """Yield every living subclass that a class statement of its module made, also one that the module has no name for.

    A decorator that returns something else takes a class its name, and the class is defined all the same. A class
    that a call of `type` made in a function belongs to that function's module and has no statement there.
    """
    seen = {root}
    pending = [root]
    while pending:
        found = pending.pop()
        new = set(type.__subclasses__(found)) - seen
        seen |= new
        pending += new
        if found.__qualname__ in statements(found.__module__):
            yield found.__module__, found.__qualname__, found


def main() -> None:
    """Write the truth about one package."""
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        kinds = roots()
        imported, failed = import_all(sys.argv[1])
        defined = {(module, name, found) for module in imported for name, found in classes_of(module)}
        defined |= {each for root in kinds.values() for each in descendants(root) if each[0] in imported}
        classes = [
            [module, qualname, sorted(kind for kind, root in kinds.items() if issubclass(found, root))]
            for module, qualname, found in defined
        ]
    json.dump({"imported": sorted(imported), "failed": failed, "classes": sorted(classes)}, sys.stdout)


if __name__ == "__main__":
    main()
