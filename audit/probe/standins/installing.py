"""Puts stand-ins in the place of their libraries for as long as a context lasts.

Whatever a target asks to know whether a library is there finds the stand-in: `import`, `importlib.util.find_spec`, and
`importlib.metadata.version`. A library that is installed and takes tensors of this device is left alone.
"""

import importlib.machinery
import importlib.metadata
import os
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NoReturn

import torch

from . import flash, flash3, flash4, flex, xformers
from .recorded import Record

# By the name under which a target imports it: version, the name under which it is installed, and its modules.
_LIBRARIES: dict[str, tuple[str, str, Callable[[Record], dict[str, Mapping[str, object]]]]] = {
    "flash_attn": (flash.VERSION, "flash-attn", flash.modules),
    "flash_attn_interface": (flash3.VERSION, "flash-attn-3", flash3.modules),
    "xformers": (xformers.VERSION, "xformers", xformers.modules),
}
FLEX = "flex_attention"
NAMES = (*_LIBRARIES, FLEX)
# Those that only specs ask for: nothing of what a target imports is taken for them.
_DECLARED = {"flash_attn.cute": (flash4.VERSION, "flash-attn-4", flash4.modules)}
DECLARABLE = (*NAMES, *_DECLARED)
_KNOWN = _LIBRARIES | _DECLARED


def modules_of(name: str, record: Record) -> dict[str, types.ModuleType]:
    """Return the modules of a stand-in by their names; they are not there to be imported."""
    return _made(_KNOWN[name][2](record))


def version_of(name: str) -> str:
    """Return the version that a stand-in has."""
    return _LIBRARIES[name][0]


def distribution_of(name: str) -> str:
    """Return the name under which a library is installed."""
    return _LIBRARIES[name][1]


@contextmanager
def installed(name: str, record: Record) -> Iterator[None]:
    """Have the stand-in for a library imported in its place; afterwards everything is as it was.

    Args:
        name: one of `DECLARABLE`.
        record: what the stand-in was called with.
    """
    if name == FLEX:
        with _flex(record):
            yield
        return
    version, distribution, _ = _KNOWN[name]
    made = modules_of(name, record)
    name = name.partition(".")[0]
    before = {key: module for key, module in sys.modules.items() if key == name or key.startswith(f"{name}.")}
    for key in before:
        del sys.modules[key]
    finder = _Installed(name, version, distribution)
    sys.modules.update(made)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for key in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            del sys.modules[key]
        sys.modules.update(before)


@contextmanager
def not_installed(name: str) -> Iterator[None]:
    """Have a library not found, however it is asked for; afterwards everything is as it was."""
    before = {key: module for key, module in sys.modules.items() if key == name or key.startswith(f"{name}.")}
    for key in before:
        del sys.modules[key]
    sys.modules[name] = None  # type: ignore[assignment]  # so the import system says that a module is not there
    try:
        yield
    finally:
        del sys.modules[name]
        sys.modules.update(before)


def _made(described: Mapping[str, Mapping[str, object]]) -> dict[str, types.ModuleType]:
    made: dict[str, types.ModuleType] = {}
    for name, contents in described.items():
        module = types.ModuleType(name, f"A stand-in for {name}.")
        is_package = any(other.startswith(f"{name}.") for other in described)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=is_package)
        module.__package__ = name if is_package else name.rpartition(".")[0]
        if is_package:
            module.__path__ = []
        vars(module).update(contents)
        made[name] = module
        above, _, own = name.rpartition(".")
        if above in made:
            setattr(made[above], own, module)
    return made


class _Installed:
    """A finder that finds no module, for those are there, and says that a distribution is installed."""

    def __init__(self, name: str, version: str, distribution: str) -> None:
        self._name, self._distribution = name, distribution
        self._found = _Distribution(name, version, distribution)

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Leave modules to the other finders."""

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Sequence[importlib.metadata.Distribution]:
        """Return the library's distribution where it is asked for, under either spelling."""
        wanted = None if context is None else context.name
        own = {self._distribution, self._distribution.replace("-", "_"), self._name}
        return [self._found] if wanted is None or wanted.lower() in own else []


class _Distribution(importlib.metadata.Distribution):
    def __init__(self, name: str, version: str, distribution: str) -> None:
        self._files = {
            "METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
            "top_level.txt": f"{name}\n",
        }

    def read_text(self, filename: str) -> str | None:
        return self._files.get(filename)

    def locate_file(self, path: str | os.PathLike[str]) -> NoReturn:
        raise FileNotFoundError(path)  # a stand-in has no files


@contextmanager
def _flex(record: Record) -> Iterator[None]:
    from torch.nn.attention import flex_attention as module

    def not_compiled(model: object = None, *args: object, **kwargs: object) -> object:
        return model if model is not None else lambda function: function

    with ExitStack() as stack:
        for name, function in flex.functions(record).items():
            stack.enter_context(replaced(module, name, function))
        stack.enter_context(replaced(torch, "compile", not_compiled))
        yield


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Give an attribute another value; afterwards it is as it was, absent where it was not the owner's own."""
    own = vars(owner)
    before = own.get(name)
    was_there = name in own
    setattr(owner, name, value)
    try:
        yield
    finally:
        if was_there:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


@contextmanager
def absent(owner: object, name: str) -> Iterator[None]:
    """Take an attribute away for as long as the context lasts."""
    before = getattr(owner, name)
    delattr(owner, name)
    try:
        yield
    finally:
        setattr(owner, name, before)
