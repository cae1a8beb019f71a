"""Runs a model in eval mode on the same samples in another form: alone, beside other content, laid out otherwise."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from ..calling import called
from ..outputs import flatten, lengths
from ..parts import built, forward, inputs_of, loss_of
from ..phases import phase
from ..plain import said_by
from ..tensors import digest, dump
from .batches import Inputs, batched, changed, chosen, item_path, lists_of_samples, tensors_of
from .moving import FLOAT32_EPS, moved


def forms(specs: str, name: str, seed: int, batch_sizes: Sequence[int]) -> dict[str, object]:
    """Return the shapes and dtypes of inputs and outputs for each batch size, in eval mode.

    Returns:
        `forms`: by batch size, the form of each tensor of the `inputs`, and all forms under each path of the `outputs`:
        what is in a list with one item for each sample has one path, with * in place of the number of the item.
        `lists`: the paths of such lists.
    """
    model = built(specs, name, seed).eval()
    given: list[Mapping[str, object]] = []
    outputs: list[Mapping[str, object]] = []
    counts: list[Mapping[str, int]] = []
    for batch_size in batch_sizes:
        inputs = inputs_of(specs, name, seed, batch_size)
        given.append({path: _form(tensor) for path, tensor in tensors_of(inputs).items()})
        output = forward(model, inputs)
        # Taken before the next run, which may write into the same list.
        outputs.append({path: _form(tensor) for path, tensor in flatten(output).items()})
        counts.append(lengths(output))
    lists = lists_of_samples(counts, batch_sizes)
    found: dict[str, object] = {
        str(batch_size): {"inputs": of_inputs, "outputs": _by_path(of_outputs, lists)}
        for batch_size, of_inputs, of_outputs in zip(batch_sizes, given, outputs, strict=True)
    }
    return {"forms": found, "lists": list[object](lists)}


def _by_path(forms: Mapping[str, object], lists: Sequence[str]) -> dict[str, list[object]]:
    """Return each form under a path once, with one path for the items of a list of samples."""
    found: dict[str, list[object]] = {}
    for path, form in forms.items():
        alike = found.setdefault(item_path(path, lists, "*") or path, [])
        if form not in alike:
            alike.append(form)
    return found


def _form(tensor: torch.Tensor) -> dict[str, object]:
    return {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}


def rows(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Run a batch, each of its samples alone, and the batch moved by one unit in the last place.

    Returns:
        `whole`, `moved.<i>` and `alone.<i>`: the outputs; `items.<i>`: the paths of what is in a list with one item for
        each sample, which in `alone.<i>` are those of the item of the batch; `batched` and `joined`, see `Batched`.
    """
    model = built(specs, name, seed).eval()
    inputs = inputs_of(specs, name, seed, batch_size)
    where = batched(specs, name, seed, batch_size)
    whole = forward(model, inputs)
    of_whole = lengths(whole)
    reply: dict[str, object] = {**where.described(), "whole": dump(flatten(whole))}
    for index in range(batch_size) if where.is_separable else ():
        alone = forward(model, chosen(inputs, where, [index]))
        lists = lists_of_samples([of_whole, lengths(alone)], [batch_size, 1])
        tensors = flatten(alone)
        items = {path: item for path in tensors if (item := item_path(path, lists, str(index)))}
        reply[f"alone.{index}"] = dump({items.get(path, path): tensor for path, tensor in tensors.items()})
        reply[f"items.{index}"] = list[object](items.values())
    return reply | moved_runs(model, inputs, seed)


def layouts(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Run a batch whose tensors are contiguous, the same one laid out otherwise in memory, and moved.

    `refused` says which layouts forward raised on, and what; `laid_out` counts the tensors that lie otherwise, and
    `beside` those of the others that could: they are in objects, which are given as they are.
    """
    model = built(specs, name, seed).eval()
    inputs = inputs_of(specs, name, seed, batch_size)
    plain = changed(inputs, lambda path, tensor: tensor.contiguous())
    reply: dict[str, object] = {"whole": run(model, plain)}
    refused: dict[str, str] = {}
    laid_out = 0
    for layout in ("transposed", "stepped"):
        given = changed(plain, lambda path, tensor, layout=layout: _laid_out(tensor, layout))  # type: ignore[misc]
        laid_out += sum(not tensor.is_contiguous() for tensor in tensors_of(given).values())
        try:
            reply[f"laid.{layout}"] = run(model, given)
        except Exception as error:
            refused[layout] = said_by(error)
    beside = sum(tensor.numel() > 1 for tensor in tensors_of(inputs).values()) if not laid_out else 0
    with phase("call"):  # what the refusals left behind
        return reply | {"refused": refused, "laid_out": laid_out, "beside": beside} | moved_runs(model, inputs, seed)


def _laid_out(tensor: torch.Tensor, layout: str) -> torch.Tensor:
    if layout == "transposed" and tensor.dim() > 1:
        return tensor.transpose(0, -1).contiguous().transpose(0, -1)
    if layout == "stepped" and tensor.dim():
        return torch.stack((tensor, tensor), dim=-1).flatten(-2)[..., ::2]
    return tensor


def untouched(specs: str, name: str, seed: int, batch_size: int) -> dict[str, object]:
    """Run forward, loss and backward in train mode; tell which inputs were not what they had been afterwards.

    `overwritten` have other numbers, and `rewritten` the same ones, written in place all the same: where the batch has
    a mask that hides nothing, what multiplies by it changes no number.
    """
    model = built(specs, name, seed).train()
    inputs = inputs_of(specs, name, seed, batch_size)
    given = tensors_of(inputs)
    before = {path: digest(tensor) for path, tensor in given.items()}
    written = {path: _version(tensor) for path, tensor in given.items()}
    keys = list(inputs)
    with phase("forward"):
        output = called(model, inputs)
    loss = loss_of(specs, name, output, inputs)
    with phase("backward"):
        loss.backward()  # type: ignore[no-untyped-call]
    after = {path: digest(tensor) for path, tensor in tensors_of(inputs).items()}
    overwritten = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    rewritten = sorted(path for path, each in given.items() if written[path] != _version(each))
    return {
        "overwritten": overwritten,
        "rewritten": [path for path in rewritten if path not in overwritten],
        "tensors": len(before),
        "same_keys": keys == list(inputs),
    }


def _version(tensor: torch.Tensor) -> int:
    """Return how often a tensor was written in place; of one made in inference mode that is not counted."""
    return 0 if tensor.is_inference() else tensor._version


def run(model: nn.Module, inputs: Inputs) -> bytes:
    """Return the outputs of one forward, as bytes."""
    return dump(flatten(forward(model, inputs)))


def moved_runs(model: nn.Module, inputs: Inputs, seed: int) -> dict[str, object]:
    """Return the outputs of the model and its inputs moved by one unit in the last place of float32, `moved.<i>`."""
    runs = moved(model, inputs, FLOAT32_EPS, seed, lambda given: flatten(forward(model, given)))
    return {f"moved.{index}": dump(each) for index, each in enumerate(runs)}
