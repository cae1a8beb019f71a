"""Records every operation of a forward as a graph, below autograd, where all styles of attention look alike.

A mode of `__torch_dispatch__` and not of `__torch_function__`: the latter changes which path torch's own modules take.
Einsum, `@` and products written by hand all arrive here as `bmm`, `mm` or a sum over a product.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import FrameType

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_TORCH = os.path.dirname(torch.__file__) + os.sep
_MAX_FRAMES = 40


def words(text: str) -> frozenset[str]:
    """Return the names in a text, which are separated by blanks."""
    return frozenset(text.split())


MAX_NODES = 60_000
UNNUMBERED = -1
# Their result has the shape of the input and nothing of its values.
_SHAPE_ONLY = ("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "new_")
# In the target's process these modules have names in place of files: `<probe.tracing.recording>`.
_FILE = words.__code__.co_filename
_OWN = _FILE.rpartition(".")[0] if _FILE.startswith("<") else os.path.dirname(_FILE) + os.sep
_PROBE = _OWN.rpartition(".")[0] if _FILE.startswith("<") else os.path.dirname(os.path.dirname(_FILE)) + os.sep
# A target calls stand-ins as it calls a library.
_STANDINS = f"{_PROBE}.standins." if _FILE.startswith("<") else os.path.join(_PROBE, "standins", "")
# Where these were called is looked up, which takes longer than many an operation.
_PLACED = words(
    "bmm mm baddbmm sum exp exp2 pow _softmax _safe_softmax _log_softmax flex_attention _native_multi_head_attention "
    "_transformer_encoder_layer_fwd bernoulli bernoulli_ native_dropout"
)
RANDOM = ("bernoulli", "bernoulli_", "native_dropout", "dropout", "dropout_")


class TooLarge(RuntimeError):
    """The forward makes more operations than are looked at."""


@dataclass(eq=False)
class Value:
    """A tensor at one time; an operation in place makes another one of the same tensor."""

    tensor: torch.Tensor
    node: "Node | None"
    index: int = 0  # among the outputs of its node
    of_input: bool = False  # whether its values come from what the forward was given
    users: list[tuple["Node", int]] = field(default_factory=list)
    kept: torch.Tensor | None = None  # the elements, where the tensor was overwritten later

    @property
    def data(self) -> torch.Tensor:
        """Its elements as they were."""
        return self.tensor if self.kept is None else self.kept

    @property
    def shape(self) -> torch.Size:
        """Its shape."""
        return self.tensor.shape


@dataclass(frozen=True)
class Frame:
    """A line that was running: file, line, the module that the file is, and the path of the `torch.nn.Module`."""

    path: str
    line: int
    module: str
    owner: str | None


@dataclass(eq=False)
class Node:
    """One operation. `inputs` are its tensors in the order of its arguments; in `args` they are `Value`s."""

    index: int
    name: str
    func: Callable[..., object]
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    inputs: list[Value]
    outputs: list[Value]
    frames: tuple[Frame, ...] = ()


Edit = Callable[[torch.Tensor], None]


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Numbers the operations; the numbers of two forwards on inputs of the same shapes agree."""

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not to be wrapped so that compilation skips it: that imports the compiler, which takes about a second."""
        return False

    def __init__(self, edits: Mapping[int, Edit] | None = None) -> None:
        """Begin at zero; `edits` change the result of the operation that they are named by."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0
        self._edits = dict(edits or {})

    def __torch_dispatch__(
        self, func: Callable[..., object], types: object, args: tuple[object, ...] = (), kwargs: object = None
    ) -> object:
        """Carry the operation out and note it."""
        given = dict(kwargs) if isinstance(kwargs, Mapping) else {}
        if isinstance(func, torch._ops.OpOverload) and func._can_decompose() and _is_composite(func):
            with self:
                result = func.decompose(*args, **given)
            if result is not NotImplemented:
                return result
        # A new tensor that is held here is detached before it reaches the caller, so these do not count.
        counts = name_of(func) != "detach"
        index = self.count if counts else UNNUMBERED
        self.count += counts
        if self.count > MAX_NODES:
            raise TooLarge(f"the forward makes more than {MAX_NODES} operations")
        self._before(index, func, args, given)
        result = func(*args, **given)
        if index in self._edits:
            for tensor in tensors_in(result):
                self._edits[index](tensor)
        self._after(index, func, args, given, result)
        return result

    def _before(self, index: int, func: object, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        """Look at the arguments."""

    def _after(
        self, index: int, func: object, args: tuple[object, ...], kwargs: Mapping[str, object], result: object
    ) -> None:
        """Look at the result."""


class Capturing(Counting):  # type: ignore[no-untyped-call]
    """Keeps the tensors that some operations, by their numbers, are given."""

    def __init__(self, wanted: Iterable[int], edits: Mapping[int, Edit] | None = None) -> None:
        """Keep those of `wanted`."""
        super().__init__(edits)
        self._wanted = set(wanted)
        self.found: dict[int, list[torch.Tensor]] = {}

    def _before(self, index: int, func: object, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        if index in self._wanted:
            self.found[index] = [tensor.detach().clone() for tensor in tensors_in((args, list(kwargs.values())))]


class Recording(Counting):  # type: ignore[no-untyped-call]
    """The whole graph of a forward."""

    def __init__(self, names: Mapping[int, str]) -> None:
        """Begin a graph; `names` are the path of each module of the model by its `id`."""
        super().__init__()
        self.nodes: list[Node] = []
        self._names = names
        self._latest: dict[int, Value] = {}
        self._of_storage: dict[int, list[Value]] = {}
        self._order: dict[Value, int] = {}
        self._written: dict[int, Value] = {}  # the last write into a storage

    def begin(self, inputs: Iterable[torch.Tensor]) -> None:
        """Take in what the forward is given."""
        for tensor in inputs:
            self._hold(Value(tensor, None, of_input=True))

    def value(self, tensor: torch.Tensor) -> Value:
        """Return what the tensor is now."""
        known = self._latest.get(id(tensor))
        if known is None:
            known = self._hold(Value(tensor, None))
        written = self._written.get(_storage(tensor))
        if written is not None and written is not known and self._order[written] > self._order[known]:
            node = Node(UNNUMBERED, "alias", _same, (known, written), {}, [known, written], [])
            known = self._output(node, tensor, 0, of_input=known.of_input or written.of_input)
            self.nodes.append(node)
        return known

    def _before(self, index: int, func: object, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        for tensor in _written_by(func, args, kwargs):
            for value in self._of_storage.get(_storage(tensor), ()):
                if value.kept is None:
                    value.kept = value.tensor.detach().clone()

    def _after(
        self, index: int, func: object, args: tuple[object, ...], kwargs: Mapping[str, object], result: object
    ) -> None:
        held: list[Value] = []
        named = _with_values(args, self.value, held), {k: _with_values(v, self.value, held) for k, v in kwargs.items()}
        assert callable(func)
        assert isinstance(named[0], tuple)
        name = name_of(func)
        placed = name in _PLACED or name.startswith("_scaled_dot_product")
        node = Node(index, name, func, named[0], named[1], held, [], frames_of(self._names) if placed else ())
        of_input = not name.startswith(_SHAPE_ONLY) and any(value.of_input for value in held)
        for position, tensor in enumerate(tensors_in(result)):
            self._output(node, tensor, position, of_input=of_input)
        writes = {id(tensor) for tensor in _written_by(func, args, kwargs)}
        for output in node.outputs:
            if id(output.tensor) in writes:
                self._written[_storage(output.tensor)] = output
        self.nodes.append(node)

    def _output(self, node: Node, tensor: torch.Tensor, position: int, *, of_input: bool) -> Value:
        value = self._hold(Value(tensor, node, position, of_input))
        if not node.outputs:
            for at, each in enumerate(node.inputs):
                each.users.append((node, at))
        node.outputs.append(value)
        return value

    def _hold(self, value: Value) -> Value:
        self._latest[id(value.tensor)] = value
        self._order[value] = len(self._order)
        self._of_storage.setdefault(_storage(value.tensor), []).append(value)
        return value


def _is_composite(func: torch._ops.OpOverload) -> bool:
    name = func.name()  # type: ignore[no-untyped-call]
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd"))


def _same(known: torch.Tensor, written: torch.Tensor) -> torch.Tensor:
    return known


def _storage(tensor: torch.Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # sparse and other tensors have none
        return id(tensor)


def name_of(func: object) -> str:
    """Return the name of an operation, without its overload."""
    packet = getattr(func, "_overloadpacket", None)
    name = getattr(packet, "__name__", None) or getattr(func, "__name__", None) or str(func)
    return str(name)


def _written_by(func: object, args: tuple[object, ...], kwargs: Mapping[str, object]) -> list[torch.Tensor]:
    schema = getattr(func, "_schema", None)
    if schema is None or not schema.is_mutable:
        return []
    found = []
    for position, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            given = kwargs.get(argument.name) if argument.name in kwargs else args[position : position + 1]
            found += tensors_in(given)
    return found


def tensors_in(value: object) -> list[torch.Tensor]:
    """Return every tensor in nested tuples and lists, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []


def _with_values(item: object, value: Callable[[torch.Tensor], Value], held: list[Value]) -> object:
    if isinstance(item, torch.Tensor):
        held.append(value(item))
        return held[-1]
    if isinstance(item, tuple):
        return tuple(_with_values(each, value, held) for each in item)
    if isinstance(item, list):
        return [_with_values(each, value, held) for each in item]
    return item


def frames_of(names: Mapping[int, str]) -> tuple[Frame, ...]:
    """Return the lines that are running, innermost first, without torch's and the probe's own."""
    found: list[Frame] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and len(found) < _MAX_FRAMES:
        path = frame.f_code.co_filename
        if not path.startswith((_TORCH, _OWN, _STANDINS)):
            if path.startswith(_PROBE):
                break
            owner = names.get(id(frame.f_locals.get("self"))) if "self" in frame.f_code.co_varnames[:1] else None
            found.append(Frame(path, frame.f_lineno, str(frame.f_globals.get("__name__", "")), owner))
        elif names and frame.f_code.co_varnames[:1] == ("self",) and path.startswith(_TORCH):
            owner = names.get(id(frame.f_locals.get("self")))
            if owner is not None and not found and frame.f_code.co_name == "forward":
                found.append(Frame(path, frame.f_lineno, str(frame.f_globals.get("__name__", "")), owner))
        frame = frame.f_back
    return tuple(found)
