"""The factor between queries and keys as they were projected, and the logits."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from .cores import Core
from .graph import Step, base, is_bare, is_layout
from .recording import Node, Value

_CLOSE = 1e-3  # relative; float32 sums of a few hundred products agree far better
_MASKED = -1e3  # logits below are masked
_POOLING = ("mean", "sum", "avg_pool1d", "avg_pool2d", "_adaptive_avg_pool2d", "max_pool2d_with_indices", "cumsum")
_NORMS = ("native_layer_norm", "native_group_norm", "_fused_rms_norm", "rms_norm", "layer_norm", "native_batch_norm")


@dataclass(frozen=True)
class Scale:
    """`effective` is None where the logits are not the product times one known number; `why` says what stands there."""

    effective: float | None
    why: str = ""
    learned: bool = False
    normalised: bool = False
    rotated: bool = False
    soft_cap: float | None = None
    biased: bool = False
    residual: float | None = None
    factors: tuple[float, ...] = ()  # the numbers that were multiplied with, one by one


@dataclass
class _Way:
    """What was met on the way."""

    factor: float = 1.0
    why: str = ""
    learned: bool = False
    normalised: bool = False
    rotated: bool = False
    soft_cap: float | None = None
    biased: bool = False
    factors: list[float] = field(default_factory=list)
    until_cap: float | None = None  # the factor when the cap was met


def scale_of(core: Core) -> Scale:
    """Return the scale of an attention that is written out."""
    way = _Way(factor=core.scores.alpha * core.log_base)
    way.biased = core.scores.node.name in ("baddbmm", "addmm") or core.extra_products > 0
    for step in core.before:
        _after_product(step, way)
    if way.until_cap:  # whatever multiplies behind it is the cap, one where nothing does
        way.soft_cap = way.factor / way.until_cap
    for operand in (core.scores.left, core.scores.right):
        _before_product(operand, way)
    if core.extra_products:
        way.why = way.why or "more than one product of activations makes up the logits"
    measured = _measured(core)
    ahead = _scaled_ahead(core)
    if not way.why and measured is not None and not way.biased and way.soft_cap is None:
        factor, residual = measured
        if residual < _CLOSE and abs(factor * core.log_base * ahead - way.factor) > _CLOSE * abs(way.factor):
            way.why = f"the operations multiply by {way.factor:.4g}, the logits by {factor * core.log_base * ahead:.4g}"
    return _scale(way, None if measured is None else measured[1])


def scale_of_fused(scale: float, query: Value, key: Value) -> Scale:
    """Return the scale of an attention in one operation, which multiplies by `scale`."""
    way = _Way(factor=scale, factors=[scale])
    for operand in (query, key):
        _before_product(operand, way)
    return _scale(way, None)


def _scale(way: _Way, residual: float | None) -> Scale:
    known = not way.why and not way.learned and math.isfinite(way.factor)
    why = way.why or ("a learned factor" if way.learned else "")
    return Scale(
        effective=way.factor if known else None,
        why=why,
        learned=way.learned,
        normalised=way.normalised,
        rotated=way.rotated,
        soft_cap=way.soft_cap,
        biased=way.biased,
        residual=residual,
        factors=tuple(number for number in way.factors if math.isfinite(number)),
    )


def _scaled_ahead(core: Core) -> float:
    way = _Way()
    for operand in (core.scores.left, core.scores.right):
        _before_product(operand, way)
    return way.factor


def _number(node: Node, position: int) -> float | None:
    """Return an argument as a number: a Python number, or a tensor of one element."""
    item = node.args[position] if position < len(node.args) else None
    if isinstance(item, bool) or item is None:
        return None
    if isinstance(item, int | float):
        return float(item)
    if isinstance(item, Value) and item.tensor.numel() == 1 and not item.tensor.is_complex():
        return float(item.data)
    return None


def _is_learned(value: Value) -> bool:
    """Whether a parameter takes part in it."""
    seen: list[Value] = [value]
    for _ in range(20):
        if not seen:
            return False
        here = seen.pop()
        if here.node is None:
            if isinstance(here.tensor, torch.nn.Parameter):
                return True
            continue
        seen += here.node.inputs
    return False


def _multiplied(step: Step, way: _Way) -> bool:
    """Take in a multiplication by one number; False where it is by many."""
    node, name = step.node, base(step.node)
    position = next((p for p, arg in enumerate(node.args[:2]) if arg is node.inputs[step.at]), 0)
    number = _number(node, 1 - position)
    if number is None:
        return False
    other = node.args[1 - position]
    way.learned = way.learned or (isinstance(other, Value) and _is_learned(other))
    if name in ("div", "true_divide"):
        if position == 1 or number == 0:
            return False
        number = 1 / number
    way.factor *= number
    way.factors.append(number)
    return True


def _after_product(step: Step, way: _Way) -> None:
    node, name = step.node, base(step.node)
    if is_layout(node) or name in ("masked_fill", "where", "clamp", "clamp_min", "clamp_max", "maximum", "minimum"):
        return
    if name in ("nan_to_num", "tril", "triu", "masked_scatter", "index_fill", "scatter", "index_put", "copy"):
        return
    if name in ("mul", "div", "true_divide"):
        if not _multiplied(step, way):
            _by_many(step, way)
    elif name in ("add", "sub", "rsub", "addcmul"):
        shifts = _is_shift(step) or name == "rsub"
        way.biased = way.biased or not shifts
        _alpha(step, way)
    elif name == "neg":
        way.factor = -way.factor
    elif name == "tanh":
        way.until_cap = way.factor
    else:
        way.why = way.why or f"'{node.name}' stands between the product and the softmax"


def _by_many(step: Step, way: _Way) -> None:
    node = step.node
    others = [value for at, value in enumerate(node.inputs) if at != step.at]
    if others and all(_is_learned(other) for other in others):
        way.learned = True
        return
    if others and not others[0].tensor.is_complex():
        distinct = torch.unique(others[0].data.detach().to(torch.float64))
        if distinct.numel() == 1 and base(node) == "mul":
            way.factor *= float(distinct[0])
            return
        if set(distinct.tolist()) <= {0.0, 1.0} and base(node) == "mul":  # a mask
            return
    way.why = way.why or "the product is multiplied by more than one number"


def _alpha(step: Step, way: _Way) -> None:
    alpha = step.node.kwargs.get("alpha", 1)
    if base(step.node) == "rsub":
        way.why = way.why or "the product is subtracted"
    elif isinstance(alpha, int | float) and step.at == 1:
        way.factor *= float(alpha) * (-1.0 if base(step.node) == "sub" else 1.0)


def _is_shift(step: Step) -> bool:
    """Whether what is added is the same for all keys, such as the maximum of the row: the softmax does not see it."""
    names = ("amax", "max", "logsumexp", "maximum", "_log_softmax", "sum", "log", "mean")
    for at, value in enumerate(step.node.inputs):
        if at == step.at:
            continue
        node, hops = value.node, 0
        while node is not None and hops < 4:
            if base(node) in names:
                return True
            node, hops = (node.inputs[0].node if node.inputs else None), hops + 1
    return False


def _before_product(operand: Value, way: _Way) -> None:
    """Follow an operand back to where it was projected and take in the numbers on the way."""
    values = [operand]
    inside = _Way()  # from the first operation that is no multiplication by one number to the last
    scalars_in_region = 1.0
    pending = 1.0
    above = below = 0
    in_region = False
    while True:
        here = values[-1]
        found = _one_back(here)
        if found is None:
            break
        step, kind = found
        if kind == "scalar":
            before = inside.factor
            if not _multiplied(step, inside):
                break
            pending *= inside.factor / before
        elif kind == "normalised":
            way.normalised = True
            break
        elif kind == "unknown":
            way.why = way.why or f"queries or keys come from '{step.node.name}'"
            break
        elif kind == "region":
            if not in_region:
                in_region, above, pending = True, len(values) - 1, 1.0
            scalars_in_region *= pending
            pending = 1.0
            below = len(values)
        values.append(step.node.inputs[step.at])
    way.factor *= inside.factor
    way.factors += inside.factors
    way.learned = way.learned or inside.learned
    if in_region and not way.normalised:
        way.rotated = True
        gain = _gain(values, above, below, scalars_in_region)
        if gain is None:
            way.why = way.why or "queries or keys are changed in a way that is no rotation"
        else:
            way.factor *= gain


def _one_back(value: Value) -> tuple[Step, str] | None:
    """Return the operation that made a value and by which input to go on, or None at a projection or an input."""
    node = value.node
    if node is None or not node.inputs:
        return None
    name = base(node)
    if is_layout(node):
        at = 0
        if name in ("cat", "stack"):
            at = next((at for at, each in enumerate(node.inputs) if each.of_input), 0)
        elif node.name == "alias" and len(node.inputs) == 2:
            at = 1 if node.inputs[1].of_input else 0
        return Step(node, at, value.index), "layout"
    if name in ("mul", "div", "true_divide"):
        return _factor_back(node, value)
    if name in ("add", "sub") and len(node.inputs) == 2:
        return _sum_back(node, value)
    if name == "neg":
        return Step(node, 0, value.index), "region"
    if name == "copy" and len(node.inputs) == 2:
        return Step(node, 1, value.index), "layout"
    if name in ("addcmul",):
        return Step(node, 0, value.index), "region"
    if name in _NORMS:
        return Step(node, 0, value.index), "normalised"
    return (Step(node, 0, value.index), "unknown") if name in _POOLING else None


def _factor_back(node: Node, value: Value) -> tuple[Step, str] | None:
    if len(node.inputs) == 1:
        return Step(node, 0, value.index), "scalar"
    first, second = node.inputs[:2]
    if first.of_input and second.of_input:
        is_norm = 1 in (first.shape[-1:] + second.shape[-1:]) or _is_reduced(second) or _is_reduced(first)
        larger = 0 if first.tensor.numel() >= second.tensor.numel() else 1
        return (Step(node, larger, value.index), "normalised") if is_norm else None
    if not first.of_input and not second.of_input:  # learned queries
        at = 0 if first.tensor.numel() > second.tensor.numel() else 1
    else:
        at = 0 if first.of_input else 1
    if node.inputs[1 - at].tensor.numel() == 1:
        return Step(node, at, value.index), "scalar"
    return Step(node, at, value.index), "region"


def _is_reduced(value: Value) -> bool:
    node, hops = value.node, 0
    while node is not None and hops < 6:
        if base(node) in ("rsqrt", "linalg_vector_norm", "norm", "mean", "sum", "clamp_min", "sqrt", "amax"):
            return True
        node, hops = (node.inputs[0].node if node.inputs else None), hops + 1
    return False


def _sum_back(node: Node, value: Value) -> tuple[Step, str] | None:
    first, second = node.inputs
    if first.of_input and second.of_input:
        # The rotation's two terms; of a residual stream's, neither is multiplied by a table.
        terms = [at for at, each in enumerate(node.inputs) if _is_by_table(each)]
        return (Step(node, terms[0], value.index), "region") if len(terms) == 2 else None
    # A bias: that of a linear layer, or one that is added to projected queries.
    at = 0 if first.of_input else 1
    return (Step(node, at, value.index), "layout") if is_bare(node.inputs[1 - at]) else None


def _is_by_table(value: Value) -> bool:
    node, hops = value.node, 0
    while node is not None and hops < 4:
        if base(node) == "mul" and len(node.inputs) == 2:
            return node.inputs[0].of_input != node.inputs[1].of_input
        if not is_layout(node) and base(node) != "neg":
            return False
        node, hops = (node.inputs[0].node if node.inputs else None), hops + 1
    return False


def _gain(values: list[Value], above: int, below: int, scalars: float) -> float | None:
    """Return by which factor a rotation changes lengths, 1 for one that is none but a rotation; None if it varies."""
    for end in values[below:]:
        for begin in reversed(values[: above + 1]):
            if begin.tensor.numel() == end.tensor.numel() and begin.shape == end.shape:
                ratio = _lengths(begin) / _lengths(end).clamp_min(1e-30)
                middle = float(ratio.median()) / abs(scalars)
                is_even = bool(((ratio / abs(scalars) - middle).abs() <= 10 * _CLOSE * middle).all())
                if not is_even:
                    continue
                return 1.0 if abs(middle - 1) <= 10 * _CLOSE else middle
    return None


def _lengths(value: Value) -> torch.Tensor:
    dtype = torch.complex128 if value.tensor.is_complex() else torch.float64
    lengths = torch.linalg.vector_norm(value.data.detach().to(dtype), dim=-1)
    assert isinstance(lengths, torch.Tensor)
    return lengths


def _measured(core: Core) -> tuple[float, float] | None:
    """Return the factor between product and logits by least squares, and what share of the logits it leaves."""
    labels = core.at_logits()
    if labels is None:
        return None
    left, right = (label.reshape(-1) for label in labels)
    logits = core.logits.data.detach().to(torch.float64).reshape(-1)
    rows = core.scores.rows(core.scores.left.data.detach().to(torch.float64), of_left=True)
    columns = core.scores.rows(core.scores.right.data.detach().to(torch.float64), of_left=False)
    usable = (left >= 0) & (right >= 0) & (logits > _MASKED) & logits.isfinite()
    if int(usable.sum()) < 3:
        return None
    products = (rows[left[usable]] * columns[right[usable]]).sum(-1)
    wanted = logits[usable]
    total = float((products * products).sum())
    if not total or not math.isfinite(total):
        return None
    factor = float((products * wanted).sum()) / total
    residual = float((wanted - factor * products).norm() / wanted.norm().clamp_min(1e-300))
    return factor, residual


def steps_of(core: Core) -> Iterator[str]:
    """Yield the names of the operations between the product and the softmax."""
    for step in core.before:
        yield step.node.name
