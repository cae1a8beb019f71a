"""What marks padding in a batch: a mask of positions, the lengths of rows, or the number of a token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .misdeclared import Misdeclared, nearest, quoted

MASK, LENGTHS, TOKENS = "mask", "lengths", "tokens"


@dataclass(frozen=True)
class Marking:
    """An argument that says which positions count, `kept` (B, L), as the specs give it.

    `is_chosen` where the specs hide nothing, so that what is hidden is chosen here.
    """

    argument: str
    kept: torch.Tensor
    marks: str
    is_chosen: bool
    _given: torch.Tensor
    _keeps: bool
    _pad_id: int

    def keeping(self, kept: torch.Tensor) -> torch.Tensor:
        """Return the argument that keeps these positions, in the dtype of the one that the specs give.

        Of lengths, those of rows (B, L) of any number and length. Where tokens stand that were padding, they are others
        of the batch.
        """
        if self.marks == LENGTHS:
            return kept.sum(1).to(self._given.dtype)
        if self.marks == MASK:
            return (kept if self._keeps else ~kept).to(self._given.dtype)
        own = self._given != self._pad_id
        pool = self._given[own]
        others = pool[torch.arange(own.numel(), device=pool.device).view(own.shape) % len(pool)]
        return torch.where(kept, torch.where(own, self._given, others), self._pad_id)


def marked(inputs: Mapping[str, Any], padding: Mapping[str, Any], *, alike: bool = False) -> Marking:
    """Return what marks padding in a batch.

    A padding that is `reversed` is given to the model as a mask that says the opposite of what the specs declare.

    Where nothing is hidden, the last quarter of each sample is; of lengths the first stays as it is. Of lengths, and
    where the padding names `outputs`, each next sample is one shorter, for a model that subsamples treats odd lengths
    otherwise, and each next `batch` goes on where the last one ended; `alike` leaves them as long as each other.

    Raises:
        Misdeclared: the batch has no such argument, or one of another form.
    """
    check_arguments(inputs, padding)
    given = inputs[padding["mask"]]
    marks, keeps, pad_id = padding["marks"], padding["keeps"], padding["pad_id"]
    if marks == LENGTHS:
        kept = _within_lengths(given, inputs[padding["content"][0]], padding)
    elif marks == TOKENS:
        kept = _but_padding(given, padding)
    else:
        kept = _shown(given, keeps=keeps)
    if not bool(kept.any()):
        raise Misdeclared(f"{padding['mask']!r} hides every position of the batch")
    is_chosen = bool(kept.all())
    if is_chosen:
        kept = kept.clone()
        length = kept.shape[1]
        if length < 2:
            raise Misdeclared(f"{padding['mask']!r} marks {length} position of each sample, and one has to be left")
        shown = length - max(1, length // 4)
        shorter = 1 if not alike and varies(padding) else 0
        whole = 1 if marks == LENGTHS and len(kept) > 1 else 0
        before = int(padding.get("batch", 0)) * (len(kept) - whole)  # samples of the batches before
        for order, row in enumerate(range(whole, len(kept)), start=before):
            kept[row, max(1, shown - order * shorter) :] = False
    says = keeps != bool(padding.get("reversed"))
    return Marking(padding["mask"], kept, marks, is_chosen, given, says, -1 if pad_id is None else pad_id)


def varies(padding: Mapping[str, Any]) -> bool:
    """Whether samples get different lengths where what is hidden is chosen here."""
    return padding["marks"] == LENGTHS or bool(padding["outputs"])


def check_arguments(inputs: Mapping[str, Any], padding: Mapping[str, Any]) -> None:
    """Look whether the batch has the arguments that a padding names.

    Raises:
        Misdeclared: it has no such argument.
    """
    for argument in (padding["mask"], *padding["content"]):
        if argument not in inputs:
            raise Misdeclared(f"'inputs' gives no argument {quoted(argument)}{nearest(argument, inputs)}")


def _shown(mask: object, *, keeps: bool) -> torch.Tensor:
    if not isinstance(mask, torch.Tensor) or mask.dim() != 2:
        raise Misdeclared(f"the mask must be a tensor (B, L), not {_form(mask)}")
    kept: torch.Tensor = mask != 0 if keeps else mask == 0
    return kept


def _within_lengths(lengths: object, content: object, padding: Mapping[str, Any]) -> torch.Tensor:
    name, axis = padding["mask"], padding["axis"]
    if not isinstance(lengths, torch.Tensor) or lengths.dim() != 1 or not _is_whole(lengths):
        raise Misdeclared(f"{name!r} must be a tensor (B,) of whole numbers, not {_form(lengths)}")
    if not isinstance(content, torch.Tensor) or not -content.dim() <= axis < content.dim():
        raise Misdeclared(f"{padding['content'][0]!r} must be a tensor with positions on axis {axis}")
    most = content.shape[axis]
    if bool((lengths < 0).any()) or bool((lengths > most).any()):
        said = f"from {int(lengths.min())} to {int(lengths.max())}"
        raise Misdeclared(f"{name!r} must be lengths of up to {most}, the positions of the content, not {said}")
    return torch.arange(most, device=lengths.device) < lengths[:, None]


def _but_padding(tokens: object, padding: Mapping[str, Any]) -> torch.Tensor:
    if not isinstance(tokens, torch.Tensor) or tokens.dim() != 2 or not _is_whole(tokens):
        raise Misdeclared(f"{padding['mask']!r} must be a tensor (B, L) of whole numbers, not {_form(tokens)}")
    kept: torch.Tensor = tokens != padding["pad_id"]
    if not bool(kept.any()):
        raise Misdeclared(f"{padding['mask']!r} has no other token than the padding, {padding['pad_id']}")
    return kept


def _is_whole(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype != torch.bool


def _form(value: object) -> str:
    if not isinstance(value, torch.Tensor):
        return type(value).__name__
    return f"{value.dim()} axes of {str(value.dtype).removeprefix('torch.')}"
