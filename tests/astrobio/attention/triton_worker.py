"""Runs attention under Triton's interpreter, for tests in another process: a loop over pickled requests.

The interpreter is chosen when triton is imported, once for a process, and tests beside these must not meet it.
"""

import os
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from astrobio.attention import attention, last_selection


def attended(tensors: list[Tensor], weights: Tensor, options: dict[str, Any]) -> list[Tensor]:
    """The output, and the gradients of its sum weighted by `weights`."""
    leaves = [tensor.requires_grad_() for tensor in tensors]
    output = attention(*leaves, backend="triton", **options)
    return [output.detach(), *torch.autograd.grad((output * weights.to(output.dtype)).sum(), leaves)]


def attended_like(tensors: list[Tensor], layout: str) -> list[list[Tensor]]:
    """What contiguous inputs give, and the same numbers laid out otherwise."""

    def laid_out(tensor: Tensor) -> Tensor:
        if layout == "positions before heads":
            return tensor.transpose(1, 2).contiguous().transpose(1, 2)
        if layout == "features apart":
            return tensor.transpose(2, 3).contiguous().transpose(2, 3)
        return torch.cat((tensor, tensor), dim=-1)[..., : tensor.shape[-1]]

    found = []
    for given in (tensors, [laid_out(tensor) for tensor in tensors]):
        leaves = [tensor.detach().requires_grad_() for tensor in given]
        output = attention(*leaves, backend="triton", is_causal=True)
        found.append([output.detach(), *torch.autograd.grad(output.sum(), leaves)])
    assert not all(leaf.is_contiguous() for leaf in leaves)
    return found


def packed(tensors: list[Tensor], weights: Tensor, starts: list[Tensor], options: dict[str, Any]) -> list[Tensor]:
    """The output of packed sequences, and the gradients of its sum weighted by `weights`."""
    from astrobio.attention.triton_kernels.autograd import packed_attention

    leaves = [tensor.requires_grad_() for tensor in tensors]
    longest_q, longest_k = (int(each.diff().max()) for each in starts)
    output = packed_attention(*leaves, *starts, longest_q=longest_q, longest_k=longest_k, **options)
    return [output.detach(), *torch.autograd.grad((output * weights).sum(), leaves)]


def log_sums(tensors: list[Tensor], key_mask: Tensor) -> Tensor:
    """What the forward pass keeps for the backward pass, with the default scale."""
    from astrobio.attention.triton_kernels.forward import forward
    from astrobio.attention.triton_kernels.problem import Problem

    scale = tensors[0].shape[-1] ** -0.5
    return forward(*tensors, Problem(scale=scale, is_half=False, key_mask=key_mask))[1]


def selected(tensors: list[Tensor]) -> str:
    """The backend that the chain takes."""
    attention(*tensors)
    selection = last_selection()
    assert selection is not None
    return selection.name


REQUESTS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (attended, attended_like, packed, log_sums, selected)
}


def main() -> None:
    torch.set_num_threads(1)
    replies, sys.stdout = os.fdopen(os.dup(1), "wb"), sys.stderr
    while True:
        try:
            name, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            reply = True, REQUESTS[name](**arguments)
        except Exception:
            reply = False, traceback.format_exc()
        pickle.dump(reply, replies)
        replies.flush()


if __name__ == "__main__":
    main()
