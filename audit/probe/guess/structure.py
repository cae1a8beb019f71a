"""What the code and the layers of a class say by what they have and by what they have not."""

import ast
import re
from collections.abc import Mapping

import torch

from .adapting import Form
from .conventions import LONGEST
from .layouts import is_length
from .reading import Source

_I = re.IGNORECASE
_DIVISOR = re.compile(r"(?<!/)/ *([A-Za-z_]\w*)\b(?! *[.\[(*])")  # a name, and nothing of it
_KNOWN_LAYERS = (
    "Linear", "NonDynamicallyQuantizableLinear", "Dropout", "Identity", "Softmax", "LayerNorm", "RMSNorm", "ReLU",
    "GELU", "SiLU", "ModuleList", "Sequential", "MultiheadAttention",
)  # fmt: skip
# What gives tokens positions, or neighbours, or another order than that of their content.
_ORDERED = re.compile(
    r"\bpos(?!sib|t\b|itive)|_pos\b|_pos_|posit(?!ive)|rope\b|rotary|rotat|freq|sinus|\bcos\b|\bsin\b|relative|rel_|alibi|slope|conv|pool|fold\(|"
    r"roll\(|shift|window|chunk_|_chunk|block|bucket|stride|decay|cumsum|lstm|\bgru\b|\brnn\b|fft|arange|linspace|"
    r"meshgrid|grid|flip|cls|patch|landmark|hash|sort|topk|top_k|random|\brand|height|width|spatial|frame|temporal|"
    r"segment|num_tokens|seq_len|max_len|seqlen|length\b.*nn\.|interpolate|upsample|downsample|pad\(|nested|cu_seq|"
    r"order|local|dilat|sparse|axial|bigbird|routing|cluster|memory|state|cache|register",
    _I,
)
_CAUSAL_CODE = re.compile(r"causal|tril|triu", _I)
_HARMLESS = re.compile(r"state_dict|hidden_states?\b|\w+_states?\b|chunk\(\s*\d|past_key_values?\b|register_buffer")
# Arguments of a constructor that say nothing of positions.
_SIZES = re.compile(
    r"dim|size|embed|head|channel|feature|width|hidden|dropout|drop|bias|eps|norm|scale|act|inner|proj|model|"
    r"init|layer_idx|qk|kv|^d_|^n_embd$|^h$|^c$|dtype|device|gate|expert|batch_first|config",
    _I,
)
# What weights that sum to one do not explain.
_NO_SUM = re.compile(
    r"sink|mem(ory)?_|null_|bias_k|zero_attn|register_tok|conv|pool|fold\(|pad\(|pos_|posit|\bpe\b|relative|rel_|landmark|"
    r"linformer|pinv|hash|fft|softmax_?(one|1|plus)|off_by|quiet|ghost|\+\s*1\s*\)|sigmoid|retention|decay|delta|"
    r"lstm|gru|noise|rand\w*_like|randperm|patch|interpolate|proj_k|E_k|topk|nested|cu_seq|roll\(|window_part|arange|"
    r"class channel_?att|cross_?covariance|\bxca\b",
    _I,
)
_NO_SUM_OF_FUNCTION = re.compile(
    r"sink|quiet|off_by|softmax_?(one|1)|null|\+\s*1\s*\)|logaddexp|\.sum\([^()]*\)\s*\+|sigmoid|decay|relu\(|random|\brand|"
    r"norm\(|dropout_p\s*=\s*0?\.\d",
    _I,
)
_SOFTMAX = re.compile(r"softmax\(|scaled_dot_product_attention|MultiheadAttention|logsumexp")
_BY_HAND = re.compile(r"\.exp\(|torch\.exp\(|exp2\(")
_SUMMED = re.compile(r"\.(sum|cumsum)\(|normali[sz]er|denom|\bz\s*=|ones_like")
_OF_KEYS = re.compile(
    r"\bk\w*(\.\w+\([^()]*\))*\.(sum|cumsum)\(|(k_?sum|k_?cumsum|normali[sz]er|denom\w*|\bz|d_inv)\s*="
)
_SPARSE = re.compile(
    r"topk|top_k|sparse|window|local|block|neighbo|routing|deform|sampl|sparsemax|entmax|hash|bucket|sort|stride|"
    r"dilat|cluster|gumbel|assign|argmax|one_hot|threshold|relu\(|select|gather|landmark|nested|cu_seq|mask_fn|prune|segment",
    _I,
)
_CUT = re.compile(
    r"detach\(|no_grad|stop_grad|inference_mode|round\(|quant|\.sign\(|straight|argmax|topk|bernoulli|gumbel|"
    r"multinomial|\.half\(|bfloat16|revers\w*grad|grad\w*revers|floor\(|hash|sort\(|\.data\b",
    _I,
)
# A loop that takes some keys at a time, by steps of a range or parts of a tensor.
_LOOP = re.compile(r"^\s*(?:async )?(?:for|while)\b", re.MULTILINE)
_IN_BLOCKS = re.compile(r"\brange\([^()]*(?:\([^()]*\)[^()]*)*,[^()]*,|block|tile|chunk|\.split\(|\bmaximum\(", _I)
_CUT_SUM = re.compile(r"\.sum\([^()]*\)(?:\.\w+\([^()]*\))*?\.detach\(\)", _I)
_LINEAR = ("Linear", "NonDynamicallyQuantizableLinear", "Dropout", "Identity", "ModuleList", "Sequential")
# What is not linear in the values, or may not be; a softmax sums to one by itself.
_BENDS = re.compile(
    r"gat(e|ing)|sigmoid|silu|swish|gelu|tanh|norm\(|_norm\b|normalize\(|layer_?norm|rms|clamp|dropout\(|softplus|glu\(",
    _I,
)

_QUERIES = re.compile(r"(to_|w_?|fc_|c_|in_)?(q|query|qkv|attn|query_key_value)(_?proj|_?lin\w*)?", _I)


def without_comments(text: str) -> str:
    """Return code without docstrings and comments."""
    return re.sub(r'"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|#[^\n]*', "", text)


def code_of(source: Source) -> str:
    """Return the code of a class or function without docstrings and comments."""
    return without_comments(source.text)


def is_never_read(source: Source, name: str) -> bool:
    """Whether an attribute is set, from the argument of this name or to a formula, and read nowhere in the class."""
    loads: list[ast.expr] = []
    taken: set[int] = set()  # what is but put into an attribute
    stored = {name}
    is_set = False
    for node in (node for tree in source.trees for node in ast.walk(tree)):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target, value in (pair for each in targets for pair in _pairs(each, node.value)):
                if isinstance(target, ast.Attribute) and (_called(value) == name or target.attr == name):
                    stored.add(target.attr)
                    is_set = True
                    taken |= {id(value)} if _called(value) == name else set()
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            loads.append(node)
    read = [each for each in loads if _called(each) in stored and id(each) not in taken]
    return is_set and not read and not re.search(r"getattr\(|__dict__|vars\(", code_of(source))


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]


def _called(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


def _plain_layers(module: torch.nn.Module, *, tables: bool = False) -> bool:
    """Whether every layer is one of those that treat tokens one by one, and no parameter belongs to positions.

    With `tables`, matrices that are no weight of a layer may be there, if none has the longest length.
    """
    for each in module.modules():
        if type(each).__name__ not in _KNOWN_LAYERS and not _is_own(each, module):
            return False
    held = [*module.named_parameters(), *module.named_buffers()]
    # One number for each head may be of any shape.
    held = [(name, tensor) for name, tensor in held if tensor.numel() > max(tensor.shape, default=1)]
    return not any(tensor.dim() > 2 or LONGEST in tensor.shape[:-1] for _, tensor in held) and (
        tables or all(tensor.dim() < 2 or name.endswith("weight") for name, tensor in held)
    )


def _is_own(each: torch.nn.Module, module: torch.nn.Module) -> bool:
    """Whether a layer is the class that is read; the code of others was not."""
    return each is module


def without_positions(
    source: Source, module: torch.nn.Module | None, arguments: Mapping[str, object], form: Form
) -> str | None:
    """Return why the order of tokens cannot matter; None where something may give them positions."""
    if module is None or form["layout"] != "BLC" or not _plain_layers(module):
        return None
    code = _HARMLESS.sub("", code_of(source))
    if _ORDERED.search(code):
        return None
    if _CAUSAL_CODE.search(code) and not any(
        re.search("causal", name, _I) and value is False for name, value in arguments.items()
    ):
        return None
    for recipe in form["arguments"].values():
        constant = isinstance(recipe, Mapping) and recipe.get("const", 0) in (None, False)
        if recipe not in ("hidden", "context") and not constant:
            return None
    for name, value in arguments.items():
        if isinstance(value, int) and not isinstance(value, bool) and not _SIZES.search(name):
            return None
    return "nothing in its code, layers and arguments gives tokens positions"


def sums_to_one(source: Source, module: torch.nn.Module | None, form: Form) -> str | None:
    """Return why the weights of each query sum to one; None where something may be that makes them not."""
    code = _HARMLESS.sub("", code_of(source))
    if form["canonical"] == "module":
        if form["layout"] != "BLC" or form.get("context_dim") or module is None:
            return None
        if not _plain_layers(module, tables=True) or _NO_SUM.search(code):
            return None
        heads = form["heads"]
        if heads > 1 and any(tuple(each.shape) == (heads, heads) for each in module.parameters()):
            return None  # heads are mixed, perhaps their weights
        if any(recipe == "zeros" or "pos" in str(recipe) for recipe in form["arguments"].values()):
            return None
    elif _NO_SUM_OF_FUNCTION.search(code):
        return None
    if _SOFTMAX.search(code):
        return "its code takes a softmax"
    if _BY_HAND.search(code) and _SUMMED.search(code):
        return "its code takes exponentials and their sum"
    if _OF_KEYS.search(code) and re.search(r"\belu\(|relu\(|feature|phi\b|kernel|exp\(", code):
        return "its code adds up the features of the keys, which is what linear attention divides by"
    return None


def is_sparse(source: Source) -> bool:
    """Whether some keys may be left out on purpose."""
    return bool(_SPARSE.search(code_of(source)))


def in_blocks(source: Source) -> str | None:
    """Return why keys are taken block by block, as an online softmax takes them; None where no loop does."""
    code = _HARMLESS.sub("", code_of(source))
    taken = _IN_BLOCKS.search(code) if _LOOP.search(code) else None
    return f"a loop in its code, with {taken[0].strip()!r}" if taken else None


def averages_over_length(source: Source) -> str | None:
    """Return why each output is divided by the length on purpose, so that a longer input has others; None without.

    Weights that no softmax makes sum to one, squared ones for instance, are more in sum the more keys there are.
    """
    code = code_of(source)
    length = next((each for each in _DIVISOR.finditer(code) if is_length(each[1])), None)
    if length is None or re.search("softmax|scaled_dot_product", code, _I):
        return None
    return f"no softmax, and {length[0].strip()!r} in its code"


def cuts_gradients(source: Source) -> str | None:
    """Return the word in the code that says that gradients are not those of the function, if there is one."""
    # Sums are cut off by mistake: weights are divided by them. A maximum that is subtracted has no gradient anyway.
    found = _CUT.search(_CUT_SUM.sub("", code_of(source)))
    return found[0] if found else None


def linear_in_values(source: Source, module: torch.nn.Module | None, form: Form) -> str | None:
    """Return why a module of one repeated token is linear in it where weights sum to one; None where it need not be.

    So it is where nothing but linear layers lies before and behind the weights.
    """
    if module is None or form["canonical"] != "module" or form["layout"] != "BLC" or form.get("context_dim"):
        return None
    if any(type(each).__name__ not in _LINEAR and not _is_own(each, module) for each in module.modules()):
        return None
    code = _HARMLESS.sub("", code_of(source))
    if _BENDS.search(code) or _SOFTMAX.search(code):
        return None
    return "its layers are linear and its weights are exponentials or features, divided by a sum"


def looks_scaled(module: torch.nn.Module | None, code: str, file: str) -> str | None:
    """Return why logits without a scale are a mistake: several heads, biased projections, and no word of a factor.

    What is known to go without folds the factor into how its projections without a bias are drawn: T5 and those that
    came of it, GPT-Neo.
    """
    if module is None:
        return None
    if re.search(
        r"scal|factor|temperature|norm|multipl|\btau\b|relative|position_bias|\binit\.|_init_weights|reset_param|normal_\(|xavier",
        code,
        _I,
    ):
        return None
    if re.search(r"\*\*\s*\(?-\s*0?\.5", without_comments(file)):
        return None
    for name, layer in module.named_modules():
        if (
            isinstance(layer, torch.nn.Linear)
            and layer.bias is not None
            and _QUERIES.fullmatch(name.rpartition(".")[2])
        ):
            return "its projections have a bias, and no word says that logits go without a scale"
    return None
