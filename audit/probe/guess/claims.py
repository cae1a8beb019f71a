"""What the documentation, names and source of a class or function promise without a condition, with the line of it.

A claim is made only by a sentence about this class that has no condition; where two contradict each other there is
none. What nothing says stays undeclared.
"""

import re
from collections.abc import Callable, Mapping
from typing import cast

from . import prose, structure
from .claims_of import WINDOW, Claims, Subject, claim_window, documents, file_of, first_saying
from .constructing import CAUSAL
from .function_claims import claim_of_function
from .reading import Source, documented_axes, parameters_of
from .roles import is_named, role_of

_MOSTLY = 0.5  # of the later keys: a wrong diagonal lets a few through
_CAP = re.compile(r"^(attn?_?|attention_)?(logits?_?)?(soft_?cap(ping)?|_?cap)(_?value)?$|^logits?_cap$")
_OWN_SCALE = r"scale|scaling|softmax_scale|sm_scale|attn_scale|qk_scale|inv_norm_factor|norm_factor|scale_factor"
# The root of a size, however it is written.
_ROOT = re.compile(r"sqrt\(\s*(?:self\.)?(\w+)\s*\)|(?:self\.)?\b(\w+)\s*\*\*\s*\(?\s*-?\s*(?:0?\.5\b|1\s*/\s*2)")
_NEAR = 3  # lines above it in which a comment may stand
_MOST_SHOWN = 100  # characters of a line that is quoted
# Models whose weights are published in this order of heads: Touvron et al. 2023 (arXiv:2307.09288) and what follows it.
_INTERLEAVED = re.compile(
    r"(Llama|Mistral|Mixtral|Qwen[23]?|Gemma[23]?|Phi3|Olmo2?|StableLm|Starcoder2|Cohere)\w*Attention"
)
_WINDOWS_OF_IMAGES = re.compile(
    r"\b(num_windows|nW|n_windows) ?\* ?(B|batch\w*)\b|\b(B|batch\w*) ?\* ?(num_windows|nW|n_windows)\b"
)
_UNSCALED = re.compile(r"(U?[mM])?T5(Layer)?(Self|Cross)?Attention$|LongT5(Local|TransientGlobal)?Attention$")
_LENGTHS = 2  # axes of a mask that are lengths: with them it can hold a causal one


def claimed(subject: Subject, contract: Mapping[str, object]) -> Claims:
    """Return what is claimed beyond what the contract has."""
    found = Claims()
    _causal(subject, contract, found)
    claim_of_function(subject, contract, found)
    _mask(subject, contract, found)
    _window(subject, contract, found)
    _cap(subject, found)
    _alibi(subject, found)
    _alignment(subject, contract, found)
    if (name := str(getattr(subject.value, "__qualname__", ""))) and _UNSCALED.match(name):
        found.add("scale", 1.0, f"the name {name}: T5 does not scale the logits, Raffel et al. 2020 (arXiv:1910.10683)")
    if why := _scale(subject):
        found.said["scale"] = why
    if (meant := _scale_of_width(subject, contract)) is not None:
        found.add("scale", *meant)
    if not prose.MUP.search(file_of(subject.value)):
        found.said["root"] = "no word says that the logits are divided by head_dim itself"
    if why := structure.sums_to_one(subject.source, subject.module, subject.form):
        found.add("rows_sum_to_one", True, why)
    ordered = {"window", "alibi_slopes", "rotary_base"} & {*found.contract, *contract}
    why = structure.without_positions(subject.source, subject.module, subject.arguments, subject.form)
    if why and not ordered:
        found.add("positions", "none", why)
    if why := _sees_all(subject, contract_is_causal=contract.get("is_causal") is True):
        found.said["every_key"] = why
    if why := _masks_of_windows(subject):
        found.said["window masks"] = why
    if why := _grouping(subject):
        found.said["head_grouping"] = why
    if why := structure.cuts_gradients(subject.source):
        found.said["cut"] = why
    if found.contract.get("rows_sum_to_one") and (
        why := structure.linear_in_values(subject.source, subject.module, subject.form)
    ):
        found.said["linear"] = why
    if why := structure.averages_over_length(subject.source):
        found.said["averaged"] = why
    if why := structure.in_blocks(subject.source):
        found.said["blocks"] = why
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
    said = first_saying(subject, prose.CAUSAL, against=prose.BOTH_WAYS)
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
    replaces = first_saying(subject, prose.REPLACES)
    joins = first_saying(subject, prose.JOINS)
    if joins and replaces:
        return
    if joins:
        found.add("given_mask", "joins", joins)
    elif replaces:
        found.add("given_mask", "replaces", replaces)
    elif "is_causal" in found.contract and documented_shapes(subject.source, mask["parameter"]) == ("BL",):
        axes = documented_axes(subject.source, mask["parameter"]) or ()
        text = f"{mask['parameter']} is documented as ({', '.join(axes)}), which has no room for a causal mask"
        found.add("given_mask", "joins", f"{found.said['is_causal']}; {text}")
    elif "is_causal" in found.contract and mask["shape"] == "BL" and _is_of_keys(subject.source, mask["parameter"]):
        text = f"its code gives {mask['parameter']} the axes of heads and queries: it has no room for a causal mask"
        found.add("given_mask", "joins", f"{found.said['is_causal']}; {text}")
    elif (
        contract.get("is_causal")
        and _has_causal_flag(subject)
        and mask["shape"] == "BL"
        and _is_of_keys(subject.source, mask["parameter"])
    ):
        text = f"{mask['parameter']} is a mask of keys (batch, keys), which has no room for a causal mask"
        found.add("given_mask", "joins", text)


def _has_causal_flag(subject: Subject) -> bool:
    """Whether a module was built with causality switched on."""
    return any(CAUSAL.search(name) and value is True for name, value in subject.arguments.items())


def _window(subject: Subject, contract: Mapping[str, object], found: Claims) -> None:
    if subject.form["layout"] != "BLC" or subject.form.get("context_dim"):
        return
    for name in WINDOW:
        width = subject.arguments.get(name)
        if isinstance(width, int) and not isinstance(width, bool) and width > 1:
            break
    else:
        return
    claim_window(subject, found, name, width)
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
    said = f"argument {flag}=True" if flag else said or first_saying(subject, prose.ALIBI)
    learned = any(re.search("slope|alibi", each) for each, _ in subject.module.named_parameters())
    if said is None or learned:
        return
    found.add("alibi_slopes", "published", said)
    if published := first_saying(subject, prose.PUBLISHED):
        found.said["published slopes"] = published


def _alignment(subject: Subject, contract: Mapping[str, object], found: Claims) -> None:
    said = {
        corner: text
        for corner, pattern in (("bottom_right", prose.BOTTOM_RIGHT), ("top_left", prose.TOP_LEFT))
        if (text := first_saying(subject, pattern))
    }
    if len(said) == 1 and (contract.get("is_causal") or found.contract.get("is_causal")):
        found.add("causal_alignment", *next(iter(said.items())))


def _masks_of_windows(subject: Subject) -> str | None:
    """Return what says that samples are the windows of images, one image after the other, with a mask for each."""
    mask = subject.form["mask"]
    if (
        mask is None
        or mask["shape"] not in ("B1L", "BLL")
        or subject.form["layout"] != "BLC"
        or subject.form.get("context_dim")
    ):
        return None
    own = " ".join(doc for _, doc in documents(subject))
    name = str(getattr(subject.value, "__qualname__", ""))
    if not re.search(r"\bS?W-MSA\b|\bSwin", f"{name} {own}") or not _WINDOWS_OF_IMAGES.search(own):
        return None
    axes = documented_axes(subject.source, mask["parameter"]) or ("",)
    is_of_windows = re.fullmatch(r"(num_?)?windows|n_?windows|nW|num_win", axes[0])
    return f"{mask['parameter']} is documented as ({', '.join(axes)})" if is_of_windows else None


def _grouping(subject: Subject) -> str | None:
    """Return what says that neighbouring query heads share a key head, as the weights of public models need it."""
    if re.search(r"\btiled?\b", file_of(subject.value)):
        return None
    if "repeat_kv(" in structure.code_of(subject.source):
        return "its code calls repeat_kv, which repeats each key head for the query heads next to each other"
    name = str(getattr(subject.value, "__qualname__", ""))
    return f"the name {name}" if _INTERLEAVED.match(name) else None


def _scale(subject: Subject) -> str | None:
    """Return what says that logits are scaled, where something does."""
    code = structure.code_of(subject.source)
    file = file_of(subject.value)
    if prose.UNSCALED.search(file):
        return None
    for name in dict.fromkeys(re.findall(rf"self\.({_OWN_SCALE})\b", code)):
        if structure.is_never_read(subject.source, name):
            return f"self.{name} is set and never read"
    if said := first_saying(subject, prose.SCALED):
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
        said = first_saying(subject, prose.WIDTH_MEANT)
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
    return None if contract_is_causal else first_saying(subject, prose.EVERY_KEY, against=prose.CAUSAL)
