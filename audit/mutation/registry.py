"""All operators, found by their files: an operator is added by adding its file."""

import importlib
import inspect
import pkgutil
from functools import cache

from audit.mutation import operators
from audit.mutation.operator import Operator


@cache
def all_operators() -> tuple[Operator, ...]:
    """Return one instance of every operator, sorted by name."""
    found = []
    for each in pkgutil.iter_modules(operators.__path__):
        module = importlib.import_module(f"{operators.__name__}.{each.name}")
        found += [
            kind()
            for kind in vars(module).values()
            if inspect.isclass(kind) and issubclass(kind, Operator) and kind.__module__ == module.__name__
        ]
    return tuple(sorted(found, key=lambda operator: operator.name))


@cache
def operators_by_name() -> dict[str, Operator]:
    """Return the operators by name."""
    return {operator.name: operator for operator in all_operators()}
