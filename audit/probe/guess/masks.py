"""A mask of keys in the form that the target takes: what its values mean, and how it is shaped."""

import re

import torch

from .reading import Source, sentences

# What a value says: True or 1 = may attend (keep), True or 1 = may not (drop), or a number added to the logits.
CONVENTIONS = ("bool keep", "bool drop", "int keep", "int drop", "float keep", "float drop", "additive")
WITH_QUERIES = ("B1LL", "BHLL", "BLL", "BHLL flat")  # of SHAPES, those that tell queries apart
SHAPES = ("BL", "B1L", "BLL", "B11L", "B1LL", "BHLL", "BHLL flat", "B1L1", "LB")

_OF_TORCH = ("key_padding_mask", "src_key_padding_mask", "tgt_key_padding_mask", "memory_key_padding_mask")
# Up to the next truth value, of which other things are said: "True for tokens to keep, False for padding".
_SAID = r"\b(?:(?!\b(?:true|false|[01]|ones?|zeros?)\b)[^.;]){0,60}?"
_DROP = re.compile(
    rf"(true|1|ones?|non-?zero){_SAID}(masked|ignored?|padd|not (be )?attend|not allowed|exclude|drop|removed?)"
    r"|not (be )?attended? to (?:are|is|with)? ?(true|1)|padding (?:elements|positions|tokens)[^.]{0,30}(true|1)\b",
)
_KEEP = re.compile(
    rf"(true|1|ones?|non-?zero){_SAID}(keep|kept|valid|attend|allowed|visible|not masked|unmasked|take part|real"
    r"|participat|may see|can see)"
    rf"|(false|0|zeros?){_SAID}(masked|ignored?|padd|not (be )?attend|exclude|drop)",
)
ADDITIVE = re.compile(
    r"additive|added to (the )?(attention|scores|logits|weights)|-inf|negative infinity|negative number|float mask"
)
_SHAPE = re.compile(r"\(\w+(, *\w+)+\)|\[\w+(, *\w+)+\]")  # such as (batch, 1, 1, length), whose 1 is no truth value
_TRUTH = re.compile(r"\b(true|false|bool\w*|1|ones?)\b")


def documented(source: Source, name: str) -> str | None:
    """Return the convention that the documentation or torch's own naming gives a mask; None where neither does."""
    text = _SHAPE.sub("", sentences(source, name).lower())
    if name in _OF_TORCH and not _KEEP.search(text):
        return "bool drop"  # as torch's layers name and document it
    if text:
        dropped, kept = _DROP.search(text), _KEEP.search(text)
        if ADDITIVE.search(text) and not (_TRUTH.search(text) and (dropped or kept)):
            return "additive"
        kind = "bool" if re.search(r"\b(true|false|bool)", text) else "int"
        if said := polarity(text):
            return f"{kind} {said}"
    return None


def polarity(text: str) -> str | None:
    """Return whether a text says that the marked positions are kept (`keep`) or hidden (`drop`); None where neither."""
    text = _SHAPE.sub("", text)
    dropped, kept = _DROP.search(text), _KEEP.search(text)
    if kept and re.search(r"(true|1|ones?)\b[^.]{0,40}(not masked|unmasked)", text):
        return "keep"
    if dropped and not (kept and kept.start() < dropped.start()):
        return "drop"
    return "keep" if kept else None


def written(source: Source, name: str) -> str | None:
    """Return the convention that the source applies a mask in, as far as a pattern can tell; None where none can."""
    word = re.escape(name)
    for pattern, convention in (
        (rf"masked_fill_?\(\s*~\s*{word}\b|logical_not\(\s*{word}\b", "bool keep"),
        (rf"masked_fill_?\(\s*{word}[\w.()\[\], :-]*?\s*==\s*(0|False)\b", "int keep"),
        (rf"masked_fill_?\(\s*{word}[\w.()\[\], :-]*?\s*==\s*(1|True)\b", "int drop"),
        (rf"masked_fill_?\(\s*{word}(?:\.\w+\([^()]*\)|\[[^\]]*\])*\s*,", "bool drop"),
        (rf"where\(\s*{word}(?:\.\w+\([^()]*\)|\[[^\]]*\])*\s*,\s*-?(?:float|torch|math)?[^,]*inf", "bool drop"),
        (rf"where\(\s*{word}(?:\.\w+\([^()]*\)|\[[^\]]*\])*\s*,", "bool keep"),
        (rf"(?:\+=?|add_?\()\s*{word}\b", "additive"),
    ):
        if re.search(pattern, source.text):
            return convention
    return None


def likeliest(source: Source, name: str) -> str:
    """Return the convention to try first."""
    return documented(source, name) or written(source, name) or usual(name)


def usual(name: str) -> str:
    """Return the convention that a mask of this name most often has."""
    return "additive" if name in ("attention_mask", "attn_bias", "attention_bias") else "bool keep"


def form_of(
    key_mask: torch.Tensor,
    convention: str,
    shape: str,
    *,
    queries: int,
    heads: int,
    dtype: torch.dtype,
    is_causal: bool = False,
) -> torch.Tensor:
    """Return a key mask (bool, (B, Lk), True = may attend) as the target takes it.

    With `is_causal` a mask of a shape that has an axis of queries also hides later keys, the last query seeing all.
    """
    kept = key_mask
    match shape:
        case "LB":
            kept = kept.transpose(0, 1)
        case "B1L":
            kept = kept[:, None]
        case "BLL":
            kept = kept[:, None].expand(-1, queries, -1)
        case "B11L":
            kept = kept[:, None, None]
        case "B1LL":
            kept = kept[:, None, None].expand(-1, -1, queries, -1)
        case "BHLL":
            kept = kept[:, None, None].expand(-1, heads, queries, -1)
        case "BHLL flat":
            kept = kept[:, None, None].expand(-1, heads, queries, -1).flatten(0, 1)
        case "B1L1":
            kept = kept[:, None, :, None]
    if is_causal:
        keys = key_mask.shape[-1]
        assert kept.shape[-2:] == (queries, keys), "a shape without an axis of queries cannot be causal"
        kept = kept & torch.ones(queries, keys, dtype=torch.bool).tril(diagonal=keys - queries)
    return valued(kept.contiguous(), convention, dtype)


def valued(kept: torch.Tensor, convention: str, dtype: torch.dtype) -> torch.Tensor:
    """Return a mask (bool, True = may attend) of any shape in the values of a convention."""
    match convention:
        case "bool drop":
            return ~kept
        case "int keep":
            return kept.long()
        case "int drop":
            return (~kept).long()
        case "float keep":
            return kept.to(dtype)
        case "float drop":
            return (~kept).to(dtype)
        case "additive":
            # The most negative number and not infinity: with whole rows masked, infinity makes NaN by its meaning.
            return torch.zeros(kept.shape, dtype=dtype).masked_fill(~kept, torch.finfo(dtype).min)
    return kept
