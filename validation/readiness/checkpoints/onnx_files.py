"""The tensors of an ONNX model, in its graph and those within its nodes; the operators are not judged."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from validation.readiness.checkpoints.forms import (
    ITEM_BYTES,
    MAX_DIMENSIONS,
    MAX_TENSORS,
    Layout,
    Malformed,
    NotRead,
    StoredTensor,
    count_of,
)
from validation.readiness.checkpoints.protobuf import BYTES, VARINT, Field, Message

# https://github.com/onnx/onnx/blob/main/onnx/onnx.proto: numbers of fields, by the message that has them.
_IR_VERSION, _GRAPH, _OPERATORS, _FUNCTION = 1, 7, 8, 25  # ModelProto
_GRAPH_NODE, _INITIALIZER, _SPARSE = 1, 5, 15  # GraphProto
_NODE_ATTRIBUTE, _FUNCTION_NODE = 5, 7
_VALUE, _SUBGRAPH, _VALUES, _SUBGRAPHS = 5, 6, 10, 11  # AttributeProto
_DIMS, _TYPE, _FLOATS, _INT32S, _INT64S, _NAME, _RAW, _DOUBLES, _UINT64S, _LOCATION = 1, 2, 4, 5, 7, 8, 9, 10, 11, 14
_EXTERNAL = 1  # a location: the numbers lie in another file
_STRING = 8
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
    17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2", 20: "float8_e5m2fnuz", 24: "float8_e8m0fnu",
}  # fmt: skip
_WHOLE = ("int", "uint", "bool")
_FIRST_WITH_OPERATORS = 3  # the version of the format from which a model must name its sets of operators
_MAX_NAME_BYTES = 400
_MAX_PARTS = 10_000
_MAX_DEPTH = 32  # of graphs in nodes of graphs


def onnx_layout(file: BinaryIO, size: int) -> Layout:
    """Return what a model of `size` bytes holds.

    Raises:
        Malformed: it is no model, or a field or a tensor in it is not whole.
        NotRead: it is larger than the limits.
    """
    model = Message(file, size)
    version = operators = 0
    graphs: list[Field] = []
    functions: list[Field] = []
    for field in model.fields(0, size):
        if field.number == _IR_VERSION and field.kind == VARINT:
            version = field.value
        elif field.kind == BYTES:
            operators += field.number == _OPERATORS
            graphs += [field] if field.number == _GRAPH else []
            functions += [field] if field.number == _FUNCTION else []
        if len(graphs) > 1 or len(functions) > _MAX_PARTS:
            raise NotRead(f"it has several graphs, or more than {_MAX_PARTS} functions")
    if not version or not graphs:
        raise Malformed("it is no model of ONNX: it has no version of the format, or no graph")
    if version >= _FIRST_WITH_OPERATORS and not operators:
        raise Malformed("it names no set of operators, without which nothing loads it: it was cut off")
    walk = _Walk(model)
    walk.graph(graphs[0], 0)
    for function in functions:
        walk.nodes(function, _FUNCTION_NODE, 0)
    return Layout("ONNX", tuple(walk.tensors), unread=tuple(walk.unread))


class _Walk:
    """Finds the tensors of a model."""

    def __init__(self, model: Message) -> None:
        self._model = model
        self._used: Counter[str] = Counter()
        self._count = 0
        self.tensors: list[StoredTensor] = []
        self.unread: list[str] = []

    def graph(self, graph: Field, depth: int) -> None:
        """Go through a graph, and those within its nodes."""
        if depth > _MAX_DEPTH:
            raise NotRead(f"its graphs lie more than {_MAX_DEPTH} deep in each other")
        for field in self._below(graph):
            if field.number == _INITIALIZER:
                self._tensor(field)
            elif field.number == _SPARSE:
                self.unread.append(f"{self._called('sparse')!r} is not followed to its bytes")
        for field in self._below(graph):  # behind: what a node holds gives way where the two have one name
            if field.number == _GRAPH_NODE:
                self._node(field, depth)

    def nodes(self, function: Field, number: int, depth: int) -> None:
        """Go through the nodes of a function."""
        for field in self._below(function):
            if field.number == number:
                self._node(field, depth)

    def _node(self, node: Field, depth: int) -> None:
        for attribute in self._below(node):
            if attribute.number == _NODE_ATTRIBUTE:
                for field in self._below(attribute):
                    if field.number in (_VALUE, _VALUES):
                        self._tensor(field)
                    elif field.number in (_SUBGRAPH, _SUBGRAPHS):
                        self.graph(field, depth + 1)

    def _below(self, message: Field) -> Iterator[Field]:
        """Yield the messages in a message."""
        return (field for field in self._model.fields(message.start, message.length) if field.kind == BYTES)

    def _tensor(self, message: Field) -> None:
        dims: list[int] = []
        kind, is_external, name = 0, False, ""
        held: list[Field] = []
        for field in self._model.fields(message.start, message.length):
            if field.number == _DIMS:
                for each in self._model.numbers(field):
                    dims.append(each)
                    if len(dims) > MAX_DIMENSIONS:
                        raise Malformed(f"a tensor has more than {MAX_DIMENSIONS} dimensions")
            elif field.number == _TYPE and field.kind == VARINT:
                kind = field.value
            elif field.number == _LOCATION and field.kind == VARINT:
                is_external = field.value == _EXTERNAL
            elif field.number == _NAME and field.kind == BYTES:
                name = self._model.content(field.start, min(field.length, _MAX_NAME_BYTES)).decode(errors="replace")
            elif field.number in (_FLOATS, _INT32S, _INT64S, _RAW, _DOUBLES, _UINT64S):
                held.append(field)
                if len(held) > _MAX_PARTS:
                    raise NotRead(f"the numbers of a tensor lie in more than {_MAX_PARTS} fields")
        self._place(self._called(name or "value"), kind, dims, held, is_external=is_external)

    def _called(self, name: str) -> str:
        """Return a name that no other tensor has: those in nodes often have none, and two graphs may use one."""
        self._used[name] += 1
        self._count += 1
        if self._count > MAX_TENSORS:
            raise NotRead(f"it has more than {MAX_TENSORS} tensors")
        return name if self._used[name] == 1 else f"{name} (no. {self._used[name]})"

    def _place(self, name: str, kind: int, dims: list[int], held: list[Field], *, is_external: bool) -> None:
        shown = repr(name if len(name) <= 80 else name[:77] + "...")
        shape = tuple(count_of(each, f"a dimension of {shown}") for each in dims)
        elements = count_of(math.prod(shape), f"the number of elements of {shown}")
        dtype = _DTYPES.get(kind, "")
        if kind == _STRING:
            return  # texts are no numbers
        if is_external or not dtype:
            self.unread.append(f"{shown} " + ("lies in another file" if is_external else f"is of type {kind}"))
            return
        needed = elements * ITEM_BYTES[dtype]
        is_plain = held and held[0].kind == BYTES and held[0].number in (_RAW, *_OF_DTYPE.get(dtype, ()))
        if len(held) == 1 and is_plain:
            if held[0].length != needed:
                raise Malformed(f"{shown} is {dtype} {list(shape)} and has {held[0].length} bytes")
            self.tensors.append(StoredTensor(name, dtype, shape, held[0].start, needed, dense=True))
        elif dtype.startswith(_WHOLE):
            # Written number by number: there is none that is not finite, and only their count can be wrong.
            count = sum(1 for field in held for _ in self._model.numbers(field))
            if count != elements:
                raise Malformed(f"{shown} is {dtype} {list(shape)} and has {count} numbers")
            self.tensors.append(StoredTensor(name, dtype, shape, 0, 0, dense=False))
        elif elements and not held:
            raise Malformed(f"{shown} is {dtype} {list(shape)} and has no numbers")
        elif elements:
            self.unread.append(f"{shown} is written number by number")
        else:
            self.tensors.append(StoredTensor(name, dtype, shape, 0, 0, dense=False))


# The fields in which numbers lie as they are in memory, beside the raw ones.
_OF_DTYPE = {"float32": (_FLOATS,), "complex64": (_FLOATS,), "float64": (_DOUBLES,), "complex128": (_DOUBLES,)}
