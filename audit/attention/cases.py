"""Inputs for the properties: normal with unit variance, so that outputs are of order one, and lengths that differ
from every other size.
"""

import torch
from torch import Tensor

from audit.attention.answers import Settled
from audit.attention.contract import Contract
from audit.attention.subject import BATCH_SIZE, LENGTH, SHORT, AttentionSubject, Case
from audit.judgement import not_applicable

CONTEXT = 7  # length of another sequence that is attended to
_PADDING = 3
MANY = 16  # samples, where some number in each must have a given sign: that none has happens once in 2**16
# Those of the property that makes the most inputs, `large_logits`: one token, and twice the usual length.
_MOST_TOKENS = MANY * (1 + 2 * LENGTH)
_PLANE = LENGTH + 1  # three rows of four
_IMAGES = ("BCHW", "BHWC", "BCTHW", "BTHWC")
_GRIDS = ("height", "width", "grid", "grid tensor")
_BYTES = 8  # of an element in float64, in which cases are drawn


def inputs_mib(contract: Contract) -> int:
    """Return the memory, in MiB, that the inputs of all cases and the products of their logits take."""
    heads, kv_heads, dim = (each or 0 for each in (contract.num_heads, contract.num_kv_heads, contract.head_dim))
    width = (heads + 2 * kv_heads) * dim + (contract.embed_dim or 0) + (contract.context_dim or 0)
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


def past_case(
    subject: AttentionSubject, generator: torch.Generator, *, past: int, is_causal: bool, batch: int = 1
) -> Case:
    """Return the case of a function in which `SHORT` queries follow a past of so many keys."""
    name = f"{SHORT} queries after {past} keys" + ", causal" * is_causal
    return _function_case(name, subject, generator, SHORT, past + SHORT, is_causal, batch=batch)


def plane_length(subject: AttentionSubject) -> int:
    """Return a number of tokens that has rows and columns where they are the places of an image; else the usual one.

    `LENGTH` is prime: an image of so many places is a single row, and what is wrong along columns does not show.
    """
    arguments = subject.form.get("arguments")
    recipes = list(arguments.values()) if isinstance(arguments, dict) else []
    is_image = subject.form.get("layout") in _IMAGES or any(each in _GRIDS for each in recipes if isinstance(each, str))
    return _PLANE if is_image and _PLANE in subject.lengths else LENGTH


def key_length(case: Case) -> int:
    """Return the number of keys of each sample."""
    names = ("context", "hidden_states", "key")
    return next(case.tensors[name].shape[-2] for name in names if name in case.tensors)


def keys_of(case: Case) -> list[str]:
    """Return the names of the tensors that hold what is attended to: (..., Lk, features)."""
    if "context" in case.tensors:
        return ["context"]
    return [name for name in ("hidden_states", "key", "value") if name in case.tensors]


def replaced_keys(case: Case, where: Tensor, generator: torch.Generator) -> Case:
    """Return the case with other keys and values at the positions `where` (bool, (B, Lk)); queries of a function stay.

    Values become as many times larger as there are keys, so that one alone shows in an average over all.
    """
    tensors: dict[str, Tensor] = {}
    for name in keys_of(case):
        tensor = case.tensors[name].clone()
        rows = tensor.transpose(1, 2) if tensor.dim() == 4 else tensor  # batch and position in front
        size = key_length(case) if name == "value" else 1
        rows[where] = size * _normal(generator, *rows[where].shape)
        tensors[name] = tensor
    return case.replaced(case.name, **tensors)


def sample_of(case: Case, *samples: int) -> Case:
    """Return the case with these samples of its batch only."""
    return case.replaced(case.name, **{name: tensor[list(samples)] for name, tensor in case.tensors.items()})


def with_cotangent(case: Case, generator: torch.Generator) -> Case:
    """Return the case with the gradient of its output, to be differentiated."""
    return case.replaced(case.name, cotangent=_normal(generator, *case.inputs.shape))


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
        is_causal = contract.is_causal and (not subject.is_function or subject.is_always_causal)
        if not is_causal or contract.has_finite_empty_row:
            sides.append("left")
        length = key_length(whole)
        cases += [with_mask(subject, whole, padding_mask(side=s, length=length), f"{s} padding") for s in sides]
        if subject.is_function and contract.is_causal and not subject.is_always_causal:
            causal = plain_case(subject, generator, is_causal=True)
            cases.append(with_mask(subject, causal, padding_mask(side="right"), "causal with right padding"))
        if contract.has_finite_empty_row:
            mask = torch.ones(BATCH_SIZE, length, dtype=torch.bool)
            mask[0] = False
            cases.append(with_mask(subject, whole, mask, "a sample with nothing to attend to"))
    assert sum(case.inputs.shape[0] * LENGTH for case in cases) <= _MOST_TOKENS
    return cases


def _function_cases(subject: AttentionSubject, generator: torch.Generator) -> list[Case]:
    contract = subject.contract
    always = subject.is_always_causal
    cases = [] if always else [_function_case("full", subject, generator, LENGTH, LENGTH, False)]
    if not contract.equal_lengths and not always:
        cases.append(_function_case("fewer queries than keys", subject, generator, SHORT, LENGTH, False))
    if contract.is_causal:
        cases.append(_function_case("causal", subject, generator, LENGTH, LENGTH, True))
    if contract.is_causal and not contract.equal_lengths:
        cases.append(_function_case("causal, fewer queries than keys", subject, generator, SHORT, LENGTH, True))
        if contract.has_finite_empty_row or contract.causal_alignment == "top_left":
            cases.append(_function_case("causal, more queries than keys", subject, generator, LENGTH, SHORT, True))
    return cases


def _module_case(
    name: str, subject: AttentionSubject, generator: torch.Generator, length: int, *, batch: int = BATCH_SIZE
) -> Case:
    if subject.contract.embed_dim is None:
        raise Settled(not_applicable("undeclared: the width of the input"))
    tensors = {"hidden_states": _normal(generator, batch, length, subject.contract.embed_dim)}
    if subject.contract.context_dim is not None:
        tensors["context"] = _normal(generator, batch, CONTEXT, subject.contract.context_dim)
    return Case(name=name, tensors=tensors, is_causal=bool(subject.contract.is_causal))


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
    if not contract.has_sizes:
        raise Settled(not_applicable("undeclared: the numbers of heads, and the size of one"))
    query = _normal(generator, batch, contract.heads, length_q, contract.dim)
    is_causal = is_causal or subject.is_always_causal
    key = _normal(generator, batch, contract.kv_heads, length_k, contract.dim)
    value = _normal(generator, batch, contract.kv_heads, length_k, contract.dim)
    return Case(name=name, tensors={"query": query, "key": key, "value": value}, is_causal=is_causal)
