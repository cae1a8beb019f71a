"""The two or three ends of an attention, queries, keys and values, as rows of numbers, however it is computed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .cores import Core, Fused
from .products import Product
from .recording import Node, Value

Rows = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class End:
    """Rows of an operand: the operation that takes it, its place among that one's tensors, and how rows are read."""

    node: Node
    at: int
    rows: Rows

    @property
    def value(self) -> Value:
        """The operand itself."""
        return self.node.inputs[self.at]

    @property
    def numbers(self) -> torch.Tensor:
        """Its rows (number, size)."""
        return self.rows(self.value.data.detach())


@dataclass(frozen=True)
class Pairs:
    """Which row of the queries met which of the keys and of the values, and with which weight; all (number,)."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor | None
    weight: torch.Tensor


@dataclass(frozen=True)
class Ends:
    """Queries, keys, values of one attention. `axis` names what the softmax runs over, as far as rows tell."""

    query: End
    key: End
    value: End | None
    pairs: Pairs
    along_query: bool  # whether the row of the queries varies along the softmax
    along_key: bool
    logits: tuple[torch.Tensor, torch.Tensor] | None = None  # (lines, length) of rows of queries and keys
    head_dim: int = 0


def ends_of_core(core: Core) -> Ends | None:
    """Return the ends of an attention that is written out; None where its elements could not be followed.

    The keys are those whose rows are added up with the values, whichever side of the product they stand on.
    """
    labels, weights = core.at_logits(), core.at_weights()
    if labels is None or weights is None:
        return None
    contracted = core.output.contracted(core.weights_at)
    left_varies, right_varies = (_varies(label, contracted) for label in weights)
    swapped = left_varies and not right_varies
    sides = [_end(core.scores, of_left=True), _end(core.scores, of_left=False)]
    order = (1, 0) if swapped else (0, 1)
    query, key = (sides[side] for side in order)
    queries, keys = (labels[side] for side in order)
    value, value_label = _value_end(core)
    flat = [weights[side].reshape(-1) for side in order]
    known = (flat[0] >= 0) & (flat[1] >= 0)
    weight = core.weights.data.detach().to(torch.float64).reshape(-1)
    return Ends(
        query=query,
        key=key,
        value=value,
        pairs=Pairs(
            query=flat[0][known],
            key=flat[1][known],
            value=None if value_label is None else value_label.reshape(-1)[known],
            weight=weight[known],
        ),
        along_query=_varies(queries, core.axes),
        along_key=_varies(keys, core.axes),
        logits=(_lines(queries, core.axes), _lines(keys, core.axes)),
        head_dim=core.scores.size,
    )


def ends_of_fused(fused: Fused) -> Ends | None:
    """Return the ends of torch's attention in one operation, with the weights that it documents."""
    query, key = fused.query.data.detach(), fused.key.data.detach()
    if query.ndim < 3 or query.shape[1] % key.shape[1]:
        return None
    mask = None if fused.mask is None else fused.mask.data.detach()
    return _ends_of_heads((fused.node,) * 3, (_flat,) * 3, query, key, fused.scale, mask, fused.is_causal)


def flex_scale(node: Node) -> float:
    """Return the factor that flex_attention is given."""
    scale = node.args[5] if len(node.args) > 5 else node.kwargs.get("scale")
    return float(scale) if isinstance(scale, int | float) else float(node.inputs[0].shape[-1]) ** -0.5


def ends_of_flex(node: Node) -> Ends | None:
    """Return the ends of flex_attention; its weights are what it makes of values that are ones of one key each."""
    query, key = node.inputs[0].data.detach(), node.inputs[1].data.detach()
    if query.ndim != 4 or query.shape[1] % key.shape[1]:
        return None
    one_each = torch.eye(key.shape[2], dtype=query.dtype).expand(*key.shape[:2], -1, -1).contiguous()
    given = [_unwrapped(each) for each in node.args]
    given[2] = one_each
    with torch.no_grad():
        result = node.func(*given, **{name: _unwrapped(each) for name, each in node.kwargs.items()})
    weights = result[0] if isinstance(result, tuple) else result
    assert isinstance(weights, torch.Tensor)
    return _ends_of_heads((node,) * 3, (_flat,) * 3, query, key, 1.0, None, False, weights=weights.to(torch.float64))


def _unwrapped(item: object) -> object:
    if isinstance(item, Value):
        return item.data
    if type(item) is tuple:
        return tuple(_unwrapped(each) for each in item)
    return [_unwrapped(each) for each in item] if type(item) is list else item


def ends_of_native(node: Node) -> Ends | None:
    """Return the ends of a fast path of torch's modules, which projects and attends in one operation.

    `torch.nn.MultiheadAttention` has one, and `torch.nn.TransformerEncoderLayer`, which may normalise its input first.
    """
    schema = getattr(node.func, "_schema", None)
    names = [argument.name for argument in schema.arguments] if schema is not None else []
    given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    heads, weight, bias = given.get("num_head", given.get("num_heads")), given["qkv_weight"], given["qkv_bias"]
    if not isinstance(heads, int) or not isinstance(weight, Value):
        return None
    at = (0, 0, 0) if "src" in given else (0, 1, 2)
    size = weight.shape[0] // 3
    norm = (given["norm_weight_1"], given["norm_bias_1"], given["eps"]) if given.get("norm_first") else None

    def projected(part: int) -> Callable[[torch.Tensor], torch.Tensor]:
        def project(tensor: torch.Tensor) -> torch.Tensor:
            assert isinstance(weight, Value)
            assert isinstance(heads, int)
            if norm is not None:
                gain, offset, eps = norm
                assert isinstance(gain, Value)
                assert isinstance(offset, Value)
                assert isinstance(eps, float)
                weights = (gain.data.detach(), offset.data.detach())
                tensor = torch.nn.functional.layer_norm(tensor, gain.shape, *weights, eps)
            cut = slice(part * size, (part + 1) * size)
            shift = bias.data.detach()[cut] if isinstance(bias, Value) else None
            whole = torch.nn.functional.linear(tensor, weight.data.detach()[cut], shift)
            return whole.reshape(*whole.shape[:2], heads, -1).transpose(1, 2)

        return project

    split = [projected(part) for part in range(3)]
    query, key = split[0](node.inputs[at[0]].data.detach()), split[1](node.inputs[at[1]].data.detach())
    masked, mask = given.get("mask"), None
    if isinstance(masked, Value):
        mask = ~masked.data.detach().bool()
        mask = mask[:, None, None, :] if given.get("mask_type") == 1 else mask
    readers = tuple(_reader(each) for each in split)
    return _ends_of_heads((node,) * 3, readers, query, key, query.shape[-1] ** -0.5, mask, False, at=at)


def _reader(project: Callable[[torch.Tensor], torch.Tensor]) -> Rows:
    return lambda tensor: _flat(project(tensor))


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(-1, tensor.shape[-1])


def _ends_of_heads(
    nodes: tuple[Node, ...],
    readers: tuple[Rows, ...],
    query: torch.Tensor,  # (B, H, Lq, D)
    key: torch.Tensor,  # (B, G, Lk, D)
    scale: float,
    mask: torch.Tensor | None,
    is_causal: bool,
    weights: torch.Tensor | None = None,
    at: tuple[int, int, int] = (0, 1, 2),
) -> Ends:
    batch, heads, length_q, size = query.shape
    kv_heads, length_k = key.shape[1], key.shape[2]
    group = torch.arange(heads) // (heads // kv_heads)
    numbers = torch.arange(batch * heads * length_q).reshape(batch, heads, length_q, 1)
    rows = (torch.arange(batch)[:, None] * kv_heads + group)[..., None, None] * length_k + torch.arange(length_k)
    shape = (batch, heads, length_q, length_k)
    queries, keys = numbers.expand(shape), rows.expand(shape)
    scores = query.to(torch.float64) @ key.to(torch.float64)[:, group].mT * scale
    if is_causal:  # its diagonal starts at the top left
        scores = scores.masked_fill(~torch.ones(length_q, length_k, dtype=torch.bool).tril(), -torch.inf)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask.to(torch.float64)
    weight = scores.softmax(dim=-1).nan_to_num(0.0) if weights is None else weights
    ends = [End(node, place, reader) for node, place, reader in zip(nodes, at, readers, strict=True)]
    return Ends(
        query=ends[0],
        key=ends[1],
        value=ends[2],
        pairs=Pairs(queries.reshape(-1), keys.reshape(-1), keys.reshape(-1), weight.reshape(-1)),
        along_query=False,
        along_key=length_k > 1,
        logits=(queries.reshape(-1, length_k), keys.reshape(-1, length_k)),
        head_dim=size,
    )


def _end(product: Product, *, of_left: bool) -> End:
    node = product.node.inputs[0].node if product.summed else product.node
    assert node is not None
    side = product.at[0] if of_left else product.at[1]
    return End(node, side, lambda tensor: product.rows(tensor, of_left=of_left))


def _value_end(core: Core) -> tuple[End | None, torch.Tensor | None]:
    product = core.output
    if product.summed:
        return None, None
    weights_first = core.weights_at == product.at[0]
    at = product.at[1] if weights_first else product.at[0]
    shape = core.weights.shape
    batch = shape[0] if len(shape) == 3 else 1
    count = shape[-1] if weights_first else shape[-2]
    numbers = torch.arange(batch * count).reshape(batch, count)
    label = (numbers[:, None, :] if weights_first else numbers[:, :, None]).expand(batch, *shape[-2:]).reshape(shape)

    def rows(tensor: torch.Tensor) -> torch.Tensor:
        return _flat(tensor if weights_first else tensor.mT)

    return End(product.node, at, rows), label


def _varies(label: torch.Tensor, axes: tuple[int, ...]) -> bool:
    if not axes or not label.ndim:
        return False
    lines = _lines(label, axes)
    known = lines >= 0
    first = torch.where(known, lines, torch.iinfo(lines.dtype).max).amin(dim=1, keepdim=True)
    return bool(((lines != first) & known).any())


def _lines(label: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    if not axes:
        return label.reshape(-1, 1)
    kept = [axis for axis in range(label.ndim) if axis not in {a % label.ndim for a in axes}]
    moved = label.permute(*kept, *(axis % label.ndim for axis in axes))
    length = 1
    for axis in axes:
        length *= label.shape[axis]
    return moved.reshape(-1, length)
