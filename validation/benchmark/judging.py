"""Whether a backend computes attention: its answers against the float64 oracle, at places chosen by the auditor."""

import functools
import hashlib
import itertools
import math
import random
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from audit.attention import oracle
from audit.attention.bounds import Deviation, allowance, distance, worst
from audit.attention.contract import Contract
from audit.attention.plain import ORDERS, Order
from audit.attention.subject import DTYPES
from audit.gateway import ProbeFailure
from audit.gateway.client import Plain
from validation.benchmark.cases import AttentionCase, Mode
from validation.benchmark.fused_order import fused
from validation.benchmark.rows import Verified

_MOST_PLACES = 4
_MOST_ROWS = 512
# Below this many products of a logit every order of operations is tried; above it two or three show the largest error,
# as bounds.py says, and the one that adds products one after another would need the memory of all of them.
_MOST_PRODUCTS = 2**22
_FEW_ORDERS = (ORDERS[0], ORDERS[4], ORDERS[11])
_GRADIENTS = ("query_gradient", "key_gradient", "value_gradient")
_KEPT_BYTES = 2**30  # of truths: the backends of a case are asked with the same inputs, some long after others


@dataclass(frozen=True, kw_only=True)
class Looks:
    """Where answers are compared: pairs of sample and key head, and queries."""

    places: tuple[tuple[int, int], ...]
    rows: tuple[int, ...]

    def as_plain(self) -> dict[str, Plain]:
        """Return them as the probe takes them."""
        return {"places": [tuple[Plain, ...](place) for place in self.places], "rows": list[Plain](self.rows)}


def looks_at(case: AttentionCase, seed: int, *, most_places: int = _MOST_PLACES, most_rows: int = _MOST_ROWS) -> Looks:
    """Choose the first and the last place and row, and others at random: one row from each of equal stretches."""
    drawn = random.Random(f"{seed} {case.id}")
    places = [(sample, head) for sample in range(case.batch) for head in range(case.kv_heads)]
    if len(places) > most_places:
        places = [places[0], *drawn.sample(places[1:-1], most_places - 2), places[-1]]
    rows = list(range(case.queries))
    if len(rows) > most_rows:
        edges = [case.queries * index // most_rows for index in range(most_rows + 1)]
        rows = [drawn.randrange(low, high) for low, high in itertools.pairwise(edges)]
        rows[0], rows[-1] = 0, case.queries - 1
    return Looks(places=tuple(sorted(places)), rows=tuple(rows))


def allowed_of(case: AttentionCase, rows: Sequence[int]) -> Tensor:
    """Return which keys these queries see: bool, (rows, Lk)."""
    positions = torch.tensor(list(rows))[:, None] + case.length - case.queries
    ahead = positions - torch.arange(case.length)
    allowed = torch.ones_like(ahead, dtype=torch.bool) if case.window is None else ahead.abs() < case.window
    return allowed & (ahead >= 0) if case.is_causal else allowed


def verified(
    case: AttentionCase, looks: Looks, reply: Mapping[str, Plain], seed: int, *, on_gpu: bool = False
) -> Verified:
    """Compare the answer in a reply of the probe with the oracle's; the result says whether it holds.

    On a GPU float32 is computed with the device's fast exponential too, see `fused_order`.

    Raises:
        ProbeFailure: the reply is not one of the probe's.
    """
    shape = (case.batch, case.heads, case.queries, case.head_dim)
    if reply.get("shape") != list(shape) or reply.get("dtype") != case.dtype:
        said = f"{_text(reply.get('dtype'))} {tuple(_listed(reply.get('shape')))}"
        return Verified(
            of=f"the output is {said}, and should be {case.dtype} {shape}", measured=1, bound=0,
            bound_origin="attention returns the shape and dtype of its query", seed=seed,
        )  # fmt: skip
    found = _tensors(case, looks, reply)
    names = ("output", *(_GRADIENTS if case.mode is Mode.BACKWARD else ()))
    inputs = [found[name] for name in ("query", "key", "value")]
    weights = found.get("weights")
    if any(not bool(torch.isfinite(each).all()) or float(each.double().std()) == 0 for each in inputs):
        raise ProbeFailure("the target's process sent inputs that are not those it should have drawn")
    with_fast_exponential = on_gpu and case.dtype == "float32"
    truth = _truth(case, looks, inputs, weights, with_fast_exponential)
    deviations = [
        Deviation(case=name, error=distance(found[name], expected), bound=bound)
        for name, (expected, bound) in zip(names, truth, strict=True)
    ]
    furthest = worst(deviations)
    orders = f"{len(_orders(case, looks))} orders of operations"
    if with_fast_exponential:
        orders += " and, as fused kernels have it, with CUDA's fast exponential"
    return Verified(
        of=f"{furthest.case.replace('_', ' ')}, {len(looks.places)} of {case.batch * case.kv_heads} key heads, "
        f"{len(looks.rows)} of {case.queries} queries",
        measured=furthest.error if math.isfinite(furthest.error) else _LARGE,
        bound=furthest.bound,
        bound_origin=f"3 x the largest error of the plain {case.dtype} computation in {orders} "
        "against float64, plus 2 x the rounding of the result",
        seed=seed,
    )


# Stands for a deviation that is no number or infinite: JSON has neither.
_LARGE = 1.7976931348623157e308


def _text(value: Plain) -> str:
    return value if isinstance(value, str) else "of no dtype"


def _listed(value: Plain) -> Sequence[Plain]:
    return value if isinstance(value, list) else ()


def _orders(case: AttentionCase, looks: Looks) -> Sequence[Order]:
    products = case.heads // case.kv_heads * len(looks.rows) * case.length * case.head_dim
    return ORDERS if products <= _MOST_PRODUCTS else _FEW_ORDERS


def _tensors(case: AttentionCase, looks: Looks, reply: Mapping[str, Plain]) -> dict[str, Tensor]:
    blob = reply.get("tensors")
    try:
        tensors = load_safetensors(blob) if isinstance(blob, bytes) else {}
    except SafetensorError as problem:
        raise ProbeFailure(f"the target's process sent malformed tensors: {problem}") from problem
    places, group = len(looks.places), case.heads // case.kv_heads
    of_query = (places, group, len(looks.rows), case.head_dim)
    of_key = (places, case.length, case.head_dim)
    shapes = {"query": of_query, "key": of_key, "value": of_key, "output": of_query}
    if case.mode is Mode.BACKWARD:
        shapes |= {"weights": of_query, "query_gradient": of_query, "key_gradient": of_key, "value_gradient": of_key}
    for name, shape in shapes.items():
        if name not in tensors or tuple(tensors[name].shape) != shape:
            raise ProbeFailure(f"the target's process sent no {name} of shape {shape}")
    return tensors


_Truth = list[tuple[Tensor, float]]
_known: dict[str, Future[_Truth]] = {}
_entering = threading.Lock()


def _truth(
    case: AttentionCase, looks: Looks, inputs: Sequence[Tensor], weights: Tensor | None, with_fast_exponential: bool
) -> _Truth:
    """Return what is right, and how far a correct backend may be from it: output, then gradients."""
    digest = hashlib.sha256(f"{case.id} {looks} {with_fast_exponential}".encode())
    for each in (*inputs, weights):
        digest.update(b"" if each is None else each.contiguous().view(torch.uint8).numpy().tobytes())
    name = digest.hexdigest()
    with _entering:
        if is_new := name not in _known:
            _known[name] = Future()
        waiting = _known[name] = _known.pop(name)  # the last to be forgotten
    if is_new:
        try:
            waiting.set_result(
                _computed_truth(case, looks, *inputs, weights=weights, with_fast_exponential=with_fast_exponential)
            )
        except BaseException as problem:
            waiting.set_exception(problem)
        with _entering:
            _forget()
    return waiting.result()


def _forget() -> None:
    """Forget what was asked for longest ago, as long as the others take more memory than they may."""
    sizes = {name: _bytes_of(each) for name, each in _known.items() if each.done()}
    for name in list(sizes)[:-1]:
        if sum(sizes.values()) <= _KEPT_BYTES:
            return
        sizes.pop(name)
        _known.pop(name)


def _bytes_of(known: "Future[_Truth]") -> int:
    return 0 if known.exception() else sum(expected.nbytes for expected, _ in known.result())


def _computed_truth(
    case: AttentionCase, looks: Looks, query: Tensor, key: Tensor, value: Tensor, *, weights: Tensor | None,
    with_fast_exponential: bool = False,
) -> _Truth:  # fmt: skip
    attend = functools.partial(
        oracle.core,
        contract=Contract(
            num_heads=case.heads // case.kv_heads, num_kv_heads=1, head_dim=case.head_dim, is_causal=False
        ),
        is_causal=False,
        mask=allowed_of(case, looks.rows),
    )

    def computed(dtype: torch.dtype, order: Order | None = None) -> list[Tensor]:
        leaves = [query.to(dtype), key.to(dtype)[:, None], value.to(dtype)[:, None]]
        if weights is None:
            return [attend(*leaves, order=order)]
        leaves = [leaf.detach().requires_grad_() for leaf in leaves]
        output = attend(*leaves, order=order)
        by_query, by_key, by_value = torch.autograd.grad(output, leaves, weights.to(dtype))
        return [output.detach(), by_query, by_key[:, 0], by_value[:, 0]]

    truth = computed(torch.float64)
    plain = [computed(DTYPES[case.dtype], order) for order in _orders(case, looks)]
    if with_fast_exponential:
        output, *gradients = fused(query, key[:, None], value[:, None], allowed_of(case, looks.rows), weights)
        plain.append([output, *gradients[:1], *(each[:, 0] for each in gradients[1:])])
    return [(expected, allowance(expected, *(each[index] for each in plain))) for index, expected in enumerate(truth)]


def verified_model(reply: Mapping[str, Plain], seed: int) -> Verified:
    """Judge what a model made of two batches: all finite, there is something, and it depends on the batch.

    There is no oracle of a model; what it should compute is for other checks to say.

    Raises:
        ProbeFailure: the reply is not one of the probe's.
    """
    values, not_finite, outputs = reply.get("values"), reply.get("not_finite"), reply.get("outputs")
    if not isinstance(values, int) or not isinstance(not_finite, int) or not isinstance(outputs, list):
        raise ProbeFailure("the target's process sent an unreadable finding on a model")
    problems = {"values that are not finite": not_finite}
    problems["outputs without a floating-point value"] = int(values == 0)
    problems["batches with the output of another"] = int(len(outputs) != 2 or outputs[0] == outputs[1])
    named = [f"{number} {what}" for what, number in problems.items() if number]
    return Verified(
        of=", ".join(named) or f"{values} values of two batches",
        measured=float(sum(problems.values())),
        bound=0.0,
        bound_origin="outputs are finite, not empty, and depend on the input; there is no oracle of a model",
        seed=seed,
    )
