"""Runs the target's own training command with a record of every optimizer step, and harms it where that is asked.

Executed in a fork of the probe's process, or as a program of a new interpreter: standard library and torch only, and no
other module of the probe. The record holds 16 bytes for each step of an optimizer: a checksum of the weights after it,
and the time. It is written at once, so that it outlives a SIGKILL.
"""

import ctypes
import os
import resource
import runpy
import signal
import struct
import sys
import time
import zlib
from typing import Any

ENTRY = struct.Struct("<Qd")
# What `Watch` may be asked for: each is done after the optimizer step of that number, counted from 1 in the process.
WEIGHT, GRADIENT, KILL = "weight", "gradient", "kill"


class Watch:
    """A hook behind every optimizer step."""

    def __init__(self, record: str, harm: str, after: int) -> None:
        """Open the record; `harm` is one of those above, or empty."""
        self._descriptor = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._named = f"{record}.named"
        self._harm, self._after, self._count = harm, after, 0
        self._names: dict[int, str] = {}

    def install(self) -> None:
        """Have torch call us."""
        from torch.nn.modules.module import register_module_forward_pre_hook
        from torch.optim.optimizer import register_optimizer_step_post_hook

        register_optimizer_step_post_hook(self._stepped)
        if self._harm in (WEIGHT, GRADIENT):
            register_module_forward_pre_hook(self._called)

    def _called(self, module: Any, _: object) -> None:
        names = {id(parameter): name for name, parameter in module.named_parameters()}
        if len(names) > len(self._names):  # the module that holds all the others
            self._names = names

    def _stepped(self, optimizer: Any, *_: object) -> None:
        checksum = 0
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                data = parameter.detach().cpu().contiguous()
                size = data.numel() * data.element_size()
                checksum = zlib.crc32(ctypes.string_at(data.data_ptr(), size) if size else b"", checksum)
        os.write(self._descriptor, ENTRY.pack(checksum, time.monotonic()))
        self._count += 1
        if self._count == self._after:
            self._do_harm(optimizer)

    def _do_harm(self, optimizer: Any) -> None:
        import torch

        if self._harm == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
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


def _poison(parameter: Any) -> None:
    parameter.grad.fill_(float("nan"))


def main(record: str, harm: str, after: int, max_file_bytes: int, words: list[str]) -> None:
    """Run `-m MODULE ARGUMENT...` or `FILE ARGUMENT...` as Python would, in this process."""
    import torch

    torch.set_num_threads(1)
    Watch(record, harm, after).install()
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
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
