"""In bfloat16 and float16 the output stays as near to that of float32 as rounding allows."""

import torch

from audit.attention.bounds import Deviation, distance, rounding_of
from audit.attention.cases import plain_case
from audit.attention.contract import Dtype
from audit.attention.properties.judging import call_raised, judge_deviations, long_call_raised, no_reference
from audit.attention.rounding import STEPS, rounded_cases
from audit.attention.subject import BATCH_SIZE, DTYPES, LENGTH, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, not_applicable
from audit.plan import Run
from audit.results import Check, Outcome, Severity

CHECK = Check(
    id="attention.low_precision",
    title="Low precision stays near float32",
    proves="On a long input, the module in bfloat16 or float16, and in float32 under autocast, gives the output of "
    "float32 as nearly as rounding allows.",
    defect="rotary angles that are computed in the precision of the module",
    severity=Severity.MAJOR,
)

# Positions above 256 are not whole numbers in bfloat16, and a sum of as many ones comes to a halt there.
_LONG = 521
_MOST_NUMBERS = 2**22  # of one long input: 32 MiB in float64
# A step rounds by half a unit in the last place at most, and the inputs are moved by a whole one.
_FACTOR = STEPS / 2
# A mean of many tokens damps what is rounded before it, as it does changes of the input, and nothing that is rounded
# after it: the sum itself, the projection, and a gate or a convolution behind that.
_AFTER_THE_SUM = 3
BOUND = (
    f"{STEPS} steps that round by half a unit in the last place of {{dtype}} x the change of the float32 output when "
    f"the input moves by that, plus {_AFTER_THE_SUM} roundings and 2 x the rounding of the result"
)
_LOW: tuple[Dtype, ...] = ("bfloat16", "float16")


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare the output in each low precision with that in float32."""
    wanted = [dtype for dtype in _LOW if not subject.is_declared or dtype in subject.contract.dtypes]
    if not wanted or (subject.is_declared and "float32" not in subject.contract.dtypes):
        return not_applicable("the contract does not declare float32 and a dtype below it")
    outputs = refused = None
    longest = subject.contract.within(_LONG) if _LONG * _width(subject) <= _MOST_NUMBERS else LENGTH
    for length in (longest, LENGTH):
        # Of what was guessed, only some batch sizes were seen to work.
        batch = 1 if subject.is_declared else BATCH_SIZE
        plain = plain_case(subject, subject.generator(run.seed), length=length, batch=batch)
        cases = [plain.replaced(f"{length} tokens"), _sharpened(plain, f"{length} tokens, larger logits")]
        # One draw: the input is long, and the largest change of many outputs varies little.
        rounded = [rounded_cases(case, dtype, subject.generator(run.seed))[0] for dtype in wanted for case in cases]
        try:
            outputs = subject.forward(run, "float32", [*cases, *rounded], opened=True).outputs
            break
        except TargetRaised as raised:  # tables and masks may be made for a shorter input
            refused = raised
    if outputs is None:
        assert refused is not None
        return call_raised(subject, run, refused)
    full, moved = outputs[: len(cases)], outputs[len(cases) :]
    deviations: list[tuple[str, Deviation]] = []
    for index, dtype in enumerate(wanted):
        responses = moved[len(cases) * index : len(cases) * (index + 1)]
        bounds = [
            _FACTOR * distance(response, exact) + _rounded_after(exact, dtype) + rounding_of(exact.to(DTYPES[dtype]))
            for response, exact in zip(responses, full, strict=True)
        ]
        if trouble := no_reference(full[0], bounds[0]):
            return trouble
        under = [case.under(f"{case.name} under autocast", autocast=dtype) for case in cases]
        for called, weights, is_promised in ((cases, dtype, subject.is_declared), (under, "float32", False)):
            try:
                found = subject.forward(run, weights, called, opened=True).outputs
            except TargetRaised as raised:
                if is_promised:
                    return call_raised(subject, run, raised)
                continue  # it does not take the dtype, and says so
            for case, output, exact, bound in zip(called, found, full, bounds, strict=True):
                if case is called[-1] and not torch.isfinite(output).all():
                    continue  # inputs as large as these may leave the range of float16, which is no lack of precision
                deviation = Deviation(case=case.name, error=distance(output, exact), bound=bound)
                if case is called[-1] and any(_is_of_range(dtype, deviation, *other) for other in deviations):
                    continue  # their exponentials may leave it at its lower end too
                deviations.append((dtype, deviation))
    if not deviations:
        return not_applicable("undeclared: whether it takes dtypes below float32; observed: it refuses them")
    judgement = judge_deviations(
        deviations,
        origin=BOUND,
        otherwise="the output is farther from that of float32 than rounding explains, as where rotary angles, softmax "
        "or running sums are computed in low precision: {case}",
        fix="compute angles, softmax and sums in float32, and round their results",
    )
    if refused is not None and subject.is_declared and judgement.outcome is Outcome.PASSED:
        return long_call_raised(subject, run, refused, length=longest)  # the short input alone says too little
    return judgement


def _is_of_range(dtype: str, deviation: Deviation, other_dtype: str, other: Deviation) -> bool:
    """Whether what rounds finer than another dtype is farther off, and the other holds: its range is smaller."""
    rounds_finer = (dtype, other_dtype) == ("float16", "bfloat16")
    return rounds_finer and deviation.case == other.case and other.holds and deviation.error > other.error


def _rounded_after(output: torch.Tensor, dtype: Dtype) -> float:
    """Return what the steps behind the sum over keys may err by, each by half a unit in the last place."""
    return _AFTER_THE_SUM * torch.finfo(DTYPES[dtype]).eps / 2 * float(output.abs().max())


def _width(subject: AttentionSubject) -> int:
    """Return how many numbers one token has, as far as that is declared."""
    contract = subject.contract
    return contract.embed_dim or (contract.num_heads or 1) * (contract.head_dim or 1)


def _sharpened(case: Case, name: str) -> Case:
    """Return the case with logits so many times larger that what is wrong with them shows in the output."""
    factors = {"hidden_states": 4.0, "context": 4.0, "query": 2.0, "key": 2.0}
    larger = {key: case.tensors[key] * factor for key, factor in factors.items() if key in case.tensors}
    return case.replaced(name, **larger)
