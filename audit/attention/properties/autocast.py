"""What is said where a forward turns autocast on: bounds of the dtype that it was asked in do not fit then."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from audit.attention.plain_call import reply_to_plain
from audit.attention.subject import DTYPES, AttentionSubject
from audit.judgement import Judgement, error
from audit.plan import Run
from audit.results import Outcome

_EPS: Mapping[str, float] = {name: torch.finfo(dtype).eps for name, dtype in DTYPES.items()}


def fitting(judgement: Judgement, subject: AttentionSubject, run: Run) -> Judgement:
    """Return a failure as an error where the rounding of autocast's dtype explains as much.

    A bound is a number of roundings: of a coarser dtype it is larger by the ratio of the units of both.
    """
    measured = judgement.measured
    if judgement.outcome is not Outcome.FAILED or measured is None:
        return judgement
    value, bound = measured.value, measured.bound
    if not isinstance(value, int | float) or not isinstance(bound, int | float) or not 0 < bound < value:
        return judgement
    if subject.built.autocast is None:
        subject.built.autocast = _asked(subject, run)
    coarsest = subject.built.autocast
    if not coarsest:
        return judgement
    asked = subject.finest_dtype
    if value > bound * _EPS[coarsest] / _EPS[asked]:
        return judgement
    return replace(
        error(
            f"forward turns autocast on for {coarsest}, whose rounding may move as much as this: {judgement.reason}; "
            f"the bound is that of {asked}",
            fix=f'declare "dtypes": ["{coarsest}"] in a contract, which is judged by the rounding of {coarsest}',
        ),
        measured=measured,
    )


def _asked(subject: AttentionSubject, run: Run) -> str:
    """Return the coarsest dtype that autocast is on for in a forward; an empty text where there is none."""
    reply = reply_to_plain(subject, run, "attention_autocast") or {}
    listed = reply.get("autocast")
    seen = [each for each in (listed if isinstance(listed, list) else ()) if isinstance(each, str) and each in _EPS]
    return max(seen, key=lambda each: _EPS[each], default="")
