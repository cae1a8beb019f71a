"""Makes the target take one of its branches on a CPU: what is forced holds for one procedure, in this process.

`forced` is plain data, a part of the subject:

- `library`: stand-ins (`standins.NAMES`, joined by `+`), or `triton` for its interpreter, are there before the target
  is imported;
- `without`: libraries that are not there to be imported, whether installed or not;
- `real`: those of the libraries that are called themselves, without a stand-in;
- `cuda`: torch says that there is a GPU, and tensors that they lie on it; nothing to do where they lie on one;
- `without_sdpa`: torch has no `scaled_dot_product_attention`;
- `sdpa`: the only kernel that it may use, `math`, `flash` or `efficient`;
- `attributes`: values of attributes of the module that was built, in every part of it that has them;
- `accepts_float32`: stand-ins take what the library refuses.

A library and `without_sdpa` are read when the target is imported, so they need a process that has not done so.
"""

import functools
import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from . import branches_cuda, devices
from .callee import Callee, Leaves
from .standins.installing import absent, installed, not_installed, replaced
from .standins.real import watched
from .standins.recorded import Record

Procedure = Callable[..., dict[str, object]]
TRITON = "triton"


@dataclass
class _Seen:
    """What was called during each call of the target."""

    record: Record
    calls: list[list[str]] = field(default_factory=list)


_current: list[_Seen] = []
# Of each library one for the process: the target keeps the functions that it found when it was imported.
_records: dict[object, Record] = {}


def forcing(procedure: Procedure) -> Procedure:
    """Return the procedure, which obeys what its subject has under `forced` and tells what the stand-ins saw.

    The reply has `seen`, for each call the names of what was called in it, `seen_dtypes` and `refused`, and without
    anything forced it is that of the procedure.
    """

    @functools.wraps(procedure)
    def forced_procedure(subject: dict[str, object], **arguments: object) -> dict[str, object]:
        forced = subject.get("forced")
        if not isinstance(forced, Mapping):
            return procedure(subject=subject, **arguments)
        seen = _Seen(_records.setdefault(forced.get("library"), Record()))
        seen.record.accepts_float32 = bool(forced.get("accepts_float32"))
        seen.record.dtypes.clear()
        seen.record.refused.clear()
        _current.append(seen)
        try:
            with _circumstances(forced, seen.record):
                reply = procedure(subject=subject, **arguments)
        finally:
            _current.remove(seen)
        return reply | {
            "seen": [list[object](names) for names in seen.calls],
            "seen_dtypes": sorted(seen.record.dtypes),
            "refused": list[object](seen.record.refused),
        }

    return forced_procedure


def arranged(callee: Callee, subject: Mapping[str, object]) -> Callee:
    """Return what is called with the attributes that are forced, and with its calls of stand-ins counted."""
    forced = subject.get("forced")
    if not isinstance(forced, Mapping) or not _current:
        return callee
    attributes = forced.get("attributes")
    if callee.module is not None and isinstance(attributes, Mapping):
        for name, value in attributes.items():
            for part in callee.module.modules():
                if name in vars(part):
                    setattr(part, name, value)
    seen = _current[-1]

    def counted(leaves: Leaves, call: Mapping[str, object]) -> object:
        before = seen.record.calls.copy()
        answer = callee.call(leaves, call)
        seen.calls.append(sorted(seen.record.calls - before))
        return answer

    return replace(callee, call=counted)


@contextmanager
def _circumstances(forced: Mapping[str, object], record: Record) -> Iterator[None]:
    real, without = forced.get("real"), forced.get("without")
    with ExitStack() as stack:
        for library in without if isinstance(without, list) else ():
            stack.enter_context(not_installed(str(library)))
        for library in str(forced.get("library") or "").split("+"):
            if library == TRITON:
                stack.enter_context(_triton(record))
            elif isinstance(real, list) and library in real:
                stack.enter_context(watched(library, record))
            elif library:
                stack.enter_context(installed(library, record))
        if forced.get("cuda") and not devices.on_gpu():
            stack.enter_context(branches_cuda.pretended())
        if forced.get("without_sdpa"):
            stack.enter_context(absent(torch.nn.functional, "scaled_dot_product_attention"))
        if forced.get("sdpa"):
            from torch.nn.attention import SDPBackend, sdpa_kernel

            kernels = {
                "math": SDPBackend.MATH,
                "flash": SDPBackend.FLASH_ATTENTION,
                "efficient": SDPBackend.EFFICIENT_ATTENTION,
            }
            stack.enter_context(sdpa_kernel(kernels[str(forced["sdpa"])]))
        yield


@contextmanager
def _triton(record: Record) -> Iterator[None]:
    """Have kernels of Triton counted, and on a CPU interpreted; which is decided when they are defined."""
    if devices.on_gpu():
        compiled: Any = importlib.import_module("triton.runtime.jit")
        run = compiled.JITFunction.run
        with replaced(compiled.JITFunction, "run", record.counted("triton kernel", run, stands_in=False)):
            yield
        return
    os.environ["TRITON_INTERPRET"] = "1"
    try:
        interpreter: Any = importlib.import_module("triton.runtime.interpreter")
        launch = interpreter.GridExecutor.__call__
        interpreter.GridExecutor.__call__ = record.counted("triton kernel", launch)
        try:
            yield
        finally:
            interpreter.GridExecutor.__call__ = launch
    finally:
        del os.environ["TRITON_INTERPRET"]
