"""Which branches a target has: libraries and options that its source names, and calls of torch's fused attention.

What is read here only says what is worth trying. Whether a branch ran is counted when it is forced.
"""

import ast
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch.overrides import TorchFunctionMode

from . import specs as specs_
from .attention import _leaves
from .branches import TRITON
from .callee import callee_of
from .guess.loading import load
from .guess.reading import Source, read, string_options
from .guess.searching import namespace_of
from .guess.values import decoded
from .phases import phase
from .standins.installing import FLEX, NAMES
from .tensors import load as load_tensors

SDPA = "scaled_dot_product_attention"
# An option that names an implementation, and none of what else may be fused or fast.
_FLAG = re.compile(
    r"^_?(use|enable|with|has|using|is)?_?(flash|fused|sdpa?|xformers?|mem(ory)?_?eff|flex|triton|torch_attn|einsum|naive"
    r"|eager|manual|fast_attn|native_attn|math)[a-z0-9_]*$"
)
_OTHER_PART = re.compile(
    r"qkv|mlp|norm|rope|rotary|rotate|bias|conv|dropout|proj|act|gelu|embed|top_left|pack|supports|available|decay|loss|swiglu"
)
_CHOICE = re.compile(r"^_?(attn|attention|sdpa?|kernel)?_?(implementation|impl|backend|kernel|engine|kernel_type)$")
# Words for implementations of one and the same function; others, such as `linear`, are other functions.
_IMPLEMENTATION = re.compile(
    r"^(eager|manual|naive|vanilla|plain|math|torch|pytorch|native|default|reference|standard|einsum|sdpa?|torch_sdpa"
    r"|fused|flash|flash_?attn|flash_?attention|(flash_?attn_?|flash_?attention_?|flash_?|fa)[23]|xformers?|cutlass"
    r"|mem(ory)?_?eff(icient)?(_?attention)?|efficient|flex(_?attention)?|triton)$",
    re.IGNORECASE,
)


def _imported(name: str) -> re.Pattern[str]:
    """Match where a text imports a library or asks by its name whether it is installed; not where it speaks of it."""
    return re.compile(rf"^\s*(from|import)\s+(torch\.nn\.attention\.)?{name}\b|[\"']{name}[\"']", re.MULTILINE)


_MENTIONS: Mapping[str, re.Pattern[str]] = {name: _imported(name) for name in (*NAMES, TRITON)} | {
    FLEX: re.compile(r"^\s*(from|import)\s+.*\bflex_attention\b|nn\.attention\.flex_attention", re.MULTILINE)
}
_CONFIG_CHOICE = "_attn_implementation"
_OF_CONFIG = ("sdpa", "flash_attention_2", "flex_attention")
Option = tuple[list[object], list[object]]


class _Counting(TorchFunctionMode):
    """Counts the calls of torch's fused attention, by whatever name the target has it, and notes in which dtypes."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.dtypes: set[str] = set()

    def __torch_function__(
        self, func: object, types: object, args: tuple[object, ...] = (), kwargs: Mapping[str, object] | None = None
    ) -> object:
        if getattr(func, "__name__", "") == SDPA:
            self.count += 1
            given = [*args, *(kwargs or {}).values()][:1]
            self.dtypes |= {str(each.dtype).removeprefix("torch.") for each in given if isinstance(each, torch.Tensor)}
        return func(*args, **(kwargs or {}))  # type: ignore[operator]


def survey(
    subject: dict[str, object], declared: str, seed: int, dtype: str, calls: list[dict[str, object]], tensors: bytes
) -> dict[str, object]:
    """Build the subject, make the calls, and tell what other branches its source names.

    A module of another class than `declared` is not called.

    Returns:
        `class`: of the module that was built;
        `sdpa`: how often torch's fused attention was called, `sdpa_dtypes`: in which dtypes; `libraries`: those that
        the source names, `cuda`: whether
        it asks for a GPU; `guards_sdpa`: None, or where it asks whether torch has fused attention, `import` or `call`;
        `attributes`: pairs of an attribute that names an implementation and the other values that it may have;
        `arguments`: likewise of the constructor, or of a function, by the path to it; `absent`: libraries among these
        that have no stand-in here and are not installed.
    """
    callee = callee_of(subject, seed, dtype)
    if callee.identity["class"] not in (None, declared):
        return callee.identity
    inputs = load_tensors(tensors)
    counting = _Counting()
    with phase("forward"), torch.no_grad(), counting:
        for call in calls:
            callee.call(_leaves(inputs, call, requires_grad=False), call)
    value = _value_of(subject, callee.module)
    parts = [] if callee.module is None else list(callee.module.modules())
    named = {type(part) for part in parts} | ({value} if value is not None else set())
    owned = [each for each in named if not str(getattr(each, "__module__", "torch")).startswith("torch.")]
    texts = sorted({_file_text(each) for each in owned})
    libraries = [name for name, pattern in _MENTIONS.items() if any(pattern.search(text) for text in texts)]
    return {
        "class": callee.identity["class"],
        "sdpa": counting.count,
        "sdpa_dtypes": sorted(counting.dtypes),
        "libraries": libraries,
        "cuda": any("cuda" in text for text in texts),
        "guards_sdpa": _guard(texts),
        "attributes": [[name, values] for name, values in sorted(_attributes(parts).items())],
        "arguments": [[path, values] for path, values in _arguments(subject, value)],
        "absent": [TRITON] if TRITON in libraries and importlib.util.find_spec(TRITON) is None else [],
    }


def _value_of(subject: Mapping[str, object], module: torch.nn.Module | None) -> object:
    if module is not None:
        return type(module)
    if subject["kind"] == "guess":
        return load(str(subject["path"]), cast(str | None, subject["module"]), str(subject["qualname"])).value
    spec = specs_.entry(str(subject["specs"]), "ATTENTION", str(subject["name"]))
    module_name, _, name = str(spec.get("function", "")).partition(":")
    return getattr(sys.modules.get(module_name), name, None)


def _file_text(value: object) -> str:
    try:
        return inspect.getsource(inspect.getmodule(value) or value)  # type: ignore[arg-type]
    except (OSError, TypeError):
        return ""


def _guard(texts: list[str]) -> str | None:
    """Return where a text asks whether torch has fused attention."""
    found = []
    for text in texts:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        inside = {id(child) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for child in ast.walk(node)}
        found += ["call" if id(node) in inside else "import" for node in ast.walk(tree) if _asks(node)]
    return "import" if "import" in found else next(iter(found), None)


def _asks(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=str(text)):
            return text == SDPA
        case ast.Try(body=body):
            return any(
                isinstance(each, ast.ImportFrom) and any(alias.name == SDPA for alias in each.names) for each in body
            )
    return False


def _attributes(parts: list[torch.nn.Module]) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for part in parts:
        if type(part).__module__.startswith("torch."):
            continue
        source = read(type(part))
        for name, held in vars(part).items():
            if re.search(rf"\bself\.{re.escape(name)}\b", source.text):
                others = _others(name, held, string_options(source, name, "", {}, is_text=isinstance(held, str)))
                found |= {name: others} if others else {}
    return found


def _others(name: str, held: object, texts: tuple[str, ...]) -> list[object]:
    """Return the other values of an option that names an implementation; none of one that does not."""
    if isinstance(held, bool) and _FLAG.match(name) and not _OTHER_PART.search(name):
        return [not held]
    if isinstance(held, str) and _CHOICE.match(name) and _IMPLEMENTATION.match(held):
        return [text for text in dict.fromkeys(texts) if text != held and _IMPLEMENTATION.match(text)]
    return []


def _arguments(subject: Mapping[str, object], value: object) -> Iterator[Option]:
    """Yield the paths in a guess's choices to options that name implementations, and their other values."""
    if subject["kind"] != "guess" or value is None:
        return
    choices = cast(Mapping[str, Mapping[str, object]], subject["choices"])
    source, namespace = read(value), namespace_of(value)
    is_module = isinstance(value, type)
    given = choices["arguments"] if is_module else cast(Mapping[str, object], choices["form"]["arguments"])
    for each in _parameters(value):
        if is_module or each.name not in given or isinstance(given[each.name], Mapping):
            made = given.get(each.name, each.default)
            held = made.get("const") if not is_module and isinstance(made, Mapping) else made
            texts = string_options(source, each.name, each.annotation, namespace, is_text=isinstance(held, str))
            others = _others(each.name, held, texts + _text(each.default))
            path: list[object] = ["arguments", each.name] if is_module else ["form", "arguments", each.name]
            if others:
                yield path, others if is_module else [{"const": other} for other in others]
    if is_module:
        yield from _of_configs(given, ["arguments"], source, namespace)


def _of_configs(
    made: Mapping[str, object], at: list[object], source: Source, namespace: Mapping[str, object]
) -> Iterator[Option]:
    for name, value in made.items():
        if isinstance(value, Mapping):
            chosen = value.get("set")
            if isinstance(chosen, Mapping) and _CONFIG_CHOICE in chosen:
                held = chosen[_CONFIG_CHOICE]
                yield [*at, name, "set", _CONFIG_CHOICE], [each for each in _OF_CONFIG if each != held]
            for key in ("$settings", "arguments"):
                inner = value.get(key)
                if not isinstance(inner, Mapping):
                    continue
                defaults: dict[str, object] = {}
                if "$call" in value:
                    built = decoded({"$name": value["$call"]}, namespace)
                    defaults = {each.name: each.default for each in _parameters(built)}
                for setting, held in (defaults | dict(inner)).items():
                    texts = string_options(source, setting, "", namespace, is_text=isinstance(held, str))
                    texts += _text(defaults.get(setting))
                    if others := _others(setting, held, texts):
                        yield [*at, name, key, setting], others
                yield from _of_configs(inner, [*at, name, key], source, namespace)


def _text(default: object) -> tuple[str, ...]:
    return (default,) if isinstance(default, str) else ()


def _parameters(value: object) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(value).parameters.values())  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return []
