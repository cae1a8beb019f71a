"""Runs of one mechanism that are compared with one another, and how far apart rounding may bring them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audit.attention.answers import Answers
from audit.attention.contract import Dtype
from audit.attention.properties.judging import TWO_RUNS_BOUND
from audit.attention.rounding import BOUND, DRAWS, rounded_cases, two_runs_allowance
from audit.attention.subject import AttentionSubject, Case
from audit.plan import Run


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Outputs in order of the cases, and for each bounded case how far two correct runs on it may be apart."""

    outputs: tuple[Tensor, ...]
    bounds: tuple[float, ...]
    answers: Answers

    @property
    def bound(self) -> float:
        """The bound, where one case was bounded."""
        (bound,) = self.bounds
        return bound


def compared(
    subject: AttentionSubject,
    run: Run,
    dtype: Dtype,
    cases: Sequence[Case],
    *,
    bounded: Sequence[int] = (0,),
    differentiated: Sequence[Case] = (),
    chunkings: Sequence[Sequence[int]] = (),
    afresh: bool = False,
    finite_only: bool = False,
) -> Runs:
    """Run all cases in one call, gates opened, with what is needed to bound them.

    Args:
        subject: what is run.
        run: the target's process and the seed.
        dtype: of weights and inputs.
        cases: run forward.
        bounded: the cases, by number, on which a bound is derived: from the oracle where there is one, else from the
            response to rounding.
        differentiated: further cases, run forward and backward; their outputs and gradients follow those of `cases`.
        chunkings: how the first case is decoded besides; these outputs come last.
        afresh: whether what bounds are derived from is run by modules of its own, built under the same seed: where
            calls may leave something behind, or draw random numbers.
        finite_only: whether a bound that is not of the oracle is derived from the positions at which the output
            holds a number: a query that no key is left to has none.
    """
    calls = [("forward", case) for case in cases]
    calls += [("backward", case) for case in differentiated]
    calls += [("decode", cases[0].under(cases[0].name, chunks=list(chunks))) for chunks in chunkings]
    own = len(calls)
    generator = subject.generator(run.seed)
    drawn = [] if subject.has_oracle else [rounded_cases(cases[index], dtype, generator) for index in bounded]
    if not afresh:
        calls += [("forward", each) for group in drawn for each in group]
    answers = subject.ask(run, dtype, calls, opened=True)
    if subject.has_oracle:
        bounds = [2 * subject.allowance(answers.state, cases[index], dtype) for index in bounded]
    elif afresh:
        bounds = [
            two_runs_allowance(*_one_by_one(subject, run, dtype, [cases[index], *group]))
            for index, group in zip(bounded, drawn, strict=True)
        ]
    else:
        groups = [answers.outputs[start : start + DRAWS] for start in range(own, len(calls), DRAWS)]
        rows = [finite_rows(answers.outputs[i]) if finite_only else slice(None) for i in bounded]
        bounds = [
            two_runs_allowance(answers.outputs[i][..., kept, :], [each[..., kept, :] for each in group])
            for i, group, kept in zip(bounded, groups, rows, strict=True)
        ]
    return Runs(outputs=answers.outputs[:own], bounds=tuple(bounds), answers=answers)


def finite_rows(output: Tensor) -> Tensor:
    """Return the positions at which any sample, head or feature has a finite output: bool, (L,)."""
    return torch.isfinite(output).any(dim=-1).flatten(0, -2).any(dim=0)


def _one_by_one(
    subject: AttentionSubject, run: Run, dtype: Dtype, cases: Sequence[Case]
) -> tuple[Tensor, list[Tensor]]:
    first, *others = (subject.forward(run, dtype, [case], opened=True).outputs[0] for case in cases)
    return first, others


def bound_origin(subject: AttentionSubject) -> str:
    """Where the bounds of `compared` come from."""
    return TWO_RUNS_BOUND if subject.has_oracle else BOUND
