"""Where batch, positions and channels stand in a tensor: from the canonical order into the target's, and back.

Canonical are (B, L, E) for a module and (B, H, L, D) for a function. Letters of a layout: B batch, L positions,
C channels (E), H and W of an image, T of a volume, h heads; in brackets what is one axis (sequences may be packed).
The positions of a volume are an image of one frame, or frames of one pixel.
"""

import math

import torch

# Of a module: what (B, L, E) becomes.
MODULE_LAYOUTS = ("BLC", "LBC", "BCL", "BCHW", "BHWC", "B1LC", "BCTHW", "BTHWC", "BCL11", "BL11C", "(BL)C")
# Of a function: what (B, H, L, D) becomes; in BLC the heads stand beside one another, in (Bh)LD in the batch.
FUNCTION_LAYOUTS = ("BhLD", "BLhD", "BLC", "(Bh)LD", "LBC", "(BL)hD", "(BL)C")

_BATCH = {"b", "bs", "bsz", "batch", "batch_size", "batchsize", "nbatches", "n_batch", "num_batch", "bsize", "b_", "bb"}
_CHANNELS = {"c", "d", "e", "dim", "ch", "channel", "channels", "hidden", "hidden_size", "embed", "embed_dim", "f"}
_CHANNELS |= {"d_model", "model_dim", "emb", "n_embd", "features", "hidden_dim", "feat", "inc", "in_channels", "cin"}
_CHANNELS |= {"embedding_dim", "query_dim", "d_in", "emb_dim", "dims"}
_LENGTH = {
    "l",
    "n",
    "t",
    "s",
    "len",
    "length",
    "seq",
    "seq_len",
    "seqlen",
    "sequence",
    "seq_length",
    "q_len",
    "tgt_len",
}
_LENGTH |= {
    "time",
    "tokens",
    "num_tokens",
    "i",
    "lq",
    "qlen",
    "slen",
    "target_len",
    "nq",
    "num_queries",
    "sequence_length",
}
_HEIGHT = {"h", "height", "hh", "x", "nh"}
_WIDTH = {"w", "width", "ww", "y", "nw"}
_HEADS = {"h", "nh", "heads", "num_heads", "n_heads", "head", "n_head", "nheads", "hn"}


def grid_of(length: int) -> tuple[int, int]:
    """Return height and width of an image of `length` positions, as near to a square as it can be."""
    height = next(h for h in range(math.isqrt(length), 0, -1) if length % h == 0)
    return height, length // height


def is_length(name: str) -> bool:
    """Whether an axis of this name is that of the positions."""
    return name.lower() in _LENGTH


def module_layout(axes: tuple[str, ...]) -> str | None:
    """Return the layout that these names of axes say; None where they do not say it."""
    names = [axis.lower().strip("*") for axis in axes]
    if len(names) == 5:
        return "BCTHW" if names[1] in _CHANNELS else "BTHWC"
    if len(names) == 4:
        if names[1] in _HEADS and names[2] in _LENGTH:
            return None
        if names[1] in _CHANNELS:
            return "BCHW"
        is_image = names[1] in _HEIGHT and names[2] in _WIDTH
        return ("BHWC" if is_image else "B1LC") if names[3] in _CHANNELS | {"_"} else None
    if len(names) != 3:
        return None
    if names[1] in _BATCH and names[0] not in _BATCH:
        return "LBC"
    if names[1] in _CHANNELS - {"d", "e", "f"} and names[2] in _LENGTH:
        return "BCL"
    return "BLC" if names[0] in _BATCH or names[1] in _LENGTH or names[2] in _CHANNELS else None


def function_layout(axes: tuple[str, ...]) -> str | None:
    """Return the layout of a query that these names of axes say; None where they do not say it."""
    names = [axis.lower() for axis in axes]
    if len(names) == 4:
        if names[1] in _HEADS:
            return "BhLD"
        return "BLhD" if names[2] in _HEADS else None
    return "BLC" if len(names) == 3 else None


def given(tensor: torch.Tensor, layout: str) -> torch.Tensor:
    """Return (B, L, C) in the layout of a module."""
    batch, length, channels = tensor.shape
    height, width = grid_of(length)
    match layout:
        case "LBC":
            return tensor.transpose(0, 1).contiguous()
        case "BCL":
            return tensor.transpose(1, 2).contiguous()
        case "BCHW":
            return tensor.transpose(1, 2).reshape(batch, channels, height, width)
        case "BHWC":
            return tensor.reshape(batch, height, width, channels)
        case "B1LC":
            return tensor[:, None]
        case "BCTHW":
            return tensor.transpose(1, 2).reshape(batch, channels, 1, height, width)
        case "BTHWC":
            return tensor.reshape(batch, 1, height, width, channels)
        case "BCL11":
            return tensor.transpose(1, 2).reshape(batch, channels, length, 1, 1)
        case "BL11C":
            return tensor.reshape(batch, length, 1, 1, channels)
        case "(BL)C":
            return tensor.flatten(0, 1)
    return tensor


def taken(tensor: torch.Tensor, layout: str, batch: int, length: int) -> torch.Tensor | None:
    """Return a module's output as (B, L, C); None where its shape is not one of this layout."""
    shape = tuple(tensor.shape)
    height, width = grid_of(length)
    match layout:
        case "BLC" if shape[:2] == (batch, length) and len(shape) == 3:
            return tensor
        case "LBC" if shape[:2] == (length, batch) and len(shape) == 3:
            return tensor.transpose(0, 1)
        case "BCL" if shape[::2] == (batch, length) and len(shape) == 3:
            return tensor.transpose(1, 2)
        case "BCHW" if shape[:1] + shape[2:] == (batch, height, width):
            return tensor.flatten(2).transpose(1, 2)
        case "BHWC" if shape[:-1] == (batch, height, width):
            return tensor.flatten(1, 2)
        case "B1LC" if shape[:-1] == (batch, 1, length):
            return tensor[:, 0]
        case "BCTHW" if shape[:1] + shape[2:] == (batch, 1, height, width):
            return tensor.flatten(2).transpose(1, 2)
        case "BTHWC" if shape[:-1] == (batch, 1, height, width):
            return tensor.flatten(1, 3)
        case "BCL11" if shape[:1] + shape[2:] == (batch, length, 1, 1):
            return tensor.flatten(2).transpose(1, 2)
        case "BL11C" if shape[:-1] == (batch, length, 1, 1):
            return tensor.flatten(1, 3)
        case "(BL)C" if shape[:-1] == (batch * length,):
            return tensor.reshape(batch, length, -1)
    return None


def heads_given(tensor: torch.Tensor, layout: str) -> torch.Tensor:
    """Return (B, H, L, D) in the layout of a function."""
    match layout:
        case "BLhD":
            return tensor.transpose(1, 2)
        case "BLC":
            return tensor.transpose(1, 2).flatten(2)
        case "LBC":
            return tensor.permute(2, 0, 1, 3).flatten(2)
        case "(Bh)LD":
            return tensor.flatten(0, 1)
        case "(BL)hD":
            return tensor.transpose(1, 2).flatten(0, 1)
    return tensor


def heads_taken(tensor: torch.Tensor, layout: str, shape: tuple[int, int, int]) -> torch.Tensor | None:
    """Return a function's output as (B, H, L, D), given B, H and L; None where its shape is not of this layout."""
    batch, heads, length = shape
    match layout:
        case "BhLD" if tensor.dim() == 4 and tuple(tensor.shape[:3]) == (batch, heads, length):
            return tensor
        case "BLhD" if tensor.dim() == 4 and tuple(tensor.shape[:3]) == (batch, length, heads):
            return tensor.transpose(1, 2)
        case "BLC" if tensor.dim() == 3 and tuple(tensor.shape[:2]) == (batch, length):
            return _split(tensor, heads).transpose(1, 2) if tensor.shape[2] % heads == 0 else None
        case "LBC" if tensor.dim() == 3 and tuple(tensor.shape[:2]) == (length, batch):
            return _split(tensor, heads).permute(1, 2, 0, 3) if tensor.shape[2] % heads == 0 else None
        case "(Bh)LD" if tensor.dim() == 3 and tuple(tensor.shape[:2]) == (batch * heads, length):
            return tensor.reshape(batch, heads, *tensor.shape[1:])
        case "(BL)hD" if tensor.dim() == 3 and tuple(tensor.shape[:2]) == (batch * length, heads):
            return tensor.reshape(batch, length, heads, -1).transpose(1, 2)
        case "(BL)C" if tensor.dim() == 2 and tensor.shape[0] == batch * length and tensor.shape[1] % heads == 0:
            return tensor.reshape(batch, length, heads, -1).transpose(1, 2)
    return None


def _split(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    return tensor.reshape(*tensor.shape[:2], heads, -1)
