"""What kind of numbers an argument of forward takes, as its name and what is written of it tell.

The probe knows the same names, of models that it builds (`audit/probe/guess/kinds.py`); here nothing is imported of a
target, and nothing of the probe, which belongs to its process.
"""

import re
from enum import StrEnum


class Kind(StrEnum):
    """What is drawn for an argument."""

    NORMAL = "normal"
    WHOLE = "whole"
    TIMES = "times"
    MASK = "mask"
    POSITIONS = "positions"
    LENGTHS = "lengths"


_NAMES = {
    Kind.MASK: re.compile(r"(?<!head_)(?<!return_)mask$|^attn_bias$|^attention_bias$"),
    Kind.POSITIONS: re.compile(r"^(position_ids|positions|pos_ids|input_pos|cache_position|pos|position)$"),
    Kind.LENGTHS: re.compile(r"^(?!cu_|max_)(.*_)?(lengths|lens|seqlens)$"),
    Kind.TIMES: re.compile(r"^(t|ts|times?|time_?steps?|sigmas?|noise_levels?|diffusion_steps?)$"),
    Kind.WHOLE: re.compile(
        r"^(((src|tgt|source|target|input|decoder|encoder|prompt|text)_)?(tokens?|ids)|idx|indices|labels?|classes|y"
        r"|captions?|.*_(ids|idx|indices|tokens|labels))$"
    ),
}
_SAID = {
    Kind.MASK: re.compile(r"\bBoolTensor\b|\bBool\["),
    Kind.WHOLE: re.compile(
        r"\b(Long|Int)Tensor\b|\bU?Int(8|16|32|64)?\[|\bint(32|64)\b|\b(ids|indices) of\b"
        r"|\b(token|word|class)[ _-]?(ids?|indices|labels)\b|\bdtype[ =]+(torch\.)?long\b"
    ),
}


def kind_of(name: str, said: str = "") -> Kind:
    """Return the kind of an argument; `said` is its annotation and what is documented of it."""
    told = [kind for kind, names in _NAMES.items() if names.search(name.lower())]
    told += [kind for kind, words in _SAID.items() if words.search(said)]
    return told[0] if told else Kind.NORMAL
