"""Reads a pickle as data: what it would build is noted down, and nothing of it is imported or called."""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from validation.readiness.checkpoints.forms import MAX_OPCODES, MAX_PICKLE_BYTES, Malformed, NotRead

# What `pickletools.genops` raises of bytes that are no pickle.
_NO_PICKLE = (ValueError, IndexError, OverflowError, EOFError, KeyError, TypeError)


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """What would be imported."""

    module: str
    name: str

    @property
    def full(self) -> str:
        """Module and name."""
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Called:
    """What would be called with these arguments; `items` are set on the result, `state` is given to it."""

    function: object
    arguments: object
    items: list[tuple[object, object]] = field(default_factory=list)
    state: object = None


@dataclass(slots=True, eq=False)
class Table:
    """A dict, as a list: its keys may be anything."""

    items: list[tuple[object, object]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Outside:
    """What lies outside of the pickle, such as the bytes of a tensor."""

    key: object


@dataclass(frozen=True, slots=True)
class Unpickled:
    """What a pickle would build, and the names that it would import, in order."""

    value: object
    names: tuple[str, ...]


class _Bounded:
    """A part of a file as `genops` reads it, up to a limit."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MAX_PICKLE_BYTES

    def read(self, size: int) -> bytes:
        return self._taken(self._file.read(min(size, self._left + 1)))

    def readline(self) -> bytes:
        return self._taken(self._file.readline(self._left + 1))

    def tell(self) -> int:
        return self._file.tell()

    def _taken(self, content: bytes) -> bytes:
        self._left -= len(content)
        if self._left < 0:
            raise NotRead(f"the pickle is longer than the {MAX_PICKLE_BYTES} bytes that are read")
        return content


def read_pickle(file: BinaryIO) -> Unpickled:
    """Read one pickle from where `file` stands, which then stands behind it.

    Raises:
        Malformed: it is no pickle, or ends too early.
        NotRead: it is longer than the limits.
    """
    machine = _Machine()
    opcodes = 0
    try:
        for opcode, argument, _ in pickletools.genops(_Bounded(file)):  # type: ignore[arg-type]
            opcodes += 1
            if opcodes > MAX_OPCODES:
                raise NotRead(f"the pickle has more than the {MAX_OPCODES} instructions that are followed")
            machine.take(opcode.name, argument)
    except _NO_PICKLE as problem:
        raise Malformed(f"it is no whole pickle: {_words_of(problem)}") from problem
    return Unpickled(machine.result(), tuple(dict.fromkeys(machine.names)))


def _words_of(problem: Exception) -> str:
    text = " ".join(str(problem).split())
    return text[:120] if text else type(problem).__name__


_MARK = object()
_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
_IGNORED = frozenset({"PROTO", "FRAME", "STOP", "READONLY_BUFFER"})
_PUTS, _GETS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"}), frozenset({"GET", "BINGET", "LONG_BINGET"})
_EXTENSIONS = frozenset({"EXT1", "EXT2", "EXT4"})


class _Machine:
    """The stack and the memory of a pickle, with notes in place of objects."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._stack: list[object] = []
        self._memory: dict[int, object] = {}
        self._steps: dict[str, Callable[[], None]] = {
            "MARK": lambda: self._stack.append(_MARK),
            "POP": lambda: self._drop(),
            "POP_MARK": lambda: self._drop_to_mark(),
            "DUP": lambda: self._stack.append(self._stack[-1]),
            "EMPTY_LIST": lambda: self._stack.append([]),
            "EMPTY_SET": lambda: self._stack.append([]),
            "EMPTY_DICT": lambda: self._stack.append(Table()),
            "LIST": lambda: self._stack.append(self._to_mark()),
            "FROZENSET": lambda: self._stack.append(self._to_mark()),
            "TUPLE": lambda: self._stack.append(tuple(self._to_mark())),
            "TUPLE1": lambda: self._stack.append(self._last(1)),
            "TUPLE2": lambda: self._stack.append(self._last(2)),
            "TUPLE3": lambda: self._stack.append(self._last(3)),
            "DICT": lambda: self._stack.append(Table(_pairs(self._to_mark()))),
            "APPEND": lambda: self._extend([self._stack.pop()]),
            "APPENDS": lambda: self._extend(self._to_mark()),
            "ADDITEMS": lambda: self._extend(self._to_mark()),
            "SETITEM": lambda: self._set(list(self._last(2))),
            "SETITEMS": lambda: self._set(self._to_mark()),
            "MEMOIZE": lambda: self._remember(len(self._memory)),
            "STACK_GLOBAL": lambda: self._import(*self._last(2)),
            "REDUCE": lambda: self._call(self._last(2)),
            "NEWOBJ": lambda: self._call(self._last(2)),
            "NEWOBJ_EX": lambda: self._call(self._last(3)),
            "OBJ": lambda: self._call_first(self._to_mark()),
            "BUILD": lambda: self._give_state(self._stack.pop()),
            "BINPERSID": lambda: self._stack.append(Outside(self._stack.pop())),
            "NEXT_BUFFER": lambda: self._stack.append(Outside("buffer")),
        }

    def take(self, name: str, argument: object) -> None:
        """Carry out one instruction; raises IndexError or ValueError where it cannot be."""
        if step := self._steps.get(name):
            step()
        elif name in _VALUES:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _PUTS:
            self._remember(_number(argument))
        elif name in _GETS:
            self._stack.append(self._memory[_number(argument)])
        elif name == "GLOBAL":
            self._import(*str(argument).split(" ", 1))
        elif name == "INST":
            arguments = self._to_mark()
            self._import(*str(argument).split(" ", 1))
            self._call((self._stack.pop(), tuple(arguments)))
        elif name == "PERSID":
            self._stack.append(Outside(argument))
        elif name in _EXTENSIONS:
            self._import("copyreg", f"extension {argument}")  # a number that stands for a name, as registered there
        elif name not in _IGNORED:
            raise ValueError(f"unknown instruction {name}")

    def result(self) -> object:
        """Return what is left at the end."""
        if len(self._stack) != 1 or self._stack[0] is _MARK:
            raise Malformed("the pickle does not end with one value")
        return self._stack[0]

    def _drop(self) -> None:
        self._stack.pop()

    def _drop_to_mark(self) -> None:
        self._to_mark()

    def _to_mark(self) -> list[object]:
        taken: list[object] = []
        while (value := self._stack.pop()) is not _MARK:
            taken.append(value)
        taken.reverse()
        return taken

    def _last(self, count: int) -> tuple[object, ...]:
        if len(self._stack) < count:
            raise IndexError("the stack is empty")
        taken = tuple(self._stack[-count:])
        del self._stack[-count:]
        return taken

    def _remember(self, place: int) -> None:
        self._memory[place] = self._stack[-1]

    def _import(self, module: object, name: object = "") -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            module, name = "?", "a name that the pickle computes"
        named = Named(module, name)
        self.names.append(named.full)
        self._stack.append(named)

    def _call(self, parts: tuple[object, ...]) -> None:
        function, *arguments = parts
        self._stack.append(Called(function, arguments[0]))

    def _call_first(self, parts: list[object]) -> None:
        self._stack.append(Called(parts[0], tuple(parts[1:])))

    def _give_state(self, state: object) -> None:
        if isinstance(owner := self._stack[-1], Called):
            owner.state = state

    def _extend(self, values: list[object]) -> None:
        owner = self._stack[-1]
        if isinstance(owner, list):
            owner += values
        elif isinstance(owner, Called):
            owner.items += enumerate(values, start=len(owner.items))

    def _set(self, values: list[object]) -> None:
        owner = self._stack[-1]
        if isinstance(owner, Table | Called):
            owner.items += _pairs(values)


def _pairs(values: list[object]) -> list[tuple[object, object]]:
    if len(values) % 2:
        raise ValueError("a dict has a key without a value")
    return list(zip(values[::2], values[1::2], strict=True))


def _number(argument: object) -> int:
    if not isinstance(argument, int):
        raise ValueError("a place in the memory is no number")
    return argument
