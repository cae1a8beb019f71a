"""What free prose says of a mask: which positions True or 1 marks, in sentences that name the mask and no condition."""

import re
from collections.abc import Collection, Iterator

from .prose import sentences_of
from .reading import Source

_I = re.IGNORECASE
_AXES = re.compile(r"[(\[]\s*\w+(\s*,\s*\w+)+\s*,?\s*[)\]]")  # (batch, 1, 1, length), whose 1 is no truth value
_TRUTH = re.compile(r"(?<![\w.])`{0,2}(?:(?P<on>true|1s?|ones?)|(?P<off>false|0s?|zeros?))`{0,2}(?![\w.]*\w)", _I)
# What joins a truth value to its meaning; "padding is True, ..." has none behind it.
_JOINED = re.compile(
    r"\s*(?:values|entries|in (?:the )?`?\w*mask`?)?\s*(?:=|:|->|→|\b(?:for|where|at|on|when|if|means?|meaning"
    r"|marks?|marking|says|indicates?|indicating|denotes?|denoting|stands? for|being|is for|are for"
    r"|to(?=\s+(?:keep|drop|attend|ignore|mask out)))\b(?: that)?)\s*",
    _I,
)
_WHO = r"(?:(?:the|a|its|this|that|such)\s+)?"
_HOW = r"attend(?:ed|s|ing)?|seen?|visible|used|kept|valid|real|take[sn]? part|participat\w+|allowed|included"
_NEGATED = re.compile(
    rf"\b(?:not|never|cannot|can't|mustn't|isn't|aren't|doesn't|don't)\s+(?:to\s+)?(?:be\s+)?(?:{_HOW})\b(?: to\b)?", _I
)
_NO_PADDING = re.compile(rf"\b(?:not?|non)[\s-]+{_WHO}(?:pad(?:ding|ded)?|masked(?: out)?|ignored|hidden)\b", _I)
_DROPPED = re.compile(
    r"\b(?:is|are|be|gets?|being|=|to be)\s+masked\b|\bmasked out\b|\bmask out\b|\bignored?\b|\bhidden\b|\bhides?\b"
    r"|\b(?:is|are|to be|=)\s+(?:excluded|dropped|left out)\b|\bpad(?:s|ding|ded)?\b|^drop\b",
    _I,
)
_KEPT = re.compile(
    r"\b(?:may|can|should|must|is to|are to|to|that are|which are|is|are)\s+(?:be\s+)?attend(?:ed)?\b|^attend(?:ed)?\b"
    r"|\b(?:may|can|to)\s+(?:be\s+)?(?:seen?|used|take part|participate)\b|\btakes? part\b|\bparticipat(?:es?|ing)\b"
    r"|\b(?:is|are|to be)\s+(?:kept|valid|visible|real|allowed|unmasked)\b|\bto keep\b|^(?:keep|kept|valid|visible)\b"
    r"|\b(?:real|valid|visible|kept|actual|unmasked|unpadded)\s+(?:input )?(?:tokens?|positions?|keys?|entries|frames?"
    r"|elements?|words?|steps?)\b",
    _I,
)
# What makes a sentence one of another case, another mask, or another thing than the keys.
_UNCLEAR = re.compile(
    r"\b(?:not|no|nor|never|without|unless|except|depending|depends|whether|either|otherwise|option\w*|default|flag"
    r"|unlike|instead|versus|vs|contrast|opposite|invert\w*|convention|rather|or|but|likewise|before|after|until"
    r"|sometimes|usually|none)\b|n't\b",
    _I,
)
_OTHER = re.compile(
    r"\b(?:future|later|earlier|past|diagonal|triang\w+|tri[lu]|buffer|loss\w*|outputs?|heads?|dropout|mlm|predict\w*|reconstruct\w*"
    r"|labels?|for queries)\b"
    r"|\b(?:causal|window\w*|local|block\w*|band\w*|sparse|shift\w*)[ -](?:attention[ -])?masks?\b"
    r"|\badditive|\badded to\b|\binf\b|infinity|\bnegative\b|\bmasks\b",
    _I,
)
# Before the first truth value: the case in which the rest holds, but that a mask is given at all.
_GIVEN = re.compile(r"\b(?:if|when|where) (?:it is |one is )?(?:given|passed|provided|present)\b", _I)
_CASE = re.compile(r"\b(?:if|when|unless|whether|depending|not|never|instead|unlike|invert\w*|otherwise)\b", _I)
# A digit or a number in words is a truth value behind these alone: not in "layer 0", "heads = 1".
_BEFORE_DIGIT = re.compile(
    r"(?:^|[,:;(]|\b(?:is|are|has|have|holds?|contains?|with|being|be|and|a|an|of|values?))\s*$", _I
)
_THE_MASK = re.compile(
    r"\bthe (?:(?:given|optional|bool(?:ean)?|key|padding|attention|input|token)[ -]){0,3}mask\b(?!ed)"
    r"|^(?:bool(?:ean)? )?mask(?: \([^)]*\))?\s*(?:is\b|marks?\b|:|=|,|$)",
    _I,
)

# "with a key padding mask (True = may attend)": what stands before it is said of the attention.
_LEGEND = re.compile(
    r"\ban? (?:(?:optional|bool(?:ean)?|key|padding|attention|input|token)[ -]){0,3}"
    r"mask \((?:true|false|[01]\b)[^()]*\)",
    _I,
)


def stated(source: Source, name: str, others: Collection[str]) -> tuple[str, ...]:
    """Return the conventions that prose about a mask allows, the likeliest first; nothing where it is not clear.

    `others` are the other masks of the call: beside them, "the mask" may be any.
    """
    kinds: list[str] = []
    said: set[str] = set()
    for clause in _about(source, name, others):
        found = meaning(clause)
        if found is None:
            continue
        said.add(found)
        kinds.append("bool" if re.search(r"\b(?:true|false|bool\w*)\b", clause, _I) else "int")
    if len(said) != 1:
        return ()
    (polarity,) = said
    order = ("bool", "int", "float") if "bool" in kinds else ("int", "bool", "float")
    return tuple(f"{kind} {polarity}" for kind in order)


def meaning(clause: str) -> str | None:
    """Return whether a clause says that True keeps (`keep`) or hides (`drop`) a position; None where it is unclear."""
    text = _AXES.sub(" ", clause)
    if _OTHER.search(text):
        return None
    marks = [each for each in _TRUTH.finditer(text) if _is_of_mask(text, each)]
    if not marks or _CASE.search(_GIVEN.sub(" ", text[: marks[0].start()])):
        return None
    found: set[str] = set()
    for index, mark in enumerate(marks):
        end = marks[index + 1].start() if index + 1 < len(marks) else len(text)
        joined = _JOINED.match(text, mark.end(), end)
        if not joined:
            continue
        said = _said(text[joined.end() : end])
        if said is None:
            return None
        found.add(said if mark["on"] else {"keep": "drop", "drop": "keep"}[said])
    return found.pop() if len(found) == 1 else None


def _is_of_mask(text: str, mark: re.Match[str]) -> bool:
    """Whether a truth value is one of the mask, and not an argument's (`strict=True`) or a number."""
    before, after = text[: mark.start()].rstrip(), text[mark.end() :].lstrip()
    if before.endswith("=") or (mark[0].lower() == "one" and re.match(r"for (?:each|every)\b", after)):
        return False
    return bool(mark[0].strip("`").lower() in ("true", "false") or _BEFORE_DIGIT.search(before))


def _said(words: str) -> str | None:
    """Return what is said of positions; None where it is neither, both or hedged."""
    left, found = words.strip(), set()
    for pattern, what in ((_NEGATED, "drop"), (_NO_PADDING, "keep"), (_DROPPED, "drop"), (_KEPT, "keep")):
        left, count = pattern.subn(" ", left)
        found |= {what} if count else set()
    return found.pop() if len(found) == 1 and not _UNCLEAR.search(left) else None


def _about(source: Source, name: str, others: Collection[str]) -> Iterator[str]:
    """Yield the clauses about a mask: those that name it, and those behind them that begin with a truth value."""
    words = [clause for sentence in sentences_of(source.documentation) for clause in sentence.split("; ")]
    is_about = False
    for clause in words:
        if any(_names(clause, other) for other in others):
            is_about = False
        elif not others and (legend := _LEGEND.search(clause)):
            is_about, clause = True, legend[0]
        elif _names(clause, name) or (not others and _THE_MASK.search(clause)):
            is_about = True
        else:
            first = _TRUTH.match(clause)
            is_about = is_about and bool(first and _JOINED.match(clause, first.end()))
        if is_about:
            yield clause
    # Beside the parameter: `mask: Tensor | None = None,  # (B, L), True = may attend`.
    yield from re.findall(
        rf"^[ \t]*{re.escape(name)}[ \t]*(?::[^#\n]*|=[^#\n]*)?,[ \t]*#[ \t]*(.+)$", source.text, re.M
    )


def _names(clause: str, name: str) -> bool:
    """Whether a clause names an argument; a name that is a plain word has to be quoted, or begin it."""
    word = re.escape(name)
    if "_" in name.strip("_") and re.search(rf"(?<![\w.]){word}(?!\w)", clause):
        return True
    return bool(re.search(rf"`{word}`|\*{word}\*|^{word}\s*(?:[:=(]|is\b|marks\b)", clause))
