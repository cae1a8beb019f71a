"""What a departure from the declaration with which the oracle gives what was observed is called."""

from audit.attention.contract import Contract
from audit.attention.oracle import FAITHFUL, Departure


def class_of(declared: Contract, name: str, contract: Contract, departure: Departure) -> str | None:
    """Return the class of a mistake by what differs from the declaration."""
    if departure.causal is not None:
        return "causality" if departure.causal else "later_tokens"
    if departure.mask != FAITHFUL.mask:
        return {"ignored": "mask_ignored", "inverted": "mask_inverted"}.get(departure.mask)
    if departure.softmax_axis != FAITHFUL.softmax_axis:
        return "softmax_axis"
    if departure.turned != FAITHFUL.turned:
        return "rotary_turned"
    if departure.mixed_angles:
        return "rotary_pairs"
    fields = {
        "scale": "scale_size",
        "given_mask": "mask_and_causal",
        "causal_alignment": "alignment",
        "head_grouping": "grouping",
        "rotary_layout": "rotary_pairs",
        "rotary_base": "rotary_turned",
        "window": "window",
        "window_counts_query": "window",
        "soft_cap": "soft_cap",
        "alibi_slopes": "alibi",
        "sinks": "sinks",
        "feature_map": "normaliser",
    }
    changed = [field for field in type(declared).model_fields if getattr(declared, field) != getattr(contract, field)]
    if declared.rotary_base is None and "rotary_base" in changed:
        return "undeclared_positions"
    if changed == ["scale"] and not any(f"sqrt({size})" in name for size in ("embed_dim", "num_heads")):
        return "scale_form"
    return fields.get(changed[0]) if changed else None
