"""Patterns for what documentation says of attention, one sentence at a time."""

import re
from collections.abc import Iterator

# A sentence with one of these may speak of another case than the one that is built and called.
_CONDITION = re.compile(
    r"\b(if|when|whether|where|option\w*|can|could|may be|might|either|supports?|unless|or not|depending|both|flag|"
    r"default|true|false|instead of|unlike|versus|vs|such as|e\.g|for example|for instance|allows?|configurable|"
    r"not|no|non|without|compared|except|once|until|during|only for)\b(?! earlier| past)",
    re.IGNORECASE,
)
_LEGEND = re.compile(r"\((?:true|false|[01])\b[^()]*\)", re.IGNORECASE)  # of a mask: no condition of the sentence
_ARGUMENTS = re.compile(
    r"^\s*(Args|Arguments|Parameters|Params|Shapes?|Inputs?|Outputs?|Examples?|Returns?|Attributes)\s*:?\s*$"
    r"|^\s*:param|^\s*Example",
    re.MULTILINE,
)
_I = re.IGNORECASE
_KIND = r"(?:[\w-]+[ -]){0,4}?"  # multi-head, sliding-window, grouped-query, ...
CAUSAL = re.compile(
    rf"\b(causal|autoregressive|unidirectional)[ ,-]+{_KIND}(self[ -]?)?(attention|retention)\b"
    r"|\battend\w*( only)? to (all )?(the )?(earlier|previous|past|preceding) (tokens|positions|keys|steps)"
    r"|\b(later|future) (tokens|positions|keys) are (masked|hidden)|\bmasks? (out )?(the )?future\b"
    r"|^(strictly )?causal$",
    _I,
)
BOTH_WAYS = re.compile(r"\b(bi-?directional|non-?causal|not causal|encoder|cross[ -]attention)\b", _I)
# Of some queries at least, whatever "causal" may mean between the parts of a sequence.
SOME_SEE_ALL = re.compile(
    r"\battend\w* to (all|every|each)( of the| other| the)? (tokens?|positions?|keys?)\b"
    r"(?! (that|which|before|until|up|so|to|at|in the past|on (its|the) left|already|seen|preceding|earlier|whose)\b)",
    _I,
)
EVERY_KEY = re.compile(
    r"\bbi-?directional[ ,-]+(?:[\w-]+[ -]){0,3}?(self[ -]?)?attention\b"
    r"|\battend\w* to (every|all) (tokens?|positions?|keys?)( of the (context|sequence|input))?\s*$",
    _I,
)
# Of a function: what it computes in parts is what all keys at once would give.
EXACT = re.compile(
    r"^(?!.*approxim).*\bexact(ly)? (the same )?(\w+[ -]){0,2}?attention\b"
    r"|\bsame (result|output|numbers?|values?) as (full|standard|plain|ordinary|naive|dense|vanilla|softmax)\b"
    r"|\battend\w* to (every|all)( the)? keys?\b",
    _I,
)
JOINS = re.compile(
    r"\bmask\b[^.]*\b(combined|merged|joined|intersected|and-?ed|applied together)\b[^.]*\bcausal\b"
    r"|\bcausal\b[^.]*\b(combined|merged|and-?ed|intersected)\b[^.]*\bmask\b"
    r"|\b(later|future) (keys|tokens|positions) are (masked|hidden) whatever\b"
    r"|\bin addition to the causal\b|\bon top of the causal\b|\bas well as the causal\b",
    _I,
)
REPLACES = re.compile(r"\b(replaces|overrides|is used instead of|takes the place of) the (built-in )?causal\b", _I)
BOTTOM_RIGHT = re.compile(
    r"\b(bottom|lower)[ -]right\b|\blast query (sees|attends to|may see) (all|every)( the)? keys?\b"
    r"|\b(fewer )?queries( than keys)? are the last (ones|tokens|positions|keys|\w+)\b",
    _I,
)
TOP_LEFT = re.compile(
    r"\bfirst query (sees|attends to) (only )?the first key\b|\b(top|upper)[ -]left\b"
    r"|\b(fewer )?queries( than keys)? are the first (ones|tokens|positions|keys)\b",
    _I,
)
ALIBI = re.compile(r"\balibi\b|\b(attention with )?linear (position(al)? )?bias(es)?\b", _I)
PUBLISHED = re.compile(
    r"\b(published|paper|Press|original) ?('s )?(et al\S* ?)?(slopes|series|code|biases)\b|\bPress et al", _I
)
SCALED = re.compile(
    r"\bscaled dot[- ]product\b|/\s*(math\.)?sqrt\b|/\s*√|over the (square )?root of"
    r"|\bscaled by (1 ?/ ?sqrt|the (inverse )?root)|divided by the (square )?root",
    _I,
)
# Of a file: what says that logits are not scaled on purpose, or by another formula.
UNSCALED = re.compile(
    r"\bunscaled\b|\bno[t ]?\s*(logit |attention )?(re)?-?scal(ed|ing|e)\b|\bwithout (the )?(re)?scal"
    r"|\bscal\w+ (is |are )?(folded|absorbed)|\bT5\b|\bt5_|\bmesh[ _-]?t(ensor)?f|softmax_scale\s*=\s*1"
    r"|\bscale\s*=\s*(1\.0\b|1\b)|\bscale_attn\w*\b|multiplier",
    _I,
)
# That the scale is that of the whole width on purpose: its root is named, and the paper, or that it is no head's.
_WIDTH = r"(sqrt ?\(? ?(dim_?v?|d_?model|embed_?dim|hidden_?(size|dim)|width)\b|root of the (whole|full|total) \w+)"
_ON_PURPOSE = (
    r"(paper|set transformer|on purpose|intention\w*|deliberate\w*|rather than (the )?head|"
    r"not (of |the |per |that of |by )*(one |a |sqrt\(?)?heads?\b|not (the )?(sqrt\(?)?head_?dim)"
)
WIDTH_MEANT = re.compile(rf"{_WIDTH}.*{_ON_PURPOSE}|{_ON_PURPOSE}.*{_WIDTH}", _I)
MUP = re.compile(r"\bmup\b|\bmu_?p\b|µp|μp|maximal update|multiplier|by_d\b|\b1 ?/ ?d\b|query_pre_attn", _I)
_OWN_COUNTS = re.compile(
    r"\b(its own|own key|itself|the query|the current \w+|self)\b[^.]{0,12}\binclu\w+"
    r"|\binclu\w+ (the query|itself|its own|the current|self)|\bitself and the `?\w+`? ?- ?1\b",
    _I,
)
_OWN_BESIDE = re.compile(
    r"\b(besides?|excluding|not counting|in addition to) (itself|the query|its own|the current)|\b(plus|and) itself\b"
    r"|\bitself and the `?\w+`? (previous|tokens|keys|preceding|before)",
    _I,
)
# A window that moves with the query, and does not jump from block to block.
SLIDES = re.compile(
    r"\bsliding\b|\bslides\b|[<≤]=? ?(\w+|`\w+`) ?[<≤]=? ?\w+|\beach (token|query|position) (sees|attends)", _I
)
# `i - window < j <= i`, `0 <= i - j < window`: of query i and key j.
_FORMULA = re.compile(
    r"\b(?P<i>\w{1,12}) ?- ?`?(?:\w*window\w*|w)`? ?(?P<low><=?|≤) ?(?P<j>\w{1,12}) ?(?:<=|≤) ?(?P=i)\b"
    r"|\b(?P<q>\w{1,12}) ?- ?(?P<k>\w{1,12}) ?(?P<high><=?|≤) ?`?(?:\w*window\w*|w)`?(?! ?[-+])\b",
    _I,
)


def sentences_of(document: str) -> Iterator[str]:
    """Yield the sentences of a docstring, those about arguments last, each on one line."""
    begin = _ARGUMENTS.search(document)
    summary, rest = (document, "") if begin is None else (document[: begin.start()], document[begin.start() :])
    for paragraph in re.split(r"\n\s*\n", summary):
        yield from _split(paragraph)
    for line in rest.splitlines():
        yield from _split(line)


def _split(text: str) -> list[str]:
    flat = re.sub(r"\s+", " ", text).strip()
    return [part.strip(" .") for part in re.split(r"(?<=[.;!?])\s+", flat) if part.strip(" .")]


def is_unconditional(sentence: str) -> bool:
    """Whether a sentence holds in every case."""
    return not _CONDITION.search(_LEGEND.sub("", sentence))


def window_counts_query(text: str) -> bool | None:
    """Return whether a window is said to count the query's own key; None where nothing or both is said."""
    formulas = [each["low"] or each["high"] for each in _FORMULA.finditer(text)]
    counted = bool(_OWN_COUNTS.search(text)) or "<" in formulas
    beside = bool(_OWN_BESIDE.search(text)) or bool({"<=", "≤"} & {*formulas})
    return None if counted == beside else counted
