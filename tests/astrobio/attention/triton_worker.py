"""Runs attention through the Triton kernels, for tests in another process: a loop over pickled requests.

The interpreter is chosen when triton is imported, once for a process, and tests beside these must not meet it. Without
it the kernels are compiled and run on the GPU, each with its smallest blocks unless a request names others: that takes
one compilation where the choice among all takes twenty.
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
from astrobio.attention.triton_kernels.interpreter import is_interpreting


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


def number_of_splits(tensors: list[Tensor], window: int | None) -> int:
    """Into how many parts the keys are cut."""
    from astrobio.attention.triton_kernels import splits
    from astrobio.attention.triton_kernels.problem import Problem

    return splits.number_of_splits(tensors[0], tensors[1], Problem(scale=1.0, is_half=False, window=window))


def selected(tensors: list[Tensor], **options: Any) -> str:
    """The backend that the chain takes."""
    attention(*tensors, **options)
    selection = last_selection()
    assert selection is not None
    return selection.name


def attended_in_blocks(
    tensors: list[Tensor], weights: Tensor, options: dict[str, Any], kernel: str, number: int
) -> list[Tensor]:
    """What `attended` returns, one kernel with the block sizes of this number."""
    chosen = kernels()[kernel]
    before = chosen.configs
    chosen.configs = [CHOICES[kernel][number]]
    try:
        return attended(tensors, weights, options)
    finally:
        chosen.configs = before


def numbers_of_choices() -> dict[str, int]:
    """How many block sizes each kernel is tried with."""
    return {name: len(choices) for name, choices in CHOICES.items()}


def chosen_among_all(tensors: list[Tensor], weights: Tensor, options: dict[str, Any]) -> list[Tensor]:
    """What `attended` returns where Triton chooses the blocks by measuring them."""
    for name, kernel in kernels().items():
        kernel.configs = CHOICES[name]
    try:
        return attended(tensors, weights, options)
    finally:
        take_the_smallest_blocks()


CHOICES: dict[str, list[Any]] = {}


def kernels() -> dict[str, Any]:
    from astrobio.attention.triton_kernels import backward, forward

    return {
        "forward": forward.forward_kernel, "key_value": backward.key_value_kernel, "query": backward.query_kernel
    }  # fmt: skip


def take_the_smallest_blocks() -> None:
    for name, kernel in kernels().items():
        CHOICES.setdefault(name, list(kernel.configs))
        kernel.configs = [min(CHOICES[name], key=lambda config: config.kwargs["block_q"] * config.kwargs["block_k"])]


REQUESTS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        attended,
        attended_like,
        packed,
        log_sums,
        number_of_splits,
        selected,
        attended_in_blocks,
        numbers_of_choices,
        chosen_among_all,
    )
}


def moved(value: Any, device: str) -> Any:
    """Every tensor on the device, its strides kept."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: moved(each, device) for name, each in value.items()}
    return type(value)(moved(each, device) for each in value) if isinstance(value, (list, tuple)) else value


def main() -> None:
    torch.set_num_threads(1)
    replies, sys.stdout = os.fdopen(os.dup(1), "wb"), sys.stderr
    device = "cpu" if is_interpreting() else "cuda"
    if device == "cuda":
        take_the_smallest_blocks()
    while True:
        try:
            name, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            reply = True, moved(REQUESTS[name](**moved(arguments, device)), "cpu")
        except Exception:
            reply = False, traceback.format_exc()
        pickle.dump(reply, replies)
        replies.flush()


if __name__ == "__main__":
    main()
