"""Finds attention cores: a product of two activations, a softmax of it, and a product of that with values."""

from dataclasses import dataclass, field

import torch

from .graph import LOG_SOFTMAX, SOFTMAX, Step, base, moved, ways_back, ways_on
from .products import Product, is_linear, product_of
from .recording import Node, Value

FUSED = {
    "_scaled_dot_product_flash_attention_for_cpu": "scaled_dot_product_attention (fused)",
    "_scaled_dot_product_flash_attention": "scaled_dot_product_attention (flash)",
    "_scaled_dot_product_efficient_attention": "scaled_dot_product_attention (memory-efficient)",
    "_scaled_dot_product_cudnn_attention": "scaled_dot_product_attention (cuDNN)",
    "_scaled_dot_product_fused_attention_overrideable": "scaled_dot_product_attention (fused)",
    "_scaled_dot_product_attention_math_for_mps": "scaled_dot_product_attention (math)",
}
NATIVE = {
    "_native_multi_head_attention": "torch.nn.MultiheadAttention (fast path)",
    "_transformer_encoder_layer_fwd": "torch.nn.TransformerEncoderLayer (fast path)",
}
_POWERS = ("exp", "exp2", "pow")


@dataclass(frozen=True)
class Core:
    """One attention written out. `before` leads from the scores to the softmax, `after` from there to the values."""

    scores: Product
    before: tuple[Step, ...]
    softmax: Node
    logits: Value
    axes: tuple[int, ...]  # of the softmax, in the shape of the logits
    after: tuple[Step, ...]
    output: Product
    weights_at: int  # which input of `output` the weights are
    log_base: float = 1.0  # natural logarithm of the base of the exponential
    by_hand: bool = False
    extra_products: int = 0  # further products of activations that are added to the scores

    @property
    def weights(self) -> Value:
        """What is contracted with the values."""
        return (self.output.left, self.output.right)[self.output.at.index(self.weights_at)]

    @property
    def values(self) -> Value:
        """What the weights are contracted with."""
        return (self.output.right, self.output.left)[self.output.at.index(self.weights_at)]

    @property
    def softmaxes(self) -> list[Node]:
        """Every softmax between the scores and the values that changes what it is given."""
        return [self.softmax, *(step.node for step in self.after if step.node.name in SOFTMAX)]

    def at_logits(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the numbers of left and right rows of each logit."""
        labels = tuple(moved(label, self.before) for label in self.scores.labels())
        return None if labels[0] is None or labels[1] is None else (labels[0], labels[1])

    def at_weights(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the numbers of left and right rows of each weight."""
        found = self.at_logits()
        if found is None:
            return None
        left, right = (moved(label, self.after) for label in found)
        return None if left is None or right is None else (left, right)


@dataclass(frozen=True)
class Fused:
    """One attention in a single operation of torch."""

    node: Node
    backend: str
    query: Value
    key: Value
    value: Value
    scale: float
    is_causal: bool
    mask: Value | None
    dropout: float


@dataclass
class Cores:
    """What a forward reveals."""

    written: list[Core] = field(default_factory=list)
    fused: list[Fused] = field(default_factory=list)
    native: list[Node] = field(default_factory=list)  # torch.nn.MultiheadAttention's fast path
    flex: list[Node] = field(default_factory=list)
    other_softmaxes: int = 0  # without a product of activations before it, or of values after it


def find_cores(nodes: list[Node]) -> Cores:
    """Return every attention in the graph, in the order in which they ran."""
    found = Cores()
    for node in nodes:
        if node.name in FUSED:
            found.fused.append(_fused(node))
        elif node.name in NATIVE:
            found.native.append(node)
        elif node.name == "flex_attention":
            found.flex.append(node)
        elif node.name in SOFTMAX | LOG_SOFTMAX or base(node) in _POWERS:
            core = _core(node)
            if core is not None:
                found.written.append(core)
            elif node.name in SOFTMAX:
                found.other_softmaxes += 1
    return found


def _core(node: Node) -> Core | None:
    by_hand = base(node) in _POWERS
    log_base = _log_base(node)
    if log_base is None or not node.outputs:
        return None
    logits = node.inputs[0] if node.inputs else None
    if logits is None or not logits.of_input:
        return None
    scores = _scores(logits)
    if scores is None:
        return None
    product, before, extra = scores
    target = _output(node)
    if target is None:
        return None
    output, at, after = target
    axes = _summed_axes(node, logits, after) if by_hand else _softmax_axis(node, logits)
    return Core(
        product, before, node, logits, axes, after, output, at, log_base=log_base, by_hand=by_hand, extra_products=extra
    )


def _log_base(node: Node) -> float | None:
    name = base(node)
    if name == "exp2":
        return float(torch.tensor(2.0, dtype=torch.float64).log())
    if name == "pow":
        number = node.args[0]
        is_exponential = isinstance(number, int | float) and number > 1
        return float(torch.tensor(float(number), dtype=torch.float64).log()) if is_exponential else None  # type: ignore[arg-type]
    return 1.0


def _scores(logits: Value) -> tuple[Product, tuple[Step, ...], int] | None:
    """Return the product of activations that the logits come from, the way to them, and how many others there are."""
    found: list[tuple[Product, tuple[Step, ...]]] = []
    for value, way in ways_back(logits):
        node = value.node
        if any(step.node.name in SOFTMAX | LOG_SOFTMAX or base(step.node) in _POWERS for step in way):
            continue
        product = product_of(node) if node is not None else None
        if product is not None and not is_linear(product):
            found.append((product, way))
    both = [each for each in found if each[0].left.of_input and each[0].right.of_input]
    chosen = both or found
    if not chosen:
        return None
    product, way = min(chosen, key=lambda each: len(each[1]))
    return product, way, len(chosen) - 1


def _output(node: Node) -> tuple[Product, int, tuple[Step, ...]] | None:
    learned = None
    for user, at, way in ways_on(node.outputs[0]):
        product = product_of(user)
        if product is None and user.name == "mul":
            for sum_node, _ in user.outputs[0].users:
                product = product_of(sum_node) or product
        if product is None or at not in product.at:
            continue
        other = (product.right, product.left)[product.at.index(at)]
        if other.of_input and not _comes_from(other, node):
            return product, at, way
        if learned is None and other.shape[-1] != other.shape[-2] and not other.of_input:
            learned = (product, at, way)
    return learned


def _comes_from(value: Value, node: Node) -> bool:
    """Whether a value is made from the same softmax, as a sum of its squares is."""
    return any(step.node is node for _, way in ways_back(value) for step in way[:1]) or value.node is node


def _softmax_axis(node: Node, logits: Value) -> tuple[int, ...]:
    axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    assert isinstance(axis, int)
    return (axis % logits.tensor.ndim,)


def _summed_axes(node: Node, logits: Value, after: tuple[Step, ...]) -> tuple[int, ...]:
    """Return the axes over which the exponentials are added up, or the logarithm of their sum was subtracted.

    The sum may be of other exponentials of the same logits, computed once more.
    """
    for user, _, way in ways_on(node.outputs[0]):
        is_aligned = all(step.node.outputs[step.out].shape == logits.shape for step in way)
        if user.name == "sum" and is_aligned and len(user.args) > 1 and isinstance(user.args[1], list | tuple):
            return tuple(axis % logits.tensor.ndim for axis in user.args[1] if isinstance(axis, int))
    divisors = [value for step in after if base(step.node) == "div" for value in step.node.inputs[1:]]
    for divisor in divisors:
        for value, _ in ways_back(divisor):
            summing = value.node
            if summing is not None and summing.name == "sum" and summing.inputs[0].shape == logits.shape:
                axes = summing.args[1] if len(summing.args) > 1 else ()
                assert isinstance(axes, list | tuple)
                return tuple(axis % logits.tensor.ndim for axis in axes if isinstance(axis, int))
    for value, _ in ways_back(logits):
        if value.node is not None and value.node.name == "logsumexp":
            axes = value.node.args[1]
            assert isinstance(axes, list | tuple)
            return tuple(axis % logits.tensor.ndim for axis in axes if isinstance(axis, int))
    return ()


def _fused(node: Node) -> Fused:
    query, key, value = node.inputs[:3]
    schema = getattr(node.func, "_schema", None)
    names = [argument.name for argument in schema.arguments] if schema is not None else []
    given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    scale, dropout = given.get("scale"), given.get("dropout_p", 0.0)
    mask = given.get("attn_mask", given.get("attn_bias"))
    return Fused(
        node=node,
        backend=FUSED[node.name],
        query=query,
        key=key,
        value=value,
        scale=float(scale) if isinstance(scale, int | float) else query.shape[-1] ** -0.5,
        is_causal=bool(given.get("is_causal", False)),
        mask=mask if isinstance(mask, Value) else None,
        dropout=float(dropout) if isinstance(dropout, int | float) else 0.0,
    )
