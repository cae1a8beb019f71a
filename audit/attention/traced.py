"""What the probe's trace of a forward says, read as data that has the stated types and nothing else."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from safetensors.torch import save as save_safetensors
from torch import Tensor

from audit.attention.answers import Settled
from audit.attention.cases import plain_case
from audit.attention.contract import Dtype
from audit.attention.subject import BATCH_SIZE, LENGTH, SHORT, AttentionSubject, Case
from audit.gateway import Probe, ProbeFailure, TargetRaised
from audit.gateway.client import Plain
from audit.judgement import Judgement, not_applicable, skipped
from audit.plan import Run
from audit.raised import HOW_ATTENTION_IS_CALLED, innermost, judge_raised
from audit.results import Location
from audit.target import Target

BATCH = BATCH_SIZE
_MOST_TRACED = 128  # keys; a wider window would need more, and its table of weights with it
NO_SOFTMAX = "no softmax attention was seen: nothing between a product of queries and keys and a product with values"
NO_SIZES = "undeclared: the sizes of the inputs could not be inferred, so nothing was traced"
# Another product, as a layer over the heads is, on the way from the product of queries and keys to the softmax.
_MIXED = re.compile(r"'(mm|addmm|bmm|baddbmm|linear|convolution)' stands between")

Frames = tuple[tuple[str, int], ...]
Count = Annotated[int, Field(ge=0)]


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Core(_Reply):
    """One attention that the forward carried out; None is what could not be measured.

    `met` are pairs of a query head and the key head that it uses. `weights` are (heads, queries, keys) of the first
    sample.
    """

    owner: str | None
    frames: Frames
    backend: str
    head_dim: Count | None
    scale: FiniteFloat | None
    scale_why: str
    normalised: bool
    rotated: bool
    learned_scale: bool
    factors: tuple[FiniteFloat, ...] = ()
    soft_cap: FiniteFloat | None
    biased: bool
    softmax_axis: str | None
    renormalised: bool
    softmaxes: Count | None
    chosen_between: bool
    logits_dtype: str | None
    softmax_dtype: str | None
    heads: Count | None
    kv_heads: Count | None
    met: tuple[tuple[Count, Count], ...] | None
    value_met: tuple[tuple[Count, Count], ...] | None
    keys: Count | None
    attended: str | None
    dropout: FiniteFloat
    weights: tuple[tuple[tuple[FiniteFloat, ...], ...], ...] | None

    @property
    def factor(self) -> float | None:
        """The scale, or where the logits of heads are mixed, the numbers by which the product is multiplied alone."""
        if self.scale is not None:
            return self.scale
        is_mixed = not self.learned_scale and not self.normalised and _MIXED.match(self.scale_why)
        return math.prod(self.factors) if is_mixed and self.factors else None

    @property
    def where(self) -> str:
        """The module that carries it out, and how."""
        return f"'{self.owner}' ({self.backend})" if self.owner else self.backend

    def location(self, target: Target) -> Location | None:
        """Return the innermost line of it that lies in the target."""
        return location_of(self.frames, target)


class Trace(_Reply):
    """One forward."""

    cores: tuple[Core, ...]
    dropped: tuple[Frames, ...]
    other_softmaxes: Count
    operations: Count


class Traces(NamedTuple):
    """Forwards of two batches of different sizes, and one in eval mode with every dropout rate set above zero.

    The subject may refuse the sizes of the second, and such rates.
    """

    first: Trace
    second: Trace | None
    raised: Trace | None


class _Key(NamedTuple):
    source: str
    seed: int
    dtype: Dtype


# The properties ask for the same traces one after another, each for all ways in which one mechanism is built.
_MOST_KEPT = 16
_KEPT: WeakKeyDictionary[Probe, dict[_Key, tuple[Traces, int | None]]] = WeakKeyDictionary()


def traces_of(subject: AttentionSubject, run: Run, dtype: Dtype) -> Traces:
    """Return what the subject carries out on plain inputs.

    Raises:
        Settled: its inputs cannot be made, or it raised, or built another class.
        ProbeFailure: the reply is not one that the probe sends.
    """
    contract = subject.contract
    if not (contract.has_sizes if subject.is_function else contract.embed_dim):
        raise Settled(not_applicable(NO_SIZES))
    key = _Key(repr(sorted(subject.source.items())), run.seed, dtype)
    kept = _KEPT.setdefault(run.probe, {})
    if known := kept.get(key):
        subject.built.parameters = known[1]
        return known[0]
    generator = subject.generator(run.seed)
    first = plain_case(subject, generator, length=LENGTH, batch=BATCH)
    second = plain_case(subject, generator, length=SHORT, batch=BATCH + 1)
    found = _traced(
        subject,
        run,
        dtype,
        [
            (first, {}),
            (second, {"owners": False, "may_raise": True}),
            (first, {"owners": False, "may_raise": True, "raise_dropout": True}),
        ],
    )
    assert found[0] is not None
    traces = Traces(found[0], *found[1:])
    while len(kept) >= _MOST_KEPT:
        del kept[next(iter(kept))]
    kept[key] = (traces, subject.built.parameters)
    return traces


def trace_of(subject: AttentionSubject, run: Run, dtype: Dtype, case: Case) -> Trace:
    """Return what the subject carries out on one case; raises as `traces_of`."""
    found = _traced(subject, run, dtype, [(case, {})])[0]
    assert found is not None
    return found


def traces_on(subject: AttentionSubject, run: Run, dtype: Dtype, cases: Sequence[Case]) -> list[Trace]:
    """Return what the subject carries out on each case, of one module; raises as `traces_of`."""
    found = _traced(subject, run, dtype, [(case, {}) for case in cases])
    return [each for each in found if each is not None]


def _traced(
    subject: AttentionSubject, run: Run, dtype: Dtype, calls: Sequence[tuple[Case, Mapping[str, Plain]]]
) -> list[Trace | None]:
    subject.refuse_longer([case for case, _ in calls])
    described: list[Plain] = []
    blob: dict[str, Tensor] = {}
    for index, (case, extra) in enumerate(calls):
        sent = subject.as_sent(case, dtype)
        blob |= {f"{index}.{name}": tensor.clone().contiguous() for name, tensor in sent.tensors.items()}
        keys: dict[str, Plain] = {name: f"{index}.{name}" for name in sent.tensors}
        described.append({"kind": "forward", "is_causal": case.is_causal, **keys, **extra})
    try:
        reply = run.probe.call(
            "attention_trace",
            subject=dict(subject.source),
            declared=subject.declared,
            seed=run.seed,
            dtype=dtype,
            calls=described,
            tensors=save_safetensors(blob),
        )
    except TargetRaised as raised:  # what a call that raises means, other properties say
        called = HOW_ATTENTION_IS_CALLED if subject.is_declared else None
        raise Settled(judge_raised(raised, run.target, phases=(), called=called)) from raised
    subject.refuse_another(reply)
    count = reply.get("parameters")
    subject.built.parameters = count if isinstance(count, int) else None
    return read_traces(reply, [bool(extra.get("may_raise")) for _, extra in calls])


def read_traces(reply: Mapping[str, Plain], may_raise: Sequence[bool]) -> list[Trace | None]:
    """Return the trace of each call; None where it raised and might.

    Raises:
        ProbeFailure: the reply is not one that the probe sends.
    """
    listed = reply.get("calls")
    if not isinstance(listed, list) or len(listed) != len(may_raise):
        raise ProbeFailure("the target's process sent a reply without the trace of every call")
    try:
        return [
            None if each is None and might else Trace.model_validate(each)
            for each, might in zip(listed, may_raise, strict=True)
        ]
    except ValidationError as invalid:
        first = invalid.errors()[0]
        raise ProbeFailure(f"the target's process sent an unreadable trace: {first['loc']}: {first['msg']}") from None


def trace_of_model(run: Run, specs: str, name: str, *, batch_size: int = 2) -> Trace:
    """Return the attention that one forward of a model of the specs carries out, without the axes of its input.

    Raises:
        TargetRaised: the model could not be built or called.
        ProbeFailure: the reply is not one that the probe sends.
    """
    reply = run.probe.call("attention_cores", specs=specs, name=name, seed=run.seed, batch_size=batch_size)
    found = read_traces({"calls": [dict(reply)]}, [False])[0]
    assert found is not None
    return found


def cores_of(trace: Trace) -> tuple[Core, ...]:
    """Return the attention that was carried out.

    Raises:
        Settled: there was none, so that what is said about softmax attention does not concern the subject.
    """
    if not trace.cores:
        raise Settled(not_applicable(NO_SOFTMAX))
    return trace.cores


def untold(subject: AttentionSubject, why: str) -> Judgement:
    """What the trace does not tell is for the oracle to judge; without one, what specs declare was not verified.

    Of a mechanism that was found without specs nothing was promised.
    """
    if subject.has_oracle:
        return not_applicable(f"{why}; attention.oracle compares what comes of it")
    return skipped(why) if subject.is_declared else not_applicable(why)


def location_of(frames: Frames, target: Target) -> Location | None:
    """Return the innermost of the lines, innermost first, that lies in the target."""
    return innermost(frames[::-1], target)


def can_trace_window(window: int) -> bool:
    """Whether inputs longer than the window are short enough to be traced."""
    return window <= _MOST_TRACED
