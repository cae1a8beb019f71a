"""What a class or function promises, as far as arguments, attributes, source and name say it; the rest stays out."""

import re
from collections.abc import Mapping

import torch

from . import ordering
from .adapting import ROPE_BASE, Form
from .constructing import CAUSAL
from .conventions import Sizes
from .reading import Source

Found = tuple[dict[str, object], dict[str, str]]

_JOINT = re.compile(r"kv|c_attn|in_proj|query_key|key_value", re.IGNORECASE)  # makes more than one of the projections
_HEADS = ("num_heads", "n_head", "n_heads", "heads", "num_attention_heads", "nhead", "nheads", "h")
_KV_HEADS = ("num_kv_heads", "num_key_value_heads", "n_kv_heads", "kv_heads", "n_kv_head", "num_query_groups")
_HEAD_DIM = ("head_dim", "dim_head", "head_size", "d_head", "attention_head_size", "d_k", "d_kv", "head_width")
_QUERY = (
    "q_proj",
    "to_q",
    "wq",
    "query",
    "w_q",
    "q",
    "q_linear",
    "linear_q",
    "query_proj",
    "W_q",
    "W_Q",
    "fc_q",
    "query_projection",
    "q_lin",
    "w_query",
    "Wq",
    "W_query",
)
_KEY = tuple(
    re.sub(r"query", "key", name) if "query" in name else re.sub(r"[qQ]", lambda m: "K" if m[0] == "Q" else "k", name)
    for name in _QUERY
)
_VALUE = tuple(
    re.sub(r"query", "value", name) if "query" in name else re.sub(r"[qQ]", lambda m: "V" if m[0] == "Q" else "v", name)
    for name in _QUERY
)
_OUTPUT = (
    "o_proj",
    "out_proj",
    "to_out",
    "to_out.0",
    "wo",
    "w_o",
    "out",
    "o",
    "output",
    "out_linear",
    "linear_out",
    "proj",
    "output_proj",
    "fc_out",
    "W_o",
    "W_O",
    "dense",
    "fc_o",
    "out_projection",
    "out_lin",
    "c_proj",
    "Wo",
    "fc",
    "projection",
    "output_projection",
    "proj_out",
    "final",
    "unify_heads",
)
# Words of a computation that is not softmax(q k^T / sqrt(D)) v, or is not that alone.
_ODD = re.compile(
    r"softcap|soft_cap|tanh|relative|rel_pos|alibi|window|sink|residual|shortcut|identity|skip|gate|sigmoid|(?<!g)elu\b|relu|"
    r"feature_map|landmark|performer|linformer|lsh|topk|top_k|sparse|kernel|talking|null_k|mem_k|memory_k|bias_k|zero_attn|"
    r"_norm\b|norm\(|normalize|l2norm|temperature|log_?n|mscale|yarn|ntk|conv|pool|cosine|entmax|sinkhorn|pinv|"
    r"fft|decay|cumsum|roll\(|unfold|stride|dilat|chunk_size|block_size|bucket|shift|quant|lora|slope",
    re.IGNORECASE,
)
_POSITIONS = re.compile(r"rotary|rope|freqs|apply_rot|position|sinusoid|pos_emb|cos\b|sin\b", re.IGNORECASE)
_SCALED = re.compile(r"\*\*\s*\(?-\s*(0?\.5|1\s*/\s*2)|sqrt\(|rsqrt|scaled_dot_product_attention")
_CAUSAL_SOURCE = re.compile(
    r"\btril\b|\btriu\b|is_causal\s*=\s*True|causal_mask|look_ahead|subsequent_mask|mask_future"
)
_IN_ORDER = ("BLC", "LBC", "BCL")  # of an image or volume, causal may be said of an axis that is not the positions
_NEARLY_ALL = 0.95  # of the pairs: some weights are too small to show
_MOSTLY = 0.5  # a wrong diagonal lets a few later keys through, and remains a causal mask with a defect


def inferred(
    module: torch.nn.Module | None,
    name: str,
    source: Source,
    arguments: Mapping[str, object],
    form: Form,
    sizes: Sizes,
    *,
    future: float | None,
) -> Found:
    """Return the fields of the contract and why each is what it is.

    Args:
        module: what was built; None of a function.
        name: of the class or function.
        source: of it.
        arguments: that it was built with, with the fields of its configurations, by their last name.
        form: in which it is called.
        sizes: of the inputs.
        future: share of the later keys that move an earlier output; None where it was not measured.
    """
    if form["canonical"] == "function":
        return _of_function(name, source, form, sizes, future)
    assert module is not None
    contract: dict[str, object] = {"embed_dim": sizes.embed, "key_mask": form["mask"] is not None}
    why = {"embed_dim": "width of the inputs that it takes"}
    for key, names in (("num_heads", _HEADS), ("num_kv_heads", _KV_HEADS), ("head_dim", _HEAD_DIM)):
        for each in names:
            value, where = _number(module, arguments, each)
            if value is not None:
                contract[key], why[key] = value, where
                break
    _fill_sizes(contract, why, module)
    causal, reason = _causality(
        name, source, arguments, future, masked=bool(form["mask"]), layout=form["layout"], module=module
    )
    if causal is None and future is not None and form["layout"] in _IN_ORDER:
        causal, reason = _by_code(source, module, arguments, form) or (None, reason)
    if causal is not None:
        contract["is_causal"] = causal
    if reason:
        why["is_causal"] = reason
    _projections(contract, why, module, source, form, future)
    return contract, why


def _number(module: torch.nn.Module, arguments: Mapping[str, object], name: str) -> tuple[int | None, str]:
    value = arguments.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value, f"argument {name}"
    value = getattr(module, name, None)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value, f"attribute {name}"
    return None, ""


def _fill_sizes(contract: dict[str, object], why: dict[str, str], module: torch.nn.Module) -> None:
    """Add or take back sizes of heads by those of the projections, where both are there."""
    layers = dict(module.named_modules())
    query = next((layers[name] for name in _QUERY if isinstance(layers.get(name), torch.nn.Linear)), None)
    key = next((layers[name] for name in _KEY if isinstance(layers.get(name), torch.nn.Linear)), None)
    heads, dim = contract.get("num_heads"), contract.get("head_dim")
    embed = contract["embed_dim"]
    assert isinstance(embed, int)
    if isinstance(heads, int) and not isinstance(dim, int):
        width = query.out_features if isinstance(query, torch.nn.Linear) else embed
        if width % heads == 0:
            contract["head_dim"] = dim = width // heads
            why["head_dim"] = f"width {width} / num_heads {heads}"
    if isinstance(heads, int) and isinstance(dim, int) and "num_kv_heads" not in contract:
        width = key.out_features if isinstance(key, torch.nn.Linear) else 0
        joint = any(p.dim() >= 2 and p.shape[0] == 3 * heads * dim for p in module.parameters())
        if width and width % dim == 0 and heads % (width // dim) == 0:
            contract["num_kv_heads"] = width // dim
            why["num_kv_heads"] = "width of the keys / head_dim"
        elif not width and joint:
            contract["num_kv_heads"] = heads
            why["num_kv_heads"] = "one projection makes queries, keys and values of the same width"
    groups = contract.get("num_kv_heads")
    if isinstance(heads, int) and isinstance(groups, int) and heads % groups:
        del contract["num_kv_heads"], why["num_kv_heads"]


def _causality(
    name: str,
    source: Source,
    arguments: Mapping[str, object],
    future: float | None,
    *,
    masked: bool,
    layout: str,
    module: torch.nn.Module | None,
) -> tuple[bool | None, str | None]:
    """Return what is said of causality and by what; None where nothing says it, or a mask has to be passed for it."""
    if future is None or layout not in _IN_ORDER:
        return None, None
    flags = {key: value for key, value in arguments.items() if CAUSAL.search(key) and isinstance(value, bool)}
    for key, value in flags.items():
        if value and future > _MOSTLY and masked:
            return None, f"argument {key}=True, but without a mask later tokens are seen"
        return value, f"argument {key}={value}"
    attribute = next((key for key in ("causal", "is_causal") if getattr(module, key, None) is True), None)
    said = f"attribute {attribute}=True" if attribute else None
    found = _CAUSAL_SOURCE.search(source.text)
    if not said and re.search(r"causal", name, re.IGNORECASE) and not re.search(r"non_?causal", name, re.IGNORECASE):
        said = f"the name {name}"
        if not found and future > _MOSTLY:
            return None, f"the name {name}, but later tokens are seen and the source makes no causal mask"
        return (True, said) if future <= _MOSTLY or not masked else (None, f"{said}, but the mask has to be passed")
    if not said and found:
        said = f"{found[0]} in the source"
    if said and future <= _MOSTLY:
        return True, said
    return None, f"{said}, but later tokens are seen" if said else None


def _is_plain(source: Source, form: Form) -> bool:
    """Whether the source reads as softmax attention with the usual scale and nothing else.

    An input that is added to what comes of it is a residual, a mask that is multiplied with something hides queries.
    """
    text = re.sub(r'"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|#[^\n]*', "", source.text)
    softmax = re.search(r"softmax|scaled_dot_product_attention", text)
    given = [re.escape(name) for name, recipe in form["arguments"].items() if recipe == "hidden"]
    masks = [re.escape(form["mask"]["parameter"])] if form["mask"] and form["mask"]["parameter"] else []
    added = any(re.search(rf"(?<![\w.]){name}\s*\+=?|\+=?\s*{name}\b", text) for name in given)
    hidden = any(re.search(rf"\*\s*{name}\b|(?<![\w.]){name}[\w.()\[\],: ]*\*[^*]", text) for name in masks)
    return bool(softmax and _SCALED.search(text)) and not (_ODD.search(text) or added or hidden)


def _by_code(
    source: Source, module: torch.nn.Module, arguments: Mapping[str, object], form: Form
) -> tuple[bool, str] | None:
    """Return that later keys are hidden, and the line that hides them in every call; None where none does."""
    if form["mask"] or form.get("context_dim") or any(CAUSAL.search(name) for name in arguments):
        return None
    line = ordering.hides_later(source) or ordering.hides_later_within(source, module)
    return (True, f"its code hides later tokens in every call: {line}") if line else None


def reads_as_plain(source: Source, form: Form) -> bool:
    """Whether the source of a function reads as softmax attention with the usual scale and without positions."""
    return _is_plain(source, form) and not _POSITIONS.search(source.code)


def _projections(
    contract: dict[str, object],
    why: dict[str, str],
    module: torch.nn.Module,
    source: Source,
    form: Form,
    future: float | None,
) -> None:
    """Add the projections where everything that the module holds are four linear layers of exactly these sizes."""
    embed, heads, dim, groups = (contract.get(key) for key in ("embed_dim", "num_heads", "head_dim", "num_kv_heads"))
    if not (isinstance(embed, int) and isinstance(heads, int) and isinstance(dim, int) and isinstance(groups, int)):
        return
    linears = {name: layer for name, layer in module.named_modules() if isinstance(layer, torch.nn.Linear)}
    sizes = {
        "query": (heads * dim, embed),
        "key": (groups * dim, embed),
        "value": (groups * dim, embed),
        "output": (embed, heads * dim),
    }
    names: dict[str, object] = {}
    for role, many in (("query", _QUERY), ("key", _KEY), ("value", _VALUE), ("output", _OUTPUT)):
        found = [name for name in many if name in linears and tuple(linears[name].weight.shape) == sizes[role]]
        if len(found) != 1:
            fused = ((heads + 2 * groups) * dim, 2 * groups * dim)
            joint = next((n for n, each in linears.items() if _JOINT.search(n) and each.out_features in fused), None)
            if joint is not None:
                why["projections"] = f"{joint} is fused, and only four layers of their own can be declared"
            return
        names[role] = found[0]
    held = {f"{name}.{kind}" for name in names.values() for kind in ("weight", "bias")}
    if {key for key, _ in module.named_parameters()} - held or not _is_plain(source, form):
        return
    if any(
        not isinstance(each, torch.nn.Linear | torch.nn.Dropout | torch.nn.Identity | torch.nn.Softmax)
        for each in _leaves_of(module)
    ):
        return
    rope = [recipe for recipe in form["arguments"].values() if str(recipe).startswith(("rope", "cos"))]
    if rope == ["rope pair"] and form["rope"] == dim and "rotate_half" in source.code:
        layout = "interleaved" if form.get("rope pairs") == "neighbours" else "half"
        contract |= {"rotary_base": ROPE_BASE, "rotary_layout": layout}
        why["rotary_base"] = "rotate_half in the source, on tables of this base"
    elif rope or _POSITIONS.search(source.code):
        return
    contract["projections"] = names
    why["projections"] = "conventional names and sizes that fit; nothing else has parameters"
    if "is_causal" not in contract and future is not None and future > _NEARLY_ALL and "is_causal" not in why:
        # Nothing says that it is causal, and every later token is seen.
        contract["is_causal"] = False
        why["is_causal"] = "nothing says causal, and later tokens are seen"


def _leaves_of(module: torch.nn.Module) -> list[torch.nn.Module]:
    return [each for each in module.modules() if not list(each.children()) and each is not module]


def _of_function(name: str, source: Source, form: Form, sizes: Sizes, future: float | None) -> Found:
    contract: dict[str, object] = {
        "num_heads": sizes.heads,
        "num_kv_heads": form.get("kv_heads") or sizes.heads,
        "head_dim": sizes.head_dim,
        "key_mask": form["mask"] is not None,
    }
    why = {"num_heads": "heads of the queries that it is given", "num_kv_heads": "heads of the keys that it takes"}
    if not form["uneven"]:
        contract["equal_lengths"], why["equal_lengths"] = True, "it was called with as many queries as keys"
    switch = next((key for key, recipe in form["arguments"].items() if recipe == "causal"), None)
    if not reads_as_plain(source, form):
        return contract, why
    if switch:
        contract["is_causal"], why["is_causal"] = True, f"argument {switch}"
        if form.get("alignment"):
            contract["causal_alignment"] = form["alignment"]
            why["causal_alignment"] = "the keys that the first of fewer queries sees"
    elif future is not None and future > _NEARLY_ALL:
        contract["is_causal"], why["is_causal"] = False, "no argument for it, and later keys are seen"
    return contract, why
