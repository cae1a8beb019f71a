"""Runs the target's own training command with a record of every optimizer step, and harms it where that is asked.

Executed in a fork of the probe's process, or as a program of a new interpreter: standard library and torch only, and no
other module of the probe. The record holds 24 bytes for each step of an optimizer: four checksums, and the time. It is
written at once, so that it outlives a SIGKILL. The checksums are of the parameters that the optimizer has; of these and
of all else that their modules keep in a state dict; of copies of a model that have changed since the step before; and
of the gradients that the step was taken from.
"""

import ctypes
import gc
import multiprocessing
import os
import resource
import runpy
import signal
import struct
import sys
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Iterator
from typing import Any

ENTRY = struct.Struct("<IIIId")
# What `Watch` may be asked for: each is done after the optimizer step of that number, counted from 1 in the process.
WEIGHT, GRADIENT, KILL = "weight", "gradient", "kill"
# As `KILL`, once the process has been idle for a while: what writes in the background comes to its end before.
SETTLED = "settled"
# Every so many steps less one the process is left to become idle: the checkpoint before is whole when the next is due.
PACED = "paced"
# `files:FIRST:LAST`: between these steps operations on files in the watched folder are counted and named, and the
# process is killed behind the one of that number, or behind the last step.
FILES = "files"
# Done in every step: the optimizers are counted, and how often the first of them is given a gradient for a step.
COUNT = "count"
_SAMPLED = 65536  # elements of what is not optimised; an average or statistics that are lost differ everywhere
_WORD = 0xFFFFFFFF
_IDLE_S, _BUSY_S, _MOST_SETTLING_S = 0.3, 0.01, 10.0  # idle: less of the processor than `_BUSY_S` in `_IDLE_S`


class Watch:
    """A hook behind every optimizer step."""

    def __init__(self, record: str, harm: str, after: int, watched: str) -> None:
        """Open the record; `harm` is one of those above, or empty; `watched` is a folder."""
        self._descriptor = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._named = f"{record}.named"
        self._dtypes, self._coarse = f"{record}.dtypes", set[str]()
        self._harm, self._after, self._count = harm, after, 0
        self._names: dict[int, str] = {}
        self._modules = Modules()
        self._optimizers: list[Any] = []
        self._gradients = self._whole_gradients = self._whole_steps = 0
        kind, *steps = harm.split(":")
        self._files = Files(watched, self._named, after) if kind == FILES else None
        self._first, self._last = map(int, steps) if self._files else (0, 0)

    def install(self) -> None:
        """Have torch call us."""
        from torch.nn.modules.module import register_module_forward_pre_hook
        from torch.optim.optimizer import register_optimizer_step_post_hook

        register_optimizer_step_post_hook(self._stepped)
        self._modules.install()
        self._note_autocast()
        if self._files:
            self._files.install()
        if self._harm in (WEIGHT, GRADIENT):
            register_module_forward_pre_hook(self._called)

    def _note_autocast(self) -> None:
        """Write down to which dtypes autocast rounds."""
        from torch import autocast

        entered: Callable[[Any], Any] = autocast.__enter__

        def __enter__(own: Any) -> Any:  # noqa: N807 - torch has no hook for it
            if getattr(own, "_enabled", False):
                self._computes_in(str(own.fast_dtype))
            return entered(own)

        autocast.__enter__ = __enter__  # type: ignore[method-assign]

    def _computes_in(self, dtype: str) -> None:
        if dtype not in self._coarse:
            self._coarse.add(dtype)
            with open(self._dtypes, "w", encoding="utf-8") as file:
                file.write(" ".join(sorted(each.removeprefix("torch.") for each in self._coarse)))

    def _called(self, module: Any, _: object) -> None:
        for name, parameter in module.named_parameters():
            if len(name) > len(self._names.get(id(parameter), "")):  # the one in the module that holds the others
                self._names[id(parameter)] = name

    def _stepped(self, optimizer: Any, *_: object) -> None:
        weights, gradients, optimised = 0, 0, set()
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                weights = zlib.crc32(_bytes_of(parameter), weights)
                if parameter.grad is not None and parameter.grad.layout == parameter.layout:  # not a sparse one
                    gradients = zlib.crc32(_bytes_of(parameter.grad), gradients)
                optimised.add(id(parameter))
                if not self._count:
                    self._computes_in(str(parameter.dtype))
        kept, copies = self._modules.summed(optimised)
        os.write(
            self._descriptor,
            ENTRY.pack(weights, zlib.crc32(struct.pack("<I", kept), weights), copies, gradients, time.monotonic()),
        )
        self._count += 1
        if self._harm == COUNT:
            self._counted(optimizer)
        if self._harm == PACED and self._count % self._after == self._after - 1:
            _settle()
        elif self._files:
            if self._count == self._first - 1:
                _settle()
            self._files.counts = self._first <= self._count
            if self._count == self._last:
                _kill()
        elif self._count == self._after:
            self._do_harm(optimizer)

    def _counted(self, optimizer: Any) -> None:
        """Write how many optimizers there were, the gradients that the first was given, and its steps with them."""
        if not self._optimizers:
            trained = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            for parameter in trained[:1]:
                parameter.register_post_accumulate_grad_hook(self._accumulated)
        elif optimizer is self._optimizers[0]:
            self._whole_steps, self._whole_gradients = self._whole_steps + 1, self._gradients
        if not any(optimizer is each for each in self._optimizers):
            self._optimizers.append(optimizer)
        with open(self._named, "w", encoding="utf-8") as file:
            file.write(f"{len(self._optimizers)} {self._whole_gradients} {self._whole_steps}")

    def _accumulated(self, _: object) -> None:
        self._gradients += 1

    def _do_harm(self, optimizer: Any) -> None:
        import torch

        if self._harm == SETTLED:
            _settle()
        if self._harm in (KILL, SETTLED):
            _kill()
        if self._harm not in (WEIGHT, GRADIENT):
            return
        trained = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        chosen = next(p for p in trained if p.is_floating_point())
        with open(self._named, "w", encoding="utf-8") as file:
            file.write(self._names.get(id(chosen), ""))
        if self._harm == WEIGHT:
            with torch.no_grad():
                chosen.fill_(float("nan"))
        else:
            chosen.register_post_accumulate_grad_hook(_poison)


class Files:
    """What is done to files of a folder: opened for writing, renamed, removed; each by its number, counted from 1."""

    def __init__(self, folder: str, named: str, last: int) -> None:
        """Write the name of each operation to `named`, and kill the process behind the one of number `last`."""
        self._folder, self._named, self._last = os.path.realpath(folder) + os.sep, named, last
        self.counts, self._count = False, 0

    def install(self) -> None:
        """Stand in for what opens, renames and removes files; what writes them in other languages is not seen."""
        import builtins
        import io

        import torch

        opened = builtins.open

        def open_(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
            made = opened(file, mode, *more, **named)
            if set(mode) & set("wxa+"):
                self._done("opening", file)
            return made

        builtins.open = io.open = open_
        low = os.open

        def open_low(path: Any, flags: int, *more: Any, **named: Any) -> int:
            made = low(path, flags, *more, **named)
            if flags & (os.O_WRONLY | os.O_RDWR):
                self._done("opening", path)
            return made

        os.open = open_low
        for name, word, place in _OPERATIONS:
            setattr(os, name, self._told(getattr(os, name), word, place))
        torch._C.PyTorchFileWriter = self._told(  # type: ignore[misc, assignment]  # what torch.save opens a path with
            torch._C.PyTorchFileWriter, "opening", 0
        )

    def _told(self, function: Callable[..., Any], word: str, place: int) -> Callable[..., Any]:
        def told(*given: Any, **named: Any) -> Any:
            done = function(*given, **named)
            self._done(word, given[place] if len(given) > place else None)
            return done

        return told

    def _done(self, word: str, path: Any) -> None:
        if not self.counts or not isinstance(path, str | bytes | os.PathLike):
            return
        real = os.path.realpath(os.fsdecode(path))
        if not real.startswith(self._folder):
            return
        self._count += 1
        said = f"{word} {real.removeprefix(self._folder)}\n".encode(errors="backslashreplace")
        descriptor = _opened(self._named, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, said)
        os.close(descriptor)
        if self._count == self._last:
            _kill()


# Functions of os, what they do to a file, and which of their arguments names it.
_OPERATIONS = (
    ("rename", "renaming to", 1), ("replace", "renaming to", 1), ("link", "linking", 1), ("symlink", "linking", 1),
    ("remove", "removing", 0), ("unlink", "removing", 0), ("rmdir", "removing", 0), ("truncate", "cutting", 0),
)  # fmt: skip
_opened = os.open


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _settle() -> None:
    """Wait until the process is idle, where it has other threads or processes of its own that may write."""
    if threading.active_count() == 1 and not multiprocessing.active_children():
        return
    end = time.monotonic() + _MOST_SETTLING_S
    used = time.process_time()
    while time.monotonic() < end:
        time.sleep(_IDLE_S)
        before, used = used, time.process_time()
        if used - before < _BUSY_S:
            return


class Modules:
    """Every live module, noted where it gets a part or is a copy of another.

    What is summed does not depend on anything before the last step of an optimizer, so that a run that was resumed can
    be compared with one that was not.
    """

    def __init__(self) -> None:
        """Know none."""
        self._live: dict[int, weakref.ref[Any]] = {}
        self._sums: dict[int, int] = {}
        self._looked = False

    def install(self) -> None:
        """Have torch name them."""
        from torch.nn import Module
        from torch.nn.modules import module

        module.register_module_module_registration_hook(self._noted)
        module.register_module_parameter_registration_hook(self._noted)
        module.register_module_buffer_registration_hook(self._noted)
        restored: Callable[[Any, Any], None] = Module.__setstate__

        def __setstate__(own: Any, state: Any) -> None:  # noqa: N807 - what copy.deepcopy calls, and registers nothing
            restored(own, state)
            self._noted(own)

        Module.__setstate__ = __setstate__  # type: ignore[method-assign]

    def _noted(self, module: Any, *_: object) -> None:
        known = self._live.get(id(module))
        if known is None or known() is not module:
            self._live[id(module)] = weakref.ref(module)
            self._sums.pop(id(module), None)

    def summed(self, optimised: set[int]) -> tuple[int, int]:
        """Return the sum of what else is kept by the modules that have the optimised parameters, and of moved copies.

        A copy has parameters of the same shapes as another module that is part of none, and none that is optimised.
        """
        roots = self._roots()
        forms = [sorted(tuple(p.shape) for p in root.parameters()) for root in roots]
        kept = moved = 0
        seen = set(optimised)
        for root, form in zip(roots, forms, strict=True):
            sums = {id(tensor): _sum_of(name, tensor) for name, tensor in _kept_by(root)}
            if not optimised.isdisjoint(sums):
                kept += sum(each for key, each in sums.items() if key not in seen)
                seen |= sums.keys()
            elif form and forms.count(form) > 1 and self._sums.get(id(root), sum(sums.values())) != sum(sums.values()):
                moved += sum(sums.values())
            self._sums[id(root)] = sum(sums.values())
        return kept & _WORD, moved & _WORD

    def _roots(self) -> list[Any]:
        """Return the modules that are part of no other."""
        if not self._looked:  # in a fork there may be some from before
            from torch.nn import Module

            for each in gc.get_objects():
                if issubclass(type(each), Module) and "_modules" in vars(each):
                    self._noted(each)
            self._looked = True
        self._live = {key: known for key, known in self._live.items() if known() is not None}
        live = [module for known in self._live.values() if (module := known()) is not None]
        parts = {id(part) for module in live for part in module.children()}
        return [module for module in live if id(module) not in parts]


def _kept_by(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parameters and buffers that are in the root's state dict, with their last names."""
    for module in root.modules():
        yield from module.named_parameters(recurse=False)
        left_out = getattr(module, "_non_persistent_buffers_set", ())
        yield from ((name, each) for name, each in module.named_buffers(recurse=False) if name not in left_out)


def _sum_of(name: str, tensor: Any) -> int:
    """Return a checksum of a sample of a tensor, or 0 for one without bytes: not there yet, on `meta`, or sparse."""
    from torch.nn.parameter import is_lazy

    if is_lazy(tensor):
        return 0
    try:
        flat = tensor.detach().reshape(-1)
        return zlib.crc32(_bytes_of(flat[:: max(1, flat.numel() // _SAMPLED)]), zlib.crc32(name.encode()))
    except (RuntimeError, NotImplementedError):
        return 0


def _bytes_of(tensor: Any) -> bytes:
    data = tensor.detach().cpu().contiguous()
    size = data.numel() * data.element_size()
    return ctypes.string_at(data.data_ptr(), size) if size else b""


def _poison(parameter: Any) -> None:
    parameter.grad.fill_(float("nan"))


def main(record: str, harm: str, after: int, max_file_bytes: int, watched: str, words: list[str]) -> None:
    """Run `-m MODULE ARGUMENT...` or `FILE ARGUMENT...` as Python would, in this process."""
    import torch

    torch.set_num_threads(1)
    Watch(record, harm, after, watched).install()
    if max_file_bytes:  # a write beyond it fails as one to a full disk does, with another number
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    if words[0] == "-m":
        sys.argv = words[1:]
        sys.modules.pop(words[1], None)  # there in a fork, where runpy would warn of it
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, os.path.dirname(os.path.abspath(words[0])))
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], sys.argv[6:])
