"""Softmax attention as a contract declares it, written out as the lines of a script."""

from audit.attention.contract import Contract
from audit.attention.subject import AttentionSubject

# What the lines below know of; a contract that says more has another reference.
_KNOWN = frozenset(
    {
        "num_heads", "num_kv_heads", "head_dim", "is_causal", "embed_dim", "context_dim", "scale", "window", "key_mask",
        "causal_alignment", "head_grouping", "rotary_base", "rotary_layout", "projections", "empty_row", "dtypes",
        "window_counts_query", "num_global_tokens", "soft_cap", "alibi_slopes", "sinks", "value_scale", "given_mask",
    }
)  # fmt: skip

_SAYS_LESS = frozenset({"rows_sum_to_one", "positions", "equal_lengths"})  # of what is computed anyway


def can_be_written(subject: AttentionSubject) -> bool:
    """Whether the lines compute all that the contract says."""
    contract, fields = subject.contract, Contract.model_fields
    further = {name for name in fields if name not in _KNOWN and getattr(contract, name) != fields[name].default}
    return subject.has_oracle and not further - _SAYS_LESS and contract.empty_row != "nan"


def reference(subject: AttentionSubject) -> list[str]:
    """Return the lines of `reference(inputs, module)`, which computes in float64 what is declared."""
    contract = subject.contract
    lines = ["def reference(inputs, module):", '    """Softmax attention as it is declared, in float64."""']
    if subject.is_function:
        lines += ['    query, key, value = (inputs[name].double() for name in ("query", "key", "value"))']
        lines += ['    mask = inputs.get("mask")  # (B, 1, 1, Lk)']
    else:
        lines += _projected(contract)
    groups = contract.heads // contract.kv_heads
    if groups > 1:
        repeat = f"repeat_interleave({groups}, dim=1)"
        repeat = repeat if contract.head_grouping == "interleaved" else f"repeat(1, {groups}, 1, 1)"
        lines += [f"    key, value = key.{repeat}, value.{repeat}"]
    lines += _scores(contract)
    lines += ["    allowed = torch.ones(scores.shape, dtype=torch.bool)"]
    if subject.is_function or contract.is_causal:
        conditions = ["IS_CAUSAL"] if subject.is_function else []
        conditions += ["mask is None"] if contract.key_mask and contract.given_mask == "replaces" else []
        lines += [f"    if {' and '.join(conditions) or 'True'}:", "        allowed = allowed & (ahead >= 0)"]
    if contract.reach is not None:
        lines += [f"    near = ahead.abs() < {contract.reach}"]
        if contract.num_global_tokens:
            count = contract.num_global_tokens
            lines += [
                "    positions = torch.arange(key.shape[-2])",
                "    queries = ahead + positions",
                f"    near = near | (positions < {count}) | ((queries >= 0) & (queries < {count}))",
            ]
        lines += ["    allowed = allowed & near"]
    if contract.key_mask:
        lines += ["    allowed = allowed if mask is None else allowed & mask"]
    lines += [
        "    has_key = allowed.any(dim=-1, keepdim=True)",
        '    scores = scores.masked_fill(~allowed & has_key, float("-inf"))',
    ]
    if contract.sinks is not None:
        lines += [
            f"    sinks = weights[{contract.sinks!r}].flatten()[:, None, None].expand(*scores.shape[:-1], 1)",
            "    scores = torch.cat((scores, sinks), dim=-1)",
        ]
    empty = "1 / key.shape[-2]" if contract.empty_row == "uniform" else "0.0"
    lines += [f"    shares = scores.softmax(dim=-1)[..., : key.shape[-2]].masked_fill(~has_key, {empty})"]
    lines += [f"    context = {'' if contract.value_scale == 1 else f'{contract.value_scale!r} * '}(shares @ value)"]
    if subject.is_function:
        return [*lines, "    return context"]
    assert contract.projections is not None
    return [*lines, f"    return linear({contract.projections.output!r}, context.transpose(1, 2).flatten(2))"]


def _scores(contract: Contract) -> list[str]:
    """Return the lines of the logits before the mask, and of how many positions each query lies after each key."""
    offset = " + key.shape[-2] - query.shape[-2]" if contract.causal_alignment == "bottom_right" else ""
    lines = [
        f"    scores = query @ key.transpose(-2, -1) * {contract.effective_scale!r}  # (B, H, Lq, Lk)",
        f"    ahead = torch.arange(query.shape[-2])[:, None]{offset} - torch.arange(key.shape[-2])",
    ]
    if contract.soft_cap is not None:
        lines += [f"    scores = {contract.soft_cap!r} * torch.tanh(scores / {contract.soft_cap!r})"]
    if contract.slopes is not None:
        lines += [f"    slopes = torch.tensor({list(contract.slopes)!r}, dtype=torch.float64)"]
        lines += ["    scores = scores - slopes[:, None, None] * ahead.abs()"]
    return lines


def _projected(contract: Contract) -> list[str]:
    names = contract.projections
    assert names is not None
    dim = contract.dim
    lines = [
        # Not detached: the gradients are compared too.
        "    weights = {name: x.double() for name, x in module.state_dict(keep_vars=True).items()}",
        "",
        "    def linear(name, x):",
        '        return torch.nn.functional.linear(x, weights[name + ".weight"], weights.get(name + ".bias"))',
        "",
        "    def heads(name, count, x):  # (B, count, L, D)",
        f"        return linear(name, x).unflatten(-1, (count, {dim})).transpose(1, 2)",
        "",
        '    hidden_states = inputs["hidden_states"].double()',
    ]
    if contract.key_mask:
        lines += ['    mask = None if "key_mask" not in inputs else inputs["key_mask"][:, None, None, :]']
    attended = "hidden_states"
    if contract.context_dim is not None:
        attended = "attended"
        lines += ['    attended = inputs["context"].double()  # what keys and values are made of']
    made = (
        (names.query, contract.heads, "hidden_states"),
        (names.key, contract.kv_heads, attended),
        (names.value, contract.kv_heads, attended),
    )
    lines += [f"    query, key, value = {', '.join(f'heads({name!r}, {count}, {x})' for name, count, x in made)}"]
    if contract.rotary_base is not None:
        lines += [
            f"    frequencies = {contract.rotary_base!r} ** (-torch.arange({dim // 2}).double() / {dim // 2})",
            "    angles = torch.arange(query.shape[-2])[:, None] * frequencies",
            "    cos, sin = angles.cos(), angles.sin()",
            "",
            "    def rotated(x):",
        ]
        if contract.rotary_layout == "half":
            lines += [
                f"        first, second = x[..., :{dim // 2}], x[..., {dim // 2}:]",
                "        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)",
            ]
        else:
            lines += [
                "        first, second = x[..., 0::2], x[..., 1::2]",
                "        pairs = torch.stack((first * cos - second * sin, second * cos + first * sin), dim=-1)",
                "        return pairs.flatten(-2)",
            ]
        lines += ["", "    query, key = rotated(query), rotated(key)"]
    return lines
