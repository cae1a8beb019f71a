"""Inputs for the properties: normal with unit variance, so that outputs are of order one, and lengths that differ
from every other size.
"""

import torch
from torch import Tensor

from audit.attention.contract import Contract
from audit.attention.subject import BATCH_SIZE, LENGTH, SHORT, AttentionSubject, Case

_PADDING = 3
MANY = 16  # samples, where some number in each must have a given sign: that none has happens once in 2**16
# Those of the property that makes the most inputs, `large_logits`: one token, and twice the usual length.
_MOST_TOKENS = MANY * (1 + 2 * LENGTH)
_BYTES = 8  # of an element in float64, in which cases are drawn


def inputs_mib(contract: Contract) -> int:
    """Return the memory, in MiB, that the inputs of all cases and the products of their logits take."""
    heads, kv_heads, dim = (each or 0 for each in (contract.num_heads, contract.num_kv_heads, contract.head_dim))
    width = (heads + 2 * kv_heads) * dim + (contract.embed_dim or 0)
    elements = _MOST_TOKENS * (width + heads * LENGTH * dim)
    return elements * _BYTES // 2**20


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def plain_case(
    subject: AttentionSubject,
    generator: torch.Generator,
    *,
    is_causal: bool | None = None,
    length: int = LENGTH,
    batch: int = BATCH_SIZE,
) -> Case:
    """Return a case without a mask; for a function, as many queries as keys."""
    if subject.is_function:
        causal = bool(subject.contract.is_causal) if is_causal is None else is_causal
        return _function_case("causal" if causal else "full", subject, generator, length, length, causal, batch=batch)
    return _module_case("no mask", subject, generator, length, batch=batch)


def padding_mask(*, side: str, length: int = LENGTH) -> Tensor:
    """Return a key mask (B, L) in which the first sample is padded on one side and the second is whole."""
    mask = torch.ones(BATCH_SIZE, length, dtype=torch.bool)
    padded = slice(length - _PADDING, length) if side == "right" else slice(0, _PADDING)
    mask[0, padded] = False
    return mask


def with_mask(subject: AttentionSubject, case: Case, mask: Tensor, name: str) -> Case:
    """Return `case` with a key mask (B, L), in the form that the subject takes."""
    if subject.is_function:
        return case.replaced(name, mask=mask[:, None, None, :])
    return case.replaced(name, key_mask=mask)


def oracle_cases(subject: AttentionSubject, generator: torch.Generator) -> list[Case]:
    """Return the cases on which output and oracle are compared."""
    contract = subject.contract
    if subject.is_function:
        cases = _function_cases(subject, generator)
    else:
        cases = [
            _module_case("no mask", subject, generator, LENGTH),
            _module_case("one token", subject, generator, 1),
        ]
    if contract.key_mask:
        whole = plain_case(subject, generator, is_causal=False)
        sides = ["right"]
        # A causal layer's left-padded first rows attend to nothing, which only a declared empty row can judge.
        if not (contract.is_causal and not subject.is_function) or contract.empty_row:
            sides.append("left")
        cases += [with_mask(subject, whole, padding_mask(side=side), f"{side} padding") for side in sides]
        if subject.is_function and contract.is_causal:
            causal = plain_case(subject, generator, is_causal=True)
            cases.append(with_mask(subject, causal, padding_mask(side="right"), "causal with right padding"))
        if contract.empty_row:
            mask = torch.ones(BATCH_SIZE, LENGTH, dtype=torch.bool)
            mask[0] = False
            cases.append(with_mask(subject, whole, mask, "a sample with nothing to attend to"))
    assert sum(case.inputs.shape[0] * LENGTH for case in cases) <= _MOST_TOKENS
    return cases


def _function_cases(subject: AttentionSubject, generator: torch.Generator) -> list[Case]:
    contract = subject.contract
    cases = [_function_case("full", subject, generator, LENGTH, LENGTH, False)]
    cases.append(_function_case("fewer queries than keys", subject, generator, SHORT, LENGTH, False))
    if contract.is_causal:
        cases.append(_function_case("causal", subject, generator, LENGTH, LENGTH, True))
        cases.append(_function_case("causal, fewer queries than keys", subject, generator, SHORT, LENGTH, True))
        if contract.empty_row or contract.causal_alignment == "top_left":
            cases.append(_function_case("causal, more queries than keys", subject, generator, LENGTH, SHORT, True))
    return cases


def _module_case(
    name: str, subject: AttentionSubject, generator: torch.Generator, length: int, *, batch: int = BATCH_SIZE
) -> Case:
    assert subject.contract.embed_dim is not None
    hidden_states = _normal(generator, batch, length, subject.contract.embed_dim)
    return Case(name=name, tensors={"hidden_states": hidden_states}, is_causal=bool(subject.contract.is_causal))


def _function_case(
    name: str,
    subject: AttentionSubject,
    generator: torch.Generator,
    length_q: int,
    length_k: int,
    is_causal: bool,
    *,
    batch: int = BATCH_SIZE,
) -> Case:
    contract = subject.contract
    query = _normal(generator, batch, contract.heads, length_q, contract.dim)
    key = _normal(generator, batch, contract.kv_heads, length_k, contract.dim)
    value = _normal(generator, batch, contract.kv_heads, length_k, contract.dim)
    return Case(name=name, tensors={"query": query, "key": key, "value": value}, is_causal=is_causal)
