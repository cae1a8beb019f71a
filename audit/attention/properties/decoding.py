"""An input in one pass and in chunks through the cache, and how far the two are apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from audit.attention.bounds import Deviation, distance, is_constant
from audit.attention.contract import Dtype
from audit.attention.rounding import DRAWS, rounded_cases, two_runs_allowance
from audit.attention.subject import AttentionSubject, Case
from audit.gateway.client import Plain
from audit.plan import Run


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """An input, its full pass, and how it is cut; `compared` are the positions whose outputs count."""

    full: Case
    chunkings: dict[str, list[int]]
    compared: Tensor  # bool, (B, L)
    without_positions: bool = False  # in the chunks; the full pass has them


def decoded_deviations(subject: AttentionSubject, run: Run, dtype: Dtype, each: Decoded) -> Sequence[Deviation]:
    """Return how far each chunking is from the full pass, of which two correct runs may each err by their bound.

    Raises:
        TargetRaised: what the target raised.
        Settled: it answers with something else than outputs.
    """
    length = each.full.inputs.shape[-2]
    # Of what was found, the full pass may need a mask that hides later tokens, which the call form of the cache has.
    kind = "decode" if subject.form else "forward"
    whole: dict[str, Plain] = {"chunks": [length], "uncached": True} if subject.form else {}
    drawn = [] if subject.has_oracle else rounded_cases(each.full, dtype, subject.generator(run.seed))
    calls = [(kind, case.under(case.name, **whole)) for case in (each.full, *drawn)]
    more: dict[str, Plain] = {"without_positions": True} if each.without_positions else {}
    calls += [
        ("decode", each.full.under(name, chunks=list[Plain](chunks), **more)) for name, chunks in each.chunkings.items()
    ]
    answers = subject.ask(run, dtype, calls, opened=True)
    outputs = [output[each.compared] for output in answers.outputs]
    full, rounded, decoded = outputs[0], outputs[1 : 1 + len(drawn)], outputs[1 + len(drawn) :]
    if subject.has_oracle:
        bound = 2 * subject.allowance(answers.state, each.full, dtype)
    else:
        assert len(rounded) == DRAWS
        bound = two_runs_allowance(full, rounded)
    blind = "every token has the same output, cached or not" if is_constant(full[None], bound) else None
    return [
        Deviation(case=name, error=distance(output, full), bound=bound, blind=blind)
        for name, output in zip(each.chunkings, decoded, strict=True)
    ]
