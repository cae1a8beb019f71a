"""Which operations only move elements, which act on each alone, and the ways through a graph made of these."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .recording import RANDOM, Node, Value, words

_RESHAPES = frozenset(("view", "_unsafe_view", "_reshape_alias", "reshape", "unflatten", "flatten"))
_AS_IT_IS = words("clone _to_copy detach detach_ alias contiguous lift_fresh lift_fresh_copy _conj resolve_conj to")
_MOVES = words(
    "permute transpose t unsqueeze squeeze expand slice select split split_with_sizes unbind index index_select repeat "
    "cat stack unfold flip roll gather narrow constant_pad_nd chunk movedim swapaxes unsafe_split unsafe_chunk "
    "diagonal take_along_dim squeeze_ unsqueeze_ transpose_ t_ pad as_strided"
)
_COMPLEX = frozenset(("view_as_complex", "view_as_real"))
LAYOUT = _RESHAPES | _AS_IT_IS | _MOVES | _COMPLEX
JOINING = frozenset(("cat", "stack", "alias"))
_EACH_ALONE = words(
    "mul div add sub rsub neg where masked_fill clamp clamp_min clamp_max tanh exp exp2 pow maximum minimum nan_to_num "
    "tril triu native_dropout relu sigmoid true_divide copy addcmul masked_scatter log abs scatter index_fill "
    "index_put softplus"
)
SOFTMAX = frozenset(("_softmax", "_safe_softmax", "softmax"))
LOG_SOFTMAX = frozenset(("_log_softmax", "log_softmax"))
_MOST_VISITED = 600


def base(node: Node) -> str:
    """Return the operation's name without the mark of one in place."""
    name = node.name
    return name[:-1] if name.endswith("_") and not name.startswith("__") else name


def is_layout(node: Node) -> bool:
    """Whether the result holds elements of the inputs and nothing else."""
    return node.name in LAYOUT


def is_each_alone(node: Node) -> bool:
    """Whether each element of the result comes from those at the same place."""
    return base(node) in _EACH_ALONE


def is_bare(value: Value) -> bool:
    """Whether it is a weight or a constant as it is: nothing but moved elements of a tensor that was there before."""
    if value.of_input:
        return False
    waiting = [value]
    while waiting:
        node = waiting.pop().node
        if node is None:
            continue
        if not is_layout(node) or not node.inputs:
            return False
        waiting += node.inputs if node.name in JOINING else node.inputs[:1]
    return True


@dataclass(frozen=True)
class Step:
    """One operation on a way: which of its inputs it goes in by, and by which output it leaves."""

    node: Node
    at: int
    out: int = 0


def is_mixing(node: Node, at: int) -> bool:
    """Whether it is a product with a square weight, as when heads talk to each other, seen from input `at`."""
    if node.name in ("bmm", "mm") and len(node.inputs) == 2:
        other = node.inputs[1 - at]
        return is_bare(other) and other.shape[-1] == other.shape[-2]
    if node.name in ("convolution", "_convolution", "mkldnn_convolution"):
        weight = node.inputs[1] if len(node.inputs) > 1 else None
        return at == 0 and weight is not None and set(weight.shape[2:]) == {1} and weight.shape[0] == weight.shape[1]
    if node.name == "addmm":
        return at == 1 and is_bare(node.inputs[2]) and node.inputs[2].shape[0] == node.inputs[2].shape[1]
    return node.name in ("native_layer_norm", "native_batch_norm", "_native_batch_norm_legit_no_training") and at == 0


def goes_on(node: Node) -> bool:
    """Whether scores stay scores through it."""
    return is_layout(node) or is_each_alone(node)


def ways_back(value: Value) -> Iterator[tuple[Value, tuple[Step, ...]]]:
    """Yield every value from which this one comes by moves and operations on each element, and the way to here.

    Ways through a learned mixing of heads come after all others.
    """
    waiting: deque[tuple[Value, tuple[Step, ...], int]] = deque([(value, (), 0)])
    later: deque[tuple[Value, tuple[Step, ...], int]] = deque()
    seen: set[int] = set()
    while (waiting or later) and len(seen) < _MOST_VISITED:
        here, way, mixed = waiting.popleft() if waiting else later.popleft()
        if id(here) in seen:
            continue
        seen.add(id(here))
        yield here, way
        node = here.node
        if node is None:
            continue
        for at, each in enumerate(node.inputs):
            step = (Step(node, at, here.index), *way)
            if goes_on(node):
                waiting.append((each, step, mixed))
            elif mixed < 2 and is_mixing(node, at):
                later.append((each, step, mixed + 1))


def ways_on(value: Value) -> Iterator[tuple[Node, int, tuple[Step, ...]]]:
    """Yield every operation that this value reaches by moves and operations on each element, with the way to it."""
    waiting: deque[tuple[Value, tuple[Step, ...], int]] = deque([(value, (), 0)])
    later: deque[tuple[Value, tuple[Step, ...], int]] = deque()
    seen: set[int] = set()
    while (waiting or later) and len(seen) < _MOST_VISITED:
        here, way, mixed = waiting.popleft() if waiting else later.popleft()
        if id(here) in seen:
            continue
        seen.add(id(here))
        for node, at in here.users:
            yield node, at, way
            passes = goes_on(node) or node.name in SOFTMAX | LOG_SOFTMAX or base(node) in RANDOM
            if passes or (mixed < 2 and is_mixing(node, at)):
                for output in node.outputs:
                    step = (*way, Step(node, at, output.index))
                    (waiting if passes else later).append((output, step, mixed + (not passes)))


def moved(label: torch.Tensor, way: tuple[Step, ...]) -> torch.Tensor | None:
    """Return where each element of a label goes along a way; -1 is what comes from elsewhere. None where unknown."""
    for step in way:
        node = step.node
        shape = node.outputs[step.out].tensor.shape
        found = _moved(label, step, shape)
        if found is None or found.shape != shape:
            return None
        label = found
    return label


def _moved(label: torch.Tensor, step: Step, shape: torch.Size) -> torch.Tensor | None:
    node = step.node
    if node.name in _RESHAPES:
        return label.reshape(shape) if label.numel() == shape.numel() else None
    if node.name == "alias" and len(node.inputs) == 2:
        return label if step.at == 0 else _written_into(label, node)
    if node.name in _AS_IT_IS:
        return label
    if node.name in _COMPLEX:
        return label[..., 0] if node.name == "view_as_complex" else label.unsqueeze(-1).expand(shape)
    if node.name == "as_strided":
        return _strided(label, node)
    if node.name in _MOVES:
        return _replayed(label, step)
    if not label.ndim or label.numel() > shape.numel():
        return None
    try:
        return label.expand(shape)
    except RuntimeError:
        return label if label.shape == shape else None


def _strided(label: torch.Tensor, node: Node) -> torch.Tensor | None:
    """Read a label through other strides: it is first laid out as the tensor was."""
    whole, made = node.inputs[0].tensor, node.outputs[0].tensor
    start = whole.storage_offset()
    length = whole.untyped_storage().nbytes() // whole.element_size() - start
    memory = torch.full((length,), -1, dtype=label.dtype)
    memory.as_strided(whole.shape, whole.stride(), 0).copy_(label)
    offset = made.storage_offset() - start
    return memory.as_strided(made.shape, made.stride(), offset) if offset >= 0 else None


def _written_into(label: torch.Tensor, node: Node) -> torch.Tensor | None:
    """Put the label of a view that was written to at its place in the tensor that it is a view of."""
    whole, part = node.inputs[0].tensor, node.inputs[1].tensor
    offset = part.storage_offset() - whole.storage_offset()
    if offset < 0 or not whole.is_contiguous():
        return None
    result = torch.full(whole.shape, -1, dtype=label.dtype)
    try:
        result.as_strided(part.shape, part.stride(), offset).copy_(label)
    except RuntimeError:
        return None
    return result


def _replayed(label: torch.Tensor, step: Step) -> torch.Tensor | None:
    node = step.node
    position = iter(range(len(node.inputs)))
    indexing = node.name in ("index", "index_select", "gather", "take_along_dim")
    if indexing and step.at != 0:
        return None

    def given(item: object) -> object:
        if isinstance(item, Value):
            at = next(position)
            if at == step.at:
                return label
            if indexing:
                return item.data
            return torch.full(item.shape, -1, dtype=label.dtype)
        if isinstance(item, list | tuple):
            return type(item)(given(each) for each in item)
        return item

    args = given(node.args)
    assert isinstance(args, tuple)
    kwargs = {key: given(item) for key, item in node.kwargs.items()}
    if node.name == "constant_pad_nd":
        args, kwargs = (args[0], args[1], -1), {}
    try:
        result = node.func(*args, **kwargs)
    except (RuntimeError, IndexError, TypeError):  # an operation that takes no whole numbers; where they go is unknown
        return None
    outputs = [result] if isinstance(result, torch.Tensor) else list(result)  # type: ignore[call-overload]
    moved_to = outputs[step.out]
    return moved_to if isinstance(moved_to, torch.Tensor) else None
