"""Finds the operation of a forward in which a number that is none appears first."""

from collections.abc import Callable, Mapping

import torch

from .. import circumstances, devices
from ..callee import Leaves, callee_of
from ..tensors import load
from .recording import Counting, Frame, frames_of, name_of, tensors_in
from .trace import leaves_of, runner_of

_MOST_FRAMES = 12
# What they return was never written, and may hold anything; or it is infinite because somebody wrote so.
_UNWRITTEN = ("empty", "new_empty")
_GIVEN = ("full", "new_full", "fill", "masked_fill", "scalar_tensor", "where")


class _Looking(Counting):  # type: ignore[no-untyped-call]
    """Keeps the first operation that is given numbers and returns NaN, and the first that returns infinity."""

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__()
        self.first: dict[str, tuple[str, tuple[Frame, ...]]] = {}
        self._names = names
        self._given: set[str] = set()

    def _before(self, index: int, func: object, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        self._given = _kinds((args, list(kwargs.values())))

    def _after(
        self, index: int, func: object, args: tuple[object, ...], kwargs: Mapping[str, object], result: object
    ) -> None:
        name = name_of(func)
        if name.startswith(_UNWRITTEN):
            return
        for kind in _kinds(result) - self._given - self.first.keys():
            if kind == "NaN" or not name.startswith(_GIVEN):
                self.first[kind] = name, frames_of(self._names)


def first_not_finite(
    subject: dict[str, object], declared: str, seed: int, dtype: str, calls: list[dict[str, object]], tensors: bytes
) -> dict[str, object]:
    """Build the subject, call it, and find where its output ceases to be numbers.

    Args:
        subject: what is built and called, as `callee_of` takes it.
        declared: the class that it must be, `module:qualname`; a module of another class is not called.
        seed: of the weights.
        dtype: of the weights; the inputs arrive in it.
        calls: one, which names its tensors by their keys in `tensors`.
        tensors: the inputs, in the safetensors format.

    Returns:
        `class` and `parameters` of a module; `kind`: `NaN` or `infinity`, what the output holds, None where it holds
        numbers; `weight`: the name of a weight that holds it before the call, else None; `appears`: for it, and before
        it for infinity, of which NaN may come, `kind`, `operation` and `frames` (innermost first), in their order.
    """
    inputs = load(tensors)
    callee = callee_of(subject, seed, dtype)
    module, identity = callee.module, callee.identity
    if identity["class"] not in (None, declared):
        return identity
    if module is not None:
        circumstances.open_gates(module, seed)
    (call,) = calls
    leaves = leaves_of(inputs, call)
    answers: list[object] = []

    def called(given: Leaves) -> object:
        answers.append(callee.call(given, call))
        return answers[-1]

    looking = _Looking({} if module is None else {id(each): name for name, each in module.named_modules()})
    run: Callable[[Leaves, Counting | None], None] = runner_of(called, seed)
    with devices.own():
        run(leaves, looking)
        held = _kinds(answers[-1])
        kind = "NaN" if "NaN" in held else "infinity" if held else None
        weights = {} if module is None else module.state_dict()
        weight = next((name for name, each in weights.items() if kind and kind in _kinds(each)), None)
    order = list(looking.first)
    appears = [
        {
            "kind": each,
            "operation": looking.first[each][0],
            "frames": [[frame.path, frame.line] for frame in looking.first[each][1][:_MOST_FRAMES]],
        }
        for each in order[: order.index(kind) + 1 if kind in order else 0]
    ]
    return identity | {"kind": kind, "weight": weight, "appears": appears}


def _kinds(value: object) -> set[str]:
    """Return which of NaN and positive infinity the tensors in a value hold; masks hold the negative one."""
    found = set()
    for tensor in tensors_in(value):
        if tensor.is_floating_point() and tensor.layout is torch.strided and not tensor.is_meta:
            found |= {"NaN"} if bool(torch.isnan(tensor).any()) else set()
            found |= {"infinity"} if bool(torch.isposinf(tensor).any()) else set()
    return found
