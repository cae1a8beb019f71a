"""How the arguments of torch's functions change with their names.

Each function returns the edits around a use that is to be renamed, and their safety. What is `SAFE` was compared with
the sources of torch 2.13 (`torch/cuda/amp`, `torch/functional.py`, `torch/nn/functional.py`) and by running both.
"""

import ast
from collections.abc import Callable, Mapping

from audit.static.fixes.arguments import (
    Argument,
    arguments_of,
    find,
    opening,
    renamed,
    with_first,
    with_keyword,
    without,
)
from audit.static.fixes.edits import Edit
from audit.static.fixes.importing import reference
from audit.static.fixes.replacing import Replacement, Use, call_of
from audit.static.fixes.source import SourceText
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety
from audit.static.rules.syntax import constant

Edited = tuple[list[Edit], FixSafety]
CallEdit = Callable[[ast.Call, list[Argument], SourceText], list[Edit] | None]
_AUTOCAST = ("enabled", "dtype", "cache_enabled")


def of_call(edit: CallEdit, safety: FixSafety = FixSafety.SAFE, *, most: int = 16) -> Use:
    """Return a use that is edited only where it is called with arguments that can all be seen.

    With more than `most` of them by position the old function raises, so that there is nothing to keep.
    """

    def use(node: ast.expr, context: FileContext, source: SourceText) -> Edited | None:
        call = call_of(node, context)
        arguments = arguments_of(call, source) if call else None
        if call is None or arguments is None or any(each.unpacked for each in arguments) or len(call.args) > most:
            return None
        edits = edit(call, arguments, source)
        return None if edits is None else (edits, safety)

    return use


def autocast(device: str) -> Use:
    """Return the use of `autocast`, which now takes the device first and the type before `enabled`.

    Without `dtype` the new one takes the type of an autocast around it, where the old one took its own.
    """

    def use(node: ast.expr, context: FileContext, source: SourceText) -> Edited | None:
        call = call_of(node, context)
        arguments = arguments_of(call, source) if call else None
        if call is None or arguments is None or any(each.unpacked for each in arguments):
            return None
        positional = [each for each in arguments if each.name is None]
        names = [*_AUTOCAST[: len(positional)], *(each.name for each in arguments if each.name)]
        if len(positional) > len(_AUTOCAST) or not set(names) <= set(_AUTOCAST):
            return None
        first = with_first(call, source.quoted(device), source, then="enabled=" if positional else "")
        if first is None:
            return None
        others = zip(_AUTOCAST[1:], positional[1:], strict=False)
        edits = [*first, *(Edit(each.start, each.start, f"{name}=") for name, each in others)]
        return edits, FixSafety.SAFE if "dtype" in names else FixSafety.UNSAFE

    return use


def device_first(device: str) -> Use:
    """Return the use of a class that now takes the device before its other arguments.

    Unsafe, for what it makes is of the base class then: another file may ask for the type.
    """

    def edit(call: ast.Call, arguments: list[Argument], source: SourceText) -> list[Edit] | None:
        return with_first(call, source.quoted(device), source)

    return of_call(edit, FixSafety.UNSAFE, most=5)


def custom_function(node: ast.expr, context: FileContext, source: SourceText) -> Edited | None:
    """Return the edits of `custom_fwd` and `custom_bwd`: a decorator, called or not, that now names the device."""
    text = f"device_type={source.quoted('cuda')}"
    parent = context.parent(node)
    is_decorator = isinstance(parent, ast.FunctionDef) and node in parent.decorator_list
    if is_decorator:
        return [Edit(source.end(node), source.end(node), f"({text})")], FixSafety.SAFE
    call = call_of(node, context)
    edits = with_keyword(call, "device_type", source.quoted("cuda"), source) if call else None
    return None if edits is None else (edits, FixSafety.SAFE)


def only_positional(most: int, safety: FixSafety = FixSafety.SAFE) -> Use:
    """Return a use that is renamed where it has at most so many arguments, all by position."""

    def edit(call: ast.Call, arguments: list[Argument], source: SourceText) -> list[Edit] | None:
        return [] if len(arguments) <= most and not call.keywords else None

    return of_call(edit, safety)


def with_keywords(**values: str) -> Use:
    """Return a use that gets more arguments; words in capitals are code, others are strings."""

    def edit(call: ast.Call, arguments: list[Argument], source: SourceText) -> list[Edit] | None:
        spelled = {name: value if value[0].isupper() else source.quoted(value) for name, value in values.items()}
        first, *others = spelled.items()
        text = ", ".join([first[1], *(f"{name}={value}" for name, value in others)])
        taken = any(find(arguments, name) for name in values)
        return None if taken else with_keyword(call, first[0], text, source)

    return of_call(edit, most=3)


def _qr(call: ast.Call, arguments: list[Argument], source: SourceText) -> list[Edit] | None:
    some = find(arguments, "some", 1)
    if some is None:
        return [] if find(arguments, "input") is None else None
    value = constant(some.value)
    if not isinstance(value, bool) or any(find(arguments, name) for name in ("input", "out", "mode")):
        return None
    return without(call, [some], source) if value else renamed(some, f"mode={source.quoted('complete')}")


def _cholesky(call: ast.Call, arguments: list[Argument], source: SourceText) -> list[Edit] | None:
    upper = find(arguments, "upper", 1)
    if find(arguments, "input") or (upper and upper.name is None and find(arguments, "upper")):
        return None
    if upper is None or upper.name:
        return []
    return [Edit(upper.start, upper.start, "upper=")]


def _chain_matmul(call: ast.Call, arguments: list[Argument], source: SourceText) -> list[Edit] | None:
    positional = [each for each in arguments if each.name is None]
    if len(positional) < 2 or any(each.name not in (None, "out") for each in arguments):
        return None
    return [Edit(positional[0].start, positional[0].start, "["), Edit(positional[-1].end, positional[-1].end, "]")]


_RUNNING = (ast.Call, ast.Await, ast.NamedExpr, ast.Yield, ast.YieldFrom)


def _lu_solve(call: ast.Call, arguments: list[Argument], source: SourceText) -> list[Edit] | None:
    return _reordered(arguments, (1, 2, 0), source)


def _reordered(arguments: list[Argument], order: tuple[int, ...], source: SourceText) -> list[Edit] | None:
    if len(arguments) != len(order) or any(each.name for each in arguments):
        return None
    if any(isinstance(node, _RUNNING) for each in arguments for node in ast.walk(each.value)):
        return None  # in another order they may give something else
    texts = [each.text(source) for each in arguments]
    return [Edit(each.start, each.end, texts[n]) for each, n in zip(arguments, order, strict=True)]


def _range(call: ast.Call, arguments: list[Argument], source: SourceText) -> list[Edit] | None:
    """The end becomes exclusive. Only whole literals with `dtype`, without which `range` makes floats of integers."""
    numbers = [each for each in arguments if each.name is None]
    values = [constant(each.value) for each in numbers]
    whole = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    others = {each.name for each in arguments} - {None}
    if len(whole) != len(values) or len(values) not in (2, 3) or "dtype" not in others:
        return None
    if others & {"start", "end", "step", "out"} or (len(whole) == 3 and whole[2] not in (1, -1)):
        return None
    step = whole[2] if len(whole) == 3 else 1
    if (whole[1] - whole[0]) * step < 0:
        return None
    return [Edit(numbers[1].start, numbers[1].end, str(whole[1] + step))]


def _functional_call(call: ast.Call, arguments: list[Argument], source: SourceText) -> list[Edit] | None:
    return None if find(arguments, "parameters_and_buffers") else []


def member_of(node: ast.expr, context: FileContext, source: SourceText) -> Edited | None:
    """Return no edits where only a member of the name is used."""
    return ([], FixSafety.SAFE) if isinstance(context.parent(node), ast.Attribute) else None


def _solution(node: ast.expr, call: ast.Call, context: FileContext, source: SourceText) -> Edit | None:
    """Return the edit that drops `.solution` or `[0]` behind a call."""
    match context.parent(call):
        case ast.Attribute(attr="solution") as whole:
            pass
        case ast.Subscript(slice=ast.Constant(value=0)) as whole:
            pass
        case _:
            return None
    return Edit(source.end(call), source.end(whole), "")


def solve(node: ast.expr, context: FileContext, source: SourceText) -> Edited | None:
    """Return the edits of `torch.solve(B, A).solution`, which is `torch.linalg.solve(A, B)` now."""
    call = call_of(node, context)
    arguments = arguments_of(call, source) if call else None
    if call is None or arguments is None or any(each.unpacked for each in arguments):
        return None
    edits = _reordered(arguments, (1, 0), source)
    dropped = _solution(node, call, context, source)
    return None if edits is None or dropped is None else ([*edits, dropped], FixSafety.UNSAFE)


def _symeig(call: ast.Call, arguments: list[Argument], source: SourceText) -> list[Edit] | None:
    vectors = find(arguments, "eigenvectors", 1)
    if len(arguments) != 2 or vectors is None or constant(vectors.value) is not True or find(arguments, "input"):
        return None
    return renamed(vectors, f"UPLO={source.quoted('U')}")


def to_tensor(node: ast.expr, context: FileContext, source: SourceText) -> Edited | None:
    """Return the edits of `v2.ToTensor()`: what replaces it gives images, not plain tensors."""
    call = call_of(node, context)
    if call is None or not isinstance(node, ast.Attribute) or call.args or call.keywords:
        return None
    torch = reference("torch.float32", context, source, at=node)
    if torch is None:
        return None
    v2 = source.of(node.value)
    place = opening(call, source) + 1
    transforms = f"[{v2}.ToImage(), {v2}.ToDtype({torch[0]}, scale=True)]"
    return [*torch[1], Edit(place, place, transforms)], FixSafety.UNSAFE


def _other_class(node: ast.expr, context: FileContext, source: SourceText) -> Edited:
    return [], FixSafety.UNSAFE


_FUNCTORCH = ("vmap", "grad", "vjp", "jvp", "jacrev", "jacfwd", "hessian", "functionalize")
_INIT: tuple[str, ...] = ("uniform", "normal", "constant", "eye", "dirac", "orthogonal", "sparse")
_INIT += ("xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal")
DEPRECATED: Mapping[str, Replacement] = {
    "torch.qr": Replacement("torch.linalg.qr", of_call(_qr, most=2), any_use=False),
    "torch.chain_matmul": Replacement("torch.linalg.multi_dot", of_call(_chain_matmul), any_use=False),
    "torch.cholesky": Replacement("torch.linalg.cholesky", of_call(_cholesky, most=2), any_use=False),
    "torch.ger": Replacement("torch.outer"),
    "torch.lu_solve": Replacement("torch.linalg.lu_solve", of_call(_lu_solve), any_use=False),
    "torch.range": Replacement("torch.arange", of_call(_range), any_use=False),
    "torch.nn.NLLLoss2d": Replacement("torch.nn.NLLLoss", of_call(lambda *_: []), any_use=False),
    "torch.nn.functional.upsample": Replacement("torch.nn.functional.interpolate"),
    "torch.nn.functional.upsample_nearest": Replacement(
        "torch.nn.functional.interpolate", with_keywords(mode="nearest"), any_use=False
    ),
    "torch.nn.functional.upsample_bilinear": Replacement(
        "torch.nn.functional.interpolate", with_keywords(mode="bilinear", align_corners="True"), any_use=False
    ),
    "torch.nn.utils.clip_grad_norm": Replacement("torch.nn.utils.clip_grad_norm_"),
    "torch.nn.utils.stateless.functional_call": Replacement(
        "torch.func.functional_call", of_call(_functional_call), any_use=False
    ),
    "torch.cuda.amp.autocast": Replacement("torch.amp.autocast", autocast("cuda"), any_use=False),
    "torch.cuda.amp.GradScaler": Replacement("torch.amp.GradScaler", device_first("cuda"), any_use=False),
    "torch.cuda.amp.custom_fwd": Replacement("torch.amp.custom_fwd", custom_function, any_use=False),
    "torch.cuda.amp.custom_bwd": Replacement("torch.amp.custom_bwd", custom_function, any_use=False),
    "torch.cpu.amp.autocast": Replacement("torch.amp.autocast", autocast("cpu"), any_use=False),
    "torch.cpu.amp.GradScaler": Replacement("torch.amp.GradScaler", device_first("cpu"), any_use=False),
    "torch.utils._pytree._register_pytree_node": Replacement(  # the public one tells the C++ implementation as well
        "torch.utils._pytree.register_pytree_node",
        of_call(lambda *_: [], FixSafety.UNSAFE, most=3),
        any_use=False,
    ),
    "torch.cuda.memory_cached": Replacement("torch.cuda.memory_reserved"),
    "torch.cuda.max_memory_cached": Replacement("torch.cuda.max_memory_reserved"),
    "torch.distributed.reduce_op": Replacement("torch.distributed.ReduceOp", member_of, any_use=False),
    **{f"torch.nn.init.{name}": Replacement(f"torch.nn.init.{name}_") for name in _INIT},
    **{f"functorch.{name}": Replacement(f"torch.func.{name}") for name in _FUNCTORCH},
}
# The old names raise where they are called, so nothing that runs today computes the same afterwards: all are unsafe.
REMOVED: Mapping[str, Replacement] = {
    "torch.solve": Replacement("torch.linalg.solve", solve, any_use=False),
    "torch.symeig": Replacement("torch.linalg.eigh", of_call(_symeig, FixSafety.UNSAFE), any_use=False),
    "torch.matrix_rank": Replacement("torch.linalg.matrix_rank", only_positional(1, FixSafety.UNSAFE), any_use=False),
    "torch.is_deterministic": Replacement(
        "torch.are_deterministic_algorithms_enabled", only_positional(0, FixSafety.UNSAFE), any_use=False
    ),
    "torch.set_deterministic": Replacement(
        "torch.use_deterministic_algorithms", only_positional(1, FixSafety.UNSAFE), any_use=False
    ),
}
PRIVATE: Mapping[str, Replacement] = {
    "torch.utils.data._utils.collate.default_collate": Replacement("torch.utils.data.default_collate"),
    "torch.utils.data._utils.collate.default_convert": Replacement("torch.utils.data.default_convert"),
    "torch.utils.data._utils.worker.get_worker_info": Replacement("torch.utils.data.get_worker_info"),
    "torch.optim.lr_scheduler._LRScheduler": Replacement("torch.optim.lr_scheduler.LRScheduler", _other_class),
}
