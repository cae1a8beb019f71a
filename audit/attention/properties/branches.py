"""Every branch computes the same function: kernels, options that name implementations, libraries, fallbacks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import torch
from torch import Tensor

from audit.attention import branching, unmasked
from audit.attention.bounds import Deviation, distance
from audit.attention.branching import Answered, Branch, Survey
from audit.attention.cases import key_length, oracle_cases, plain_case, replaced_keys
from audit.attention.contract import Dtype
from audit.attention.properties.judging import call_raised, judge_deviations, no_reference
from audit.attention.properties.runs import bound_origin
from audit.attention.rounding import rounded_cases, two_runs_allowance
from audit.attention.subject import LENGTH, AttentionSubject, Case
from audit.gateway import TargetRaised
from audit.judgement import Judgement, error, failed, not_applicable, skipped
from audit.plan import Run
from audit.results import Check, Outcome, Severity

CHECK = Check(
    id="attention.branches",
    title="All branches compute the same function",
    proves="With the same weights and inputs, the outputs of every branch that could be forced agree: torch's kernels, "
    "options that name implementations, a fallback, and libraries that need a GPU, through stand-ins on a CPU.",
    defect="a scale passed to a kernel that scales by itself",
    severity=Severity.CRITICAL,
)

_ONE_WAY = "there is one way: no call of torch's fused attention, no option and no library that names an implementation"
_BOTH = "attn_mask should not be set when is_causal"
_MISUSED = "Misused"  # the stand-ins' own exception
_DROPOUT = 0.3
_FIX = (
    "give every branch the same scale, mask, causality, window and dropout, in the layout and convention of what it "
    "calls"
)


@dataclass
class _Compared:
    """Branches that answered, the first of which is the plain one, and why others did not."""

    answered: list[Answered]
    not_judged: list[str]


def judge(subject: AttentionSubject, run: Run) -> Judgement:
    """Compare every branch with every other; on a GPU libraries are called themselves where they are installed."""
    return judge_branches(subject, run, real=run.target.on_gpu)


def judge_branches(subject: AttentionSubject, run: Run, *, real: bool) -> Judgement:
    """Compare every branch with every other.

    Args:
        subject: what is judged.
        run: the target's process and the seed.
        real: whether libraries are called themselves, where they can be imported, and stand-ins only for the others.
    """
    dtype = subject.finest_dtype
    try:
        # What is installed is called wherever it is there: the others are seen without it.
        installed = (subject, run)
        subject, run = branching.without_libraries(subject, run) if real else installed
        survey = branching.surveyed(subject, run, dtype, plain_case(subject, subject.generator(run.seed)))
        survey = survey.model_copy(update={"real": branching.versions(installed[1])}) if real else survey
        if not (survey.sdpa or survey.libraries or survey.guards_sdpa or survey.attributes or survey.arguments):
            return not_applicable(_ONE_WAY)
        cases = _cases(subject, run)
        plain = branching.answered(subject, run, dtype, Branch(name="plain"), cases)
        if raised := plain.raised.get(0):
            raise raised
        if settled := plain.settled.get(0):  # as every other property has it
            raise settled
        if 0 not in plain.outputs:
            return error(plain.why_not)
        compared = _compared(subject, run, dtype, survey, cases, plain, installed=installed)
        return _judged(subject, run, dtype, cases, compared)
    except TargetRaised as raised:
        return call_raised(subject, run, raised)


@dataclass(frozen=True, kw_only=True)
class Apart:
    """A branch that differs from the plain one in a case, or raises what says by itself that it is wrong: `told`."""

    branch: Branch
    case: Case
    dtype: Dtype
    rounded: Dtype  # what some step may have been rounded to
    told: str = ""


def apart(subject: AttentionSubject, run: Run) -> list[Apart]:
    """Return the branches that are wrong beside the plain one, each with the first case that shows it.

    Raises:
        TargetRaised: a call that has been made before raised this time.
    """
    dtype = subject.finest_dtype
    survey = branching.surveyed(subject, run, dtype, plain_case(subject, subject.generator(run.seed)))
    cases = _cases(subject, run)
    plain = branching.answered(subject, run, dtype, Branch(name="plain"), cases)
    everything = _compared(subject, run, dtype, survey, cases, plain, installed=(subject, run)).answered
    bounds = _Bounds(subject, run, cases, everything)
    found: list[Apart] = []
    for each in everything:
        rounded = branching.coarser(each.dtype, each.dtypes)
        told = [
            (i, raised)
            for i, raised in each.raised.items()
            if _is_told(raised) and _is_wrong(subject, cases[i], raised)
        ]
        wrong = [
            case
            for case, (_, deviation) in _deviations(subject, cases, bounds.plain(each.dtype), each, bounds)
            if not deviation.holds
        ]
        if told:
            index, raised = told[0]
            found.append(
                Apart(branch=each.branch, case=cases[index], dtype=each.dtype, rounded=rounded, told=raised.message)
            )
        elif wrong:
            found.append(Apart(branch=each.branch, case=wrong[0], dtype=each.dtype, rounded=rounded))
    return found


def _cases(subject: AttentionSubject, run: Run) -> list[Case]:
    """Return the plain case, its last token changed, with dropout, one up to twice as long, and others.

    The longer one leaves windows, which are as long as the usual one where a guess chooses them.
    """
    generator = subject.generator(run.seed)
    plain = plain_case(subject, generator)
    last = torch.zeros(plain.inputs.shape[0], key_length(plain), dtype=torch.bool)
    last[:, -1] = True
    cases = [plain, replace(replaced_keys(plain, last, generator), name="last token changed")]
    if not subject.is_function:
        cases.append(plain.under(f"dropout rates of {_DROPOUT} in eval mode", dropout=_DROPOUT))
    longer = subject.contract.within(2 * LENGTH)
    cases.append(replace(plain_case(subject, generator, length=longer), name=f"{longer} tokens"))
    if not subject.is_declared and not subject.is_function and (inside := unmasked.length_inside(subject)):
        first = torch.zeros_like(last)
        first[:, 0] = True
        cases.append(replace(replaced_keys(plain, first, generator), name=unmasked.FIRST))
        cases.append(replace(plain_case(subject, generator, length=inside), name=unmasked.INSIDE))
    others = [case for case in oracle_cases(subject, generator) if case.name != plain.name]
    return [*cases, *others, replace(plain, name="again")]


def _compared(
    subject: AttentionSubject,
    run: Run,
    dtype: Dtype,
    survey: Survey,
    cases: Sequence[Case],
    plain: Answered,
    *,
    installed: tuple[AttentionSubject, Run],
) -> _Compared:
    """Return what every branch answers; `installed` are the subject and the run with what is installed."""
    options = branching.options(survey)
    named = {option.name for option in options if option.library}
    kernels = branching.kernels(survey, on_gpu=run.target.on_gpu)
    found = [branching.on_kernel(subject, run, dtype, each, cases) for each in kernels]
    for each in found:
        # A target may round what it hands on, which another property tells: its kernels then agree to that rounding.
        each.dtypes |= frozenset(survey.sdpa_dtypes)
    # Those that a library is named for may do without it, and are run with its stand-in below as well.
    here = [replace(option, library=None) for option in options if not (option.of_config and option.library)]
    found += [
        each
        for each in (branching.answered(subject, run, dtype, option, cases) for option in here)
        if each.outputs or each.branch.name not in named
    ]
    # A torch without fused attention is older than any that is supported: together with an option nobody promises it.
    if survey.guards_sdpa and not subject.option:
        found.append(branching.without_sdpa(subject, run, dtype, survey, cases))
    missing = [f"{library}: it is not installed here, and there is no stand-in" for library in survey.absent]
    present = [library for library in survey.libraries if library not in survey.absent]
    chosen = [option.library for option in options if option.of_config and option.library]
    for libraries in [*([each] for each in present), list(dict.fromkeys(chosen))]:
        if libraries:
            found += branching.with_libraries(*installed, dtype, libraries, survey, cases)
    usable, why_not = [plain], missing
    half = None
    for each in found:
        if each.dtype != dtype and each.outputs and half is None:
            half = branching.answered(subject, run, each.dtype, replace(plain.branch, name="plain"), cases)
            usable.append(half)
        reference = plain if each.dtype == dtype or half is None else half
        if not each.branch.of_torch and each.outputs and not branching.same_weights(reference.state, each.state):
            each.reasons, each.outputs = {0: "it has other weights"}, {}
        if each.branch.library:
            each.outputs = {index: output for index, output in each.outputs.items() if index in each.called}
        if each.outputs or any(map(_is_told, each.raised.values())):
            usable.append(each)
        elif not (each.branch.of_torch and all(map(branching.does_not_have, each.raised.values()))):
            why_not.append(f"{each.branch.name}: {each.why_not}")
    return _Compared(usable, why_not)


def _judged(subject: AttentionSubject, run: Run, dtype: Dtype, cases: Sequence[Case], compared: _Compared) -> Judgement:
    plain, *others = compared.answered
    for each in others:
        for index, raised in each.raised.items():
            where = f"({cases[index].name}, {each.branch.name})"
            if index in plain.outputs and _both_given(raised) and _is_wrong(subject, cases[index], raised):
                return failed(
                    f"torch's fused attention is given a mask together with is_causal, which it documents as an error; "
                    f"only some of its kernels take both {where}",
                    fix="put the causal mask into the mask that is given, or leave is_causal out",
                )
            if _is_misused(raised) and index in plain.outputs:
                return failed(
                    f"{each.branch.library} is called so that it reads outside its tensors: {raised.message} {where}",
                    fix="give each side its own beginnings of sequences, int32, from 0 to the number of its rows",
                )
    bounds = _Bounds(subject, run, cases, compared.answered)
    if trouble := no_reference(plain.outputs[0], bounds.of(0, dtype, dtype)):
        return trouble
    again = plain.outputs.get(len(cases) - 1)
    if again is not None and distance(again, plain.outputs[0]) > bounds.of(0, dtype, dtype):
        return error("two calls of the plain branch differ, so that nothing can be told from others that do")
    deviations: list[tuple[str, Deviation]] = []
    undeclared: list[str] = []
    for first, second in combinations(compared.answered, 2):
        if first.dtype != second.dtype:
            continue
        found = list(_deviations(subject, cases, first, second, bounds))
        wrong = [case for case, (_, deviation) in found if not deviation.holds]
        bound = bounds.of(0, first.dtype, first.dtype)
        if wrong and (why := unmasked.undeclared(subject, cases, wrong, first, second, bound=bound)):
            undeclared.append(why)
            found = [each for each in found if why == unmasked.WINDOW and each[0].name == unmasked.INSIDE]
        deviations += [pair for _, pair in found]
    notes = [f"{each.branch.name}: {_told(each)}" for each in others if each.branch.library]
    notes += [
        f"{each.branch.name}: refuses a mask together with is_causal, as torch documents it"
        for each in others
        if any(not _is_wrong(subject, cases[index], raised) for index, raised in each.raised.items())
    ]
    not_judged = "; ".join(compared.not_judged)
    names = ", ".join(each.branch.name for each in compared.answered)
    if not deviations:
        if undeclared:
            return not_applicable("undeclared: " + "; ".join(dict.fromkeys(undeclared)))
        return skipped(f"no branch but the plain one was judged: {not_judged}")
    origin = "; ".join([bound_origin(subject), f"branches: {names}", *notes])
    judgement = judge_deviations(
        deviations, origin=origin, otherwise="branches compute different functions: {case}", fix=_FIX
    )
    if judgement.outcome is Outcome.PASSED and not_judged:
        return skipped(f"these agree: {names}; not judged: {not_judged}")
    return judgement


def _both_given(raised: TargetRaised) -> bool:
    return _BOTH in raised.message


def _is_misused(raised: TargetRaised) -> bool:
    return raised.type_name == _MISUSED


def _is_told(raised: TargetRaised) -> bool:
    """Whether an exception says by itself that a branch is wrong, whatever the others answer."""
    return _both_given(raised) or _is_misused(raised)


def _is_wrong(subject: AttentionSubject, case: Case, raised: TargetRaised) -> bool:
    """Whether what an exception tells is the target's doing, and not of the call that was made.

    A function that is called with torch's own `attn_mask` and `is_causal` promises no more of both together than torch
    does, unless something says that a given mask joins the causal one.
    """
    mask, arguments = subject.form.get("mask"), subject.form.get("arguments")
    if not (_both_given(raised) and subject.is_function and isinstance(mask, dict) and isinstance(arguments, dict)):
        return True
    takes_both = mask.get("parameter") == "attn_mask" and arguments.get("is_causal") == "causal"
    return not (takes_both and case.is_causal) or subject.contract.given_mask == "joins"


def _told(each: Answered) -> str:
    """Say what a library or its stand-in was called with."""
    if (
        each.branch.stands_in
        and "float32" in each.dtypes
        and each.branch.library in ("flash_attn", "flash_attn_interface")
    ):
        return "called with float32, which the library itself refuses"
    return f"called with {', '.join(sorted(each.dtypes))}"


class _Bounds:
    """How far two branches may be apart in each case, by the dtype that resolves least on either."""

    def __init__(
        self, subject: AttentionSubject, run: Run, cases: Sequence[Case], everything: Sequence[Answered]
    ) -> None:
        self._subject, self._run, self._cases = subject, run, cases
        self._plain = {each.dtype: each for each in everything if not each.branch.forced and not each.branch.choices}
        self._known: dict[tuple[int, Dtype, Dtype], float] = {}

    def plain(self, dtype: Dtype) -> Answered:
        """Return what the plain branch answered in this dtype."""
        return self._plain[dtype]

    def of(self, index: int, dtype: Dtype, rounded: Dtype) -> float:
        """Return the bound of a case: from the oracle where there is one, else from the response to rounding.

        Args:
            index: of the case.
            dtype: of the run.
            rounded: what some step may have been rounded to.
        """
        key, plain = (index, dtype, rounded), self._plain[dtype]
        if key not in self._known and self._subject.has_oracle:
            self._known[key] = 2 * self._subject.allowance(plain.state, self._cases[index], rounded)
        elif key not in self._known:
            # All cases at once, for each call builds the subject anew.
            generator = self._subject.generator(self._run.seed)
            draws = {i: rounded_cases(self._cases[i], rounded, generator) for i in sorted(plain.outputs)}
            flat = [case for each in draws.values() for case in each]
            outputs = iter(self._subject.forward(self._run, dtype, flat, opened=True).outputs)
            for i, each in draws.items():
                answers = [next(outputs) for _ in each]
                self._known[i, dtype, rounded] = two_runs_allowance(plain.outputs[i], answers)
        return self._known[key]


def _deviations(
    subject: AttentionSubject, cases: Sequence[Case], first: Answered, second: Answered, bounds: _Bounds
) -> Iterator[tuple[Case, tuple[str, Deviation]]]:
    for index, case in enumerate(cases):
        plain = bounds.plain(first.dtype).outputs
        if index not in first.outputs.keys() & second.outputs.keys() & plain.keys():
            continue
        if "dropout" in case.circumstances and not torch.equal(plain[index], plain[0]):
            continue  # the plain branch drops in eval mode, which another property tells
        rounded = branching.coarser(first.dtype, first.dtypes | second.dtypes)
        name = f"{first.branch.name} and {second.branch.name}, {case.name}"
        outputs = (_compared_rows(subject, case, each.outputs[index]) for each in (first, second))
        yield (
            case,
            (rounded, Deviation(case=name, error=distance(*outputs), bound=bounds.of(index, first.dtype, rounded))),
        )


def _compared_rows(subject: AttentionSubject, case: Case, output: Tensor) -> Tensor:
    """Return the outputs without those of padding, and of queries that see nothing, unless these are declared."""
    kept = case.tensors.get("key_mask")
    if kept is None or "context" in case.tensors or subject.contract.empty_row is not None:
        return output
    return output[kept]
