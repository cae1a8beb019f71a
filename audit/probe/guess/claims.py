"""What the documentation, names and source of a class or function promise without a condition, with the line of it.

A claim is made only by a sentence about this class that has no condition; where two contradict each other there is
none. What nothing says stays undeclared.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch

from . import prose, structure
from .adapting import Form
from .constructing import CAUSAL
from .reading import Source, documented_axes, parameters_of, sentences
from .roles import is_named, role_of

_MOSTLY = 0.5  # of the later keys: a wrong diagonal lets a few through
_WINDOW = ("window_size", "sliding_window", "sliding_window_size", "window", "local_window_size", "attention_window")
_CAP = re.compile(r"^(attn?_?|attention_)?(logits?_?)?(soft_?cap(ping)?|_?cap)(_?value)?$|^logits?_cap$")
_OWN_SCALE = r"scale|scaling|softmax_scale|sm_scale|attn_scale|qk_scale|inv_norm_factor|norm_factor|scale_factor"
# The root of a size, however it is written.
_ROOT = re.compile(r"sqrt\(\s*(?:self\.)?(\w+)\s*\)|(?:self\.)?\b(\w+)\s*\*\*\s*\(?\s*-?\s*(?:0?\.5\b|1\s*/\s*2)")
_NEAR = 3  # lines above it in which a comment may stand
_MOST_SHOWN = 100  # characters of a line that is quoted
_LENGTHS = 2  # axes of a mask that are lengths: with them it can hold a causal one


@dataclass(frozen=True)
class Subject:
    """What is read: the class or function, what was built of it, with which arguments, and how it is called."""

    value: object
    module: torch.nn.Module | None
    source: Source
    arguments: Mapping[str, object]
    form: Form
    future: float | None  # share of the later keys that move an earlier output


@dataclass
class Claims:
    """Fields to be added to the contract, and what says them and where."""

    contract: dict[str, object] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: object, said: str) -> None:
        """Add a field and what says it."""
        self.contract[name], self.said[name] = value, said


def claimed(subject: Subject, contract: Mapping[str, object]) -> Claims:
    """Return what is claimed beyond what the contract has."""
    found = Claims()
    _causal(subject, contract, found)
    _mask(subject, contract, found)
    _window(subject, contract, found)
    _cap(subject, found)
    _alibi(subject, found)
    _alignment(subject, contract, found)
    if why := _scale(subject):
        found.said["scale"] = why
    if (meant := _scale_of_width(subject, contract)) is not None:
        found.add("scale", *meant)
    if not prose.MUP.search(_file_of(subject.value)):
        found.said["root"] = "no word says that the logits are divided by head_dim itself"
    if why := structure.sums_to_one(subject.source, subject.module, subject.form):
        found.add("rows_sum_to_one", True, why)
    ordered = {"window", "alibi_slopes", "rotary_base"} & {*found.contract, *contract}
    why = structure.without_positions(subject.source, subject.module, subject.arguments, subject.form)
    if why and not ordered:
        found.add("positions", "none", why)
    if why := _sees_all(subject, contract_is_causal=contract.get("is_causal") is True):
        found.said["every_key"] = why
    if why := structure.cuts_gradients(subject.source):
        found.said["cut"] = why
    return found


def documented_shapes(source: Source, name: str) -> tuple[str, ...]:
    """Return the shapes of a mask that its documented axes allow, the names of `masks.SHAPES`; nothing without any."""
    axes = documented_axes(source, name)
    if not axes or any(re.search(r"\bor\b|\*", axis) for axis in axes):
        return ()
    kind = "".join("1" if axis == "1" else "H" if re.search(r"head", axis) else "x" for axis in axes[1:])
    first = re.match(r"b(s|sz|atch\w*)?$|batch", axes[0], re.IGNORECASE)
    if len(axes) > _LENGTHS and re.search(r"k|src|source|mem", axes[-2]) and not re.search(r"k|src|source", axes[-1]):
        return ()  # keys before queries: another order than is tried
    known = {"x": ("BL",), "1x": ("B1L",), "xx": ("BLL",), "11x": ("B11L",), "1xx": ("B1LL",), "Hxx": ("BHLL",)}
    return known.get(kind, ()) if first else ()


def _quoted(subject: Subject, text: str, where: str) -> str:
    """Return the words and the line of the file where they stand."""
    lines = _file_of(subject.value).splitlines()
    words = re.sub(r"\s+", " ", text).strip()
    number = next((i for i, line in enumerate(lines, 1) if words[:30] in re.sub(r"\s+", " ", line)), None)
    shown = words if len(words) <= _MOST_SHOWN else words[:_MOST_SHOWN] + "..."
    return f"{where}{f', line {number}' if number else ''}: {shown!r}"


def _file_of(value: object) -> str:
    try:
        path = inspect.getsourcefile(inspect.unwrap(cast(Callable[..., object], value)))
        return Path(path).read_text(encoding="utf-8", errors="replace") if path else ""
    except (OSError, TypeError, ValueError):
        return ""


def _documents(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield each docstring about this class alone, with what it is of; that of its file where it holds no other."""
    value = subject.value
    name = str(getattr(value, "__qualname__", ""))
    own = (
        [value, getattr(value, "__init__", None), getattr(value, "forward", None)]
        if isinstance(value, type)
        else [value]
    )
    for each in own:
        if isinstance(doc := getattr(each, "__doc__", None), str) and doc in subject.source.documentation:
            yield f"the docstring of {getattr(each, '__qualname__', name)}", doc
    module = sys.modules.get(str(getattr(value, "__module__", "")))
    doc = getattr(module, "__doc__", None)
    classes = re.findall(r"^class +\w+[^\n]*Module\b", _file_of(value), re.MULTILINE)
    if isinstance(doc, str) and isinstance(value, type) and len(classes) == 1:
        yield "the docstring of its file", doc


def _said(subject: Subject, pattern: re.Pattern[str], *, against: re.Pattern[str] | None = None) -> str | None:
    """Return the first unconditional sentence that matches, quoted; None where another one says the opposite."""
    first = None
    for where, doc in _documents(subject):
        for sentence in prose.sentences_of(doc):
            if against is not None and against.search(sentence):
                return None
            if first is None and pattern.search(sentence) and prose.is_unconditional(sentence):
                first = _quoted(subject, sentence, where)
    return first


def _mask_parameters(subject: Subject) -> list[str]:
    function = subject.value.forward if isinstance(subject.value, type) else subject.value  # type: ignore[attr-defined]
    try:
        named = parameters_of(cast(Callable[..., object], function))
    except (TypeError, ValueError):
        return []
    return [each.name for each in named if is_named(each) and role_of(each.name) in ("mask", "context mask")]


def _must_be_given(subject: Subject) -> bool:
    """Whether what is causal may have to be passed: by a flag of the call, or a mask that has room for it."""
    recipes = subject.form["arguments"]
    if any(recipe == "causal" or CAUSAL.search(name) for name, recipe in recipes.items()):
        return True
    masks = _mask_parameters(subject)
    mask = subject.form["mask"]
    if not masks:
        return False
    return len(masks) > 1 or mask is None or mask["shape"] != "BL" or not _is_of_keys(subject.source, masks[0])


def _is_of_keys(source: Source, name: str) -> bool:
    """Whether a mask is said to be (batch, seq), or the code gives it the axes of heads and queries."""
    word = re.escape(name)
    axes = rf"\b{word}(\[:, None, None|\.unsqueeze\(1\)\.unsqueeze\([12]\)|\.view\(\w+, 1, 1)"
    named = rf"\brearrange\(\s*{word}\s*,\s*['\"]\s*\w+ \w+\s*->\s*\w+ (1|\(\)) (1|\(\)) \w+\s*['\"]"
    code = structure.code_of(source)
    return documented_shapes(source, name) == ("BL",) or bool(re.search(axes, code) or re.search(named, code))


def _causal(subject: Subject, contract: Mapping[str, object], found: Claims) -> None:
    if subject.form["canonical"] == "function" or subject.form.get("context_dim") or subject.future is None:
        return
    flags = {key: value for key, value in subject.arguments.items() if CAUSAL.search(key)}
    said = _said(subject, prose.CAUSAL, against=prose.BOTH_WAYS)
    name = str(getattr(subject.value, "__qualname__", ""))
    if said is None and re.search(r"Causal(?!ity|_?Inference)", name) and not re.search(r"[Nn]on_?[Cc]ausal", name):
        said = f"the name {name}"
    for key, value in flags.items():
        if value is False:
            return
        said = f"argument {key}={value}" if value is True else said
    if said is None or subject.form["layout"] not in ("BLC", "LBC", "BCL"):
        return
    if contract.get("is_causal") is True or not _must_be_given(subject):
        found.add("is_causal", True, said)


def _mask(subject: Subject, contract: Mapping[str, object], found: Claims) -> None:
    mask = subject.form["mask"]
    if mask is None:
        return
    replaces = _said(subject, prose.REPLACES)
    joins = _said(subject, prose.JOINS)
    if joins and replaces:
        return
    if joins:
        found.add("given_mask", "joins", joins)
    elif replaces:
        found.add("given_mask", "replaces", replaces)
    elif (
        not replaces
        and "is_causal" in found.contract
        and documented_shapes(subject.source, mask["parameter"]) == ("BL",)
    ):
        axes = documented_axes(subject.source, mask["parameter"]) or ()
        text = f"{mask['parameter']} is documented as ({', '.join(axes)}), which has no room for a causal mask"
        found.add("given_mask", "joins", f"{found.said['is_causal']}; {text}")


def _window(subject: Subject, contract: Mapping[str, object], found: Claims) -> None:
    if subject.form["layout"] != "BLC" or subject.form.get("context_dim"):
        return
    for name in _WINDOW:
        width = subject.arguments.get(name)
        if isinstance(width, int) and not isinstance(width, bool) and width > 1:
            break
    else:
        return
    text = " ".join([sentences(subject.source, name), *(doc for _, doc in _documents(subject))])
    counts = prose.window_counts_query(text)
    found.contract |= {"window": width, "window_counts_query": counts}
    own = {True: ", the query's own key counted", False: ", beside the query's own key", None: ""}[counts]
    convention = own and f"{own} by its documentation"
    found.said["window"] = f"argument {name}={width}{convention}"
    if structure.is_never_read(subject.source, name):
        found.said["window unread"] = f"self.{name} is set and never read"


def _cap(subject: Subject, found: Claims) -> None:
    for name, value in subject.arguments.items():
        if _CAP.search(name) and isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            found.add("soft_cap", float(value), f"argument {name}={value}")
            if structure.is_never_read(subject.source, name):
                found.said["cap unread"] = f"self.{name} is set and never read"
            return


def _alibi(subject: Subject, found: Claims) -> None:
    if subject.module is None or "alibi" in subject.form["arguments"].values() or subject.form.get("context_dim"):
        return
    if any(re.search("alibi", name, re.IGNORECASE) and not value for name, value in subject.arguments.items()):
        return
    name = str(getattr(subject.value, "__qualname__", ""))
    flag = next((n for n, v in subject.arguments.items() if re.search("alibi", n, re.IGNORECASE) and v is True), None)
    said = f"the name {name}" if re.search(r"alibi", name, re.IGNORECASE) else None
    said = f"argument {flag}=True" if flag else said or _said(subject, prose.ALIBI)
    learned = any(re.search("slope|alibi", each) for each, _ in subject.module.named_parameters())
    if said is None or learned:
        return
    found.add("alibi_slopes", "published", said)
    if published := _said(subject, prose.PUBLISHED):
        found.said["published slopes"] = published


def _alignment(subject: Subject, contract: Mapping[str, object], found: Claims) -> None:
    said = {
        corner: text
        for corner, pattern in (("bottom_right", prose.BOTTOM_RIGHT), ("top_left", prose.TOP_LEFT))
        if (text := _said(subject, pattern))
    }
    if len(said) == 1 and contract.get("is_causal"):
        found.add("causal_alignment", *next(iter(said.items())))


def _scale(subject: Subject) -> str | None:
    """Return what says that logits are scaled, where something does."""
    code = structure.code_of(subject.source)
    file = _file_of(subject.value)
    if prose.UNSCALED.search(file):
        return None
    for name in dict.fromkeys(re.findall(rf"self\.({_OWN_SCALE})\b", code)):
        if structure.is_never_read(subject.source, name):
            return f"self.{name} is set and never read"
    if said := _said(subject, prose.SCALED):
        return said
    qualname = str(getattr(subject.value, "__qualname__", ""))
    if re.search(r"Scaled|scaled_dot", qualname):
        return f"the name {qualname}"
    rest = structure.without_comments(file)
    if re.search(r"^import math$", rest, re.MULTILINE) and not re.search(r"\bmath\.", rest):
        return "its file imports math and never uses it"
    if re.search(r"^from math import sqrt$", rest, re.MULTILINE) and not re.search(r"\bsqrt\(", rest):
        return "its file imports sqrt and never uses it"
    return structure.looks_scaled(subject.module, code, file)


def _scale_of_width(subject: Subject, contract: Mapping[str, object]) -> tuple[float, str] | None:
    """Return the scale 1/sqrt(embed_dim) and what says that it is meant, where the code has it and a text says so."""
    width = contract.get("embed_dim")
    lines = subject.source.text.splitlines()
    for at, line in enumerate(lines):
        names = [name for found in _ROOT.findall(line.partition("#")[0]) for name in found if name]
        sizes = [getattr(subject.module, name, subject.arguments.get(name)) for name in names]
        if not isinstance(width, int) or width not in sizes:
            continue
        near = " ".join(each.partition("#")[2].strip() for each in lines[max(0, at - _NEAR) : at + 1] if "#" in each)
        said = _said(subject, prose.WIDTH_MEANT)
        if prose.WIDTH_MEANT.search(near):
            said = f"the comment at its code: {near[:_MOST_SHOWN]!r}"
        if said:
            return width**-0.5, said
    return None


def _sees_all(subject: Subject, *, contract_is_causal: bool) -> str | None:
    """Return why every key must have influence on every query, where it must."""
    if structure.is_sparse(subject.source) or subject.form["canonical"] == "function":
        return None
    if subject.form.get("context_dim"):
        named = f"{getattr(subject.value, '__qualname__', '')} {subject.source.text}"
        is_off = any(CAUSAL.search(name) and value is False for name, value in subject.arguments.items())
        if re.search("causal|autoregress", named, re.IGNORECASE) and not is_off:
            return None
        return "another sequence is attended to, and nothing declares an order between the two"
    return None if contract_is_causal else _said(subject, prose.EVERY_KEY, against=prose.CAUSAL)
