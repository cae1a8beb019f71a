"""How far the stand-ins, with which branches are judged on a CPU, agree with the libraries that they stand for.

The library is called in the target's process, on its GPU; stand-in, oracle, bound and verdict are here.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from audit.attention import oracle
from audit.attention.bounds import allowance, distance, rounding_of
from audit.attention.contract import Contract
from audit.attention.plain import ORDERS, Order
from audit.attention.subject import DTYPES
from audit.gateway import ProbeFailure
from audit.judgement import Judgement, Measured, error, judged, skipped
from audit.plan import Group, PlannedCheck, Run
from audit.probe.standins.agreeing import SETS, ArgumentSet, Inputs, called, of_standin
from audit.probe.standins.installing import FLEX, NAMES
from audit.results import Check, Severity, Subject, SubjectKind

CHECK = Check(
    id="attention.standin_agreement",
    title="The stand-ins compute what the libraries compute",
    proves="On a GPU, the library itself answers the calls that its stand-in is trusted for as the stand-in does: "
    "scale, causal masks, windows, shared heads, caps, biases, packed sequences and caches.",
    defect="a stand-in whose causal mask is aligned with the other corner",
    # Of the tool and not of the target: a release does not wait for it.
    severity=Severity.MINOR,
)
_ORIGIN = (
    "3 x the largest error of the plain {dtype} computation in {orders} orders of operations against float64, plus 2 x "
    "the rounding of the result and that of the stand-in"
)
_FIX = "report it, with this result: what branches on a CPU were judged by is not what the library computes"
_NAMED: Mapping[str, re.Pattern[str]] = {
    name: re.compile(rf"^\s*(from|import)\s+{name}\b", re.MULTILINE) for name in NAMES if name != FLEX
} | {FLEX: re.compile(r"^\s*(from|import)\s.*\bflex_attention\b", re.MULTILINE)}
_SPAN = 2**16  # of the numbers that mix a seed with that of a call


def agreement_groups(paths: Iterable[Path]) -> Iterator[Group]:
    """Yield a check for each library with a stand-in that one of these files imports."""
    texts = []
    for path in sorted(set(paths)):
        with suppress(OSError):  # that it cannot be read is told elsewhere
            texts.append(path.read_text(encoding="utf-8", errors="replace"))
    for library, pattern in _NAMED.items():
        if any(map(pattern.search, texts)):
            subject = Subject(kind=SubjectKind.ENVIRONMENT, qualname=library)
            planned = PlannedCheck(check=CHECK, subject=subject, judge=functools.partial(judge, library))
            yield Group(subject=subject, planned=(planned,), is_kept=True)


def judge(library: str, run: Run) -> list[Judgement]:
    """Compare a stand-in with its library; without a GPU it was not, and that is no pass."""
    if not run.target.on_gpu:
        return [
            skipped(f"no CUDA device: the stand-in for {library} was not compared with the library (--device cuda)")
        ]
    return compared(library, run)


@dataclass(frozen=True)
class _Answers:
    """What the library answered, by the number of the call; `refused` says what other calls raised."""

    version: str | None
    why: str
    outputs: Mapping[int, Tensor]
    refused: Mapping[int, str]


def compared(library: str, run: Run) -> list[Judgement]:
    """Compare a stand-in with its library, wherever the target runs: one judgement for each function."""
    numbered = [(index, each) for index, each in enumerate(SETS) if each.library == library]
    drawn = {index: _drawn(each, run.seed * _SPAN + index) for index, each in numbered}
    found = _asked(library, run, drawn)
    if found.version is None:
        return [skipped(f"the stand-in for {library} was not compared with the library: {found.why}")]
    by_function = sorted(numbered, key=lambda pair: pair[1].function)
    return [
        _of_function(library, function, list(sets), drawn, found, run)
        for function, sets in groupby(by_function, key=lambda pair: pair[1].function)
    ]


def _of_function(
    library: str,
    function: str,
    sets: Sequence[tuple[int, ArgumentSet]],
    drawn: Mapping[int, Inputs],
    found: _Answers,
    run: Run,
) -> Judgement:
    named = Subject(kind=SubjectKind.ENVIRONMENT, qualname=f"{library}.{function}")
    facts, apart = [], []
    for index, each in sets:
        if index in found.refused:
            facts.append(f"{each.name}: not supported, it raises {found.refused[index]}")
            continue
        if index not in found.outputs:
            raise ProbeFailure("the target's process sent no answer to a call of a library")
        expected = called(of_standin(library), each, drawn[index])
        bound, wrong = _bound(each, drawn[index], expected)
        if wrong:
            return replace(error(f"the stand-in for {library} is not what is documented ({each.name})"), subject=named)
        difference = distance(found.outputs[index], expected)
        apart.append((difference, bound, each))
        facts.append(f"{each.name}: {difference:.3g} {'<=' if difference <= bound else '>'} {bound:.3g}")
    where = run.target.device_seen or run.target.device
    said = "; ".join(facts)
    if not apart:
        return replace(
            skipped(f"{library} {found.version} on {where}: {function} answers no call: {said}"), subject=named
        )
    difference, bound, worst = max(apart, key=lambda each: each[0] / each[1])
    origin = _ORIGIN.format(dtype=worst.dtype, orders=len(ORDERS))
    measured = Measured(
        value=difference,
        bound=bound,
        origin=f"{origin}; {library} {found.version} on {where}, {function}: {said}",
        unit="max abs difference of stand-in and library",
    )
    names = ", ".join(each.name for difference, bound, each in apart if not difference <= bound)
    judgement = judged(
        measured,
        otherwise=f"{function} of {library} {found.version} on {where} and its stand-in compute different functions: "
        f"{names}",
        fix=_FIX,
    )
    return replace(judgement, subject=named)


def _drawn(each: ArgumentSet, seed: int) -> Inputs:
    generator = torch.Generator().manual_seed(seed)

    def normal(total: int, heads: int) -> Tensor:
        drawn = torch.randn(total, heads, each.head_dim, generator=generator, dtype=torch.float64)
        return drawn.to(DTYPES[each.dtype])

    queries, keys = (sum(lengths) for lengths in zip(*each.sizes, strict=True))
    return Inputs(normal(queries, each.heads), normal(keys, each.kv_heads), normal(keys, each.kv_heads))


def _bound(each: ArgumentSet, inputs: Inputs, expected: Tensor) -> tuple[float, bool]:
    """Return how far a correct library may be from the stand-in, and whether that itself is wrong."""
    truth = _plain(each, inputs, torch.float64)
    plain = [_plain(each, inputs, DTYPES[each.dtype], order) for order in ORDERS]
    own = distance(expected, truth)
    return allowance(truth, *plain) + own, not own <= rounding_of(truth.to(DTYPES[each.dtype]))


def _plain(each: ArgumentSet, inputs: Inputs, dtype: torch.dtype, order: Order | None = None) -> Tensor:
    """Return what the call must compute, sample by sample: the oracle's answer, or the plain computation."""
    contract = Contract(
        num_heads=each.heads, num_kv_heads=each.kv_heads, head_dim=each.head_dim, is_causal=each.causal,
        causal_alignment="top_left" if each.top_left else "bottom_right", window=each.window, soft_cap=each.soft_cap,
        alibi_slopes=each.slopes, scale=each.scale, empty_row="zeros",
    )  # fmt: skip
    queries, keys = (list(lengths) for lengths in zip(*each.sizes, strict=True))
    samples = zip(torch.split(inputs.q, queries), torch.split(inputs.k, keys), torch.split(inputs.v, keys), strict=True)
    return torch.cat(
        [
            oracle.core(
                *(tensor.to(dtype).transpose(0, 1)[None] for tensor in sample),
                contract=contract,
                is_causal=each.causal,
                order=order,
            )[0].transpose(0, 1)
            for sample in samples
        ]
    )


def _asked(library: str, run: Run, drawn: Mapping[int, Inputs]) -> _Answers:
    tensors = {f"{index}.{key}": getattr(inputs, key) for index, inputs in drawn.items() for key in "qkv"}
    # In a process of its own: a library that takes the process down with it takes nothing else.
    reply = run.probe.beside("libraries").call("attention_libraries", name=library, tensors=save_safetensors(tensors))
    version, blob, refused = reply.get("version"), reply.get("tensors"), reply.get("refused")
    if not isinstance(blob, bytes) or not isinstance(refused, dict) or not isinstance(version, str | None):
        raise ProbeFailure("the target's process sent an unreadable answer of a library")
    try:
        outputs = load_safetensors(blob)
    except SafetensorError as unreadable:
        raise ProbeFailure(f"the target's process sent tensors that cannot be read: {unreadable}") from None
    numbers = {str(index): index for index in drawn}
    return _Answers(
        version=version,
        why=str(reply.get("why")),
        outputs={numbers[key]: tensor for key, tensor in outputs.items() if key in numbers},
        refused={numbers[key]: str(said) for key, said in refused.items() if key in numbers},
    )
