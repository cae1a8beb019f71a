"""The procedures that the parent calls: trace a forward and describe every attention in it."""

import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch

from .. import devices
from ..callee import Callee, Leaves, callee_of
from ..calling import called
from ..circumstances import rates_of
from ..parts import built, inputs_of
from ..phases import phase
from ..specs import seed_everything
from ..tensors import load
from . import influence
from .cores import NATIVE, Cores, find_cores
from .describe import Found, described
from .ends import ends_of_core, ends_of_flex, ends_of_fused, ends_of_native, flex_scale
from .recording import RANDOM, Counting, Node, Recording
from .scales import Scale, scale_of, scale_of_fused

_LEAVES = ("hidden_states", "context", "key_mask", "query", "key", "value", "mask")
_RAISED = 0.25  # a dropout that must not act in eval
_DROPOUT = re.compile(r"(^|_)(p_)?(drop|dropout)(_p|_rate|_prob|out)?$")
_MOST_CORES = 64
_UNCOMPILED = "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG"


def attention_trace(
    subject: dict[str, object], declared: str, seed: int, dtype: str, calls: list[dict[str, object]], tensors: bytes
) -> dict[str, object]:
    """Build the subject once, trace every call, and describe the attention that it carries out.

    Args:
        subject: what is built and called, as `callee_of` takes it.
        declared: the class that it must be, `module:qualname`; a module of another class is not called.
        seed: of the weights.
        dtype: of the weights; the inputs arrive in it.
        calls: each names its tensors by their keys in `tensors`. One with `owners` false measures no axes, one with
            `raise_dropout` sets every dropout of the module that is zero before it is called, in eval mode. One with
            `may_raise` has None in place of a trace where the target refuses it.
        tensors: the inputs, in the safetensors format.

    Returns:
        `calls`: for each call `cores`, the attention it carried out, `dropped`, the frames and rate of every dropout
        in it, and `other_softmaxes`; `class` and `parameters` of a module.
    """
    inputs = load(tensors)
    callee = callee_of(subject, seed, dtype)
    if callee.identity["class"] not in (None, declared):
        return callee.identity
    found: list[dict[str, object] | None] = []
    for call in calls:
        leaves = leaves_of(inputs, call)
        run = runner_of(functools.partial(_called, callee, call), seed)
        with _raised_dropout(callee.module, is_wanted=bool(call.get("raise_dropout"))):
            try:
                found.append(traced(run, leaves, callee.module, owners=call.get("owners") is not False, seed=seed))
            except Exception:
                if not call.get("may_raise"):
                    raise
                found.append(None)
    return {"calls": found, **callee.identity}


def leaves_of(inputs: Mapping[str, torch.Tensor], call: Mapping[str, object]) -> Leaves:
    """Return what a call names of the inputs, on the device."""
    return {name: devices.placed(inputs[str(call[name])]) if call.get(name) else None for name in _LEAVES}


def attention_cores(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Trace a forward of a model of the specs and describe every attention in it, without its axes."""
    model = devices.placed_module(built(specs, name, seed)).eval()
    inputs: Mapping[str, object] = devices.placed_in(inputs_of(specs, name, seed, batch_size))
    leaves: Leaves = {key: value for key, value in inputs.items() if isinstance(value, torch.Tensor)}
    run = runner_of(lambda given: called(model, {**inputs, **given}), seed)
    return traced(run, leaves, model, owners=False, seed=seed)


def _called(callee: Callee, call: Mapping[str, object], leaves: Leaves) -> object:
    return callee.call(leaves, call)


Run = Callable[[Leaves, Counting | None], None]


def runner_of(call: Callable[[Leaves], object], seed: int) -> Run:
    """Return what carries the call out on copies of its inputs, under a mode where there is one."""

    def run(leaves: Leaves, mode: Counting | None) -> None:
        # Copies, so that a forward that overwrites its inputs is given the same the next time.
        given = {name: None if x is None else x.clone() for name, x in leaves.items()}
        seed_everything(seed)
        with phase("forward"), torch.no_grad(), _without_compiling(), devices.of_target():
            if mode is None:
                call(given)
                return
            if isinstance(mode, Recording):
                mode.begin([x for x in given.values() if x is not None])
            with mode:
                call(given)

    return run


@contextmanager
def _without_compiling() -> Iterator[None]:
    """Run compiled functions as they were written: compilation does not go together with a mode."""
    compiler, flex = sys.modules.get("torch._dynamo"), sys.modules.get("torch.nn.attention.flex_attention")
    with ExitStack() as stack:
        if compiler is not None:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        if flex is not None and hasattr(flex, _UNCOMPILED):
            stack.callback(setattr, flex, _UNCOMPILED, getattr(flex, _UNCOMPILED))
            setattr(flex, _UNCOMPILED, True)
        yield


def traced(run: Run, leaves: Leaves, module: torch.nn.Module | None, *, owners: bool, seed: int) -> dict[str, object]:
    """Trace one forward; the first, which may fill tables and caches, is not looked at."""
    with devices.own():
        return _traced(run, leaves, module, owners=owners, seed=seed)


def _traced(run: Run, leaves: Leaves, module: torch.nn.Module | None, *, owners: bool, seed: int) -> dict[str, object]:
    run(leaves, None)
    recording = Recording({} if module is None else {id(each): name for name, each in module.named_modules()})
    run(leaves, recording)
    found = find_cores(recording.nodes)
    attention = _found(found)
    generator = torch.Generator().manual_seed(seed)
    with_ends = [each for each in attention if each.ends is not None]
    if owners and with_ends:
        ends = [each.ends for each in with_ends if each.ends is not None]
        measured = influence.owners(leaves, ends, run, generator)
        if measured is not None:
            for each, owned in zip(with_ends, measured, strict=True):
                object.__setattr__(each, "owners", owned)
    listed = []
    for each in attention:
        blocks = None
        if owners and each.ends is not None and each.owners is not None and module is not None and not each.is_native:
            blocks = influence.blocks(leaves, each.ends, run, generator)
        listed.append(described(each, blocks))
    return {
        "cores": listed,
        "dropped": [[[frame.path, frame.line] for frame in node.frames[:8]] for node in _dropped(recording.nodes)],
        "other_softmaxes": found.other_softmaxes,
        "operations": len(recording.nodes),
    }


def _found(cores: Cores) -> list[Found]:
    found = [
        Found(
            node=core.softmax,
            backend="scaled_dot_product_attention (math)" if core.softmax.name == "_safe_softmax" else "written out",
            scale=scale_of(core),
            ends=ends_of_core(core),
            owners=None,
            core=core,
        )
        for core in cores.written
    ]
    found += [
        Found(
            node=fused.node,
            backend=fused.backend,
            scale=scale_of_fused(fused.scale, fused.query, fused.key),
            ends=ends_of_fused(fused),
            owners=None,
            fused=fused,
        )
        for fused in cores.fused
    ]
    for node in cores.native:
        ends = ends_of_native(node)
        scale = Scale(effective=ends.head_dim**-0.5 if ends else None, why="" if ends else "not read")
        found.append(Found(node, NATIVE[node.name], scale, ends, None, is_native=True))
    for node in cores.flex:
        scale = scale_of_fused(flex_scale(node), node.inputs[0], node.inputs[1])
        found.append(Found(node, "flex_attention", scale, ends_of_flex(node), None))
    return sorted(found, key=lambda each: each.node.index)[:_MOST_CORES]


def _dropped(nodes: list[Node]) -> Iterator[Node]:
    for node in nodes:
        if node.name in RANDOM:
            yield node


@contextmanager
def _raised_dropout(module: torch.nn.Module | None, *, is_wanted: bool) -> Iterator[None]:
    """Set every dropout rate of the module that is zero; one that acts in eval mode then shows."""
    changed: list[tuple[torch.nn.Module, str]] = []
    for each in module.modules() if module is not None and is_wanted else ():
        rates = rates_of(each)
        for key, value in vars(each).items():
            if (key in rates or _DROPOUT.search(key)) and type(value) is float and value == 0.0:
                changed.append((each, key))
    for each, key in changed:
        setattr(each, key, _RAISED)
    try:
        yield
    finally:
        for each, key in changed:
            setattr(each, key, 0.0)
