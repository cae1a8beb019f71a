"""What kind of numbers an argument takes, where its name or what is written of it tells; torch is not needed here."""

import re
from collections.abc import Sequence

from .roles import role_of

_TIMES = re.compile(r"^(t|ts|time|times|time_?steps?|steps?|sigmas?|noise_levels?|noise|diffusion_steps?)$")
_WHOLE = re.compile(
    r"^(((src|tgt|source|target|input|decoder|encoder|prompt|text)_)?(tokens?|ids)|idx|indices|labels?|classes|y|captions?"
    r"|.*_(ids|idx|indices|tokens|labels))$"
)
_IMAGE = re.compile(r"^(imgs?|images?|pixel_values|pixels|pictures?|photos?|frames?)(_in|_input)?$")
_VIDEO = re.compile(r"^(videos?|clips?|volumes?|pixel_values_videos)$")
_SERIES = re.compile(r"^(series|time_series|signals?|audios?|waveforms?|wavs?)$")
# Annotations and documentation: `torch.LongTensor`, `Int[Tensor, "b n"]`, "indices of the tokens".
_SAID_WHOLE = re.compile(
    r"\b(Long|Int)Tensor\b|\bU?Int(8|16|32|64)?\[|\bint(32|64)\b|\b(token|word|class)[ _-]?(ids?|indices|labels)\b"
    r"|\b(ids|indices) of\b|\bdtype[ =]+(torch\.)?long\b"
)
_SAID_MASK = re.compile(r"\bBoolTensor\b|\bBool\[")
WHOLE, TIMES, MASK, POSITIONS = "whole", "times", "mask", "positions"
IMAGE, VIDEO, SERIES = "image", "video", "series"


def kind_of_input(name: str, said: str = "") -> str | None:
    """Return the kind of an argument; None where nothing tells it from numbers of any size.

    Args:
        name: of the argument.
        said: its annotation and what is documented of it.
    """
    lower, role = name.lower(), role_of(name)
    if role in ("mask", "context mask") or _SAID_MASK.search(said):
        return MASK
    if role == "positions":
        return POSITIONS
    if _TIMES.match(lower):
        return TIMES
    for kind, names in ((IMAGE, _IMAGE), (VIDEO, _VIDEO), (SERIES, _SERIES)):
        if names.match(lower):
            return kind
    return WHOLE if _WHOLE.match(lower) or _SAID_WHOLE.search(said) else None


def line_of(name: str, document: Sequence[str]) -> str:
    """Return the line of a documentation that begins with an argument's name; those below it tell of others too."""
    begins = re.compile(rf"[\s`*:-]*(?:param\s+)?{re.escape(name)}\b")
    return next((line for line in document if begins.match(line)), "")
