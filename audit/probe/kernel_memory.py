"""Watches what interpreted Triton kernels read and write: each address must lie in a tensor that the kernel was given.

Every tensor is given as a copy between two guards, so that what lies just outside of it belongs to nothing else. What
is outside is neither read nor written, so that this process lives on; elements read there count as zero.
"""

import copy
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import torch

from .standins.installing import replaced

_GUARD = 1 << 16  # bytes on either side: more than one block of rows, and a multiple of every alignment
_MOST_TOLD = 8
_ON = ("1", "true", "yes", "on", "y")  # as Triton reads its variables


@dataclass
class Memory:
    """What happened: launches of kernels, and addresses outside by kernel, operation, tensor, side and line."""

    launches: dict[str, int] = field(default_factory=dict)
    outside: dict[tuple[object, ...], int] = field(default_factory=dict)
    unknown: int = 0  # addresses that a kernel found in memory, of which nothing can be said
    interprets: bool = False  # whether Triton would have interpreted a kernel

    def told(self) -> dict[str, object]:
        """Return the same as plain data; of what is `outside` the most frequent first, `elements` of all of it."""
        keys = ("kernel", "operation", "tensor", "side", "path", "line")
        most = sorted(self.outside.items(), key=lambda item: -item[1])[:_MOST_TOLD]
        found: list[object] = [{**dict(zip(keys, key, strict=True)), "elements": count} for key, count in most]
        return {
            "launches": dict(self.launches),
            "outside": found,
            "elements": sum(self.outside.values()),
            "unknown": self.unknown,
            "interprets": self.interprets,
        }


@contextmanager
def watched() -> Iterator[Memory]:
    """Watch the kernels that Triton interprets meanwhile; where it interprets none, nothing happens."""
    memory = Memory(interprets=_interprets())
    if not memory.interprets:
        yield memory
        return
    interpreter: Any = importlib.import_module("triton.runtime.interpreter")
    watching = _Watching(os.path.dirname(importlib.import_module("triton").__file__ or ""), memory)
    executor, builder = interpreter.GridExecutor, interpreter.InterpreterBuilder
    with (
        replaced(executor, "__call__", watching.launching(executor.__call__)),
        replaced(interpreter, "_interpreter", watching.checking(interpreter._interpreter)),
        replaced(builder, "create_int_to_ptr", watching.noting_tables(builder.create_int_to_ptr)),
    ):
        yield memory


def _interprets() -> bool:
    """Whether Triton is there and interprets; `TRITON_INTERPRET` counts from before it is imported."""
    if os.environ.get("TRITON_INTERPRET", "0").lower() not in _ON:
        return False
    return "triton" in sys.modules or find_spec("triton") is not None


class _Watching:
    """One kernel at a time: the tensors that it was given, between guards, and what it does with addresses."""

    def __init__(self, folder: str, memory: Memory) -> None:
        self._folder, self._memory = folder, memory
        self._kernel = ""
        self._extents: list[tuple[int, int, str]] = []  # first byte, the byte behind the last, name
        self._bounds = _arrays([])
        self._has_tables = False

    def launching(self, launch: Callable[..., object]) -> Callable[..., object]:
        """Return the launch of a kernel with guarded copies of its tensors."""

        def guarded_launch(executor: Any, *args: object, **kwargs: object) -> object:
            self._kernel = str(executor.fn.__name__)
            self._memory.launches[self._kernel] = self._memory.launches.get(self._kernel, 0) + 1
            guards = _Guards()
            names = [*executor.arg_names, *[""] * len(args)]
            given = [guards.of(arg, name) for arg, name in zip(args, names, strict=False)]
            named = {name: guards.of(arg, name) for name, arg in kwargs.items()}
            self._extents, self._has_tables = guards.extents, not guards.knows_all
            self._bounds = _arrays(guards.extents)
            try:
                return launch(executor, *given, **named)
            finally:
                guards.give_back()
                self._extents = []

        return guarded_launch

    def noting_tables(self, convert: Callable[..., object]) -> Callable[..., object]:
        """Return the conversion of numbers to addresses, after which a kernel may know more than it was given."""

        def converted(builder: object, value: Any, dtype: object) -> object:
            self._has_tables = True
            return convert(builder, value, dtype)

        return converted

    def checking(self, native: Any) -> Any:
        """Return the interpreter's own functions, of which those for memory leave out what is outside."""
        np = _numpy()

        def load(addresses: Any, mask: Any, other: Any, dtype: Any) -> Any:
            return native.load(
                addresses, self._inside(addresses, mask, np.dtype(dtype).itemsize, "reads"), other, dtype
            )

        def store(addresses: Any, value: Any, mask: Any) -> Any:
            return native.store(addresses, value, self._inside(addresses, mask, value.itemsize, "writes"))

        def atomic_rmw(operation: Any, addresses: Any, value: Any, mask: Any, order: Any) -> Any:
            inside = self._inside(addresses, mask, value.itemsize, "writes")
            return native.atomic_rmw(operation, addresses, value, inside, order)

        def atomic_cas(addresses: Any, expected: Any, value: Any, order: Any) -> Any:
            every = np.ones(addresses.shape, dtype=bool)
            if self._inside(addresses, every, value.itemsize, "writes").all():
                return native.atomic_cas(addresses, expected, value, order)
            return expected  # it has no mask: none is carried out

        functions: dict[str, Callable[..., Any]] = {
            "load": load,
            "store": store,
            "atomic_rmw": atomic_rmw,
            "atomic_cas": atomic_cas,
        }
        return _Overridden(native, functions)

    def _inside(self, addresses: Any, mask: Any, size: int, operation: str) -> Any:
        """Return the mask without what lies outside, which is noted."""
        if not self._extents:
            return mask
        np = _numpy()
        starts, ends = self._bounds
        at = np.searchsorted(starts, addresses, side="right").astype(np.int64) - 1
        is_inside = (at >= 0) & (addresses + np.uint64(size) <= ends[np.maximum(at, 0)])
        asked = np.asarray(mask).astype(bool)
        wrong = asked & ~is_inside
        if not wrong.any():
            return mask
        path, line = self._line_of_kernel()
        for address in np.asarray(addresses)[wrong].tolist():
            name, side, distance = self._nearest(int(address))
            if self._has_tables and distance > _GUARD:
                self._memory.unknown += 1
                wrong[np.asarray(addresses) == address] = False
                continue
            key = (self._kernel, operation, name, side, path, line)
            self._memory.outside[key] = self._memory.outside.get(key, 0) + 1
        return asked & ~wrong

    def _line_of_kernel(self) -> tuple[str, int]:
        """Return the file and line of the innermost frame that is neither Triton's nor this file's."""
        frame = sys._getframe(1)
        while frame.f_back is not None:
            path = frame.f_code.co_filename
            if frame.f_globals is not globals() and not path.startswith(self._folder + os.sep):
                return path, frame.f_lineno
            frame = frame.f_back
        return "", 0

    def _nearest(self, address: int) -> tuple[str, str, int]:
        """Return the tensor that is nearest to an address outside, on which side of it that lies, and how far."""
        sides = [(first - address, "before", name) for first, _, name in self._extents if address < first]
        sides += [(address - end, "behind", name) for _, end, name in self._extents if address >= end]
        sides += [(0, "behind", name) for first, end, name in self._extents if first <= address < end]  # its last bytes
        distance, side, name = min(sides)
        return name, side, distance


def _numpy() -> Any:
    """Return numpy, which Triton's interpreter needs and the probe else does without."""
    return importlib.import_module("numpy")


def _arrays(extents: list[tuple[int, int, str]]) -> tuple[Any, Any]:
    """Return the first bytes of all extents, and the bytes behind their last ones."""
    np = _numpy()
    pairs = np.array([(first, end) for first, end, _ in extents], dtype=np.uint64).reshape(-1, 2)
    return pairs[:, 0].copy(), pairs[:, 1].copy()


class _Overridden:
    """A module of which some functions are others."""

    def __init__(self, module: Any, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._module = module
        vars(self).update(functions)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _Guards:
    """Copies of storages with a guard before and behind each; tensors that share a storage share the copy."""

    def __init__(self) -> None:
        self.extents: list[tuple[int, int, str]] = []
        self.knows_all = True  # whether every argument that has an address is a copy
        self._copies: dict[int, tuple[torch.UntypedStorage, torch.Tensor]] = {}

    def of(self, value: Any, name: str) -> Any:
        """Return what a kernel is given in the place of this argument."""
        if isinstance(value, torch.Tensor):
            return self._guarded(value, name)
        if isinstance(value, tuple):
            items = [self.of(item, name) for item in value]
            return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
        if isinstance(getattr(value, "base", None), torch.Tensor):  # a descriptor, or a tensor as one of another dtype
            other = copy.copy(value)
            other.base = self.of(value.base, name)
            return other
        self.knows_all = self.knows_all and not hasattr(value, "data_ptr")
        return value

    def _guarded(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        storage = tensor.untyped_storage()
        size = storage.nbytes()
        if storage.data_ptr() not in self._copies or not size:
            # All ones: no number in every floating-point type.
            buffer = torch.full((size + 2 * _GUARD,), 255, dtype=torch.uint8)
            buffer[_GUARD : _GUARD + size] = torch.empty(0, dtype=torch.uint8).set_(storage, 0, (size,), (1,))
            self._copies[storage.data_ptr()] = (storage, buffer)
            start = buffer.data_ptr() + _GUARD
            self.extents = sorted([*self.extents, (start, start + size, name)])
        _, buffer = self._copies[storage.data_ptr()]
        offset = _GUARD // tensor.element_size() + tensor.storage_offset()
        return tensor.new_empty(0).set_(buffer.untyped_storage(), offset, tensor.shape, tensor.stride())

    def give_back(self) -> None:
        """Copy what was written into the tensors that the kernel was launched with."""
        for storage, buffer in self._copies.values():
            size = storage.nbytes()
            own = torch.empty(0, dtype=torch.uint8).set_(storage, 0, (size,), (1,))
            own.copy_(buffer[_GUARD : _GUARD + size])
