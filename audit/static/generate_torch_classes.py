"""Writes `torch_classes.json` from the installed torch: `python -m audit.static.generate_torch_classes`.

This is the one module of static analysis that imports torch; nothing else here imports it.
"""

import importlib
import io
import json
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from types import ModuleType

from audit.static.torch_classes import TABLE_PATH, TorchTable

# Not part of what torch offers: its own tests, examples and benchmarks, and what it vendors.
LEFT_OUT = (
    "torch._export.db",
    "torch.testing._internal",
    "torch.utils.benchmark.examples",
    "torch.utils.benchmark.op_fuzzers",
    "torch._vendor",
)
# The kinds of the inventory besides models, each with the class that all of its kind derive from.
ROOTS = {
    "dataset": "torch.utils.data.Dataset",
    "optimizer": "torch.optim.Optimizer",
    "sampler": "torch.utils.data.Sampler",
    "scheduler": "torch.optim.lr_scheduler.LRScheduler",
}


def import_submodules() -> tuple[str, ...]:
    """Import every module of torch that imports here; return the names of those that do not."""
    failed: list[str] = []
    pending = ["torch"]
    while pending:
        package = pending.pop()
        path: list[str] = getattr(importlib.import_module(package), "__path__", [])  # some packages replace themselves
        for found in pkgutil.iter_modules(path, f"{package}."):
            if found.name.startswith(LEFT_OUT) or found.name.rpartition(".")[2] == "__main__":
                continue
            try:
                importlib.import_module(found.name)
            except (
                ImportError,
                AttributeError,
                RuntimeError,
                OSError,
                AssertionError,
                TypeError,
                ValueError,
                KeyError,
            ):
                failed.append(found.name)  # needs a package, device or platform that is not here
                continue
            if found.ispkg:
                pending.append(found.name)
    return tuple(sorted(failed))


def _torch_modules() -> Iterator[tuple[str, ModuleType]]:
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] == "torch" and not name.startswith(LEFT_OUT) and isinstance(module, ModuleType):
            yield name, module


def collect() -> TorchTable:
    """Return the table of the installed torch, from the modules that are imported now.

    A name in a private module counts only where the class is defined there.
    """
    torch = importlib.import_module("torch")
    base = importlib.import_module("torch.nn").Module
    roots = {kind: _class(name) for kind, name in ROOTS.items()}
    modules: dict[str, set[str]] = {}
    kinds: dict[str, dict[str, set[str]]] = {kind: {} for kind in ROOTS}
    others: set[str] = set()
    for name, module in _torch_modules():
        for attribute, value in vars(module).items():
            # `isinstance` asks deprecated stand-ins for their class, which warns
            if not issubclass(type(value), type) or str(value.__module__).partition(".")[0] != "torch":
                continue
            defined, found = f"{value.__module__}.{value.__qualname__}", f"{name}.{attribute}"
            if found != defined and "._" in found.removesuffix(attribute):
                continue
            if issubclass(value, base):
                modules.setdefault(defined, set()).add(found)
            of = [kind for kind, root in roots.items() if issubclass(value, root)]
            for kind in of:
                kinds[kind].setdefault(defined, set()).add(found)
            if not of and not issubclass(value, base) and not attribute.startswith("_"):
                others.add(found)
    return TorchTable(
        torch=torch.__version__.partition("+")[0],
        modules=_sorted(modules),
        kinds={kind: _sorted(classes) for kind, classes in kinds.items()},
        others=tuple(sorted(others)),
    )


def _class(name: str) -> type:
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute)
    assert isinstance(found, type), f"{name} is no class"
    return found


def _sorted(classes: dict[str, set[str]]) -> dict[str, tuple[str, ...]]:
    return {defined: tuple(sorted(names)) for defined, names in sorted(classes.items())}


def main() -> None:
    """Write the table and say what it holds."""
    warnings.simplefilter("ignore")  # deprecated modules warn on import and are part of the table
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        failed = import_submodules()
    table = collect()
    TABLE_PATH.write_text(json.dumps(asdict(table), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    names = sum(map(len, table.modules.values()))
    print(f"torch {table.torch}: {len(table.modules)} module classes under {names} names, {len(table.others)} others")
    print(", ".join(f"{len(classes)} of kind {kind}" for kind, classes in table.kinds.items()))
    print(f"{len(failed)} modules could not be imported here: {', '.join(failed)}")


if __name__ == "__main__":
    main()
