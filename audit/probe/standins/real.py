"""The libraries themselves, where they are: whether they can be imported, their calls counted as a stand-in's are."""

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch

from .. import devices
from .agreeing import Modules
from .flex import MODULE as FLEX_MODULE
from .installing import FLEX, distribution_of, modules_of, replaced
from .recorded import Record

_MOST_TOLD = 300  # characters of what an import raised


@dataclass(frozen=True)
class Library:
    """A library: its version, or why it cannot be used."""

    name: str
    version: str | None
    why: str | None = None


def library(name: str) -> Library:
    """Return a library as the target would import it; an import that raises anything makes it unusable, and says so."""
    module = FLEX_MODULE if name == FLEX else name
    try:
        if importlib.util.find_spec(module) is None:
            return Library(name, None, "it is not installed")
        imported = importlib.import_module("xformers.ops" if name == "xformers" else module)
    except Exception as error:  # a binary for another CUDA or torch raises what it likes
        said = " ".join(str(error).split())[:_MOST_TOLD]
        return Library(name, None, f"its import raises {type(error).__name__}: {said}")
    return Library(name, torch.__version__ if name == FLEX else _version(name, imported))


def _version(name: str, imported: ModuleType) -> str:
    try:
        return importlib.metadata.version(distribution_of(name))
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(imported, "__version__", "of an unknown version"))


def of_library(name: str) -> Modules:
    """Return the modules of a library, each imported when it is asked for.

    `compiled` of flex_attention is torch.compile on a GPU, where only what is compiled runs the kernel.
    """
    if name != FLEX:
        return importlib.import_module
    module = importlib.import_module(FLEX_MODULE)

    class WithCompiled:
        def __getattr__(self, attribute: str) -> Any:
            if attribute == "compiled":
                return torch.compile if devices.on_gpu() else lambda function: function
            return getattr(module, attribute)

    found = WithCompiled()
    return lambda _: found


@contextmanager
def watched(name: str, record: Record) -> Iterator[None]:
    """Have the calls of a library counted, by the names under which those of its stand-in are; what it lacks is not."""
    with ExitStack() as stack:
        for module_name, attribute, label in _counted(name):
            try:
                module = importlib.import_module(module_name)
            except ImportError:  # a part that this version has not
                continue
            function: Callable[..., object] | None = getattr(module, attribute, None)
            if function is not None:
                stack.enter_context(replaced(module, attribute, _watching(name, record, label, function)))
        yield


def _watching(name: str, record: Record, label: str, function: Callable[..., object]) -> Callable[..., object]:
    if name != FLEX or not devices.on_gpu():
        return record.counted(label, function, stands_in=False)
    # Only what is compiled runs the kernel, and the compiler cannot follow the counting: it goes around it.
    compiled: Callable[..., object] = torch.compile(function)
    disabled: Callable[..., object] = torch.compiler.disable(record.counted(label, compiled, stands_in=False))  # type: ignore[no-untyped-call]
    return disabled


def _counted(name: str) -> Iterator[tuple[str, str, str]]:
    """Yield module and name of each function whose stand-in is counted, and the name that it is counted by."""
    if name == FLEX:
        yield FLEX_MODULE, "flex_attention", FLEX_MODULE
        return
    for module, contents in modules_of(name, Record()).items():
        for attribute, value in vars(contents).items():
            label = getattr(value, "counted_as", None)
            if label is not None:
                yield module, attribute, label
