"""The lines of `compare(inputs, module)`, one function for each way of failing.

They return what was observed and what is expected of it. They may use `attend`, `normal(shape)`, the constants
`BATCH`, `LENGTH` and `IS_CAUSAL`, `reference` where there is an oracle, `set_dropout` and `watched`.
"""

from audit.attention.reproducers.settings import PROMPT, RANKS, VIEWS, Setting
from audit.attention.subject import AttentionSubject


def oracle_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Compare with the written-out computation."""
    return ["return attend(inputs, module), reference(inputs, module)"]


def large_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Compare rows that have one key, whose logit may be as large as it likes."""
    # The first query of a causal module, and the only one, have one key: its weight is 1 whatever its logit.
    return ["return attend(inputs, module)[..., :1, :], reference(inputs, module)[..., :1, :]"]


def causality_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Replace the last token."""
    return [
        "later = dict(inputs)",
        'for name in {"hidden_states", "key", "value"} & set(inputs):',
        "    later[name] = inputs[name].clone()",
        "    later[name][..., -1:, :] = normal(*later[name][..., -1:, :].shape)  # the last token is another",
        "return attend(later, module)[..., :-1, :], attend(inputs, module)[..., :-1, :]",
    ]


def prefix_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Leave out the last token."""
    return [
        "shorter = {name: x[..., :-1, :] for name, x in inputs.items()}",
        "return attend(shorter, module), attend(inputs, module)[..., :-1, :]",
    ]


def mask_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Replace a masked token."""
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


def noop_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Give a mask under which every key may be attended to."""
    name = "mask" if subject.is_function else "key_mask"
    keys = "key" if subject.is_function else "context" if subject.contract.context_dim else "hidden_states"
    shape = f'BATCH, 1, 1, inputs["{keys}"].shape[-2]' if subject.is_function else f'BATCH, inputs["{keys}"].shape[-2]'
    return [
        f'allowing = {{**inputs, "{name}": torch.ones({shape}, dtype=torch.bool)}}',
        "return attend(allowing, module), attend(inputs, module)",
    ]


def rows_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Call with the first sample alone."""
    kept = ":1"
    if setting.padding == "right" and not subject.is_function and not subject.contract.context_dim:
        kept = ":1, :-1"  # a padded query is nobody's
    return [
        "alone = {name: x[:1] for name, x in inputs.items()}",
        f"return attend(alone, module)[{kept}], attend(inputs, module)[{kept}]",
    ]


def permutation_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Turn the order of the tokens round."""
    return [
        "reversed_ = {name: x.flip(-2) for name, x in inputs.items()}",
        "return attend(reversed_, module), attend(inputs, module).flip(-2)",
    ]


def cache_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Decode in chunks."""
    whole = "attend(inputs, module)" if _has_spec(subject) else 'whole(module, inputs["hidden_states"]{mask})'
    mask = ', inputs["key_mask"]' if setting.padding else ""
    compared = [f"return {_decoded(setting, subject)}, {whole.format(mask=mask)}"]
    if setting.padding:
        compared = [
            f"observed, expected = {_decoded(setting, subject)}, {whole.format(mask=mask)}",
            'return observed[inputs["key_mask"]], expected[inputs["key_mask"]]  # a padded query is nobody\'s',
        ]
    return compared


def _has_spec(subject: AttentionSubject) -> bool:
    return subject.source["kind"] == "spec"


def _decoded(setting: Setting, subject: AttentionSubject) -> str:
    """Return the call that decodes the hidden states in chunks."""
    sizes = "[LENGTH - 2, 1, 1]" if setting.variant == PROMPT else setting.variant
    decode = 'spec()["decode"]' if _has_spec(subject) else "decode"
    mask = ', inputs["key_mask"]' if setting.padding and subject.contract.key_mask else ""
    return f'{decode}(module, list(inputs["hidden_states"].split({sizes}, dim=1)){mask})'


def again_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Call twice."""
    if not setting.variant:
        return ["return attend(inputs, module), attend(inputs, module)"]
    return [
        "set_dropout(module, 0.5)  # in eval mode it does not act, whatever it is",
        "return attend(inputs, module), attend(inputs, module)",
    ]


def training_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Call in train mode without dropout."""
    return [
        "set_dropout(module, 0.0)",
        "expected = attend(inputs, module.eval())",
        "return attend(inputs, module.train()), expected",
    ]


def views_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Call with views of the same numbers."""
    return [
        f"views = {{name: {VIEWS[setting.variant]} for name, x in inputs.items()}}  # the same numbers",
        "return attend(views, module), attend(inputs, module)",
    ]


def untouched_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Compare the inputs before and after a call."""
    call = "attend(inputs, module)"
    if setting.variant:
        call = _decoded(setting, subject)
    return [
        "before = {name: x.clone() for name, x in inputs.items()}",
        call,
        "after, before = (torch.cat([x.double().flatten() for x in each.values()]) for each in (inputs, before))",
        "return after, before",
    ]


def empty_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Compare a sample with one beside it whose keys are all masked."""
    return [
        "found = attend(inputs, module)",
        "beside = attend({name: x[1:] for name, x in inputs.items()}, module)",
        "return found, torch.cat((found[:1].nan_to_num(posinf=0.0, neginf=0.0), beside))  # finite, and as without it",
    ]


def reaching_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Count what has no gradient that is finite and not zero."""
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


def gradients_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Compare gradients with those of the written-out computation."""
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


def other_key_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Replace all inputs, or the first token."""
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


def identical_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Give equal tokens."""
    return [
        "# Weights that sum to 1 over the keys make of equal tokens what they make of one.",
        "equal = {name: x[..., :1, :].expand_as(x).contiguous() for name, x in inputs.items()}",
        "one = {name: x[..., :1, :] for name, x in inputs.items()}",
        "expected = attend(one, module)",
        "observed = attend(equal, module)",
        "return observed, expected.expand_as(observed)",
    ]


def window_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Replace the first key outside of the window of the last query."""
    window = subject.contract.window or 1
    return [
        "other = dict(inputs)",
        'for name in {"hidden_states", "key", "value"} & set(inputs):',
        "    other[name] = inputs[name].clone()",
        f"    # {window} positions before the last query: the first one outside of its window.",
        f"    other[name][..., {-1 - window}, :] = 5 * normal(*other[name][..., {-1 - window}, :].shape)",
        "return attend(other, module)[..., -1:, :], attend(inputs, module)[..., -1:, :]",
    ]


def inside_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Replace the last key inside of the window of the last query."""
    window = subject.contract.window or 1
    return [
        "other = dict(inputs)",
        'for name in {"hidden_states", "key", "value"} & set(inputs):',
        "    other[name] = inputs[name].clone()",
        f"    # {window - 1} positions before the last query: the last one inside of its window.",
        f"    other[name][..., {-window}, :] = 5 * normal(*other[name][..., {-window}, :].shape)",
        "return attend(other, module)[..., -1:, :], attend(inputs, module)[..., -1:, :]",
    ]


def low_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Call in low precision."""
    return [
        "torch.manual_seed(SEED)  # the same weights",
        f"low = build().to(torch.{setting.variant}).eval()",
        "open_gates(low)",
        f"rounded = {{name: x.to(torch.{setting.variant}) for name, x in inputs.items()}}",
        "return attend(rounded, low), attend(inputs, module)",
    ]


def scaled_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Read the factor on the logits from the products and softmaxes of a call."""
    scale = "query.shape[-1] ** -0.5" if subject.contract.scale is None else repr(subject.contract.scale)
    return [
        "seen = watched(inputs, module)",
        "logits = next(x for x in seen.softmaxes if any(x.numel() == p.numel() for _, _, p in seen.products))",
        "query, key, product = next(each for each in seen.products if each[2].numel() == logits.numel())",
        "used = (product.flatten().abs() > 1e-6) & logits.flatten().isfinite() & (logits.flatten() > -1e4)",
        "factor = (logits.flatten()[used] / product.flatten()[used]).median()",
        "# Queries and keys may be scaled before it: by what they are longer than what was projected.",
        "for x in (query, key.transpose(-2, -1)):",
        "    sources = [*seen.projected, *(y for y in inputs.values() if y.is_floating_point())]",
        "    factor = factor * lengthened(x, sources)",
        f"return factor, torch.tensor({scale})",
    ]


def once_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Count softmaxes of weights."""
    return [
        "softmaxes = watched(inputs, module).softmaxes",
        "twice = [x for x in softmaxes if (x >= 0).all() and (x.sum(-1) - 1).abs().max() < 1e-3]",
        "return torch.tensor(float(len(twice))), torch.tensor(0.0)  # softmaxes of what has gone through one",
    ]


def as_wide_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Count softmaxes in a narrower dtype."""
    return [
        "narrow = [x for x in watched(inputs, module).softmaxes if torch.finfo(x.dtype).eps > torch.finfo(DTYPE).eps]",
        "return torch.tensor(float(len(narrow))), torch.tensor(0.0)  # softmaxes in a narrower dtype than the call's",
    ]


def ranks_lines(subject: AttentionSubject, setting: Setting) -> list[str]:
    """Call on the ranks of a group, each with its share of the sequence, and join what they give."""
    return [
        'axes = {"query": 2, "key": 2, "value": 2, "mask": 3}  # where the tokens are; of all else it is axis 1',
        "",
        "def leave(rank):",
        '    """Be a rank, which ends here: leave what it gives for its share in a file."""',
        "    signal.alarm(30)  # ranks may wait for one another for ever",
        "    try:",
        "        torch.set_num_threads(1)  # a fork has none of the threads of the process that it comes from",
        '        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")',
        '        store = "file://" + os.path.join(folder, "store")',
        f'        torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size={RANKS})',
        f"        share = {{name: x.chunk({RANKS}, axes.get(name, 1))[rank].clone() for name, x in inputs.items()}}",
        "        torch.save(attend(share, module), os.path.join(folder, str(rank)))",
        "        torch.distributed.barrier()",
        "        os._exit(0)",
        "    except BaseException:",
        "        traceback.print_exc()",
        "    os._exit(1)",
        "",
        "with tempfile.TemporaryDirectory() as folder:",
        f"    ranks = [os.fork() or leave(rank) for rank in range({RANKS})]",
        "    if any([os.waitpid(rank, 0)[1] for rank in ranks]):",
        '        raise RuntimeError("a rank ended before it was done")',
        f"    parts = [torch.load(os.path.join(folder, str(rank))) for rank in range({RANKS})]",
        "return torch.cat(parts, dim=-2), attend(inputs, module)",
    ]
