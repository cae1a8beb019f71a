"""Which keys move which queries' outputs, measured by replacing one key after the other."""

import torch
from torch import Tensor

from audit.attention.cases import key_length, plain_case, replaced_keys
from audit.attention.subject import AttentionSubject, Case
from audit.plan import Run

_SAMPLES = 2  # inputs; where a weight is too small to show in one, it is not in the other


def cases_of_each_key(case: Case, generator: torch.Generator) -> list[Case]:
    """Return the case, and one for each key in which that is another."""
    batch, keys = case.inputs.shape[0], key_length(case)
    cases = [case]
    for key in range(keys):
        where = torch.zeros(batch, keys, dtype=torch.bool)
        where[:, key] = True
        cases.append(replaced_keys(case, where, generator).replaced(f"key {key} replaced"))
    return cases


def unmoved(first: Tensor, moved: tuple[Tensor, ...]) -> Tensor:
    """Return which queries' outputs are exactly the same in every sample and head: bool, (Lq, Lk)."""
    same = [(each == first).all(dim=-1) for each in moved]
    return torch.stack([each.flatten(0, -2).all(dim=0) for each in same], dim=-1)


def seen_keys(subject: AttentionSubject, run: Run, length: int) -> Tensor:
    """Return which keys move which queries' outputs at all, in two inputs of a length: bool, (L, L).

    Raises:
        TargetRaised: it does not take inputs of this length.
    """
    generator = subject.generator(run.seed)
    cases = [
        each
        for _ in range(_SAMPLES)
        for each in cases_of_each_key(plain_case(subject, generator, length=length), generator)
    ]
    outputs = subject.forward(run, subject.finest_dtype, cases, opened=True).outputs
    size = len(cases) // _SAMPLES
    unseen = torch.ones(length, length, dtype=torch.bool)
    for start in range(0, len(cases), size):
        unseen &= unmoved(outputs[start], outputs[start + 1 : start + size])
    return ~unseen
