"""Which forms of a mask the documentation of its argument claims, beside the one in which it is passed."""

import re
from collections.abc import Callable, Mapping

from . import masks
from .reading import Source, documented_axes, parameters_of

_BOOL = re.compile(r"\bbool(ean|tensor)?s?\b|\btrue\b|\bfalse\b")
_DIGITS = re.compile(
    r"\b0\s*/\s*1\b|\b1\s*/\s*0\b|\b0 or 1\b|\bbinary\b|\b1s?\b[^.;\n]*\b0s?\b|\b0s?\b[^.;\n]*\b1s?\b|\bones\b"
)
_WHOLE = re.compile(r"\b(int(eger)?s?|long|longtensor|inttensor|int64|int32|uint8)\b")
_FLOATING = re.compile(r"\bfloat(s|ing|tensor|32|16)?\b")
_BATCH = re.compile(r"^(b|bs|bsz|n|batch|batch_size|bsize)$", re.IGNORECASE)
_HEADS = re.compile(r"^(h|heads?|num_heads|n_heads?|nh|num_attention_heads)$", re.IGNORECASE)

Claim = dict[str, str | None]


def claims(source: Source, function: Callable[..., object], mask: Mapping[str, str] | None) -> list[Claim]:
    """Return the forms that the documentation or annotation of a mask claims.

    Each has a `convention` and a `shape` as `masks` knows them, and `said`, the words it is taken from. A convention
    `bool` says that a bool mask is taken, and not what True means.
    """
    if not mask or not mask["parameter"]:
        return []
    name = mask["parameter"]
    text = paragraph(source, name)
    lowered = re.sub(r"\(\w+(, *\w+)+\)|\[\w+(, *\w+)+\]", "", text.lower())
    annotation = _annotation(function, name)
    words = f"{lowered} {annotation.lower()}"
    polarity = masks.polarity(lowered)
    found: dict[tuple[str, str], str] = {}

    def claim(convention: str | None, shape: str, said: str) -> None:
        if convention:
            found.setdefault((convention, shape), " ".join(said.split())[:160])

    if _BOOL.search(words):
        claim(f"bool {polarity}" if polarity else "bool", mask["shape"], text or annotation)
    is_added = bool(masks.ADDITIVE.search(lowered))
    if is_added:
        claim("additive", mask["shape"], text)
    if _DIGITS.search(lowered) and polarity:
        claim(f"int {polarity}", mask["shape"], text)
        if not is_added and (_FLOATING.search(words) or not (_WHOLE.search(words) or _BOOL.search(words))):
            claim(f"float {polarity}", mask["shape"], text)
    elif _WHOLE.search(annotation.lower()) and polarity:
        claim(f"int {polarity}", mask["shape"], annotation)
    axes = documented_axes(source, name)
    if axes and (shape := shape_of(axes)):
        claim(mask["convention"], shape, f"{name}: ({', '.join(axes)})")
    chosen = (mask["convention"], mask["shape"])
    return [{"convention": c, "shape": s, "said": said} for (c, s), said in found.items() if (c, s) != chosen]


def paragraph(source: Source, name: str) -> str:
    """Return what the documentation says of an argument: its line, and those after it that are indented further."""
    lines = source.documentation.splitlines()
    for index, line in enumerate(lines):
        if re.match(rf"[\s`*:-]*(?:param\s+)?`?{re.escape(name)}`?\s*[:(]", line):
            depth = len(line) - len(line.lstrip())
            found = [line.strip()]
            for after in lines[index + 1 :]:
                if not after.strip() or len(after) - len(after.lstrip()) <= depth:
                    break
                found.append(after.strip())
            return " ".join(found)
    return ""


def shape_of(axes: tuple[str, ...]) -> str | None:
    """Return the shape that documented axes say; None where they say none that is known."""
    names = [axis.lower() for axis in axes]
    if not _BATCH.match(names[0]) or any(name in ("...", "*") for name in names):
        return None
    if len(names) == 2:
        return "BL"
    if len(names) == 3:
        return "B1L" if names[1] == "1" else "BLL"
    if len(names) == 4:
        if names[1] == "1":
            return "B11L" if names[2] == "1" else "B1LL"
        return "BHLL" if _HEADS.match(names[1]) and names[2] != "1" else None
    return None


def _annotation(function: Callable[..., object], name: str) -> str:
    for each in parameters_of(function):
        if each.name == name and each.annotation is not each.empty:
            return str(each.annotation)
    return ""
