"""What a correct subject fulfils, one relation for each way of failing, as the lines of `compare(inputs, module)`.

The lines return what was observed and what is expected of it. They may use `attend`, `normal(shape)`, the constants
`BATCH`, `LENGTH` and `IS_CAUSAL`, and `reference` where there is an oracle.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from audit.attention.reproducers.reference import can_be_written
from audit.attention.subject import AttentionSubject

LENGTHS = (2, 3, 4, 5, 8, 11, 17)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The inputs of one script: sizes, which tokens of the first sample are masked, and what the tensors hold."""

    length: int = 2
    queries: int | None = None  # of a function, where they are fewer or more than the keys
    batch: int = 1
    padding: str = ""  # "", "left", "right", "all" of the first sample
    content: str = "one-hot"
    is_causal: bool = False
    factor: float = 1.0
    variant: str = ""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """`bound` is what may come between both sides: rounding of `steps`, of the `result` alone, or `nothing`.

    `differs` says that both sides must differ, and not agree.
    """

    says: str
    lines: Callable[[AttentionSubject, Setting], list[str]]
    settings: Callable[[AttentionSubject], Sequence[Setting]]
    applies: Callable[[AttentionSubject], bool] = lambda subject: True
    bound: Literal["steps", "result", "nothing"] = "steps"
    differs: bool = False
    with_gradient: bool = False
    needs_reference: bool = False


def _all(subject: AttentionSubject, *, padding: Sequence[str] = ("",), batch: Sequence[int] = (1, 2)) -> list[Setting]:
    """Return settings, the smallest first; one-hot tokens are tried before normal ones."""
    causal = [False]
    if subject.contract.is_causal:
        causal = [True, False] if subject.is_function else [True]
    return [
        Setting(length=length, batch=size, padding=side, content=content, is_causal=is_causal)
        for length in LENGTHS
        for side in padding
        for is_causal in causal
        for content in ("one-hot", "normal")
        for size in batch
        if content == "normal" or (size == 1 and not subject.contract.context_dim)
    ]


def _oracle_settings(subject: AttentionSubject) -> list[Setting]:
    sides = [""]
    if subject.contract.key_mask:
        sides += ["right", "left"] if subject.is_function or not subject.contract.is_causal else ["right"]
        sides += ["all"] if subject.contract.empty_row else []
    found = [Setting(length=1, is_causal=bool(subject.contract.is_causal), content="normal")]
    for side in sides:
        found += _all(subject, padding=[side])
    if subject.is_function:
        pairs = [(1, 2), (2, 3), (3, 5)] + ([(3, 2)] if subject.contract.empty_row else [])
        for queries, length in pairs:
            found += [
                Setting(length=length, queries=queries, is_causal=is_causal, content="normal")
                for is_causal in ([True, False] if subject.contract.is_causal else [False])
            ]
    return sorted(found, key=lambda setting: setting.length)


def _oracle(subject: AttentionSubject, setting: Setting) -> list[str]:
    return ["return attend(inputs, module), reference(inputs, module)"]


def _large(subject: AttentionSubject) -> list[Setting]:
    causal = bool(subject.contract.is_causal)
    return [
        Setting(length=length, content="normal", factor=factor, batch=8, is_causal=causal)
        for length in (1, 2)
        for factor in (10.0, 30.0, 100.0, 300.0, 1e3, 1e4)
    ]


def _large_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    # The first query of a causal module, and the only one, have one key: its weight is 1 whatever its logit.
    return ["return attend(inputs, module)[..., :1, :], reference(inputs, module)[..., :1, :]"]


def _causality(subject: AttentionSubject, setting: Setting) -> list[str]:
    return [
        "later = dict(inputs)",
        'for name in {"hidden_states", "key", "value"} & set(inputs):',
        "    later[name] = inputs[name].clone()",
        "    later[name][..., -1:, :] = normal(*later[name][..., -1:, :].shape)  # the last token is another",
        "return attend(later, module)[..., :-1, :], attend(inputs, module)[..., :-1, :]",
    ]


def _prefix(subject: AttentionSubject, setting: Setting) -> list[str]:
    return [
        "shorter = {name: x[..., :-1, :] for name, x in inputs.items()}",
        "return attend(shorter, module), attend(inputs, module)[..., :-1, :]",
    ]


def _mask(subject: AttentionSubject, setting: Setting) -> list[str]:
    names = '("key", "value")' if subject.is_function else '("context",)'
    names = names if subject.is_function or subject.contract.context_dim else '("hidden_states",)'
    masked = "0" if setting.padding == "left" else "-1"
    lines = [
        "hidden = dict(inputs)",
        f"for name in {names}:",
        "    hidden[name] = inputs[name].clone()",
        f"    masked = hidden[name][0, ..., {masked}, :]  # of a token that is not to be seen",
        "    masked.copy_(5 * normal(*masked.shape))",
    ]
    rows = "0"
    if names == '("hidden_states",)':
        rows = "0, 1:" if setting.padding == "left" else "0, :-1"
    return [*lines, f"return attend(hidden, module)[{rows}], attend(inputs, module)[{rows}]"]


def _masked(subject: AttentionSubject) -> list[Setting]:
    sides = ("right", "left") if subject.contract.key_mask else ()
    return [each for each in _all(subject, padding=sides, batch=(1, 2)) if each.length > 2 or not each.is_causal]


def _noop(subject: AttentionSubject, setting: Setting) -> list[str]:
    name = "mask" if subject.is_function else "key_mask"
    keys = "key" if subject.is_function else "context" if subject.contract.context_dim else "hidden_states"
    shape = f'BATCH, 1, 1, inputs["{keys}"].shape[-2]' if subject.is_function else f'BATCH, inputs["{keys}"].shape[-2]'
    return [
        f'allowing = {{**inputs, "{name}": torch.ones({shape}, dtype=torch.bool)}}',
        "return attend(allowing, module), attend(inputs, module)",
    ]


def _rows(subject: AttentionSubject, setting: Setting) -> list[str]:
    kept = ":1"
    if setting.padding == "right" and not subject.is_function and not subject.contract.context_dim:
        kept = ":1, :-1"  # a padded query is nobody's
    return [
        "alone = {name: x[:1] for name, x in inputs.items()}",
        f"return attend(alone, module)[{kept}], attend(inputs, module)[{kept}]",
    ]


def _batches(subject: AttentionSubject) -> list[Setting]:
    causal = bool(subject.contract.is_causal)
    sides = ("", "right") if subject.contract.key_mask else ("",)
    return [
        Setting(length=length, batch=batch, content="normal", padding=side, is_causal=causal)
        for length in LENGTHS
        for batch in (2, 3)
        for side in sides
    ]


def _permutation(subject: AttentionSubject, setting: Setting) -> list[str]:
    return [
        "reversed_ = {name: x.flip(-2) for name, x in inputs.items()}",
        "return attend(reversed_, module), attend(inputs, module).flip(-2)",
    ]


def _cache(subject: AttentionSubject, setting: Setting) -> list[str]:
    return [
        f'chunks = list(inputs["hidden_states"].split({setting.variant}, dim=1))',
        'return spec()["decode"](module, chunks), attend(inputs, module)',
    ]


def _chunks(subject: AttentionSubject) -> list[Setting]:
    if not subject.decodes or subject.source["kind"] != "spec":
        return []
    window = subject.contract.window or 0
    lengths = [*LENGTHS, *([2 * window + 1] if window else [])]
    return [
        Setting(length=length, content=content, is_causal=True, variant=chunk)
        for length in lengths
        for chunk in ("1", "2", "3")
        for content in ("one-hot", "normal")
        if length > int(chunk)
    ]


def _again(subject: AttentionSubject, setting: Setting) -> list[str]:
    if not setting.variant:
        return ["return attend(inputs, module), attend(inputs, module)"]
    return [
        "set_dropout(module, 0.5)  # in eval mode it does not act, whatever it is",
        "return attend(inputs, module), attend(inputs, module)",
    ]


def _repeated(subject: AttentionSubject) -> list[Setting]:
    variants = ("",) if subject.is_function else ("", "dropout")
    return [
        Setting(length=length, content="normal", is_causal=bool(subject.contract.is_causal), variant=variant)
        for length in (3, 8, 17)
        for variant in variants
    ]


def _training(subject: AttentionSubject, setting: Setting) -> list[str]:
    return [
        "set_dropout(module, 0.0)",
        "expected = attend(inputs, module.eval())",
        "return attend(inputs, module.train()), expected",
    ]


_VIEWS = {
    "transposed": "x.transpose(-2, -1).contiguous().transpose(-2, -1)",
    "sliced": "torch.cat((x, x, x), dim=-1)[..., x.shape[-1] : 2 * x.shape[-1]]",
    "stepped": "torch.stack((x, torch.zeros_like(x)), dim=-1).flatten(-2)[..., ::2]",
}


def _views(subject: AttentionSubject, setting: Setting) -> list[str]:
    return [
        f"views = {{name: {_VIEWS[setting.variant]} for name, x in inputs.items()}}  # the same numbers",
        "return attend(views, module), attend(inputs, module)",
    ]


def _layouts(subject: AttentionSubject) -> list[Setting]:
    return [
        Setting(length=n, content="normal", is_causal=bool(subject.contract.is_causal), variant=name, padding=side)
        for n in (2, 3, 5)
        for side in (("", "right") if subject.contract.key_mask else ("",))
        for name in _VIEWS
    ]


def _untouched(subject: AttentionSubject, setting: Setting) -> list[str]:
    call = "attend(inputs, module)"
    if setting.variant:
        call = f'spec()["decode"](module, list(inputs["hidden_states"].split({setting.variant}, dim=1)))'
    return [
        "before = {name: x.clone() for name, x in inputs.items()}",
        call,
        "after, before = (torch.cat([x.double().flatten() for x in each.values()]) for each in (inputs, before))",
        "return after, before",
    ]


def _touching(subject: AttentionSubject) -> list[Setting]:
    sides = ("", "right") if subject.contract.key_mask else ("",)
    found = _all(subject, padding=sides, batch=(1, 2))
    return found + ([Setting(length=3, is_causal=True, variant="2", content="normal")] if subject.decodes else [])


def _empty(subject: AttentionSubject, setting: Setting) -> list[str]:
    return [
        "found = attend(inputs, module)",
        "beside = attend({name: x[1:] for name, x in inputs.items()}, module)",
        "return found, torch.cat((found[:1].nan_to_num(posinf=0.0, neginf=0.0), beside))  # finite, and as without it",
    ]


def _reaching(subject: AttentionSubject, setting: Setting) -> list[str]:
    return [
        "leaves = {name: x.requires_grad_() for name, x in inputs.items() if x.is_floating_point()}",
        "parameters = {} if module is None else dict(module.named_parameters())",
        "wanted = leaves | {name: x for name, x in parameters.items() if x.requires_grad}",
        "output = attend(inputs, module)",
        "found = torch.autograd.grad((output * normal(*output.shape)).sum(), list(wanted.values()), allow_unused=True)",
        "lacking = [",
        "    name",
        "    for name, gradient in zip(wanted, found)",
        "    if gradient is None or not gradient.isfinite().all() or not gradient.any()",
        "]",
        'print("without a finite gradient:", ", ".join(lacking) or "none")',
        "return torch.tensor(float(len(lacking))), torch.tensor(0.0)",
    ]


def _gradients(subject: AttentionSubject, setting: Setting) -> list[str]:
    return [
        "leaves = {name: x.requires_grad_() for name, x in inputs.items() if x.is_floating_point()}",
        "parameters = {} if module is None else dict(module.named_parameters())",
        "wanted = [*leaves.values(), *(x for x in parameters.values() if x.requires_grad)]",
        "cotangent = normal(*attend(inputs, module).shape)",
        "",
        "def gradients(output):",
        "    found = torch.autograd.grad((output * cotangent).sum(), wanted, allow_unused=True)",
        "    found = [torch.zeros_like(x) if g is None else g for x, g in zip(wanted, found)]",
        "    return torch.cat([gradient.double().flatten() for gradient in found])",
        "",
        "return gradients(attend(inputs, module)), gradients(reference(inputs, module))",
    ]


def _differentiated(subject: AttentionSubject) -> list[Setting]:
    return [each for each in _all(subject, batch=(1,)) if each.length > 2 and each.content == "normal"] + _oracle_sides(
        subject
    )


def _oracle_sides(subject: AttentionSubject) -> list[Setting]:
    sides = ("right", "all") if subject.contract.empty_row and subject.contract.key_mask else ()
    return [each for each in _all(subject, padding=sides, batch=(2,)) if each.content == "normal"]


def _other_key(subject: AttentionSubject, setting: Setting) -> list[str]:
    keys = '{"context"}' if subject.contract.context_dim else '{"hidden_states", "key", "value"} & set(inputs)'
    rows = "" if subject.contract.context_dim else "[..., 1:, :]"
    if setting.variant == "input":
        return [
            "other = {name: normal(*x.shape) for name, x in inputs.items()}",
            "return attend(other, module), attend(inputs, module)",
        ]
    return [
        "other = dict(inputs)",
        f"for name in {keys}:",
        "    other[name] = inputs[name].clone()",
        "    other[name][..., :1, :] = 5 * normal(*other[name][..., :1, :].shape)  # the first token is another",
        f"return attend(other, module){rows}, attend(inputs, module){rows}",
    ]


def _depending(subject: AttentionSubject) -> list[Setting]:
    causal = bool(subject.contract.is_causal)
    return [
        Setting(length=length, batch=2, content="normal", is_causal=causal, variant=variant)
        for length in (3, 5, 11)
        for variant in ("input", "key")
    ]


def _identical(subject: AttentionSubject, setting: Setting) -> list[str]:
    return [
        "# Weights that sum to 1 over the keys make of equal tokens what they make of one.",
        "equal = {name: x[..., :1, :].expand_as(x).contiguous() for name, x in inputs.items()}",
        "one = {name: x[..., :1, :] for name, x in inputs.items()}",
        "expected = attend(one, module)",
        "observed = attend(equal, module)",
        "return observed, expected.expand_as(observed)",
    ]


def _window(subject: AttentionSubject, setting: Setting) -> list[str]:
    window = subject.contract.window or 1
    return [
        "other = dict(inputs)",
        'for name in {"hidden_states", "key", "value"} & set(inputs):',
        "    other[name] = inputs[name].clone()",
        f"    # {window} positions before the last query: the first one outside of its window.",
        f"    other[name][..., {-1 - window}, :] = 5 * normal(*other[name][..., {-1 - window}, :].shape)",
        "return attend(other, module)[..., -1:, :], attend(inputs, module)[..., -1:, :]",
    ]


def _inside(subject: AttentionSubject, setting: Setting) -> list[str]:
    window = subject.contract.window or 1
    return [
        "other = dict(inputs)",
        'for name in {"hidden_states", "key", "value"} & set(inputs):',
        "    other[name] = inputs[name].clone()",
        f"    # {window - 1} positions before the last query: the last one inside of its window.",
        f"    other[name][..., {-window}, :] = 5 * normal(*other[name][..., {-window}, :].shape)",
        "return attend(other, module)[..., -1:, :], attend(inputs, module)[..., -1:, :]",
    ]


def _beyond(subject: AttentionSubject) -> list[Setting]:
    if subject.contract.window is None or subject.contract.window > max(LENGTHS) * 8:
        return []
    return [
        Setting(length=subject.contract.window + more, content="normal", is_causal=bool(subject.contract.is_causal))
        for more in (1, 4)
    ]


def _low(subject: AttentionSubject, setting: Setting) -> list[str]:
    return [
        f"low = build().to(torch.{setting.variant}).eval()",
        "open_gates(low)",
        f"rounded = {{name: x.to(torch.{setting.variant}) for name, x in inputs.items()}}",
        "return attend(rounded, low), attend(inputs, module)",
    ]


def _long(subject: AttentionSubject) -> list[Setting]:
    return [
        Setting(length=n, content="normal", is_causal=bool(subject.contract.is_causal), variant=dtype, factor=factor)
        for n in (8, 33, 130, 300, 521)
        for dtype in ("bfloat16", "float16")
        if not subject.is_declared or dtype in subject.contract.dtypes
        for factor in (1.0, 4.0)
    ]


def _is_module(subject: AttentionSubject) -> bool:
    return not subject.is_function


_AGREES = "the output is the one that is declared"
ORACLE = Relation(says=_AGREES, lines=_oracle, settings=_oracle_settings, needs_reference=True, applies=can_be_written)
LARGE = Relation(says=_AGREES, lines=_large_lines, settings=_large, needs_reference=True, applies=can_be_written)
LATER = Relation(says="later tokens do not change earlier outputs", lines=_causality, settings=_all)
PREFIX = Relation(says="the first outputs are those of a shorter input", lines=_prefix, settings=_all)
MASKED = Relation(says="a masked token has no influence", lines=_mask, settings=_masked)
NOOP = Relation(says="a mask that allows everything changes nothing", lines=_noop, settings=_all)
ALONE = Relation(says="a sample has the same output alone", lines=_rows, settings=_batches)
ORDER = Relation(says="outputs follow their tokens to other places", lines=_permutation, settings=_all)
CACHE = Relation(says="decoding through the cache gives the full forward", lines=_cache, settings=_chunks)
AGAIN = Relation(says="the same call gives the same output", lines=_again, settings=_repeated, bound="result")
TRAINING = Relation(
    says="train mode without dropout gives the output of eval mode", lines=_training, settings=_all, applies=_is_module
)
VIEWS = Relation(says="views give the output of their copies", lines=_views, settings=_layouts)
UNTOUCHED = Relation(
    says="a call leaves its inputs as they were", lines=_untouched, settings=_touching, bound="nothing"
)
EMPTY = Relation(
    says="a sample with nothing to attend to has a finite output and changes no other",
    lines=_empty,
    settings=lambda subject: [Setting(length=n, batch=2, padding="all", content="normal") for n in (2, 3)],
)
REACHING = Relation(
    says="every parameter and input has a finite gradient that is not zero",
    lines=_reaching,
    settings=_differentiated,
    bound="nothing",
    with_gradient=True,
)
GRADIENTS = Relation(
    says="gradients are those of what is declared",
    lines=_gradients,
    settings=_differentiated,
    applies=can_be_written,
    needs_reference=True,
    with_gradient=True,
)
OTHER = Relation(says="other tokens have an influence", lines=_other_key, settings=_depending, differs=True)
SUMS = Relation(says="the weights of a query sum to 1 over the keys", lines=_identical, settings=_all)
OUTSIDE = Relation(says="a key outside of the window has no influence", lines=_window, settings=_beyond)
INSIDE = Relation(says="a key inside of the window has an influence", lines=_inside, settings=_beyond, differs=True)
LOW = Relation(says="low precision stays as near as rounding allows", lines=_low, settings=_long)

# For each check the relations that show its failure, the plainest first.
RELATIONS: dict[str, tuple[Relation, ...]] = {
    "oracle": (ORACLE,),
    "scale": (ORACLE,),
    "softmax_axis": (SUMS, ORACLE, LATER),
    "row_sums": (SUMS, ORACLE),
    "softmax_once": (ORACLE,),
    "logits_dtype": (ORACLE, LOW),
    "head_grouping": (ORACLE,),
    "attended_axis": (OTHER, ORDER, ALONE, ORACLE, LATER),
    "dropout_in_eval": (AGAIN,),
    "window_width": (OUTSIDE, INSIDE, ORACLE),
    "depends": (OTHER, ORACLE),
    "causality": (LATER, ORACLE),
    "prefix": (PREFIX, ORACLE),
    "mask": (MASKED, ORACLE),
    "noop_mask": (NOOP, ORACLE),
    "mask_and_causal": (NOOP, MASKED, LATER, ORACLE),
    "empty_rows": (EMPTY, ORACLE),
    "batch_rows": (ALONE,),
    "permutation": (ORDER, ORACLE),
    "large_logits": (LARGE, ORACLE),
    "kv_cache": (CACHE,),
    "gradients": (GRADIENTS, REACHING),
    "repeatable": (AGAIN,),
    "train_eval": (TRAINING,),
    "noncontiguous": (VIEWS,),
    "low_precision": (LOW, ORACLE),
    "inputs_untouched": (UNTOUCHED,),
}
